{{/* A file's key in the ConfigMap, which holds no slashes. */}}
{{- define "wiza-relay.fileKey" -}}
{{- . | replace "/" "__" -}}
{{- end -}}

{{/* The volume with the rules, and the files beside them in their folders. */}}
{{- define "wiza-relay.routesVolume" -}}
- name: routes
  configMap:
    name: {{ include "wiza-relay.configMapName" . | toYaml }}
    {{- if .Values.routesFiles }}
    items:
      - key: routes.yaml
        path: routes.yaml
      {{- range $name, $_ := .Values.routesFiles }}
      - key: {{ include "wiza-relay.fileKey" $name | toYaml }}
        path: {{ $name | toYaml }}
      {{- end }}
    {{- end }}
{{- end -}}
