{{/* The reference of one of our images. Usage: include "wasmesh.image" (dict "root" $ "name" "wasmesh-host" "digest" $digest) */}}
{{- define "wasmesh.image" -}}
{{- $images := .root.Values.images -}}
{{- if .digest -}}
{{- printf "%s/%s@%s" $images.registry .name .digest -}}
{{- else -}}
{{- printf "%s/%s:%s" $images.registry .name ($images.tag | default .root.Chart.AppVersion) -}}
{{- end -}}
{{- end }}

{{- define "wasmesh.pullSecrets" -}}
{{- with .Values.images.pullSecrets }}
imagePullSecrets:
{{- range . }}
  - name: {{ . }}
{{- end }}
{{- end }}
{{- end }}

{{/* What the restricted pod security standard asks of a pod, and of a container. No uid: the images name one that is not
     root, and OpenShift gives each namespace its own. */}}
{{- define "wasmesh.podSecurityContext" -}}
runAsNonRoot: true
seccompProfile:
  type: RuntimeDefault
{{- end }}

{{- define "wasmesh.containerSecurityContext" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities:
  drop: [ALL]
{{- end }}
