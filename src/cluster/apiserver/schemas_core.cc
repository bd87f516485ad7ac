// The fields of the core group: name, protobuf number and type, as builtin_schemas.h reads them.
#include "cluster/apiserver/builtin_schemas.h"

namespace lateen::cluster::apiserver {

// clang-format off
const std::string_view kCoreSchemas =
R"(@core
AWSElasticBlockStoreVolumeSource volumeID:1:s! fsType:2:s partition:3:i readOnly:4:b
Affinity nodeAffinity:1:core.NodeAffinity podAffinity:2:core.PodAffinity
  podAntiAffinity:3:core.PodAntiAffinity
AppArmorProfile type:1:s! localhostProfile:2:s*
AttachedVolume name:1:s! devicePath:2:s!
AvoidPods preferAvoidPods:1:[]core.PreferAvoidPodsEntry
AzureDiskVolumeSource diskName:1:s! diskURI:2:s! cachingMode:3:s* fsType:4:s* readOnly:5:b*
  kind:6:s*
AzureFilePersistentVolumeSource secretName:1:s! shareName:2:s! readOnly:3:b secretNamespace:4:s*
AzureFileVolumeSource secretName:1:s! shareName:2:s! readOnly:3:b
Binding metadata:1:meta.ObjectMeta target:2:core.ObjectReference!
CSIPersistentVolumeSource driver:1:s! volumeHandle:2:s! readOnly:3:b fsType:4:s
  volumeAttributes:5:{}s controllerPublishSecretRef:6:core.SecretReference
  nodeStageSecretRef:7:core.SecretReference nodePublishSecretRef:8:core.SecretReference
  controllerExpandSecretRef:9:core.SecretReference nodeExpandSecretRef:10:core.SecretReference
CSIVolumeSource driver:1:s! readOnly:2:b* fsType:3:s* volumeAttributes:4:{}s
  nodePublishSecretRef:5:core.LocalObjectReference
Capabilities add:1:[]s drop:2:[]s
CephFSPersistentVolumeSource monitors:1:[]s! path:2:s user:3:s secretFile:4:s
  secretRef:5:core.SecretReference readOnly:6:b
CephFSVolumeSource monitors:1:[]s! path:2:s user:3:s secretFile:4:s
  secretRef:5:core.LocalObjectReference readOnly:6:b
CinderPersistentVolumeSource volumeID:1:s! fsType:2:s readOnly:3:b
  secretRef:4:core.SecretReference
CinderVolumeSource volumeID:1:s! fsType:2:s readOnly:3:b secretRef:4:core.LocalObjectReference
ClientIPConfig timeoutSeconds:1:i*
ClusterTrustBundleProjection name:1:s* signerName:2:s* labelSelector:3:meta.LabelSelector
  optional:5:b* path:4:s!
ComponentCondition type:1:s! status:2:s! message:3:s error:4:s
ComponentStatus metadata:1:meta.ObjectMeta conditions:2:[]core.ComponentCondition
ConfigMap metadata:1:meta.ObjectMeta immutable:4:b* data:2:{}s binaryData:3:{}y
ConfigMapEnvSource -:1:core.LocalObjectReference optional:2:b*
ConfigMapKeySelector -:1:core.LocalObjectReference key:2:s! optional:3:b*
ConfigMapNodeConfigSource namespace:1:s! name:2:s! uid:3:s resourceVersion:4:s
  kubeletConfigKey:5:s!
ConfigMapProjection -:1:core.LocalObjectReference items:2:[]core.KeyToPath optional:4:b*
ConfigMapVolumeSource -:1:core.LocalObjectReference items:2:[]core.KeyToPath defaultMode:3:i*
  optional:4:b*
Container name:1:s! image:2:s command:3:[]s args:4:[]s workingDir:5:s
  ports:6:[]core.ContainerPort envFrom:19:[]core.EnvFromSource env:7:[]core.EnvVar
  resources:8:core.ResourceRequirements resizePolicy:23:[]core.ContainerResizePolicy
  restartPolicy:24:s* restartPolicyRules:25:[]core.ContainerRestartRule
  volumeMounts:9:[]core.VolumeMount volumeDevices:21:[]core.VolumeDevice
  livenessProbe:10:core.Probe readinessProbe:11:core.Probe startupProbe:22:core.Probe
  lifecycle:12:core.Lifecycle terminationMessagePath:13:s terminationMessagePolicy:20:s
  imagePullPolicy:14:s securityContext:15:core.SecurityContext stdin:16:b stdinOnce:17:b
  tty:18:b
ContainerExtendedResourceRequest containerName:1:s! resourceName:2:s! requestName:3:s!
ContainerImage names:1:[]s sizeBytes:2:i
ContainerPort name:1:s hostPort:2:i containerPort:3:i! protocol:4:s hostIP:5:s
ContainerResizePolicy resourceName:1:s! restartPolicy:2:s!
ContainerRestartRule action:1:s exitCodes:2:core.ContainerRestartRuleOnExitCodes
ContainerRestartRuleOnExitCodes operator:1:s values:2:[]i
ContainerState waiting:1:core.ContainerStateWaiting running:2:core.ContainerStateRunning
  terminated:3:core.ContainerStateTerminated
ContainerStateRunning startedAt:1:time
ContainerStateTerminated exitCode:1:i! signal:2:i reason:3:s message:4:s startedAt:5:time
  finishedAt:6:time containerID:7:s
ContainerStateWaiting reason:1:s message:2:s
ContainerStatus name:1:s! state:2:core.ContainerState lastState:3:core.ContainerState ready:4:b!
  restartCount:5:i! image:6:s! imageID:7:s! containerID:8:s started:9:b*
  allocatedResources:10:{}q resources:11:core.ResourceRequirements
  volumeMounts:12:[]core.VolumeMountStatus user:13:core.ContainerUser
  allocatedResourcesStatus:14:[]core.ResourceStatus stopSignal:15:s*
ContainerUser linux:1:core.LinuxContainerUser
DaemonEndpoint Port:1:i!
DownwardAPIProjection items:1:[]core.DownwardAPIVolumeFile
DownwardAPIVolumeFile path:1:s! fieldRef:2:core.ObjectFieldSelector
  resourceFieldRef:3:core.ResourceFieldSelector mode:4:i*
DownwardAPIVolumeSource items:1:[]core.DownwardAPIVolumeFile defaultMode:2:i*
EmptyDirVolumeSource medium:1:s sizeLimit:2:q
EndpointAddress ip:1:s! hostname:3:s nodeName:4:s* targetRef:2:core.ObjectReference
EndpointPort name:1:s port:2:i! protocol:3:s appProtocol:4:s*
EndpointSubset addresses:1:[]core.EndpointAddress notReadyAddresses:2:[]core.EndpointAddress
  ports:3:[]core.EndpointPort
Endpoints metadata:1:meta.ObjectMeta subsets:2:[]core.EndpointSubset
EnvFromSource prefix:1:s configMapRef:2:core.ConfigMapEnvSource secretRef:3:core.SecretEnvSource
EnvVar name:1:s! value:2:s valueFrom:3:core.EnvVarSource
EnvVarSource fieldRef:1:core.ObjectFieldSelector resourceFieldRef:2:core.ResourceFieldSelector
  configMapKeyRef:3:core.ConfigMapKeySelector secretKeyRef:4:core.SecretKeySelector
  fileKeyRef:5:core.FileKeySelector
EphemeralContainer -:1:core.EphemeralContainerCommon targetContainerName:2:s
EphemeralContainerCommon name:1:s! image:2:s command:3:[]s args:4:[]s workingDir:5:s
  ports:6:[]core.ContainerPort envFrom:19:[]core.EnvFromSource env:7:[]core.EnvVar
  resources:8:core.ResourceRequirements resizePolicy:23:[]core.ContainerResizePolicy
  restartPolicy:24:s* restartPolicyRules:25:[]core.ContainerRestartRule
  volumeMounts:9:[]core.VolumeMount volumeDevices:21:[]core.VolumeDevice
  livenessProbe:10:core.Probe readinessProbe:11:core.Probe startupProbe:22:core.Probe
  lifecycle:12:core.Lifecycle terminationMessagePath:13:s terminationMessagePolicy:20:s
  imagePullPolicy:14:s securityContext:15:core.SecurityContext stdin:16:b stdinOnce:17:b
  tty:18:b
EphemeralVolumeSource volumeClaimTemplate:1:core.PersistentVolumeClaimTemplate
Event metadata:1:meta.ObjectMeta! involvedObject:2:core.ObjectReference! reason:3:s message:4:s
  source:5:core.EventSource firstTimestamp:6:time lastTimestamp:7:time count:8:i type:9:s
  eventTime:10:micro series:11:core.EventSeries action:12:s related:13:core.ObjectReference
  reportingComponent:14:s reportingInstance:15:s
EventSeries count:1:i lastObservedTime:2:micro
EventSource component:1:s host:2:s
ExecAction command:1:[]s
FCVolumeSource targetWWNs:1:[]s lun:2:i* fsType:3:s readOnly:4:b wwids:5:[]s
FileKeySelector volumeName:1:s! path:2:s! key:3:s! optional:4:b*
FlexPersistentVolumeSource driver:1:s! fsType:2:s secretRef:3:core.SecretReference readOnly:4:b
  options:5:{}s
FlexVolumeSource driver:1:s! fsType:2:s secretRef:3:core.LocalObjectReference readOnly:4:b
  options:5:{}s
FlockerVolumeSource datasetName:1:s datasetUUID:2:s
GCEPersistentDiskVolumeSource pdName:1:s! fsType:2:s partition:3:i readOnly:4:b
GRPCAction port:1:i! service:2:s*
GitRepoVolumeSource repository:1:s! revision:2:s directory:3:s
GlusterfsPersistentVolumeSource endpoints:1:s! path:2:s! readOnly:3:b endpointsNamespace:4:s*
GlusterfsVolumeSource endpoints:1:s! path:2:s! readOnly:3:b
HTTPGetAction path:1:s port:2:ios! host:3:s scheme:4:s httpHeaders:5:[]core.HTTPHeader
HTTPHeader name:1:s! value:2:s!
HostAlias ip:1:s! hostnames:2:[]s
HostIP ip:1:s!
HostPathVolumeSource path:1:s! type:2:s*
ISCSIPersistentVolumeSource targetPortal:1:s! iqn:2:s! lun:3:i! iscsiInterface:4:s fsType:5:s
  readOnly:6:b portals:7:[]s chapAuthDiscovery:8:b chapAuthSession:11:b
  secretRef:10:core.SecretReference initiatorName:12:s*
ISCSIVolumeSource targetPortal:1:s! iqn:2:s! lun:3:i! iscsiInterface:4:s fsType:5:s readOnly:6:b
  portals:7:[]s chapAuthDiscovery:8:b chapAuthSession:11:b
  secretRef:10:core.LocalObjectReference initiatorName:12:s*
ImageVolumeSource reference:1:s pullPolicy:2:s
ImageVolumeStatus imageRef:1:s
KeyToPath key:1:s! path:2:s! mode:3:i*
Lifecycle postStart:1:core.LifecycleHandler preStop:2:core.LifecycleHandler stopSignal:3:s*
LifecycleHandler exec:1:core.ExecAction httpGet:2:core.HTTPGetAction
  tcpSocket:3:core.TCPSocketAction sleep:4:core.SleepAction
LimitRange metadata:1:meta.ObjectMeta spec:2:core.LimitRangeSpec
LimitRangeItem type:1:s! max:2:{}q min:3:{}q default:4:{}q defaultRequest:5:{}q
  maxLimitRequestRatio:6:{}q
LimitRangeSpec limits:1:[]core.LimitRangeItem!
LinuxContainerUser uid:1:i! gid:2:i! supplementalGroups:3:[]i
LoadBalancerIngress ip:1:s hostname:2:s ipMode:3:s* ports:4:[]core.PortStatus
LoadBalancerStatus ingress:1:[]core.LoadBalancerIngress
LocalObjectReference name:1:s
LocalVolumeSource path:1:s! fsType:2:s*
ModifyVolumeStatus targetVolumeAttributesClassName:1:s status:2:s!
NFSVolumeSource server:1:s! path:2:s! readOnly:3:b
Namespace metadata:1:meta.ObjectMeta spec:2:core.NamespaceSpec status:3:core.NamespaceStatus
NamespaceCondition type:1:s! status:2:s! lastTransitionTime:4:time reason:5:s message:6:s
NamespaceSpec finalizers:1:[]s
NamespaceStatus phase:1:s conditions:2:[]core.NamespaceCondition
Node metadata:1:meta.ObjectMeta spec:2:core.NodeSpec status:3:core.NodeStatus
NodeAddress type:1:s! address:2:s!
NodeAffinity requiredDuringSchedulingIgnoredDuringExecution:1:core.NodeSelector
  preferredDuringSchedulingIgnoredDuringExecution:2:[]core.PreferredSchedulingTerm
NodeAllocatableResourceClaimStatus resourceClaimName:1:s! containers:2:[]s resources:3:{}q!
NodeCondition type:1:s! status:2:s! lastHeartbeatTime:3:time lastTransitionTime:4:time
  reason:5:s message:6:s
NodeConfigSource configMap:2:core.ConfigMapNodeConfigSource
NodeConfigStatus assigned:1:core.NodeConfigSource active:2:core.NodeConfigSource
  lastKnownGood:3:core.NodeConfigSource error:4:s
NodeDaemonEndpoints kubeletEndpoint:1:core.DaemonEndpoint
NodeFeatures supplementalGroupsPolicy:1:b*
NodeProxyOptions path:1:s
NodeRuntimeHandler name:1:s features:2:core.NodeRuntimeHandlerFeatures
NodeRuntimeHandlerFeatures recursiveReadOnlyMounts:1:b* userNamespaces:2:b*
NodeSelector nodeSelectorTerms:1:[]core.NodeSelectorTerm!
NodeSelectorRequirement key:1:s! operator:2:s! values:3:[]s
NodeSelectorTerm matchExpressions:1:[]core.NodeSelectorRequirement
  matchFields:2:[]core.NodeSelectorRequirement
NodeSpec podCIDR:1:s podCIDRs:7:[]s providerID:3:s unschedulable:4:b taints:5:[]core.Taint
  configSource:6:core.NodeConfigSource externalID:2:s
NodeStatus capacity:1:{}q allocatable:2:{}q phase:3:s conditions:4:[]core.NodeCondition
  addresses:5:[]core.NodeAddress daemonEndpoints:6:core.NodeDaemonEndpoints
  nodeInfo:7:core.NodeSystemInfo images:8:[]core.ContainerImage volumesInUse:9:[]s
  volumesAttached:10:[]core.AttachedVolume config:11:core.NodeConfigStatus
  runtimeHandlers:12:[]core.NodeRuntimeHandler features:13:core.NodeFeatures
  declaredFeatures:14:[]s
NodeSwapStatus capacity:1:i*
NodeSystemInfo machineID:1:s! systemUUID:2:s! bootID:3:s! kernelVersion:4:s! osImage:5:s!
  containerRuntimeVersion:6:s! kubeletVersion:7:s! kubeProxyVersion:8:s! operatingSystem:9:s!
  architecture:10:s! swap:11:core.NodeSwapStatus
ObjectFieldSelector apiVersion:1:s fieldPath:2:s!
ObjectReference kind:1:s namespace:2:s name:3:s uid:4:s apiVersion:5:s resourceVersion:6:s
  fieldPath:7:s
PersistentVolume metadata:1:meta.ObjectMeta spec:2:core.PersistentVolumeSpec
  status:3:core.PersistentVolumeStatus
PersistentVolumeClaim metadata:1:meta.ObjectMeta spec:2:core.PersistentVolumeClaimSpec
  status:3:core.PersistentVolumeClaimStatus
PersistentVolumeClaimCondition type:1:s! status:2:s! lastProbeTime:3:time
  lastTransitionTime:4:time reason:5:s message:6:s
PersistentVolumeClaimSpec accessModes:1:[]s selector:4:meta.LabelSelector
  resources:2:core.VolumeResourceRequirements volumeName:3:s storageClassName:5:s*
  volumeMode:6:s* dataSource:7:core.TypedLocalObjectReference
  dataSourceRef:8:core.TypedObjectReference volumeAttributesClassName:9:s*
PersistentVolumeClaimStatus phase:1:s accessModes:2:[]s capacity:3:{}q
  conditions:4:[]core.PersistentVolumeClaimCondition allocatedResources:5:{}q
  allocatedResourceStatuses:7:{}s currentVolumeAttributesClassName:8:s*
  modifyVolumeStatus:9:core.ModifyVolumeStatus
PersistentVolumeClaimTemplate metadata:1:meta.ObjectMeta spec:2:core.PersistentVolumeClaimSpec!
PersistentVolumeClaimVolumeSource claimName:1:s! readOnly:2:b
PersistentVolumeSource gcePersistentDisk:1:core.GCEPersistentDiskVolumeSource
  awsElasticBlockStore:2:core.AWSElasticBlockStoreVolumeSource
  hostPath:3:core.HostPathVolumeSource glusterfs:4:core.GlusterfsPersistentVolumeSource
  nfs:5:core.NFSVolumeSource rbd:6:core.RBDPersistentVolumeSource
  iscsi:7:core.ISCSIPersistentVolumeSource cinder:8:core.CinderPersistentVolumeSource
  cephfs:9:core.CephFSPersistentVolumeSource fc:10:core.FCVolumeSource
  flocker:11:core.FlockerVolumeSource flexVolume:12:core.FlexPersistentVolumeSource
  azureFile:13:core.AzureFilePersistentVolumeSource
  vsphereVolume:14:core.VsphereVirtualDiskVolumeSource quobyte:15:core.QuobyteVolumeSource
  azureDisk:16:core.AzureDiskVolumeSource
  photonPersistentDisk:17:core.PhotonPersistentDiskVolumeSource
  portworxVolume:18:core.PortworxVolumeSource scaleIO:19:core.ScaleIOPersistentVolumeSource
  local:20:core.LocalVolumeSource storageos:21:core.StorageOSPersistentVolumeSource
  csi:22:core.CSIPersistentVolumeSource
PersistentVolumeSpec capacity:1:{}q -:2:core.PersistentVolumeSource accessModes:3:[]s
  claimRef:4:core.ObjectReference persistentVolumeReclaimPolicy:5:s storageClassName:6:s
  mountOptions:7:[]s volumeMode:8:s* nodeAffinity:9:core.VolumeNodeAffinity
  volumeAttributesClassName:10:s*
PersistentVolumeStatus phase:1:s message:2:s reason:3:s lastPhaseTransitionTime:4:time
PhotonPersistentDiskVolumeSource pdID:1:s! fsType:2:s
Pod metadata:1:meta.ObjectMeta spec:2:core.PodSpec status:3:core.PodStatus
PodAffinity requiredDuringSchedulingIgnoredDuringExecution:1:[]core.PodAffinityTerm
  preferredDuringSchedulingIgnoredDuringExecution:2:[]core.WeightedPodAffinityTerm
)"
R"(PodAffinityTerm labelSelector:1:meta.LabelSelector namespaces:2:[]s topologyKey:3:s!
  namespaceSelector:4:meta.LabelSelector matchLabelKeys:5:[]s mismatchLabelKeys:6:[]s
