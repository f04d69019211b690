{{- define "skylane.selectorLabels" -}}
app.kubernetes.io/name: skylane-operator
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "skylane.labels" -}}
{{ include "skylane.selectorLabels" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
app.kubernetes.io/part-of: skylane
{{- end }}

{{- define "skylane.image" -}}
{{ .image.repository }}:{{ .image.tag | default .appVersion }}
{{- end }}

{{/* What the Pod Security level "restricted" asks of a container. */}}
{{- define "skylane.restricted" -}}
allowPrivilegeEscalation: false
capabilities: {drop: [ALL]}
readOnlyRootFilesystem: true
{{- end }}

{{- define "skylane.podSecurity" -}}
runAsNonRoot: true
runAsUser: 65532
runAsGroup: 65532
seccompProfile: {type: RuntimeDefault}
{{- end }}
