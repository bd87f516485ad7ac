{{- /* The objects of one gateway. Each definition takes a dict: root (the chart's), gateway (its values) and
     component (IngressGateways or EgressGateways). The egress chart links to this file. */}}
{{- define "gateway.labels" -}}
{{ toYaml .gateway.labels }}
{{ include "gateway.owner" . }}
{{- end }}

{{- define "gateway.owner" -}}
release: {{ .root.Release.Name }}
istio.io/rev: {{ .root.Values.revision | default "default" | quote }}
install.operator.istio.io/owning-resource: {{ .root.Values.ownerName | default "unknown" }}
operator.istio.io/component: {{ .component }}
{{- end }}

{{- define "gateway.istiod" -}}
istiod{{ with .root.Values.revision }}-{{ . }}{{ end }}
{{- end }}

{{- define "gateway.image" -}}
{{- $image := .root.Values.global.proxy.image | default "proxyv2" -}}
{{- if contains "/" $image }}{{ $image }}{{ else }}{{ .root.Values.global.hub }}/{{ $image }}:{{ .root.Values.global.tag }}{{ end }}
{{- end }}

{{- define "gateway.serviceaccount" -}}
apiVersion: v1
kind: ServiceAccount
metadata:
  name: {{ .gateway.name }}-service-account
  namespace: {{ .root.Release.Namespace }}
  labels:
    {{- include "gateway.labels" . | nindent 4 }}
{{- with .root.Values.global.imagePullSecrets }}
imagePullSecrets:
{{- range . }}
- name: {{ . }}
{{- end }}
{{- end }}
{{- end }}

{{- define "gateway.rbac" -}}
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata:
  name: {{ .gateway.name }}-sds
  namespace: {{ .root.Release.Namespace }}
  labels:
    {{- include "gateway.owner" . | nindent 4 }}
rules:
- apiGroups: [""]
  resources: [secrets]
  verbs: [get, watch, list]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata:
  name: {{ .gateway.name }}-sds
  namespace: {{ .root.Release.Namespace }}
  labels:
    {{- include "gateway.owner" . | nindent 4 }}
roleRef:
  apiGroup: rbac.authorization.k8s.io
  kind: Role
  name: {{ .gateway.name }}-sds
subjects:
- kind: ServiceAccount
  name: {{ .gateway.name }}-service-account
  namespace: {{ .root.Release.Namespace }}
{{- end }}

{{- define "gateway.service" -}}
{{- $gateway := .gateway }}
{{- if not $gateway.customService }}
apiVersion: v1
kind: Service
metadata:
  name: {{ $gateway.name }}
  namespace: {{ .root.Release.Namespace }}
  {{- with $gateway.serviceAnnotations }}
  annotations:
    {{- range $key, $value := . }}
    {{ $key }}: {{ $value | quote }}
    {{- end }}
  {{- end }}
  labels:
    {{- include "gateway.labels" . | nindent 4 }}
spec:
  type: {{ $gateway.type }}
  {{- with $gateway.loadBalancerIP }}
  loadBalancerIP: {{ . | quote }}
  {{- end }}
  {{- with $gateway.loadBalancerSourceRanges }}
  loadBalancerSourceRanges:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with $gateway.externalTrafficPolicy }}
  externalTrafficPolicy: {{ . }}
  {{- end }}
  {{- with $gateway.externalIPs }}
  externalIPs:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  selector:
    {{- toYaml $gateway.labels | nindent 4 }}
  ports:
    {{- toYaml $gateway.ports | nindent 4 }}
    {{- range concat ($gateway.ingressPorts | default list) ($gateway.egressPorts | default list) }}
    - {port: {{ .port }}, name: {{ .name }}}
    {{- end }}
{{- end }}
{{- end }}

{{- define "gateway.autoscale" -}}
{{- $gateway := .gateway }}
{{- if and $gateway.autoscaleEnabled $gateway.autoscaleMin $gateway.autoscaleMax }}
apiVersion: autoscaling/v2
kind: HorizontalPodAutoscaler
metadata:
  name: {{ $gateway.name }}
  namespace: {{ .root.Release.Namespace }}
  labels:
    {{- include "gateway.labels" . | nindent 4 }}
spec:
  minReplicas: {{ $gateway.autoscaleMin }}
  maxReplicas: {{ $gateway.autoscaleMax }}
  scaleTargetRef: {apiVersion: apps/v1, kind: Deployment, name: {{ $gateway.name }}}
  metrics:
  - type: Resource
    resource:
      name: cpu
      target: {type: Utilization, averageUtilization: {{ $gateway.cpu.targetAverageUtilization }}}
  {{- with ($gateway.memory | default dict).targetAverageUtilization }}
  - type: Resource
    resource:
      name: memory
      target: {type: Utilization, averageUtilization: {{ . }}}
  {{- end }}
{{- end }}
{{- end }}

{{- define "gateway.poddisruptionbudget" -}}
{{- if .root.Values.global.defaultPodDisruptionBudget.enabled }}
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata:
  name: {{ .gateway.name }}
  namespace: {{ .root.Release.Namespace }}
  labels:
    {{- include "gateway.labels" . | nindent 4 }}
spec:
  minAvailable: 1
  selector:
    matchLabels:
      {{- toYaml .gateway.labels | nindent 6 }}
{{- end }}
{{- end }}
