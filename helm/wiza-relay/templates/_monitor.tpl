{{/* What PodMonitor and ServiceMonitor scrape: (dict "root" $ "monitor" values). */}}
{{- define "wiza-relay.scrape" -}}
- port: admin
  path: /metrics
  {{- with .monitor.interval }}
  interval: {{ . }}
  {{- end }}
  {{- with .monitor.scrapeTimeout }}
  scrapeTimeout: {{ . }}
  {{- end }}
  relabelings:
    - targetLabel: job
      replacement: {{ include "wiza-relay.fullname" .root | toYaml }}
      action: replace
    {{- with .monitor.relabelings }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
  {{- with .monitor.metricRelabelings }}
  metricRelabelings:
    {{- toYaml . | nindent 4 }}
  {{- end }}
{{- end -}}
