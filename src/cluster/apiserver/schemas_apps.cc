// The fields of workloads, autoscaling, policy, RBAC, networking, storage: name, protobuf number
// and type, as builtin_schemas.h reads them.
#include "cluster/apiserver/builtin_schemas.h"

namespace lateen::cluster::apiserver {

// clang-format off
const std::string_view kAppsSchemas =
R"(@apps
ControllerRevision metadata:1:meta.ObjectMeta data:2:raw revision:3:i!
DaemonSet metadata:1:meta.ObjectMeta spec:2:apps.DaemonSetSpec status:3:apps.DaemonSetStatus
DaemonSetCondition type:1:s! status:2:s! lastTransitionTime:3:time reason:4:s message:5:s
DaemonSetSpec selector:1:meta.LabelSelector template:2:core.PodTemplateSpec!
  updateStrategy:3:apps.DaemonSetUpdateStrategy minReadySeconds:4:i revisionHistoryLimit:6:i*
DaemonSetStatus currentNumberScheduled:1:i! numberMisscheduled:2:i! desiredNumberScheduled:3:i!
  numberReady:4:i! observedGeneration:5:i updatedNumberScheduled:6:i numberAvailable:7:i
  numberUnavailable:8:i collisionCount:9:i* conditions:10:[]apps.DaemonSetCondition
DaemonSetUpdateStrategy type:1:s rollingUpdate:2:apps.RollingUpdateDaemonSet
Deployment metadata:1:meta.ObjectMeta spec:2:apps.DeploymentSpec status:3:apps.DeploymentStatus
DeploymentCondition type:1:s! status:2:s! lastUpdateTime:6:time lastTransitionTime:7:time
  reason:4:s message:5:s
DeploymentSpec replicas:1:i* selector:2:meta.LabelSelector template:3:core.PodTemplateSpec!
  strategy:4:apps.DeploymentStrategy minReadySeconds:5:i revisionHistoryLimit:6:i* paused:7:b
  progressDeadlineSeconds:9:i*
DeploymentStatus observedGeneration:1:i replicas:2:i updatedReplicas:3:i readyReplicas:7:i
  availableReplicas:4:i unavailableReplicas:5:i terminatingReplicas:9:i*
  conditions:6:[]apps.DeploymentCondition collisionCount:8:i*
DeploymentStrategy type:1:s rollingUpdate:2:apps.RollingUpdateDeployment
ReplicaSet metadata:1:meta.ObjectMeta spec:2:apps.ReplicaSetSpec status:3:apps.ReplicaSetStatus
ReplicaSetCondition type:1:s! status:2:s! lastTransitionTime:3:time reason:4:s message:5:s
ReplicaSetSpec replicas:1:i* minReadySeconds:4:i selector:2:meta.LabelSelector
  template:3:core.PodTemplateSpec
ReplicaSetStatus replicas:1:i! fullyLabeledReplicas:2:i readyReplicas:4:i availableReplicas:5:i
  terminatingReplicas:7:i* observedGeneration:3:i conditions:6:[]apps.ReplicaSetCondition
RollingUpdateDaemonSet maxUnavailable:1:ios maxSurge:2:ios
RollingUpdateDeployment maxUnavailable:1:ios maxSurge:2:ios
RollingUpdateStatefulSetStrategy partition:1:i* maxUnavailable:2:ios
StatefulSet metadata:1:meta.ObjectMeta spec:2:apps.StatefulSetSpec
  status:3:apps.StatefulSetStatus
StatefulSetCondition type:1:s! status:2:s! lastTransitionTime:3:time reason:4:s message:5:s
StatefulSetOrdinals start:1:i
StatefulSetPersistentVolumeClaimRetentionPolicy whenDeleted:1:s whenScaled:2:s
StatefulSetSpec replicas:1:i* selector:2:meta.LabelSelector template:3:core.PodTemplateSpec!
  volumeClaimTemplates:4:[]core.PersistentVolumeClaim serviceName:5:s podManagementPolicy:6:s
  updateStrategy:7:apps.StatefulSetUpdateStrategy revisionHistoryLimit:8:i* minReadySeconds:9:i
  persistentVolumeClaimRetentionPolicy:10:apps.StatefulSetPersistentVolumeClaimRetentionPolicy
  ordinals:11:apps.StatefulSetOrdinals
StatefulSetStatus observedGeneration:1:i replicas:2:i! readyReplicas:3:i currentReplicas:4:i
  updatedReplicas:5:i currentRevision:6:s updateRevision:7:s collisionCount:9:i*
  conditions:10:[]apps.StatefulSetCondition availableReplicas:11:i
StatefulSetUpdateStrategy type:1:s rollingUpdate:2:apps.RollingUpdateStatefulSetStrategy
@batch
CronJob metadata:1:meta.ObjectMeta spec:2:batch.CronJobSpec status:3:batch.CronJobStatus
CronJobSpec schedule:1:s! timeZone:8:s* startingDeadlineSeconds:2:i* concurrencyPolicy:3:s
  suspend:4:b* jobTemplate:5:batch.JobTemplateSpec! successfulJobsHistoryLimit:6:i*
  failedJobsHistoryLimit:7:i*
CronJobStatus active:1:[]core.ObjectReference lastScheduleTime:4:time lastSuccessfulTime:5:time
Job metadata:1:meta.ObjectMeta spec:2:batch.JobSpec status:3:batch.JobStatus
JobCondition type:1:s! status:2:s! lastProbeTime:3:time lastTransitionTime:4:time reason:5:s
  message:6:s
JobSpec parallelism:1:i* completions:2:i* activeDeadlineSeconds:3:i*
  podFailurePolicy:11:batch.PodFailurePolicy successPolicy:16:batch.SuccessPolicy
  backoffLimit:7:i* backoffLimitPerIndex:12:i* maxFailedIndexes:13:i*
  selector:4:meta.LabelSelector manualSelector:5:b* template:6:core.PodTemplateSpec!
  ttlSecondsAfterFinished:8:i* completionMode:9:s* suspend:10:b* podReplacementPolicy:14:s*
  managedBy:15:s*
JobStatus conditions:1:[]batch.JobCondition startTime:2:time completionTime:3:time active:4:i
  succeeded:5:i failed:6:i terminating:11:i* completedIndexes:7:s failedIndexes:10:s*
  uncountedTerminatedPods:8:batch.UncountedTerminatedPods ready:9:i*
JobTemplateSpec metadata:1:meta.ObjectMeta spec:2:batch.JobSpec
PodFailurePolicy rules:1:[]batch.PodFailurePolicyRule!
PodFailurePolicyOnExitCodesRequirement containerName:1:s* operator:2:s! values:3:[]i!
PodFailurePolicyOnPodConditionsPattern type:1:s! status:2:s
PodFailurePolicyRule action:1:s! onExitCodes:2:batch.PodFailurePolicyOnExitCodesRequirement
  onPodConditions:3:[]batch.PodFailurePolicyOnPodConditionsPattern
SuccessPolicy rules:1:[]batch.SuccessPolicyRule!
SuccessPolicyRule succeededIndexes:1:s* succeededCount:2:i*
UncountedTerminatedPods succeeded:1:[]s failed:2:[]s
@as1
ContainerResourceMetricSource name:1:s! targetAverageUtilization:2:i* targetAverageValue:3:q
  container:5:s!
ContainerResourceMetricStatus name:1:s! currentAverageUtilization:2:i* currentAverageValue:3:q!
  container:4:s!
CrossVersionObjectReference kind:1:s! name:2:s! apiVersion:3:s
ExternalMetricSource metricName:1:s! metricSelector:2:meta.LabelSelector targetValue:3:q
  targetAverageValue:4:q
ExternalMetricStatus metricName:1:s! metricSelector:2:meta.LabelSelector currentValue:3:q!
  currentAverageValue:4:q
HorizontalPodAutoscaler metadata:1:meta.ObjectMeta spec:2:as1.HorizontalPodAutoscalerSpec
  status:3:as1.HorizontalPodAutoscalerStatus
HorizontalPodAutoscalerCondition type:1:s! status:2:s! lastTransitionTime:3:time reason:4:s
  message:5:s
HorizontalPodAutoscalerSpec scaleTargetRef:1:as1.CrossVersionObjectReference! minReplicas:2:i*
  maxReplicas:3:i! targetCPUUtilizationPercentage:4:i*
HorizontalPodAutoscalerStatus observedGeneration:1:i* lastScaleTime:2:time currentReplicas:3:i!
  desiredReplicas:4:i! currentCPUUtilizationPercentage:5:i*
MetricSpec type:1:s! object:2:as1.ObjectMetricSource pods:3:as1.PodsMetricSource
  resource:4:as1.ResourceMetricSource containerResource:7:as1.ContainerResourceMetricSource
  external:5:as1.ExternalMetricSource
MetricStatus type:1:s! object:2:as1.ObjectMetricStatus pods:3:as1.PodsMetricStatus
  resource:4:as1.ResourceMetricStatus containerResource:7:as1.ContainerResourceMetricStatus
  external:5:as1.ExternalMetricStatus
ObjectMetricSource target:1:as1.CrossVersionObjectReference! metricName:2:s! targetValue:3:q!
  selector:4:meta.LabelSelector averageValue:5:q
ObjectMetricStatus target:1:as1.CrossVersionObjectReference! metricName:2:s! currentValue:3:q!
  selector:4:meta.LabelSelector averageValue:5:q
PodsMetricSource metricName:1:s! targetAverageValue:2:q! selector:3:meta.LabelSelector
PodsMetricStatus metricName:1:s! currentAverageValue:2:q! selector:3:meta.LabelSelector
ResourceMetricSource name:1:s! targetAverageUtilization:2:i* targetAverageValue:3:q
ResourceMetricStatus name:1:s! currentAverageUtilization:2:i* currentAverageValue:3:q!
Scale metadata:1:meta.ObjectMeta spec:2:as1.ScaleSpec status:3:as1.ScaleStatus
ScaleSpec replicas:1:i
ScaleStatus replicas:1:i! selector:2:s
@as2
ContainerResourceMetricSource name:1:s! target:2:as2.MetricTarget! container:3:s!
ContainerResourceMetricStatus name:1:s! current:2:as2.MetricValueStatus! container:3:s!
CrossVersionObjectReference kind:1:s! name:2:s! apiVersion:3:s
ExternalMetricSource metric:1:as2.MetricIdentifier! target:2:as2.MetricTarget!
ExternalMetricStatus metric:1:as2.MetricIdentifier! current:2:as2.MetricValueStatus!
HPAScalingPolicy type:1:s! value:2:i! periodSeconds:3:i!
HPAScalingRules stabilizationWindowSeconds:3:i* selectPolicy:1:s*
  policies:2:[]as2.HPAScalingPolicy tolerance:4:q
HorizontalPodAutoscaler metadata:1:meta.ObjectMeta spec:2:as2.HorizontalPodAutoscalerSpec
  status:3:as2.HorizontalPodAutoscalerStatus
HorizontalPodAutoscalerBehavior scaleUp:1:as2.HPAScalingRules scaleDown:2:as2.HPAScalingRules
HorizontalPodAutoscalerCondition type:1:s! status:2:s! lastTransitionTime:3:time reason:4:s
  message:5:s
HorizontalPodAutoscalerSpec scaleTargetRef:1:as2.CrossVersionObjectReference! minReplicas:2:i*
  maxReplicas:3:i! metrics:4:[]as2.MetricSpec behavior:5:as2.HorizontalPodAutoscalerBehavior
HorizontalPodAutoscalerStatus observedGeneration:1:i* lastScaleTime:2:time currentReplicas:3:i
  desiredReplicas:4:i! currentMetrics:5:[]as2.MetricStatus
  conditions:6:[]as2.HorizontalPodAutoscalerCondition
MetricIdentifier name:1:s! selector:2:meta.LabelSelector
MetricSpec type:1:s! object:2:as2.ObjectMetricSource pods:3:as2.PodsMetricSource
  resource:4:as2.ResourceMetricSource containerResource:7:as2.ContainerResourceMetricSource
  external:5:as2.ExternalMetricSource
MetricStatus type:1:s! object:2:as2.ObjectMetricStatus pods:3:as2.PodsMetricStatus
  resource:4:as2.ResourceMetricStatus containerResource:7:as2.ContainerResourceMetricStatus
  external:5:as2.ExternalMetricStatus
MetricTarget type:1:s! value:2:q averageValue:3:q averageUtilization:4:i*
MetricValueStatus value:1:q averageValue:2:q averageUtilization:3:i*
ObjectMetricSource describedObject:1:as2.CrossVersionObjectReference! target:2:as2.MetricTarget!
  metric:3:as2.MetricIdentifier!
ObjectMetricStatus metric:1:as2.MetricIdentifier! current:2:as2.MetricValueStatus!
  describedObject:3:as2.CrossVersionObjectReference!
PodsMetricSource metric:1:as2.MetricIdentifier! target:2:as2.MetricTarget!
PodsMetricStatus metric:1:as2.MetricIdentifier! current:2:as2.MetricValueStatus!
ResourceMetricSource name:1:s! target:2:as2.MetricTarget!
ResourceMetricStatus name:1:s! current:2:as2.MetricValueStatus!
@policy
Eviction metadata:1:meta.ObjectMeta deleteOptions:2:meta.DeleteOptions
PodDisruptionBudget metadata:1:meta.ObjectMeta spec:2:policy.PodDisruptionBudgetSpec
  status:3:policy.PodDisruptionBudgetStatus
PodDisruptionBudgetSpec minAvailable:1:ios selector:2:meta.LabelSelector maxUnavailable:3:ios
  unhealthyPodEvictionPolicy:4:s*
PodDisruptionBudgetStatus observedGeneration:1:i disruptedPods:2:{}time disruptionsAllowed:3:i
  currentHealthy:4:i desiredHealthy:5:i expectedPods:6:i conditions:7:[]meta.Condition
@rbac
AggregationRule clusterRoleSelectors:1:[]meta.LabelSelector
ClusterRole metadata:1:meta.ObjectMeta rules:2:[]rbac.PolicyRule
  aggregationRule:3:rbac.AggregationRule
ClusterRoleBinding metadata:1:meta.ObjectMeta subjects:2:[]rbac.Subject roleRef:3:rbac.RoleRef!
PolicyRule verbs:1:[]s! apiGroups:2:[]s resources:3:[]s resourceNames:4:[]s
  nonResourceURLs:5:[]s
Role metadata:1:meta.ObjectMeta rules:2:[]rbac.PolicyRule
RoleBinding metadata:1:meta.ObjectMeta subjects:2:[]rbac.Subject roleRef:3:rbac.RoleRef!
RoleRef apiGroup:1:s kind:2:s! name:3:s!
Subject kind:1:s! apiGroup:2:s name:3:s! namespace:4:s
@net
HTTPIngressPath path:1:s pathType:3:s* backend:2:net.IngressBackend!
HTTPIngressRuleValue paths:1:[]net.HTTPIngressPath!
IPAddress metadata:1:meta.ObjectMeta spec:2:net.IPAddressSpec
IPAddressSpec parentRef:1:net.ParentReference
IPBlock cidr:1:s! except:2:[]s
Ingress metadata:1:meta.ObjectMeta spec:2:net.IngressSpec status:3:net.IngressStatus
IngressBackend service:4:net.IngressServiceBackend resource:3:core.TypedLocalObjectReference
IngressClass metadata:1:meta.ObjectMeta spec:2:net.IngressClassSpec
IngressClassParametersReference apiGroup:1:s* kind:2:s! name:3:s! scope:4:s* namespace:5:s*
IngressClassSpec controller:1:s parameters:2:net.IngressClassParametersReference
IngressLoadBalancerIngress ip:1:s hostname:2:s ports:4:[]net.IngressPortStatus
IngressLoadBalancerStatus ingress:1:[]net.IngressLoadBalancerIngress
IngressPortStatus port:1:i! protocol:2:s! error:3:s*
IngressRule host:1:s -:2:net.IngressRuleValue
IngressRuleValue http:1:net.HTTPIngressRuleValue
IngressServiceBackend name:1:s! port:2:net.ServiceBackendPort
IngressSpec ingressClassName:4:s* defaultBackend:1:net.IngressBackend tls:2:[]net.IngressTLS
  rules:3:[]net.IngressRule
IngressStatus loadBalancer:1:net.IngressLoadBalancerStatus
IngressTLS hosts:1:[]s secretName:2:s
NetworkPolicy metadata:1:meta.ObjectMeta spec:2:net.NetworkPolicySpec
NetworkPolicyEgressRule ports:1:[]net.NetworkPolicyPort to:2:[]net.NetworkPolicyPeer
NetworkPolicyIngressRule ports:1:[]net.NetworkPolicyPort from:2:[]net.NetworkPolicyPeer
NetworkPolicyPeer podSelector:1:meta.LabelSelector namespaceSelector:2:meta.LabelSelector
  ipBlock:3:net.IPBlock
NetworkPolicyPort protocol:1:s* port:2:ios endPort:3:i*
NetworkPolicySpec podSelector:1:meta.LabelSelector ingress:2:[]net.NetworkPolicyIngressRule
  egress:3:[]net.NetworkPolicyEgressRule policyTypes:4:[]s
ParentReference group:1:s resource:2:s namespace:3:s name:4:s
ServiceBackendPort name:1:s number:2:i
ServiceCIDR metadata:1:meta.ObjectMeta spec:2:net.ServiceCIDRSpec status:3:net.ServiceCIDRStatus
ServiceCIDRSpec cidrs:1:[]s
ServiceCIDRStatus conditions:1:[]meta.Condition
@coord
Lease metadata:1:meta.ObjectMeta spec:2:coord.LeaseSpec
LeaseSpec holderIdentity:1:s* leaseDurationSeconds:2:i* acquireTime:3:micro renewTime:4:micro
  leaseTransitions:5:i* strategy:6:s* preferredHolder:7:s*
@disco
Endpoint addresses:1:[]s! conditions:2:disco.EndpointConditions hostname:3:s*
  targetRef:4:core.ObjectReference deprecatedTopology:5:{}s nodeName:6:s* zone:7:s*
  hints:8:disco.EndpointHints
EndpointConditions ready:1:b* serving:2:b* terminating:3:b*
EndpointHints forZones:1:[]disco.ForZone forNodes:2:[]disco.ForNode
EndpointPort name:1:s* protocol:2:s* port:3:i* appProtocol:4:s*
EndpointSlice metadata:1:meta.ObjectMeta addressType:4:s! endpoints:2:[]disco.Endpoint
  ports:3:[]disco.EndpointPort
ForNode name:1:s!
ForZone name:1:s!
@events
Event metadata:1:meta.ObjectMeta eventTime:2:micro! series:3:events.EventSeries
  reportingController:4:s reportingInstance:5:s action:6:s reason:7:s
  regarding:8:core.ObjectReference related:9:core.ObjectReference note:10:s type:11:s
  deprecatedSource:12:core.EventSource deprecatedFirstTimestamp:13:time
  deprecatedLastTimestamp:14:time deprecatedCount:15:i
)"
R"(EventSeries count:1:i! lastObservedTime:2:micro!
@storage
CSIDriver metadata:1:meta.ObjectMeta spec:2:storage.CSIDriverSpec!
CSIDriverSpec attachRequired:1:b* podInfoOnMount:2:b* volumeLifecycleModes:3:[]s
  storageCapacity:4:b* fsGroupPolicy:5:s* tokenRequests:6:[]storage.TokenRequest
  requiresRepublish:7:b* seLinuxMount:8:b* nodeAllocatableUpdatePeriodSeconds:9:i*
  serviceAccountTokenInSecrets:10:b* preventPodSchedulingIfMissing:11:b*
