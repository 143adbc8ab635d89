{{/* "true" when an object is absent from the cluster or belongs to this release. Usage:
     include "wasmesh.mayWrite" (dict "root" $ "apiVersion" "v1" "kind" "Secret" "namespace" "ns" "name" "x")
     Without a cluster to look at (`helm template`), lookup finds nothing and everything is absent. */}}
{{- define "wasmesh.mayWrite" -}}
{{- $existing := lookup .apiVersion .kind .namespace .name -}}
{{- if not $existing -}}
true
{{- else -}}
{{- $annotations := ($existing.metadata.annotations | default dict) -}}
{{- if and (eq (index $annotations "meta.helm.sh/release-name" | default "") .root.Release.Name) (eq (index $annotations "meta.helm.sh/release-namespace" | default "") .root.Release.Namespace) -}}
true
{{- end -}}
{{- end -}}
{{- end }}
