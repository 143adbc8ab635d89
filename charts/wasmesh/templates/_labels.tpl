{{/* Labels of the controller's pods: what its Service and policies select. Never changed: selectors are immutable. */}}
{{- define "wasmesh.controller.selector" -}}
app.kubernetes.io/name: wasmesh
app.kubernetes.io/component: controller
{{- end }}

{{/* Labels of the pod of `helm test`, which policies let in. */}}
{{- define "wasmesh.test.selector" -}}
app.kubernetes.io/name: wasmesh
app.kubernetes.io/component: test
{{- end }}

{{/* Labels of every object; .component is optional. Usage: include "wasmesh.labels" (dict "root" $ "component" "controller") */}}
{{- define "wasmesh.labels" -}}
app.kubernetes.io/name: wasmesh
{{- with .component }}
app.kubernetes.io/component: {{ . }}
{{- end }}
app.kubernetes.io/part-of: wasmesh
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name .root.Chart.Version | replace "+" "_" }}
{{- end }}

{{/* Labels of the hosts' pods, which the controller makes: ModelMesh's, the value is the Service's name. */}}
{{- define "wasmesh.host.selectorKey" -}}modelmesh-service{{- end }}

{{- define "wasmesh.serviceAccountName" -}}
{{- .Values.serviceAccount.name | default "wasmesh-controller" -}}
{{- end }}

{{/* Cluster-wide objects of a release that has a namespace to itself carry its name: there may be several releases. */}}
{{- define "wasmesh.clusterName" -}}
{{- if .Values.namespaceScope -}}wasmesh-controller-{{ .Release.Namespace }}{{- else -}}wasmesh-controller{{- end -}}
{{- end }}

{{/* The Secret with the credentials of storage, as the settings name it. */}}
{{- define "wasmesh.storageSecretName" -}}
{{- .Values.config.storageSecretName | default "storage-config" -}}
{{- end }}
