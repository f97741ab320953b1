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
app.kubernetes.io/name: {{ include "wiza-relay.name" .root | toYaml }}
app.kubernetes.io/instance: {{ .root.Release.Name | toYaml }}
app.kubernetes.io/component: {{ .component }}
{{- end -}}

{{/* Labels of a pod: (dict "root" $ "component" "..." "labels" {}), of which the nearer ones hold. Not the chart's version: a new chart
alone must not restart the relay. */}}
{{- define "wiza-relay.podLabels" -}}
{{- $own := include "wiza-relay.selectorLabels" . | fromYaml -}}
{{- $_ := set $own "app.kubernetes.io/version" .root.Chart.AppVersion -}}
{{- $_ := set $own "app.kubernetes.io/managed-by" .root.Release.Service -}}
{{- $_ := set $own "app.kubernetes.io/part-of" "wiza-relay" -}}
{{- toYaml (merge $own (default (dict) .labels) (default (dict) .root.Values.commonLabels)) -}}
{{- end -}}

{{/* Labels of an object, likewise. */}}
{{- define "wiza-relay.labels" -}}
{{- $chart := printf "%s-%s" .root.Chart.Name .root.Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-" -}}
{{- toYaml (merge (dict "helm.sh/chart" $chart) (include "wiza-relay.podLabels" . | fromYaml)) -}}
{{- end -}}

{{/* Metadata of an object: (dict "root" $ "name" "..." "component" "..." "labels" {} "annotations" {} "namespace" ""). */}}
{{- define "wiza-relay.metadata" -}}
metadata:
  name: {{ .name | toYaml }}
  namespace: {{ default .root.Release.Namespace .namespace | toYaml }}
  labels:
    {{- include "wiza-relay.labels" . | nindent 4 }}
  {{- with merge (dict) (default (dict) .annotations) (default (dict) .root.Values.commonAnnotations) }}
  annotations:
    {{- toYaml . | nindent 4 }}
  {{- end }}
{{- end -}}

{{/* What a pod runs as. OpenShift chooses the ids itself, and refuses a pod that names others. */}}
{{- define "wiza-relay.podSecurityContext" -}}
{{- $context := default (dict) .Values.podSecurityContext -}}
{{- if .Values.openshift -}}
{{- $context = omit $context "runAsUser" "runAsGroup" "fsGroup" -}}
{{- end -}}
{{- toYaml $context -}}
{{- end -}}

{{- define "wiza-relay.image" -}}
{{- $image := .Values.image -}}
{{- printf "%s:%s" $image.repository (default .Chart.AppVersion $image.tag) }}{{ with $image.digest }}@{{ . }}{{ end -}}
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

{{/* Which key of that Secret has which token: variable of the relay to key. */}}
{{- define "wiza-relay.tokens" -}}
{{- $admin := .Values.admin -}}
{{- $keys := dict -}}
{{- if $admin.existingSecret -}}
{{- $_ := set $keys "WIZA_RELAY_ADMIN_TOKEN" $admin.existingSecretKey -}}
{{- with $admin.existingSecretViewerKey }}{{ $_ := set $keys "WIZA_RELAY_VIEWER_TOKEN" . }}{{ end -}}
{{- else if $admin.token -}}
{{- $_ := set $keys "WIZA_RELAY_ADMIN_TOKEN" "WIZA_RELAY_ADMIN_TOKEN" -}}
{{- with $admin.viewerToken }}{{ $_ := set $keys "WIZA_RELAY_VIEWER_TOKEN" "WIZA_RELAY_VIEWER_TOKEN" }}{{ end -}}
{{- end -}}
{{- toYaml $keys -}}
{{- end -}}

{{/* The Secret that `helm test` takes the API key from; empty: no sample is sent. */}}
{{- define "wiza-relay.testSecretName" -}}
{{- if .Values.test.existingSecret -}}
{{- .Values.test.existingSecret -}}
{{- else if or .Values.secrets.existingSecret (hasKey (default (dict) .Values.secrets.values) .Values.test.existingSecretKey) -}}
{{- include "wiza-relay.secretName" . -}}
{{- end -}}
{{- end -}}

{{/* Where webhooks come in, for Ingress, HTTPRoute, test and notes. The rules decide it, so it is read out of them. Their ${...} would
not be YAML inside of braces, and what they stand for is not known here. */}}
{{- define "wiza-relay.webhookPath" -}}
{{- include "wiza-relay.validate" . -}}
{{- $given := .Values.webhook.path -}}
{{- $found := "" -}}
{{- if .Values.routes -}}
{{- $variable := "a-variable-of-the-rules" -}}
{{- $rules := fromYaml (regexReplaceAll "\\$\\{[^}]*\\}" .Values.routes $variable) -}}
{{- if kindIs "map" $rules.source -}}{{- $found = toString (default "" $rules.source.path) -}}{{- end -}}
{{- if contains $variable $found -}}
{{- if not $given -}}
{{- fail "source.path in routes holds a variable, and Helm cannot know what it stands for: say the whole path in webhook.path" -}}
{{- end -}}
{{- $found = "" -}}
{{- end -}}
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
