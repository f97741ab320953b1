{{/* What a schema cannot say, or not helpfully. */}}
{{- define "wiza-relay.validate" -}}
{{- $values := .Values -}}
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
{{- if and $values.persistence.existingClaim (not $values.persistence.enabled) -}}
{{- fail "persistence.existingClaim is given, but persistence.enabled is false: events would not go there" -}}
{{- end -}}
{{- if and $values.podMonitor.enabled $values.serviceMonitor.enabled -}}
{{- fail "podMonitor and serviceMonitor are both enabled: every figure would be counted twice; choose one" -}}
{{- end -}}
{{- end -}}