CSINode metadata:1:meta.ObjectMeta spec:2:storage.CSINodeSpec!
CSINodeDriver name:1:s! nodeID:2:s! topologyKeys:3:[]s allocatable:4:storage.VolumeNodeResources
CSINodeSpec drivers:1:[]storage.CSINodeDriver!
CSIStorageCapacity metadata:1:meta.ObjectMeta nodeTopology:2:meta.LabelSelector
  storageClassName:3:s! capacity:4:q maximumVolumeSize:5:q
StorageClass metadata:1:meta.ObjectMeta provisioner:2:s! parameters:3:{}s reclaimPolicy:4:s*
  mountOptions:5:[]s allowVolumeExpansion:6:b* volumeBindingMode:7:s*
  allowedTopologies:8:[]core.TopologySelectorTerm
TokenRequest audience:1:s! expirationSeconds:2:i*
VolumeAttachment metadata:1:meta.ObjectMeta spec:2:storage.VolumeAttachmentSpec!
  status:3:storage.VolumeAttachmentStatus
VolumeAttachmentSource persistentVolumeName:1:s* -:2:core.PersistentVolumeSpec
VolumeAttachmentSpec attacher:1:s! source:2:storage.VolumeAttachmentSource! nodeName:3:s!
VolumeAttachmentStatus attached:1:b! attachmentMetadata:2:{}s attachError:3:storage.VolumeError
  detachError:4:storage.VolumeError
VolumeAttributesClass metadata:1:meta.ObjectMeta driverName:2:s! parameters:3:{}s
VolumeError time:1:time message:2:s errorCode:3:i*
VolumeNodeResources count:1:i*
@sched
PriorityClass metadata:1:meta.ObjectMeta value:2:i globalDefault:3:b description:4:s
  preemptionPolicy:5:s*
@node
Overhead podFixed:1:{}q
RuntimeClass metadata:1:meta.ObjectMeta handler:2:s! overhead:3:node.Overhead
  scheduling:4:node.Scheduling
Scheduling nodeSelector:1:{}s tolerations:2:[]core.Toleration
)";
// clang-format on

}  // namespace lateen::cluster::apiserver
