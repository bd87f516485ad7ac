// The Node object and its lease.
#include <fmt/format.h>
#include <sys/sysinfo.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "base/strings.h"
#include "cluster/node/node_agent.h"
#include "linux/files.h"

namespace lateen::cluster::node {
namespace {

using data::JsonArray;
using data::JsonObject;

constexpr std::string_view kLeaseNamespace = "kube-node-lease";
constexpr int kMostPods = 250;

std::string_view architecture() {
#if defined(__x86_64__)
  return "amd64";
#elif defined(__aarch64__)
  return "arm64";
#else
  return "unknown";
#endif
}

std::string os_image() {
  auto text = os::read_file("/etc/os-release", 65536);
  if (!text.ok()) return "Linux";
  for (std::string_view line : split(text.value(), '\n'))
    if (line.starts_with("PRETTY_NAME=")) {
      std::string_view name = line.substr(12);
      if (name.size() >= 2 && name.front() == '"') name = name.substr(1, name.size() - 2);
      return std::string(name);
    }
  return "Linux";
}

std::string trimmed_file(const char* path) {
  auto text = os::read_file(path, 4096);
  return text.ok() ? std::string(trim(text.value())) : std::string();
}

Json node_condition(std::string_view type, std::string_view status, std::string_view reason,
                    std::string_view message, const std::string& now) {
  return JsonObject{{"type", type},       {"status", status},         {"reason", reason},
                    {"message", message}, {"lastHeartbeatTime", now}, {"lastTransitionTime", now}};
}

}  // namespace

std::int64_t machine_memory_bytes() {
  struct sysinfo info {};
  return ::sysinfo(&info) == 0 ? static_cast<std::int64_t>(info.totalram) * info.mem_unit : 0;
}

int machine_cpus() { return std::max(1, static_cast<int>(::sysconf(_SC_NPROCESSORS_ONLN))); }

Json NodeAgent::node_object() const {
  const JsonObject labels{
      {"kubernetes.io/hostname", options_.name},   {"kubernetes.io/os", "linux"},
      {"kubernetes.io/arch", architecture()},      {"beta.kubernetes.io/os", "linux"},
      {"beta.kubernetes.io/arch", architecture()}, {"node-role.kubernetes.io/control-plane", ""},
      {"node-role.kubernetes.io/master", ""}};
  return JsonObject{
      {"apiVersion", "v1"},
      {"kind", "Node"},
      {"metadata", JsonObject{{"name", options_.name}, {"labels", labels}}},
      {"spec", JsonObject{{"podCIDR", "10.244.0.0/24"}, {"podCIDRs", JsonArray{"10.244.0.0/24"}}}}};
}

Json NodeAgent::node_status() const {
  const std::string now = format_rfc3339(clock_.wall());
  utsname machine{};
  ::uname(&machine);
  const JsonObject resources{{"cpu", std::to_string(machine_cpus())},
                             {"memory", fmt::format("{}Ki", machine_memory_bytes() / 1024)},
                             {"pods", std::to_string(kMostPods)},
                             {"ephemeral-storage", "100Gi"},
                             {"hugepages-2Mi", "0"}};
  return JsonObject{
      {"capacity", resources},
      {"allocatable", resources},
      {"addresses",
       JsonArray{JsonObject{{"type", "InternalIP"}, {"address", os::format_ipv4(kNodeIp)}},
                 JsonObject{{"type", "Hostname"}, {"address", options_.name}}}},
      {"conditions",
       JsonArray{node_condition("MemoryPressure", "False", "KubeletHasSufficientMemory",
                                "kubelet has sufficient memory available", now),
                 node_condition("DiskPressure", "False", "KubeletHasNoDiskPressure",
                                "kubelet has no disk pressure", now),
                 node_condition("PIDPressure", "False", "KubeletHasSufficientPID",
                                "kubelet has sufficient PID available", now),
                 node_condition(
                     "ResourceLimitsEnforced", context_->cgroups->is_enforcing() ? "True" : "False",
                     context_->cgroups->is_enforcing() ? "ControlGroups" : "NoControlGroups",
                     context_->cgroups->is_enforcing()
                         ? "control groups hold pods to their limits of memory and CPU"
                         : context_->cgroups->why_not(),
                     now),
                 node_condition("Ready", "True", "KubeletReady", "kubelet is posting ready status",
                                now)}},
      {"daemonEndpoints", JsonObject{{"kubeletEndpoint", JsonObject{{"Port", 10250}}}}},
      {"nodeInfo", JsonObject{{"machineID", trimmed_file("/etc/machine-id")},
                              {"systemUUID", trimmed_file("/etc/machine-id")},
                              {"bootID", trimmed_file("/proc/sys/kernel/random/boot_id")},
                              {"kernelVersion", machine.release},
                              {"osImage", os_image()},
                              {"containerRuntimeVersion", "lateen://1.0.0"},
                              {"kubeletVersion", options_.version},
                              {"kubeProxyVersion", options_.version},
                              {"operatingSystem", "linux"},
                              {"architecture", architecture()}}}};
}

Result<> NodeAgent::register_node() {
  auto created =
      client_.create(kube::resources::nodes(), node_object(), {.field_manager = "kubelet"});
  if (!created.ok() && created.error().code() != Code::kAlreadyExists)
    return std::move(created).error();
  if (!created.ok())
    TRY(client_.patch(
        kube::resources::nodes(), {"", options_.name}, kube::Patch::kMerge,
        JsonObject{{"metadata",
                    JsonObject{{"labels", *data::find(node_object(), {"metadata", "labels"})}}}},
        {.field_manager = "kubelet"}));
  TRY(renew_lease());
  TRY(post_status());
  Json about = node_object();
  data::set(about, {"metadata", "uid"}, Json(std::string_view(options_.name)));
  events_.record(about, Events::Type::kNormal, "Starting", "Starting kubelet.");
  events_.record(about, Events::Type::kNormal, "NodeReady",
                 fmt::format("Node {} status is now: NodeReady", options_.name));
  return {};
}

Result<> NodeAgent::post_status() {
  TRY(client_.patch(kube::resources::nodes(), {"", options_.name}, kube::Patch::kMerge,
                    JsonObject{{"status", node_status()}},
                    {.field_manager = "kubelet", .subresource = "status"}));
  return {};
}

// The lease says that we live. The node itself is written again only when somebody deleted it or,
// after a silence of ours, called it not ready.
Result<> NodeAgent::heartbeat() {
  TRY(renew_lease());
  auto node = client_.get(kube::resources::nodes(), {"", options_.name});
  if (!node.ok())
    return node.error().code() == Code::kNotFound ? register_node() : std::move(node).error();
  const Json* ready = kube::condition(*node, "Ready");
  const bool is_ready = ready != nullptr && data::get_string(*ready, {"status"}) == "True";
  return is_ready ? Result<>() : post_status();
}

Result<> NodeAgent::renew_lease() {
  const std::string now = format_rfc3339(clock_.wall(), 6);
  const kube::Key key{std::string(kLeaseNamespace), options_.name};
  const JsonObject spec{
      {"holderIdentity", options_.name}, {"leaseDurationSeconds", 40}, {"renewTime", now}};
  auto patched = client_.patch(kube::resources::leases(), key, kube::Patch::kMerge,
                               JsonObject{{"spec", spec}}, {.field_manager = "kubelet"});
  if (patched.ok()) return {};
  if (patched.error().code() != Code::kNotFound) return std::move(patched).error();
  auto created =
      client_.create(kube::resources::leases(),
                     JsonObject{{"apiVersion", "coordination.k8s.io/v1"},
                                {"kind", "Lease"},
                                {"metadata", JsonObject{{"name", key.name}, {"namespace", key.ns}}},
                                {"spec", spec}},
                     {.field_manager = "kubelet"});
  if (created.ok() || created.error().code() == Code::kAlreadyExists) return {};
  return std::move(created).error();
}

}  // namespace lateen::cluster::node
