{{/* The chart's name in labels. */}}
{{- define "wiza-relay.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 52 | trimSuffix "-" -}}
{{- end -}}

{{/* The objects' name. 52 characters: a StatefulSet's pods carry it in a label with 11 more. */}}
{{- define "wiza-relay.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 52 | trimSuffix "-" -}}
{{- else -}}
{{- $name := default .Chart.Name .Values.nameOverride -}}
{{- if contains $name .Release.Name -}}
{{- .Release.Name | trunc 52 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name $name | trunc 52 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* What chooses the relay's pods: (dict "root" $ "component" "relay"). Cannot change over a release's life, so nothing else is in it. */}}
{{- define "wiza-relay.selectorLabels" -}}
app.kubernetes.io/name: {{ include "wiza-relay.name" .root }}
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .component }}
{{- end -}}

{{/* Labels of a pod. Not the chart's version: a new chart alone must not restart the relay. */}}
{{- define "wiza-relay.podLabels" -}}
{{ include "wiza-relay.selectorLabels" . }}
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
app.kubernetes.io/part-of: wiza-relay
{{- with .root.Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{/* Labels of an object. */}}
{{- define "wiza-relay.labels" -}}
helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name .root.Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-" }}
{{ include "wiza-relay.podLabels" . }}
{{- end -}}

{{/* Metadata of an object: (dict "root" $ "name" "..." "component" "..." "labels" {} "annotations" {} "namespace" ""). */}}
{{- define "wiza-relay.metadata" -}}
metadata:
  name: {{ .name }}
  namespace: {{ default .root.Release.Namespace .namespace }}
  labels:
    {{- include "wiza-relay.labels" . | nindent 4 }}
    {{- with .labels }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
  {{- with merge (dict) (default (dict) .annotations) .root.Values.commonAnnotations }}
  annotations:
    {{- toYaml . | nindent 4 }}
  {{- end }}
{{- end -}}

{{- define "wiza-relay.image" -}}
{{- $image := .Values.image -}}
{{- $image.repository }}:{{ default .Chart.AppVersion $image.tag }}{{ with $image.digest }}@{{ . }}{{ end -}}
{{- end -}}

{{- define "wiza-relay.serviceAccountName" -}}
{{- default (ternary (include "wiza-relay.fullname" .) "default" .Values.serviceAccount.create) .Values.serviceAccount.name -}}
{{- end -}}

{{- define "wiza-relay.configMapName" -}}
{{- default (printf "%s-routes" (include "wiza-relay.fullname" .)) .Values.existingConfigMap -}}
{{- end -}}

{{/* The Secret that has what the rules name; empty: there is none. */}}
{{- define "wiza-relay.secretName" -}}
{{- if .Values.secrets.existingSecret -}}
{{- .Values.secrets.existingSecret -}}
{{- else if .Values.secrets.values -}}
{{- include "wiza-relay.fullname" . -}}
{{- end -}}
{{- end -}}

{{/* The Secret that has the admin token; empty: there is none. */}}
{{- define "wiza-relay.adminSecretName" -}}
{{- if .Values.admin.existingSecret -}}
{{- .Values.admin.existingSecret -}}
{{- else if .Values.admin.token -}}
{{- include "wiza-relay.fullname" . }}-admin
{{- end -}}
{{- end -}}

{{/* The Secret that `helm test` takes the API key from; empty: no sample is sent. */}}
{{- define "wiza-relay.testSecretName" -}}
{{- if .Values.test.existingSecret -}}
{{- .Values.test.existingSecret -}}
{{- else if or .Values.secrets.existingSecret (hasKey .Values.secrets.values .Values.test.existingSecretKey) -}}
{{- include "wiza-relay.secretName" . -}}
{{- end -}}
{{- end -}}

{{/* Where webhooks come in, for Ingress, HTTPRoute, test and notes. The rules decide it, so it is read out of them. Their ${...} would
not be YAML inside of braces; the path itself holds none. */}}
{{- define "wiza-relay.webhookPath" -}}
{{- include "wiza-relay.validate" . -}}
{{- $given := .Values.webhook.path -}}
{{- $found := "" -}}
{{- if .Values.routes -}}
{{- $rules := fromYaml (regexReplaceAll "\\$\\{[^}]*\\}" .Values.routes "0") -}}
{{- if kindIs "map" $rules.source -}}{{- $found = toString (default "" $rules.source.path) -}}{{- end -}}
{{- end -}}
{{- if and $given $found (ne (trimSuffix "/" $given) (trimSuffix "/" $found)) -}}
{{- fail (printf "webhook.path is %s, but source.path in routes is %s: leave webhook.path empty, it is read out of routes" $given $found) -}}
{{- end -}}
{{- if not (or $given $found) -}}
{{- if .Values.existingConfigMap -}}
{{- fail "webhook.path is empty: with existingConfigMap it has to be the source.path of the rules in it, /webhooks/wiza for instance" -}}
{{- else -}}
{{- fail "routes: no source.path was found in it. `wiza-relay check routes.yaml` shows what is wrong; if it is fine, say the path in webhook.path" -}}
{{- end -}}
{{- end -}}
{{- default $found $given -}}
{{- end -}}

{{/* Where the test posts to, inside of the cluster. */}}
{{- define "wiza-relay.testUrl" -}}
{{- $path := trimSuffix "/" (include "wiza-relay.webhookPath" .) -}}
http://{{ include "wiza-relay.fullname" . }}.{{ .Release.Namespace }}.svc:{{ .Values.service.port }}{{ $path }}{{ with .Values.test.path }}/{{ . }}{{ end }}
{{- end -}}

{{/* The port in the collector's address. */}}
{{- define "wiza-relay.tracingPort" -}}
{{- $url := urlParse .Values.tracing.endpoint -}}
{{- $port := regexFind ":[0-9]+$" $url.host -}}
{{- if $port -}}{{ trimPrefix ":" $port }}{{- else -}}{{ ternary "443" "80" (eq $url.scheme "https") }}{{- end -}}
{{- end -}}
