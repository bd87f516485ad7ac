// The table of built-in resources that our own code talks to.
#include "kube/object.h"

namespace lateen::kube::resources {

// Function-local constants: built once, never changed.
#define LATEEN_RESOURCE(name_, group_, version_, plural_, kind_, namespaced_)       \
  const Resource& name_() {                                                         \
    static const Resource kResource{group_, version_, plural_, kind_, namespaced_}; \
    return kResource;                                                               \
  }

LATEEN_RESOURCE(pods, "", "v1", "pods", "Pod", true)
LATEEN_RESOURCE(services, "", "v1", "services", "Service", true)
LATEEN_RESOURCE(endpoints, "", "v1", "endpoints", "Endpoints", true)
LATEEN_RESOURCE(endpoint_slices, "discovery.k8s.io", "v1", "endpointslices", "EndpointSlice", true)
LATEEN_RESOURCE(namespaces, "", "v1", "namespaces", "Namespace", false)
LATEEN_RESOURCE(nodes, "", "v1", "nodes", "Node", false)
LATEEN_RESOURCE(secrets, "", "v1", "secrets", "Secret", true)
LATEEN_RESOURCE(config_maps, "", "v1", "configmaps", "ConfigMap", true)
LATEEN_RESOURCE(service_accounts, "", "v1", "serviceaccounts", "ServiceAccount", true)
LATEEN_RESOURCE(events, "", "v1", "events", "Event", true)
LATEEN_RESOURCE(deployments, "apps", "v1", "deployments", "Deployment", true)
LATEEN_RESOURCE(replica_sets, "apps", "v1", "replicasets", "ReplicaSet", true)
LATEEN_RESOURCE(stateful_sets, "apps", "v1", "statefulsets", "StatefulSet", true)
LATEEN_RESOURCE(daemon_sets, "apps", "v1", "daemonsets", "DaemonSet", true)
LATEEN_RESOURCE(controller_revisions, "apps", "v1", "controllerrevisions", "ControllerRevision",
                true)
LATEEN_RESOURCE(jobs, "batch", "v1", "jobs", "Job", true)
LATEEN_RESOURCE(cron_jobs, "batch", "v1", "cronjobs", "CronJob", true)
LATEEN_RESOURCE(leases, "coordination.k8s.io", "v1", "leases", "Lease", true)
LATEEN_RESOURCE(hpas, "autoscaling", "v2", "horizontalpodautoscalers", "HorizontalPodAutoscaler",
                true)
LATEEN_RESOURCE(pdbs, "policy", "v1", "poddisruptionbudgets", "PodDisruptionBudget", true)
LATEEN_RESOURCE(crds, "apiextensions.k8s.io", "v1", "customresourcedefinitions",
                "CustomResourceDefinition", false)
LATEEN_RESOURCE(mutating_webhooks, "admissionregistration.k8s.io", "v1",
                "mutatingwebhookconfigurations", "MutatingWebhookConfiguration", false)
LATEEN_RESOURCE(validating_webhooks, "admissionregistration.k8s.io", "v1",
                "validatingwebhookconfigurations", "ValidatingWebhookConfiguration", false)
LATEEN_RESOURCE(token_reviews, "authentication.k8s.io", "v1", "tokenreviews", "TokenReview", false)
LATEEN_RESOURCE(ingresses, "networking.k8s.io", "v1", "ingresses", "Ingress", true)
LATEEN_RESOURCE(persistent_volume_claims, "", "v1", "persistentvolumeclaims",
                "PersistentVolumeClaim", true)
LATEEN_RESOURCE(replication_controllers, "", "v1", "replicationcontrollers",
                "ReplicationController", true)

#undef LATEEN_RESOURCE

}  // namespace lateen::kube::resources
