{{/* Refuses the names `true` and `false` in a map and in what is below it: (dict "at" "commonLabels" "value" {}). Helm reads values by
YAML 1.1, in which y, yes, on, n, no and off are booleans, in names too. What was written is lost by then. */}}
{{- define "wiza-relay.refuseBooleanNames" -}}
{{- $at := .at -}}
{{- if kindIs "map" .value -}}
{{- range $name, $value := .value -}}
{{- if has $name (list "true" "false") -}}
{{- fail (printf "%s has the name %s: Helm reads values by YAML 1.1, where y, yes and on (in any case) mean true, and n, no and off mean false, so what you wrote may have been one of these. Put the name in quotes, \"on\": ..., and choose another one if it is really %s" $at $name $name) -}}
{{- end -}}
{{- include "wiza-relay.refuseBooleanNames" (dict "at" (printf "%s.%s" $at $name) "value" $value) -}}
{{- end -}}
{{- else if kindIs "slice" .value -}}
{{- range $index, $value := .value -}}
{{- include "wiza-relay.refuseBooleanNames" (dict "at" (printf "%s[%d]" $at $index) "value" $value) -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* What a schema cannot say, or not helpfully. */}}
{{- define "wiza-relay.validate" -}}
{{- $values := .Values -}}
{{- /* Not of `global`, which is others' too, nor of `extraObjects`, which are handed on as they are. */ -}}
{{- range $name, $value := omit $values "global" "extraObjects" -}}
{{- include "wiza-relay.refuseBooleanNames" (dict "at" $name "value" $value) -}}
{{- end -}}
{{- if gt (int $values.replicaCount) 1 -}}
{{- fail (printf "replicaCount is %d: the embedded store is one process on one volume, and this version has no database store that replicas could share. Set replicaCount to 1; a restart takes about a second, and Wiza repeats what it could not deliver meanwhile" (int $values.replicaCount)) -}}
{{- end -}}
{{- if and $values.routes $values.existingConfigMap -}}
{{- fail "routes and existingConfigMap are both given: the rules are in one of them" -}}
{{- end -}}
{{- if not (or $values.routes $values.existingConfigMap) -}}
{{- fail "routes is empty: give the rules by `--set-file routes=routes.yaml`, or name a ConfigMap with a key routes.yaml in existingConfigMap. There is no default, as a relay without destinations would take webhooks and send them nowhere" -}}
{{- end -}}
{{- if and $values.routesFiles $values.existingConfigMap -}}
{{- fail "routesFiles and existingConfigMap are both given: put the files into that ConfigMap" -}}
{{- end -}}
{{- if and $values.secrets.existingSecret $values.secrets.values -}}
{{- fail "secrets.existingSecret and secrets.values are both given: choose one; further Secrets go to extraEnvFrom or extraVolumes" -}}
{{- end -}}
{{- if and $values.admin.existingSecret $values.admin.token -}}
{{- fail "admin.existingSecret and admin.token are both given: choose one" -}}
{{- end -}}
{{- if and $values.admin.viewerToken (not $values.admin.token) -}}
{{- fail "admin.viewerToken is given without admin.token: of a Secret of your own, name the viewer token's key in admin.existingSecretViewerKey" -}}
{{- end -}}
{{- if and $values.admin.viewerToken (eq $values.admin.viewerToken $values.admin.token) -}}
{{- fail "admin.viewerToken is the same as admin.token: whoever may look could also change" -}}
{{- end -}}
{{- if and $values.admin.existingSecretViewerKey (not $values.admin.existingSecret) -}}
{{- fail "admin.existingSecretViewerKey is given without admin.existingSecret: name the Secret, or give the token in admin.viewerToken" -}}
{{- end -}}
{{- if and $values.admin.existingSecretViewerKey (eq $values.admin.existingSecretViewerKey $values.admin.existingSecretKey) -}}
{{- fail (printf "admin.existingSecretViewerKey and admin.existingSecretKey are both %s: whoever may look could also change" $values.admin.existingSecretKey) -}}
{{- end -}}
{{- if and $values.persistence.existingClaim (not $values.persistence.enabled) -}}
{{- fail "persistence.existingClaim is given, but persistence.enabled is false: events would not go there" -}}
{{- end -}}
{{- if and (eq (int $values.replicaCount) 0) (eq $values.persistence.retentionPolicy.whenScaled "Delete") -}}
{{- fail "replicaCount is 0 and persistence.retentionPolicy.whenScaled is Delete: Kubernetes would delete the volume, and with it what Wiza was told is stored. Set whenScaled to Retain" -}}
{{- end -}}
{{- if regexMatch "^[^a-z]" (include "wiza-relay.fullname" .) -}}
{{- fail (printf "the objects would be named %s: a Service's name begins with a letter. Set fullnameOverride, or name the release otherwise" (include "wiza-relay.fullname" .)) -}}
{{- end -}}
{{- $keys := dict -}}
{{- range $name, $text := merge (dict "routes.yaml" (default "" $values.routes)) (default (dict) $values.routesFiles) -}}
{{- if regexMatch "[\\x{7f}\\x{85}\\x{2028}\\x{2029}]" $text -}}
{{- fail (printf "%s holds one of the letters U+007F, U+0085, U+2028 and U+2029, which YAML would change on the way into the cluster: write it by its number, \"\\u2028\" in double quotes" $name) -}}
{{- end -}}
{{- $key := include "wiza-relay.fileKey" $name -}}
{{- if hasKey $keys $key -}}
{{- fail (printf "routesFiles: %s and %s would be one key, %s, of the ConfigMap: name one of them otherwise" (get $keys $key) $name $key) -}}
{{- end -}}
{{- $_ := set $keys $key $name -}}
{{- end -}}
{{- if and $values.podMonitor.enabled $values.serviceMonitor.enabled -}}
{{- fail "podMonitor and serviceMonitor are both enabled: every figure would be counted twice; choose one" -}}
{{- end -}}
{{- end -}}