PodAntiAffinity requiredDuringSchedulingIgnoredDuringExecution:1:[]core.PodAffinityTerm
  preferredDuringSchedulingIgnoredDuringExecution:2:[]core.WeightedPodAffinityTerm
PodAttachOptions stdin:1:b stdout:2:b stderr:3:b tty:4:b container:5:s
PodCertificateProjection signerName:1:s keyType:2:s maxExpirationSeconds:3:i*
  credentialBundlePath:4:s keyPath:5:s certificateChainPath:6:s userAnnotations:7:{}s
PodCondition type:1:s! observedGeneration:7:i status:2:s! lastProbeTime:3:time
  lastTransitionTime:4:time reason:5:s message:6:s
PodDNSConfig nameservers:1:[]s searches:2:[]s options:3:[]core.PodDNSConfigOption
PodDNSConfigOption name:1:s value:2:s*
PodExecOptions stdin:1:b stdout:2:b stderr:3:b tty:4:b container:5:s command:6:[]s!
PodExtendedResourceClaimStatus requestMappings:1:[]core.ContainerExtendedResourceRequest!
  resourceClaimName:2:s!
PodIP ip:1:s!
PodLogOptions container:1:s follow:2:b previous:3:b sinceSeconds:4:i* sinceTime:5:time
  timestamps:6:b tailLines:7:i* limitBytes:8:i* insecureSkipTLSVerifyBackend:9:b stream:10:s*
