{{- define "operator.name" -}}
istio-operator{{ with .Values.revision }}-{{ . }}{{ end }}
{{- end }}
