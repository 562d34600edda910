{{- define "hydrant.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{ .Values.fullnameOverride }}
{{- else if contains .Chart.Name .Release.Name -}}
{{ .Release.Name | trunc 50 | trimSuffix "-" }}
{{- else -}}
{{ printf "%s-%s" .Release.Name .Chart.Name | trunc 50 | trimSuffix "-" }}
{{- end }}
{{- end }}

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

{{- define "hydrant.image" -}}
{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}
{{- end }}

{{- define "hydrant.serviceAccount" -}}
{{ .Values.serviceAccount.name | default (ternary (include "hydrant.fullname" .) "default" .Values.serviceAccount.create) }}
{{- end }}

{{- /* A value as a variable has it: a large number is no 1e+06. */ -}}
{{- define "hydrant.text" -}}
{{- if and (kindIs "float64" .) (eq (floor .) .) -}}{{ printf "%.0f" . }}{{- else -}}{{ . }}{{- end -}}
{{- end }}

{{- /* The secret of a part: (list $ "suffix" part). Empty: there is none. */ -}}
{{- define "hydrant.secret" -}}
{{- $part := index . 2 -}}
{{- if $part.secretData -}}{{ include "hydrant.fullname" (index . 0) }}-{{ index . 1 }}
{{- else -}}{{ $part.existingSecret }}{{- end -}}
{{- end }}

{{- /* What a user of NATS comes with: a key of its secret for each variable. */ -}}
{{- define "hydrant.natsKeys" -}}
{{- if eq .Values.nats.auth "password" }}
NATS_PASSWORD_FILE: NATS_PASSWORD
{{- else if eq .Values.nats.auth "creds" }}
NATS_CREDS: nats.creds
{{- else if eq .Values.nats.auth "nkey" }}
NATS_NKEY: nats.nk
{{- end }}
{{- end }}

{{- /* The files of a pod: (list $ secretOfTheUser secretOfTLS). Of each folder below
/etc/hydrant the secret, and its key for each variable. */ -}}
{{- define "hydrant.natsFiles" -}}
{{- $root := index . 0 -}}
{{- $files := dict -}}
{{- if ne $root.Values.nats.auth "none" -}}
{{- $_ := set $files "nats" (dict "secret" (index . 1) "keys" (include "hydrant.natsKeys" $root | fromYaml)) -}}
{{- end -}}
{{- with index . 2 -}}
{{- $keys := dict "NATS_CA" "ca.crt" -}}
{{- if $root.Values.nats.tls.clientCertificate -}}
{{- $_ := set $keys "NATS_CERT" "tls.crt" -}}
{{- $_ := set $keys "NATS_KEY" "tls.key" -}}
{{- end -}}
{{- $_ := set $files "nats-tls" (dict "secret" . "keys" $keys) -}}
{{- end -}}
{{- toYaml $files -}}
{{- end }}

{{- define "hydrant.files" -}}
{{- $v := .Values -}}
{{- $files := include "hydrant.natsFiles" (list . (include "hydrant.secret" (list . "nats" $v.nats)) (include "hydrant.secret" (list . "nats-tls" $v.nats.tls))) | fromYaml -}}
{{- $keys := dict
  "tls" (dict "EDGE_TLS_CERT" "tls.crt" "EDGE_TLS_KEY" "tls.key")
  "tokens" (dict "EDGE_AUTH_KEY_FILE" "token.key")
  "signatures" (dict "EDGE_SIGNATURE_KEYS_FILE" "signature.keys")
  "http" (dict "EDGE_HTTP_KEYS_FILE" "http.keys") -}}
{{- range $folder, $part := dict "tls" $v.tls "tokens" $v.tokens "signatures" $v.signatures "http" $v.httpKeys -}}
{{- with include "hydrant.secret" (list $ $folder $part) -}}
{{- $_ := set $files $folder (dict "secret" . "keys" (get $keys $folder)) -}}
{{- end -}}
{{- end -}}
{{- toYaml $files -}}
{{- end }}

{{- /* Variables that name files. */ -}}
{{- define "hydrant.fileEnv" -}}
{{- range $folder, $file := . }}
{{- range $name, $key := $file.keys }}
- {name: {{ $name }}, value: /etc/hydrant/{{ $folder }}/{{ $key }}}
{{- end }}
{{- end }}
{{- end }}

{{- define "hydrant.fileMounts" -}}
{{- range $folder, $file := . }}
- {name: {{ $folder }}, mountPath: /etc/hydrant/{{ $folder }}, readOnly: true}
{{- end }}
{{- end }}

{{- define "hydrant.fileVolumes" -}}
{{- range $folder, $file := . }}
- name: {{ $folder }}
  secret:
    secretName: {{ $file.secret }}
    defaultMode: 0440
    items:
      {{- range $file.keys }}
      - {key: {{ . }}, path: {{ . }}}
      {{- end }}
{{- end }}
{{- end }}

{{- /* Nine tenths of a memory limit, as Go writes it. */ -}}
{{- define "hydrant.memory" -}}
{{- $text := include "hydrant.text" . -}}
{{- $units := dict "" 1 "k" 1e3 "M" 1e6 "G" 1e9 "T" 1e12 "Ki" 1024 "Mi" 1048576 "Gi" 1073741824 "Ti" 1099511627776 -}}
{{- if not (regexMatch "^[0-9]+([.][0-9]+)?(k|M|G|T|Ki|Mi|Gi|Ti)?$" $text) -}}{{ fail (printf "resources.limits.memory: %s is not such as 512Mi or 2Gi" $text) }}{{- end -}}
{{- $unit := regexFind "[A-Za-z]*$" $text -}}
{{- printf "%.0fMiB" (floor (divf (mulf (trimSuffix $unit $text | float64) (get $units $unit) 0.9) 1048576)) -}}
{{- end }}

{{- /* The ports of addresses, separated by commas: (list addresses defaultPort). */ -}}
{{- define "hydrant.ports" -}}
{{- $default := index . 1 -}}
{{- $ports := list -}}
{{- range splitList "," (index . 0) -}}
{{- $address := trim . -}}
{{- $port := regexFind ":[0-9]+$" (regexReplaceAll "^([a-z]+://[^/?#]*).*$" $address "${1}") | trimPrefix ":" -}}
{{- $ports = append $ports ($port | default (ternary "80" $default (hasPrefix "http:" $address))) -}}
{{- end -}}
{{- $ports | uniq | join "," -}}
{{- end }}

{{- /* Refuses in env what has a value of its own here, and what is there by half. */ -}}
{{- define "hydrant.check" -}}
{{- $own := dict
  "EDGE_LISTEN" "no value: clients reach service.port"
  "EDGE_ADMIN_LISTEN" "no value: it is port 9353"
  "EDGE_DRAIN_GRACE" "graceSeconds"
  "EDGE_DRAIN_TIMEOUT" "drainSeconds"
  "EDGE_TRUSTED_PROXIES" "trustedProxies"
  "EDGE_ADMIN_TOKEN" "admin"
  "EDGE_TLS_CERT" "tls"
  "EDGE_TLS_KEY" "tls"
  "EDGE_AUTH_KEY_FILE" "tokens"
  "EDGE_SIGNATURE_KEYS" "signatures"
  "EDGE_SIGNATURE_KEYS_FILE" "signatures"
  "EDGE_HTTP_KEYS_FILE" "httpKeys"
  "EDGE_QUEUE_SERVICES" "setup.queues"
  "NATS_URL" "nats.url" -}}
{{- if not .Values.setup.enabled -}}
{{- $_ := unset $own "EDGE_QUEUE_SERVICES" -}}
{{- end -}}
{{- range $name, $_ := .Values.env -}}
{{- with get $own $name -}}{{- fail (printf "env.%s: the chart has %s" $name .) -}}{{- end -}}
{{- end -}}
{{- range $variable := .Values.extraEnv -}}
{{- with get $own $variable.name -}}{{- fail (printf "extraEnv: %s: the chart has %s" $variable.name .) -}}{{- end -}}
{{- end -}}
{{- if and (ne .Values.nats.auth "none") (not (include "hydrant.secret" (list . "nats" .Values.nats))) -}}
{{- fail (printf "nats.existingSecret: needed with nats.auth=%s; none where NATS asks for no user" .Values.nats.auth) -}}
{{- end -}}
{{- if and .Values.setup.enabled (ne .Values.nats.auth "none") (not (include "hydrant.secret" (list . "setup" .Values.setup))) -}}
{{- fail "setup.existingSecret: needed with setup.enabled" -}}
{{- end -}}
{{- range $part, $data := dict "nats" .Values.nats.secretData "setup" .Values.setup.secretData -}}
{{- if $data -}}
{{- range $name, $key := include "hydrant.natsKeys" $ | fromYaml -}}
{{- if not (hasKey $data $key) -}}
{{- fail (printf "%s.secretData: has no %s, which nats.auth=%s needs" $part $key $.Values.nats.auth) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- if and .Values.ingress.enabled (not .Values.ingress.hosts) -}}
{{- fail "ingress.hosts: needed with ingress.enabled" -}}
{{- end -}}
{{- if and .Values.nats.tls.clientCertificate (not (include "hydrant.secret" (list . "nats-tls" .Values.nats.tls))) -}}
{{- fail "nats.tls.existingSecret: needed with nats.tls.clientCertificate" -}}
{{- end -}}
{{- if and .Values.autoscaling.enabled (not .Values.autoscaling.sessionsPerPod) (not .Values.autoscaling.cpuPercent) -}}
{{- fail "autoscaling.sessionsPerPod: it or autoscaling.cpuPercent is needed with autoscaling.enabled" -}}
{{- end -}}
{{- end }}