PodOS name:1:s!
PodPortForwardOptions ports:1:[]i
PodProxyOptions path:1:s
PodReadinessGate conditionType:1:s!
PodResourceClaim name:1:s! resourceClaimName:3:s* resourceClaimTemplateName:4:s*
PodResourceClaimStatus name:1:s! resourceClaimName:2:s*
PodSchedulingGate name:1:s!
PodSchedulingGroup podGroupName:1:s*
PodSecurityContext seLinuxOptions:1:core.SELinuxOptions
  windowsOptions:8:core.WindowsSecurityContextOptions runAsUser:2:i* runAsGroup:6:i*
  runAsNonRoot:3:b* supplementalGroups:4:[]i supplementalGroupsPolicy:12:s* fsGroup:5:i*
  sysctls:7:[]core.Sysctl fsGroupChangePolicy:9:s* seccompProfile:10:core.SeccompProfile
  appArmorProfile:11:core.AppArmorProfile seLinuxChangePolicy:13:s*
PodSignature podController:1:meta.OwnerReference
PodSpec volumes:1:[]core.Volume initContainers:20:[]core.Container
  containers:2:[]core.Container! ephemeralContainers:34:[]core.EphemeralContainer
  restartPolicy:3:s terminationGracePeriodSeconds:4:i* activeDeadlineSeconds:5:i* dnsPolicy:6:s
  nodeSelector:7:{}s serviceAccountName:8:s serviceAccount:9:s
  automountServiceAccountToken:21:b* nodeName:10:s hostNetwork:11:b hostPID:12:b hostIPC:13:b
  shareProcessNamespace:27:b* securityContext:14:core.PodSecurityContext
  imagePullSecrets:15:[]core.LocalObjectReference hostname:16:s subdomain:17:s
  affinity:18:core.Affinity schedulerName:19:s tolerations:22:[]core.Toleration
  hostAliases:23:[]core.HostAlias priorityClassName:24:s priority:25:i*
  dnsConfig:26:core.PodDNSConfig readinessGates:28:[]core.PodReadinessGate
  runtimeClassName:29:s* enableServiceLinks:30:b* preemptionPolicy:31:s* overhead:32:{}q
  topologySpreadConstraints:33:[]core.TopologySpreadConstraint setHostnameAsFQDN:35:b*
  os:36:core.PodOS hostUsers:37:b* schedulingGates:38:[]core.PodSchedulingGate
  resourceClaims:39:[]core.PodResourceClaim resources:40:core.ResourceRequirements
  hostnameOverride:41:s* schedulingGroup:43:core.PodSchedulingGroup
