{{- /* istiod, or istiod-REVISION */}}
{{- define "istiod.suffix" -}}
{{- with .Values.revision }}-{{ . }}{{ end -}}
{{- end }}

{{- define "istiod.name" -}}
istiod{{ include "istiod.suffix" . }}
{{- end }}

{{- /* Labels by which the operator and istioctl find what belongs to a control plane. */}}
{{- define "istiod.labels" -}}
istio.io/rev: {{ .Values.revision | default "default" | quote }}
install.operator.istio.io/owning-resource: {{ .Values.ownerName | default "unknown" }}
operator.istio.io/component: Pilot
release: {{ .Release.Name }}
{{- end }}

{{- /* An unrevisioned istiod keeps the selector it always had: selectors cannot change. */}}
{{- define "istiod.selector" -}}
app: istiod
{{- if .Values.revision }}
istio.io/rev: {{ .Values.revision | quote }}
{{- else }}
istio: pilot
{{- end }}
{{- end }}

{{- define "istiod.image" -}}
{{- $image := .Values.pilot.image | default "pilot" -}}
{{- if contains "/" $image -}}
{{ $image }}
{{- else -}}
{{ .Values.pilot.hub | default .Values.global.hub }}/{{ $image }}:{{ .Values.pilot.tag | default .Values.global.tag }}
{{- end -}}
{{- end }}
