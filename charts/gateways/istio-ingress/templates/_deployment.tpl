{{- /* The gateway's Deployment: `proxy router`, with the same contract towards istiod as a sidecar. */}}
{{- define "gateway.env" }}
{{- $gateway := .gateway }}
{{- $values := .root.Values }}
{{- $trust := $values.global.trustDomain | default $values.meshConfig.trustDomain | default "cluster.local" }}
- {name: JWT_POLICY, value: {{ $values.global.jwtPolicy }}}
- {name: PILOT_CERT_PROVIDER, value: {{ $values.global.pilotCertProvider }}}
- name: CA_ADDR
  value: {{ $values.global.caAddress | default (printf "%s.%s.svc:15012" (include "gateway.istiod" .) $values.global.istioNamespace) }}
- {name: NODE_NAME, valueFrom: {fieldRef: {apiVersion: v1, fieldPath: spec.nodeName}}}
- {name: POD_NAME, valueFrom: {fieldRef: {apiVersion: v1, fieldPath: metadata.name}}}
- {name: POD_NAMESPACE, valueFrom: {fieldRef: {apiVersion: v1, fieldPath: metadata.namespace}}}
- {name: INSTANCE_IP, valueFrom: {fieldRef: {apiVersion: v1, fieldPath: status.podIP}}}
- {name: HOST_IP, valueFrom: {fieldRef: {apiVersion: v1, fieldPath: status.hostIP}}}
- {name: SERVICE_ACCOUNT, valueFrom: {fieldRef: {fieldPath: spec.serviceAccountName}}}
- {name: CANONICAL_SERVICE, valueFrom: {fieldRef: {fieldPath: "metadata.labels['service.istio.io/canonical-name']"}}}
- {name: CANONICAL_REVISION, valueFrom: {fieldRef: {fieldPath: "metadata.labels['service.istio.io/canonical-revision']"}}}
- {name: ISTIO_META_WORKLOAD_NAME, value: {{ $gateway.name }}}
- {name: ISTIO_META_OWNER, value: kubernetes://apis/apps/v1/namespaces/{{ .root.Release.Namespace }}/deployments/{{ $gateway.name }}}
- {name: ISTIO_META_MESH_ID, value: {{ $values.global.meshID | default $trust | quote }}}
- {name: TRUST_DOMAIN, value: {{ $trust | quote }}}
{{- if not $gateway.runAsRoot }}
- {name: ISTIO_META_UNPRIVILEGED_POD, value: "true"}
{{- end }}
{{- range $key, $value := $gateway.env }}
- {name: {{ $key }}, value: {{ $value | toString | quote }}}
{{- end }}
{{- range $key, $value := ($values.meshConfig.defaultConfig | default dict).proxyMetadata }}
- {name: {{ $key }}, value: {{ $value | toString | quote }}}
{{- end }}
{{- if and $values.global.network (not (hasKey ($gateway.env | default dict) "ISTIO_META_NETWORK")) }}
- {name: ISTIO_META_NETWORK, value: {{ $values.global.network | quote }}}
{{- end }}
{{- with $gateway.podAnnotations }}
- name: ISTIO_METAJSON_ANNOTATIONS
  value: {{ toJson . | replace "'" "''" | squote }}
{{- end }}
- {name: ISTIO_META_CLUSTER_ID, value: {{ $values.global.multiCluster.clusterName | default "Kubernetes" | quote }}}
- {name: ISTIO_META_NODE_NAME, valueFrom: {fieldRef: {fieldPath: spec.nodeName}}}
{{- end }}

{{- define "gateway.affinity" }}
{{- $values := .root.Values }}
{{- $gateway := .gateway }}
{{- if $gateway.affinity }}
{{ toYaml $gateway.affinity }}
{{- else }}
nodeAffinity:
  requiredDuringSchedulingIgnoredDuringExecution:
    nodeSelectorTerms:
    - matchExpressions:
      - key: kubernetes.io/arch
        operator: In
        values: {{ keys $values.global.arch | sortAlpha | toJson }}
      {{- range $key, $value := $gateway.nodeSelector | default $values.global.defaultNodeSelector }}
      - {key: {{ $key }}, operator: In, values: [{{ $value | quote }}]}
      {{- end }}
  preferredDuringSchedulingIgnoredDuringExecution:
  {{- range $arch, $weight := $values.global.arch }}
  - weight: {{ $weight }}
    preference:
      matchExpressions:
      - {key: kubernetes.io/arch, operator: In, values: [{{ $arch }}]}
  {{- end }}
{{- if or $gateway.podAntiAffinityLabelSelector $gateway.podAntiAffinityTermLabelSelector }}
podAntiAffinity:
  {{- with $gateway.podAntiAffinityLabelSelector }}
  requiredDuringSchedulingIgnoredDuringExecution:
  {{- range . }}
  - topologyKey: {{ .topologyKey }}
    labelSelector:
      matchExpressions:
      - {key: {{ .key }}, operator: {{ .operator }}{{ with .values }}, values: {{ splitList "," . | toJson }}{{ end }}}
  {{- end }}
  {{- end }}
  {{- with $gateway.podAntiAffinityTermLabelSelector }}
  preferredDuringSchedulingIgnoredDuringExecution:
  {{- range . }}
  - weight: 100
    podAffinityTerm:
      topologyKey: {{ .topologyKey }}
      labelSelector:
        matchExpressions:
        - {key: {{ .key }}, operator: {{ .operator }}{{ with .values }}, values: {{ splitList "," . | toJson }}{{ end }}}
  {{- end }}
  {{- end }}
{{- end }}
{{- end }}
{{- end }}

{{- define "gateway.deployment" -}}
{{- $gateway := .gateway }}
{{- $values := .root.Values }}
apiVersion: apps/v1
kind: Deployment
metadata:
  name: {{ $gateway.name }}
  namespace: {{ .root.Release.Namespace }}
  labels:
    {{- include "gateway.labels" . | nindent 4 }}
spec:
  {{- if and (not $gateway.autoscaleEnabled) $gateway.replicaCount }}
  replicas: {{ $gateway.replicaCount }}
  {{- end }}
  selector:
    matchLabels:
      {{- toYaml $gateway.labels | nindent 6 }}
  strategy:
    rollingUpdate:
      maxSurge: {{ $gateway.rollingMaxSurge }}
      maxUnavailable: {{ $gateway.rollingMaxUnavailable }}
  template:
    metadata:
      labels:
        {{- toYaml $gateway.labels | nindent 8 }}
        heritage: Tiller
        release: istio
        chart: gateways
        service.istio.io/canonical-name: {{ $gateway.name }}
        service.istio.io/canonical-revision: {{ $values.revision | default "latest" | quote }}
        istio.io/rev: {{ $values.revision | default "default" | quote }}
        install.operator.istio.io/owning-resource: {{ $values.ownerName | default "unknown" }}
        operator.istio.io/component: {{ .component }}
        sidecar.istio.io/inject: "false"
      annotations:
        {{- if $values.meshConfig.enablePrometheusMerge }}
        prometheus.io/port: "15020"
        prometheus.io/scrape: "true"
        prometheus.io/path: /stats/prometheus
        {{- end }}
        sidecar.istio.io/inject: "false"
        {{- with $gateway.podAnnotations }}
        {{- toYaml . | nindent 8 }}
        {{- end }}
    spec:
      serviceAccountName: {{ $gateway.name }}-service-account
      {{- if not $gateway.runAsRoot }}
      securityContext:
        runAsUser: 1337
        runAsGroup: 1337
        runAsNonRoot: true
        fsGroup: 1337
      {{- end }}
      {{- with $values.global.priorityClassName }}
      priorityClassName: {{ . | quote }}
      {{- end }}
      containers:
      - name: istio-proxy
        image: {{ include "gateway.image" . | quote }}
        {{- with $values.global.imagePullPolicy }}
        imagePullPolicy: {{ . }}
        {{- end }}
        ports:
        {{- range $gateway.ports }}
        - {containerPort: {{ .targetPort | default .port }}, protocol: {{ .protocol | default "TCP" }}}
        {{- end }}
        - {containerPort: 15090, protocol: TCP, name: http-envoy-prom}
        args:
        - proxy
        - router
        - --domain
        - $(POD_NAMESPACE).svc.{{ $values.global.proxy.clusterDomain }}
        {{- with $values.global.proxy.logLevel }}
        - --proxyLogLevel={{ . }}
        {{- end }}
        {{- with $values.global.proxy.componentLogLevel }}
        - --proxyComponentLogLevel={{ . }}
        {{- end }}
        {{- with $values.global.logging.level }}
        - --log_output_level={{ . }}
        {{- end }}
        {{- if $values.global.logAsJson }}
        - --log_as_json
        {{- end }}
        {{- with $values.global.sts.servicePort }}
        - --stsPort={{ . }}
        {{- end }}
        {{- if not $gateway.runAsRoot }}
        securityContext:
          allowPrivilegeEscalation: false
          privileged: false
          readOnlyRootFilesystem: true
          capabilities:
            drop: [ALL]
        {{- end }}
        startupProbe:
          httpGet: {path: /healthz/ready, port: 15021, scheme: HTTP}
          periodSeconds: 1
          timeoutSeconds: 3
          failureThreshold: 600
        readinessProbe:
          httpGet: {path: /healthz/ready, port: 15021, scheme: HTTP}
          periodSeconds: 15
          timeoutSeconds: 3
          successThreshold: 1
          failureThreshold: 4
        resources:
          {{- $gateway.resources | default $values.global.defaultResources | toYaml | nindent 10 }}
        env:
        {{- include "gateway.env" . | trim | nindent 8 }}
        volumeMounts:
        - {name: workload-socket, mountPath: /var/run/secrets/workload-spiffe-uds}
        - {name: credential-socket, mountPath: /var/run/secrets/credential-uds}
        - {name: workload-certs, mountPath: /var/run/secrets/workload-spiffe-credentials}
        - {name: istio-envoy, mountPath: /etc/istio/proxy}
        - {name: config-volume, mountPath: /etc/istio/config}
        {{- if eq $values.global.pilotCertProvider "istiod" }}
        - {name: istiod-ca-cert, mountPath: /var/run/secrets/istio}
        - {name: istio-ca-crl, mountPath: /var/run/secrets/istio/crl}
        {{- end }}
        - {name: istio-token, mountPath: /var/run/secrets/tokens, readOnly: true}
        - {name: istio-data, mountPath: /var/lib/istio/data}
        - {name: podinfo, mountPath: /etc/istio/pod}
        {{- range concat ($gateway.secretVolumes | default list) ($gateway.configVolumes | default list) }}
        {{- if .mountPath }}
        - {name: {{ .name }}, mountPath: {{ .mountPath | quote }}, readOnly: true}
        {{- end }}
        {{- end }}
      {{- with $gateway.additionalContainers }}
      {{- toYaml . | nindent 6 }}
      {{- end }}
      volumes:
      - {name: workload-socket, emptyDir: {}}
      - {name: credential-socket, emptyDir: {}}
      - {name: workload-certs, emptyDir: {}}
      - {name: istio-envoy, emptyDir: {}}
      - {name: istio-data, emptyDir: {}}
      {{- if eq $values.global.pilotCertProvider "istiod" }}
      - {name: istiod-ca-cert, configMap: {name: istio-ca-root-cert}}
      - {name: istio-ca-crl, configMap: {name: istio-ca-crl, optional: true}}
      {{- end }}
      - name: podinfo
        downwardAPI:
          items:
          - {path: labels, fieldRef: {fieldPath: metadata.labels}}
          - {path: annotations, fieldRef: {fieldPath: metadata.annotations}}
      - name: istio-token
        projected:
          sources:
          - serviceAccountToken:
              path: istio-token
              expirationSeconds: 43200
              audience: {{ $values.global.sds.token.aud }}
      - name: config-volume
        configMap:
          name: istio{{ with $values.revision }}-{{ . }}{{ end }}
          optional: true
      {{- range $gateway.secretVolumes }}
      - {name: {{ .name }}, secret: {secretName: {{ .secretName | quote }}, optional: true}}
      {{- end }}
      {{- range $gateway.configVolumes }}
      - {name: {{ .name }}, configMap: {name: {{ .configMapName | quote }}, optional: true}}
      {{- end }}
      affinity:
        {{- include "gateway.affinity" . | trim | nindent 8 }}
      {{- with $gateway.nodeSelector }}
      nodeSelector:
        {{- toYaml . | nindent 8 }}
      {{- end }}
      {{- with $gateway.tolerations | default $values.global.defaultTolerations }}
      tolerations:
        {{- toYaml . | nindent 8 }}
      {{- end }}
{{- end }}