PodStatus observedGeneration:17:i phase:1:s conditions:2:[]core.PodCondition message:3:s
  reason:4:s nominatedNodeName:11:s hostIP:5:s hostIPs:16:[]core.HostIP podIP:6:s
  podIPs:12:[]core.PodIP startTime:7:time initContainerStatuses:10:[]core.ContainerStatus
  containerStatuses:8:[]core.ContainerStatus qosClass:9:s
  ephemeralContainerStatuses:13:[]core.ContainerStatus resize:14:s
  resourceClaimStatuses:15:[]core.PodResourceClaimStatus
  extendedResourceClaimStatus:18:core.PodExtendedResourceClaimStatus allocatedResources:19:{}q
  resources:20:core.ResourceRequirements
  nodeAllocatableResourceClaimStatuses:21:[]core.NodeAllocatableResourceClaimStatus
PodStatusResult metadata:1:meta.ObjectMeta status:2:core.PodStatus
PodTemplate metadata:1:meta.ObjectMeta template:2:core.PodTemplateSpec
PodTemplateSpec metadata:1:meta.ObjectMeta spec:2:core.PodSpec
PortStatus port:1:i! protocol:2:s! error:3:s*
PortworxVolumeSource volumeID:1:s! fsType:2:s readOnly:3:b
Preconditions uid:1:s*
PreferAvoidPodsEntry podSignature:1:core.PodSignature! evictionTime:2:time reason:3:s
  message:4:s
