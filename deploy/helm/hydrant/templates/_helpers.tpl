{{- define "hydrant.selector" -}}
app.kubernetes.io/name: hydrant
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}
{{- define "hydrant.labels" -}}
{{ include "hydrant.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ .Chart.Name }}-{{ .Chart.Version }}
{{- end }}
