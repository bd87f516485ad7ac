// The fields of object metadata, registrations, certificates, reviews: name, protobuf number and
// type, as builtin_schemas.h reads them.
#include "cluster/apiserver/builtin_schemas.h"

namespace lateen::cluster::apiserver {

// clang-format off
const std::string_view kMetaSchemas =
R"(@meta
ApplyOptions dryRun:1:[]s force:2:b! fieldManager:3:s!
Condition type:1:s! status:2:s! observedGeneration:3:i lastTransitionTime:4:time! reason:5:s!
  message:6:s!
CreateOptions dryRun:1:[]s fieldManager:3:s fieldValidation:4:s
DeleteOptions gracePeriodSeconds:1:i* preconditions:2:meta.Preconditions orphanDependents:3:b*
  propagationPolicy:4:s* dryRun:5:[]s ignoreStoreReadErrorWithClusterBreakingPotential:6:b*
FieldSelectorRequirement key:1:s! operator:2:s! values:3:[]s
GetOptions resourceVersion:1:s
GroupKind group:1:s! kind:2:s!
GroupResource group:1:s! resource:2:s!
GroupVersion group:1:s! version:2:s!
GroupVersionForDiscovery groupVersion:1:s! version:2:s!
GroupVersionKind group:1:s! version:2:s! kind:3:s!
GroupVersionResource group:1:s! version:2:s! resource:3:s!
LabelSelector matchLabels:1:{}s matchExpressions:2:[]meta.LabelSelectorRequirement
LabelSelectorRequirement key:1:s! operator:2:s! values:3:[]s
ListMeta selfLink:1:s resourceVersion:2:s continue:3:s remainingItemCount:4:i*
  shardInfo:5:meta.ShardInfo
ListOptions labelSelector:1:s fieldSelector:2:s watch:3:b allowWatchBookmarks:9:b
  resourceVersion:4:s resourceVersionMatch:10:s timeoutSeconds:5:i* limit:7:i continue:8:s
  sendInitialEvents:11:b* shardSelector:15:s
ManagedFieldsEntry manager:1:s operation:2:s apiVersion:3:s time:4:time fieldsType:6:s
  fieldsV1:7:raw subresource:8:s
ObjectMeta name:1:s generateName:2:s namespace:3:s selfLink:4:s uid:5:s resourceVersion:6:s
  generation:7:i creationTimestamp:8:time deletionTimestamp:9:time
  deletionGracePeriodSeconds:10:i* labels:11:{}s annotations:12:{}s
  ownerReferences:13:[]meta.OwnerReference finalizers:14:[]s
  managedFields:17:[]meta.ManagedFieldsEntry
OwnerReference apiVersion:5:s! kind:1:s! name:3:s! uid:4:s! controller:6:b*
  blockOwnerDeletion:7:b*
PartialObjectMetadata metadata:1:meta.ObjectMeta
Preconditions uid:1:s* resourceVersion:2:s*
ServerAddressByClientCIDR clientCIDR:1:s! serverAddress:2:s!
ShardInfo selector:1:s!
Status metadata:1:meta.ListMeta status:2:s message:3:s reason:4:s details:5:meta.StatusDetails
  code:6:i
StatusCause reason:1:s message:2:s field:3:s
StatusDetails name:1:s group:2:s kind:3:s uid:6:s causes:4:[]meta.StatusCause
  retryAfterSeconds:5:i
TypeMeta kind:1:s apiVersion:2:s
UpdateOptions dryRun:1:[]s fieldManager:2:s fieldValidation:3:s
@adm
ApplyConfiguration expression:1:s
AuditAnnotation key:1:s! valueExpression:2:s!
ExpressionWarning fieldRef:2:s! warning:3:s!
JSONPatch expression:1:s
MatchCondition name:1:s! expression:2:s!
MatchResources namespaceSelector:1:meta.LabelSelector objectSelector:2:meta.LabelSelector
  resourceRules:3:[]adm.NamedRuleWithOperations
  excludeResourceRules:4:[]adm.NamedRuleWithOperations matchPolicy:7:s*
MutatingAdmissionPolicy metadata:1:meta.ObjectMeta spec:2:adm.MutatingAdmissionPolicySpec
MutatingAdmissionPolicyBinding metadata:1:meta.ObjectMeta
  spec:2:adm.MutatingAdmissionPolicyBindingSpec
MutatingAdmissionPolicyBindingSpec policyName:1:s paramRef:2:adm.ParamRef
  matchResources:3:adm.MatchResources
MutatingAdmissionPolicySpec paramKind:1:adm.ParamKind matchConstraints:2:adm.MatchResources
  variables:3:[]adm.Variable mutations:4:[]adm.Mutation failurePolicy:5:s*
  matchConditions:6:[]adm.MatchCondition reinvocationPolicy:7:s
MutatingWebhook name:1:s! clientConfig:2:adm.WebhookClientConfig!
  rules:3:[]adm.RuleWithOperations failurePolicy:4:s* matchPolicy:9:s*
  namespaceSelector:5:meta.LabelSelector objectSelector:11:meta.LabelSelector sideEffects:6:s*
  timeoutSeconds:7:i* admissionReviewVersions:8:[]s! reinvocationPolicy:10:s*
  matchConditions:12:[]adm.MatchCondition
MutatingWebhookConfiguration metadata:1:meta.ObjectMeta webhooks:2:[]adm.MutatingWebhook
Mutation patchType:2:s! applyConfiguration:3:adm.ApplyConfiguration jsonPatch:4:adm.JSONPatch
NamedRuleWithOperations resourceNames:1:[]s -:2:adm.RuleWithOperations
ParamKind apiVersion:1:s kind:2:s
ParamRef name:1:s namespace:2:s selector:3:meta.LabelSelector parameterNotFoundAction:4:s*
Rule apiGroups:1:[]s apiVersions:2:[]s resources:3:[]s scope:4:s*
RuleWithOperations operations:1:[]s -:2:adm.Rule
ServiceReference namespace:1:s! name:2:s! path:3:s* port:4:i*
TypeChecking expressionWarnings:1:[]adm.ExpressionWarning
ValidatingAdmissionPolicy metadata:1:meta.ObjectMeta spec:2:adm.ValidatingAdmissionPolicySpec
  status:3:adm.ValidatingAdmissionPolicyStatus
ValidatingAdmissionPolicyBinding metadata:1:meta.ObjectMeta
  spec:2:adm.ValidatingAdmissionPolicyBindingSpec
ValidatingAdmissionPolicyBindingSpec policyName:1:s paramRef:2:adm.ParamRef
  matchResources:3:adm.MatchResources validationActions:4:[]s
ValidatingAdmissionPolicySpec paramKind:1:adm.ParamKind matchConstraints:2:adm.MatchResources
  validations:3:[]adm.Validation failurePolicy:4:s* auditAnnotations:5:[]adm.AuditAnnotation
  matchConditions:6:[]adm.MatchCondition variables:7:[]adm.Variable
ValidatingAdmissionPolicyStatus observedGeneration:1:i typeChecking:2:adm.TypeChecking
  conditions:3:[]meta.Condition
ValidatingWebhook name:1:s! clientConfig:2:adm.WebhookClientConfig!
  rules:3:[]adm.RuleWithOperations failurePolicy:4:s* matchPolicy:9:s*
  namespaceSelector:5:meta.LabelSelector objectSelector:10:meta.LabelSelector sideEffects:6:s*
  timeoutSeconds:7:i* admissionReviewVersions:8:[]s! matchConditions:11:[]adm.MatchCondition
ValidatingWebhookConfiguration metadata:1:meta.ObjectMeta webhooks:2:[]adm.ValidatingWebhook
Validation expression:1:s! message:2:s reason:3:s* messageExpression:4:s
Variable name:1:s! expression:2:s!
WebhookClientConfig url:3:s* service:1:adm.ServiceReference caBundle:2:y
@ext
ConversionRequest uid:1:s! desiredAPIVersion:2:s! objects:3:[]raw!
ConversionResponse uid:1:s! convertedObjects:2:[]raw! result:3:meta.Status!
ConversionReview request:1:ext.ConversionRequest response:2:ext.ConversionResponse
CustomResourceColumnDefinition name:1:s! type:2:s! format:3:s description:4:s priority:5:i
  jsonPath:6:s!
CustomResourceConversion strategy:1:s! webhook:2:ext.WebhookConversion
CustomResourceDefinition metadata:1:meta.ObjectMeta spec:2:ext.CustomResourceDefinitionSpec!
  status:3:ext.CustomResourceDefinitionStatus
CustomResourceDefinitionCondition type:1:s! status:2:s! lastTransitionTime:3:time reason:4:s
  message:5:s observedGeneration:6:i
CustomResourceDefinitionNames plural:1:s! singular:2:s shortNames:3:[]s kind:4:s! listKind:5:s
  categories:6:[]s
CustomResourceDefinitionSpec group:1:s! names:3:ext.CustomResourceDefinitionNames! scope:4:s!
  versions:7:[]ext.CustomResourceDefinitionVersion! conversion:9:ext.CustomResourceConversion
  preserveUnknownFields:10:b
CustomResourceDefinitionStatus conditions:1:[]ext.CustomResourceDefinitionCondition
  acceptedNames:2:ext.CustomResourceDefinitionNames storedVersions:3:[]s observedGeneration:4:i
CustomResourceDefinitionVersion name:1:s! served:2:b! storage:3:b! deprecated:7:b
  deprecationWarning:8:s* schema:4:ext.CustomResourceValidation
  subresources:5:ext.CustomResourceSubresources
  additionalPrinterColumns:6:[]ext.CustomResourceColumnDefinition
  selectableFields:9:[]ext.SelectableField
CustomResourceSubresourceScale specReplicasPath:1:s! statusReplicasPath:2:s!
  labelSelectorPath:3:s*
CustomResourceSubresources status:1:raw scale:2:ext.CustomResourceSubresourceScale
CustomResourceValidation openAPIV3Schema:1:ext.JSONSchemaProps
ExternalDocumentation description:1:s url:2:s
JSONSchemaProps id:1:s $schema:2:s $ref:3:s* description:4:s type:5:s format:6:s title:7:s
  default:8:json maximum:9:d* exclusiveMaximum:10:b minimum:11:d* exclusiveMinimum:12:b
  maxLength:13:i* minLength:14:i* pattern:15:s maxItems:16:i* minItems:17:i* uniqueItems:18:b
  multipleOf:19:d* enum:20:[]json maxProperties:21:i* minProperties:22:i* required:23:[]s
  items:24:json allOf:25:[]ext.JSONSchemaProps oneOf:26:[]ext.JSONSchemaProps
  anyOf:27:[]ext.JSONSchemaProps not:28:ext.JSONSchemaProps properties:29:{}ext.JSONSchemaProps
  additionalProperties:30:json patternProperties:31:{}ext.JSONSchemaProps dependencies:32:{}json
  additionalItems:33:json definitions:34:{}ext.JSONSchemaProps
  externalDocs:35:ext.ExternalDocumentation example:36:json nullable:37:b
  x-kubernetes-preserve-unknown-fields:38:b* x-kubernetes-embedded-resource:39:b
  x-kubernetes-int-or-string:40:b x-kubernetes-list-map-keys:41:[]s x-kubernetes-list-type:42:s*
  x-kubernetes-map-type:43:s* x-kubernetes-validations:44:[]ext.ValidationRule
SelectableField jsonPath:1:s!
ServiceReference namespace:1:s! name:2:s! path:3:s* port:4:i*
ValidationRule rule:1:s! message:2:s messageExpression:3:s reason:4:s* fieldPath:5:s
  optionalOldSelf:6:b*
WebhookClientConfig url:3:s* service:1:ext.ServiceReference caBundle:2:y
WebhookConversion clientConfig:2:ext.WebhookClientConfig conversionReviewVersions:3:[]s!
@cert
CertificateSigningRequest metadata:1:meta.ObjectMeta spec:2:cert.CertificateSigningRequestSpec!
  status:3:cert.CertificateSigningRequestStatus
CertificateSigningRequestCondition type:1:s! status:6:s! reason:2:s message:3:s
  lastUpdateTime:4:time lastTransitionTime:5:time
CertificateSigningRequestSpec request:1:y! signerName:7:s! expirationSeconds:8:i* usages:5:[]s
  username:2:s uid:3:s groups:4:[]s extra:6:{}items
CertificateSigningRequestStatus conditions:1:[]cert.CertificateSigningRequestCondition
  certificate:2:y
@authn
BoundObjectReference kind:1:s apiVersion:2:s name:3:s uid:4:s
SelfSubjectReview metadata:1:meta.ObjectMeta status:2:authn.SelfSubjectReviewStatus
SelfSubjectReviewStatus userInfo:1:authn.UserInfo
TokenRequest metadata:1:meta.ObjectMeta spec:2:authn.TokenRequestSpec
  status:3:authn.TokenRequestStatus
TokenRequestSpec audiences:1:[]s expirationSeconds:4:i*
  boundObjectRef:3:authn.BoundObjectReference
TokenRequestStatus token:1:s expirationTimestamp:2:time
TokenReview metadata:1:meta.ObjectMeta spec:2:authn.TokenReviewSpec!
  status:3:authn.TokenReviewStatus
TokenReviewSpec token:1:s audiences:2:[]s
TokenReviewStatus authenticated:1:b user:2:authn.UserInfo audiences:4:[]s error:3:s
UserInfo username:1:s uid:2:s groups:3:[]s extra:4:{}items
@authz
FieldSelectorAttributes rawSelector:1:s requirements:2:[]meta.FieldSelectorRequirement
LabelSelectorAttributes rawSelector:1:s requirements:2:[]meta.LabelSelectorRequirement
LocalSubjectAccessReview metadata:1:meta.ObjectMeta spec:2:authz.SubjectAccessReviewSpec!
  status:3:authz.SubjectAccessReviewStatus
NonResourceAttributes path:1:s verb:2:s
NonResourceRule verbs:1:[]s! nonResourceURLs:2:[]s
ResourceAttributes namespace:1:s verb:2:s group:3:s version:4:s resource:5:s subresource:6:s
  name:7:s fieldSelector:8:authz.FieldSelectorAttributes
  labelSelector:9:authz.LabelSelectorAttributes
ResourceRule verbs:1:[]s! apiGroups:2:[]s resources:3:[]s resourceNames:4:[]s
SelfSubjectAccessReview metadata:1:meta.ObjectMeta spec:2:authz.SelfSubjectAccessReviewSpec!
  status:3:authz.SubjectAccessReviewStatus
SelfSubjectAccessReviewSpec resourceAttributes:1:authz.ResourceAttributes
  nonResourceAttributes:2:authz.NonResourceAttributes
SelfSubjectRulesReview metadata:1:meta.ObjectMeta spec:2:authz.SelfSubjectRulesReviewSpec!
  status:3:authz.SubjectRulesReviewStatus
SelfSubjectRulesReviewSpec namespace:1:s
SubjectAccessReview metadata:1:meta.ObjectMeta spec:2:authz.SubjectAccessReviewSpec!
  status:3:authz.SubjectAccessReviewStatus
SubjectAccessReviewSpec resourceAttributes:1:authz.ResourceAttributes
  nonResourceAttributes:2:authz.NonResourceAttributes user:3:s groups:4:[]s extra:5:{}items
  uid:6:s
SubjectAccessReviewStatus allowed:1:b! denied:4:b reason:2:s evaluationError:3:s
SubjectRulesReviewStatus resourceRules:1:[]authz.ResourceRule!
  nonResourceRules:2:[]authz.NonResourceRule! incomplete:3:b! evaluationError:4:s
)";
// clang-format on

}  // namespace lateen::cluster::apiserver