PreferredSchedulingTerm weight:1:i! preference:2:core.NodeSelectorTerm!
Probe -:1:core.ProbeHandler initialDelaySeconds:2:i timeoutSeconds:3:i periodSeconds:4:i
  successThreshold:5:i failureThreshold:6:i terminationGracePeriodSeconds:7:i*
ProbeHandler exec:1:core.ExecAction httpGet:2:core.HTTPGetAction
  tcpSocket:3:core.TCPSocketAction grpc:4:core.GRPCAction
ProjectedVolumeSource sources:1:[]core.VolumeProjection defaultMode:2:i*
QuobyteVolumeSource registry:1:s! volume:2:s! readOnly:3:b user:4:s group:5:s tenant:6:s
RBDPersistentVolumeSource monitors:1:[]s! image:2:s! fsType:3:s pool:4:s user:5:s keyring:6:s
  secretRef:7:core.SecretReference readOnly:8:b
RBDVolumeSource monitors:1:[]s! image:2:s! fsType:3:s pool:4:s user:5:s keyring:6:s
  secretRef:7:core.LocalObjectReference readOnly:8:b
RangeAllocation metadata:1:meta.ObjectMeta range:2:s! data:3:y!
ReplicationController metadata:1:meta.ObjectMeta spec:2:core.ReplicationControllerSpec
  status:3:core.ReplicationControllerStatus
