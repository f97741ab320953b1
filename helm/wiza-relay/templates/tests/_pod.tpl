{{/* A test pod with its one container: (dict "root" $ "name" "..." "args" [...] "env" [...] "envFrom" [...] "routes" bool). */}}
{{- define "wiza-relay.testPod" -}}
{{- $root := .root -}}
{{- $test := $root.Values.test -}}
apiVersion: v1
kind: Pod
{{ include "wiza-relay.metadata" (dict "root" $root "component" "test" "name" (printf "%s-%s" (include "wiza-relay.fullname" $root) .name) "annotations" (merge (dict "helm.sh/hook" "test" "helm.sh/hook-delete-policy" "before-hook-creation") (default (dict) $test.podAnnotations))) }}
spec:
  restartPolicy: Never
  activeDeadlineSeconds: 120
  {{- with $root.Values.image.pullSecrets }}
  imagePullSecrets:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  serviceAccountName: {{ include "wiza-relay.serviceAccountName" $root | toYaml }}
  automountServiceAccountToken: false
  enableServiceLinks: false
  securityContext:
    {{- include "wiza-relay.podSecurityContext" $root | nindent 4 }}
  {{- with $root.Values.nodeSelector }}
  nodeSelector:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with $root.Values.tolerations }}
  tolerations:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  containers:
    - name: {{ .name }}
      image: {{ include "wiza-relay.image" $root | toYaml }}
      imagePullPolicy: {{ $root.Values.image.pullPolicy }}
      securityContext:
        {{- toYaml $root.Values.securityContext | nindent 8 }}
      args:
        {{- toYaml .args | nindent 8 }}
      {{- with .env }}
      env:
        {{- toYaml . | nindent 8 }}
      {{- end }}
      resources:
        {{- toYaml $test.resources | nindent 8 }}
      {{- if .routes }}
      volumeMounts:
        - name: routes
          mountPath: /etc/wiza-relay
          readOnly: true
      {{- end }}
  {{- if .routes }}
  volumes:
    {{- include "wiza-relay.routesVolume" $root | nindent 4 }}
  {{- end }}
{{- end -}}
