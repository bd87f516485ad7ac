// See descriptions.h.
#include "cluster/apiserver/descriptions.h"

#include <utility>

namespace lateen::cluster::apiserver {
namespace {

using Entry = std::pair<std::string_view, std::string_view>;

constexpr Entry kKinds[] = {
    {"ClusterRole", "A set of permissions that can be granted in one namespace or in all of them."},
    {"ClusterRoleBinding",
     "Grants a ClusterRole to users, groups or service accounts in the whole cluster."},
    {"ConfigMap",
     "Configuration as keys and values, for pods to read as files or environment variables."},
    {"Container", "One process of a pod, with the image it runs and what it may use."},
    {"CronJob", "Makes a Job at the times of a schedule."},
    {"CustomResourceDefinition", "Adds a kind of object to this API server."},
    {"DaemonSet", "Keeps one copy of a pod on every node."},
    {"Deployment",
     "Keeps a number of equal pods running and replaces them step by step when their template "
     "changes."},
    {"EndpointSlice",
     "Some of the addresses that serve a Service, with their ports and readiness."},
    {"Endpoints", "The addresses that serve a Service."},
    {"Event", "Something that happened to an object."},
    {"HorizontalPodAutoscaler", "Scales a workload so that a metric stays near its target."},
    {"Ingress", "Routes HTTP from outside to Services by host and path."},
    {"Job", "Runs pods until enough of them succeeded."},
    {"Lease", "Tells who currently leads or is alive, and since when."},
    {"MutatingWebhookConfiguration", "Webhooks that may change objects before they are stored."},
    {"Namespace", "A scope for names: objects in different namespaces may have the same name."},
    {"NetworkPolicy", "Which traffic pods may send and receive."},
    {"Node", "A machine that runs pods."},
    {"ObjectMeta",
     "What all objects have: name, namespace, labels, annotations, owners, revision."},
    {"PersistentVolume", "A piece of storage in the cluster."},
    {"PersistentVolumeClaim", "A wish for storage, bound to a PersistentVolume."},
    {"Pod", "Containers that run together on one node and share network and volumes."},
    {"PodDisruptionBudget", "How many pods of a set may be down on purpose at the same time."},
    {"PodSpec", "The containers of a pod, its volumes, and how and where it runs."},
    {"PodTemplateSpec", "What pods made from this template look like."},
    {"ReplicaSet", "Keeps a number of equal pods running."},
    {"Role", "A set of permissions inside one namespace."},
    {"RoleBinding", "Grants a role to users, groups or service accounts inside one namespace."},
    {"Secret", "Small confidential data, for pods to read as files or environment variables."},
    {"Service", "One stable address and name for a set of pods."},
    {"ServiceAccount", "An identity for processes in pods."},
    {"StatefulSet", "Keeps pods with stable names and storage, started in order."},
    {"ValidatingWebhookConfiguration", "Webhooks that may refuse objects before they are stored."},
};

constexpr Entry kFields[] = {
    {"accessModes", "How the volume may be mounted."},
    {"affinity", "Rules about which nodes and neighbours are liked or required."},
    {"annotations", "Notes on the object as keys and values; not for selecting."},
    {"apiVersion", "The version of the schema that this object is written in."},
    {"args", "Arguments to the command; the image's own when left out."},
    {"automountServiceAccountToken", "Whether the service account's token is mounted."},
    {"backoffLimit", "How often a job tries again before it counts as failed."},
    {"clusterIP",
     "The Service's address in the cluster; None for a headless one. Chosen when left out."},
    {"command", "The program to run instead of the image's own entry point."},
    {"conditions", "Facts about the current state, each true, false or unknown."},
    {"containerPort", "The port that the process listens on."},
    {"containers", "The containers that run for the life of the pod."},
    {"creationTimestamp", "When the object was made. Set by the server."},
    {"data", "The content, by key."},
    {"deletionTimestamp", "When the object will be gone; set once it is being deleted."},
    {"env", "Environment variables of the container."},
    {"envFrom", "ConfigMaps and Secrets whose keys all become environment variables."},
    {"externalTrafficPolicy",
     "Cluster: any endpoint serves outside traffic. Local: only those of the same node."},
    {"finalizers", "Who must finish before the object goes away after its deletion."},
    {"generateName", "A prefix from which the server makes a unique name when name is left out."},
    {"generation", "Counts changes of what is wanted. Set by the server."},
    {"hostNetwork", "Whether the pod uses the node's network instead of its own."},
    {"image", "Name of the image to run, with its tag or digest."},
    {"imagePullPolicy", "Always, IfNotPresent or Never."},
    {"initContainers", "Containers that run to their end, in order, before the others start."},
    {"kind", "What kind of object this is."},
    {"labels", "Keys and values by which objects are selected."},
    {"limits", "The most that may be used, by resource."},
    {"livenessProbe", "A check that restarts the container when it fails."},
    {"maxReplicas", "The most replicas the autoscaler may ask for."},
    {"metadata", "Name, namespace, labels, annotations and the like."},
    {"minReplicas", "The fewest replicas the autoscaler may ask for."},
    {"mountPath", "Where in the container the volume appears."},
    {"name", "The name."},
    {"namespace", "The namespace that the name belongs to."},
    {"nodeName", "The node that the pod runs on; set by the scheduler."},
    {"nodePort", "The port on every node that leads to this port."},
    {"nodeSelector", "Labels that a node must have for the pod to run there."},
    {"ownerReferences", "Objects that this one belongs to; it goes when they are gone."},
    {"port", "The port number."},
    {"ports", "The ports, each with a number and possibly a name."},
    {"protocol", "TCP, UDP or SCTP."},
    {"readinessProbe", "A check that decides whether the pod gets traffic."},
    {"replicas", "How many pods there should be (in status: are)."},
    {"requests", "What is set aside, by resource."},
    {"resourceVersion", "The revision of the object; changes with every write. Set by the server."},
    {"resources", "What the container needs and may use of CPU, memory and so on."},
    {"restartPolicy", "Always, OnFailure or Never."},
    {"revisionHistoryLimit", "How many old revisions are kept for going back."},
    {"rules", "The rules, each allowing some verbs on some resources."},
    {"schedule", "When to run, in cron's format."},
    {"securityContext", "User, group, privileges and the like."},
    {"selector", "Which objects are meant, by their labels."},
    {"serviceAccountName", "The service account that the pod runs as."},
    {"spec", "What is wanted."},
    {"startupProbe", "A check that must succeed before the other probes begin."},
    {"status", "What is, as last observed. Set by the system."},
    {"strategy", "How old pods are replaced by new ones."},
    {"stringData", "Content given as plain text; stored in data."},
    {"subjects", "Who is meant: users, groups, service accounts."},
    {"subPath", "A path inside the volume instead of its root."},
    {"targetPort", "The pod's port, by number or name, that a Service's port leads to."},
    {"template", "What the objects to be made look like."},
    {"terminationGracePeriodSeconds", "How long a pod may take to stop before it is killed."},
    {"tolerations", "Taints of nodes that the pod accepts."},
    {"type", "Which of the possible forms this is."},
    {"uid",
     "Identifies this very object, also among later ones of the same name. Set by the server."},
    {"volumeMounts", "Which volumes appear in the container, and where."},
    {"volumes", "Volumes that the pod's containers can mount."},
    {"workingDir", "The directory that the command starts in."},
};

template <std::size_t N>
std::string_view look_up(const Entry (&entries)[N], std::string_view name) {
  for (const auto& [key, text] : entries) {
    if (key == name) return text;
  }
  return {};
}

}  // namespace

std::string_view describe_kind(std::string_view kind) { return look_up(kKinds, kind); }
std::string_view describe_field(std::string_view field) { return look_up(kFields, field); }

}  // namespace lateen::cluster::apiserver