ReplicationControllerCondition type:1:s! status:2:s! lastTransitionTime:3:time reason:4:s
  message:5:s
ReplicationControllerSpec replicas:1:i* minReadySeconds:4:i selector:2:{}s
  template:3:core.PodTemplateSpec
ReplicationControllerStatus replicas:1:i! fullyLabeledReplicas:2:i readyReplicas:4:i
  availableReplicas:5:i observedGeneration:3:i
  conditions:6:[]core.ReplicationControllerCondition
ResourceClaim name:1:s! request:2:s
ResourceFieldSelector containerName:1:s resource:2:s! divisor:3:q
ResourceHealth resourceID:1:s! health:2:s message:6:s*
ResourceQuota metadata:1:meta.ObjectMeta spec:2:core.ResourceQuotaSpec
  status:3:core.ResourceQuotaStatus
ResourceQuotaSpec hard:1:{}q scopes:2:[]s scopeSelector:3:core.ScopeSelector
ResourceQuotaStatus hard:1:{}q used:2:{}q
ResourceRequirements limits:1:{}q requests:2:{}q claims:3:[]core.ResourceClaim
ResourceStatus name:1:s! resources:2:[]core.ResourceHealth
SELinuxOptions user:1:s role:2:s type:3:s level:4:s
ScaleIOPersistentVolumeSource gateway:1:s! system:2:s! secretRef:3:core.SecretReference
  sslEnabled:4:b protectionDomain:5:s storagePool:6:s storageMode:7:s volumeName:8:s fsType:9:s
  readOnly:10:b
ScaleIOVolumeSource gateway:1:s! system:2:s! secretRef:3:core.LocalObjectReference
  sslEnabled:4:b protectionDomain:5:s storagePool:6:s storageMode:7:s volumeName:8:s fsType:9:s
  readOnly:10:b
ScopeSelector matchExpressions:1:[]core.ScopedResourceSelectorRequirement
ScopedResourceSelectorRequirement scopeName:1:s! operator:2:s! values:3:[]s
SeccompProfile type:1:s! localhostProfile:2:s*
Secret metadata:1:meta.ObjectMeta immutable:5:b* data:2:{}y stringData:4:{}s type:3:s
SecretEnvSource -:1:core.LocalObjectReference optional:2:b*
SecretKeySelector -:1:core.LocalObjectReference key:2:s! optional:3:b*
SecretProjection -:1:core.LocalObjectReference items:2:[]core.KeyToPath optional:4:b*
SecretReference name:1:s namespace:2:s
SecretVolumeSource secretName:1:s items:2:[]core.KeyToPath defaultMode:3:i* optional:4:b*
SecurityContext capabilities:1:core.Capabilities privileged:2:b*
  seLinuxOptions:3:core.SELinuxOptions windowsOptions:10:core.WindowsSecurityContextOptions
  runAsUser:4:i* runAsGroup:8:i* runAsNonRoot:5:b* readOnlyRootFilesystem:6:b*
  allowPrivilegeEscalation:7:b* procMount:9:s* seccompProfile:11:core.SeccompProfile
  appArmorProfile:12:core.AppArmorProfile
SerializedReference reference:1:core.ObjectReference
Service metadata:1:meta.ObjectMeta spec:2:core.ServiceSpec status:3:core.ServiceStatus
ServiceAccount metadata:1:meta.ObjectMeta secrets:2:[]core.ObjectReference
  imagePullSecrets:3:[]core.LocalObjectReference automountServiceAccountToken:4:b*
ServiceAccountTokenProjection audience:1:s expirationSeconds:2:i* path:3:s!
ServicePort name:1:s protocol:2:s appProtocol:6:s* port:3:i! targetPort:4:ios nodePort:5:i
ServiceProxyOptions path:1:s
ServiceSpec ports:1:[]core.ServicePort selector:2:{}s clusterIP:3:s clusterIPs:18:[]s type:4:s
  externalIPs:5:[]s sessionAffinity:7:s loadBalancerIP:8:s loadBalancerSourceRanges:9:[]s
  externalName:10:s externalTrafficPolicy:11:s healthCheckNodePort:12:i
  publishNotReadyAddresses:13:b sessionAffinityConfig:14:core.SessionAffinityConfig
  ipFamilies:19:[]s ipFamilyPolicy:17:s* allocateLoadBalancerNodePorts:20:b*
  loadBalancerClass:21:s* internalTrafficPolicy:22:s* trafficDistribution:23:s*
ServiceStatus loadBalancer:1:core.LoadBalancerStatus conditions:2:[]meta.Condition
SessionAffinityConfig clientIP:1:core.ClientIPConfig
SleepAction seconds:1:i!
StorageOSPersistentVolumeSource volumeName:1:s volumeNamespace:2:s fsType:3:s readOnly:4:b
  secretRef:5:core.ObjectReference
StorageOSVolumeSource volumeName:1:s volumeNamespace:2:s fsType:3:s readOnly:4:b
  secretRef:5:core.LocalObjectReference
Sysctl name:1:s! value:2:s!
TCPSocketAction port:1:ios! host:2:s
Taint key:1:s! value:2:s effect:3:s! timeAdded:4:time
Toleration key:1:s operator:2:s value:3:s effect:4:s tolerationSeconds:5:i*
TopologySelectorLabelRequirement key:1:s! values:2:[]s!
TopologySelectorTerm matchLabelExpressions:1:[]core.TopologySelectorLabelRequirement
TopologySpreadConstraint maxSkew:1:i! topologyKey:2:s! whenUnsatisfiable:3:s!
  labelSelector:4:meta.LabelSelector minDomains:5:i* nodeAffinityPolicy:6:s*
  nodeTaintsPolicy:7:s* matchLabelKeys:8:[]s
TypedLocalObjectReference apiGroup:1:s* kind:2:s! name:3:s!
TypedObjectReference apiGroup:1:s* kind:2:s! name:3:s! namespace:4:s*
Volume name:1:s! -:2:core.VolumeSource
VolumeDevice name:1:s! devicePath:2:s!
VolumeMount name:1:s! readOnly:2:b recursiveReadOnly:7:s* mountPath:3:s! subPath:4:s
  mountPropagation:5:s* subPathExpr:6:s
VolumeMountStatus name:1:s! mountPath:2:s! readOnly:3:b recursiveReadOnly:4:s*
  volumeStatus:5:core.VolumeStatus
VolumeNodeAffinity required:1:core.NodeSelector
VolumeProjection secret:1:core.SecretProjection downwardAPI:2:core.DownwardAPIProjection
  configMap:3:core.ConfigMapProjection serviceAccountToken:4:core.ServiceAccountTokenProjection
  clusterTrustBundle:5:core.ClusterTrustBundleProjection
  podCertificate:6:core.PodCertificateProjection
VolumeResourceRequirements limits:1:{}q requests:2:{}q
VolumeSource hostPath:1:core.HostPathVolumeSource emptyDir:2:core.EmptyDirVolumeSource
  gcePersistentDisk:3:core.GCEPersistentDiskVolumeSource
  awsElasticBlockStore:4:core.AWSElasticBlockStoreVolumeSource
  gitRepo:5:core.GitRepoVolumeSource secret:6:core.SecretVolumeSource nfs:7:core.NFSVolumeSource
  iscsi:8:core.ISCSIVolumeSource glusterfs:9:core.GlusterfsVolumeSource
  persistentVolumeClaim:10:core.PersistentVolumeClaimVolumeSource rbd:11:core.RBDVolumeSource
  flexVolume:12:core.FlexVolumeSource cinder:13:core.CinderVolumeSource
  cephfs:14:core.CephFSVolumeSource flocker:15:core.FlockerVolumeSource
  downwardAPI:16:core.DownwardAPIVolumeSource fc:17:core.FCVolumeSource
  azureFile:18:core.AzureFileVolumeSource configMap:19:core.ConfigMapVolumeSource
  vsphereVolume:20:core.VsphereVirtualDiskVolumeSource quobyte:21:core.QuobyteVolumeSource
  azureDisk:22:core.AzureDiskVolumeSource
  photonPersistentDisk:23:core.PhotonPersistentDiskVolumeSource
  projected:26:core.ProjectedVolumeSource portworxVolume:24:core.PortworxVolumeSource
  scaleIO:25:core.ScaleIOVolumeSource storageos:27:core.StorageOSVolumeSource
  csi:28:core.CSIVolumeSource ephemeral:29:core.EphemeralVolumeSource
  image:30:core.ImageVolumeSource
VolumeStatus image:1:core.ImageVolumeStatus
VsphereVirtualDiskVolumeSource volumePath:1:s! fsType:2:s storagePolicyName:3:s
  storagePolicyID:4:s
WeightedPodAffinityTerm weight:1:i! podAffinityTerm:2:core.PodAffinityTerm!
WindowsSecurityContextOptions gmsaCredentialSpecName:1:s* gmsaCredentialSpec:2:s*
  runAsUserName:3:s* hostProcess:4:b*
)";
// clang-format on

}  // namespace lateen::cluster::apiserver
