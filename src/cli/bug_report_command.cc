// bug-report: what one needs to look into a mesh from afar, as one archive in upstream's layout.
// Bounded: so many pods, so many bytes of log each, and a time for all.
#include <algorithm>
#include <chrono>
#include <fstream>
#include <sstream>

#include "base/clock.h"
#include "base/strings.h"
#include "cli/archive.h"
#include "cli/control_plane.h"
#include "cli/istioctl.h"
#include "cli/proxy_admin.h"
#include "data/yaml.h"
#include "kube/names.h"
#include "kube/port_forward.h"

namespace lateen::cli {
namespace {

using Clock = std::chrono::steady_clock;

constexpr std::size_t kMostPods = 2000;
constexpr std::size_t kMostLogBytes = 16u << 20;
constexpr const char* kOfProxy[] = {"certs",  "clusters",    "config_dump?include_eds", "listeners",
                                    "memory", "server_info", "stats/prometheus",        "runtime"};
constexpr const char* kOfIstiod[] = {"debug/adsz",    "debug/authorizationz", "debug/clusterz",
                                     "debug/configz", "debug/endpointz",      "debug/inject",
                                     "debug/mesh",    "debug/push_status",    "debug/registryz",
                                     "debug/syncz",   "debug/telemetryz",     "metrics"};

struct Flags {
  std::vector<std::string> include, exclude;
  std::string directory, start_time, duration, timeout = "30m";
  std::int64_t tail = 0;
  int admin_port = kProxyAdminPort;
  bool is_dry_run = false, has_full_secrets = false;
  bool skips_cluster = false, skips_analyze = false, skips_proxies = false;
};

// As on the command line: the past, or a limit, is never negative.
Result<nanoseconds> duration_of(const std::string& text, const char* flag) {
  const nanoseconds out = TRY(parse_duration(text).at(flag));
  if (out < nanoseconds(0)) return invalid(std::string(flag) + ": \"" + text + "\" is negative");
  return out;
}

bool glob(std::string_view pattern, std::string_view text) {
  if (pattern.empty()) return text.empty();
  if (pattern[0] == '*') {
    for (std::size_t i = 0; i <= text.size(); ++i) {
      if (glob(pattern.substr(1), text.substr(i))) return true;
    }
    return false;
  }
  return !text.empty() && pattern[0] == text[0] && glob(pattern.substr(1), text.substr(1));
}

bool any_glob(std::string_view list, std::string_view text) {
  if (list.empty()) return true;
  for (const auto each : split(list, ',')) {
    if (glob(each, text)) return true;
  }
  return false;
}

bool any_pair(std::string_view list, const data::JsonObject& of_pod) {
  if (list.empty()) return true;
  for (const auto each : split(list, ',')) {
    const auto pair = split_once(each, "=");
    const Json* found = pair ? of_pod.if_contains(pair->first) : nullptr;
    if (found != nullptr && glob(pair->second, data::as_string(*found))) return true;
  }
  return false;
}

// The deployment that a pod's ReplicaSet is named after.
std::string_view deployment_of(const Json& pod) {
  const Json* owner = kube::controller_of(pod);
  const auto name = owner == nullptr ? std::string_view() : data::get_string(*owner, {"name"});
  return name.substr(0, name.rfind('-'));
}

// "ns1,ns2/dep/pod/label=v/annotation=v/container": all parts may be left out.
bool matches(const std::string& spec, const Json& pod, std::string_view container) {
  const auto parts = split(spec, '/');
  const auto part = [&](std::size_t i) { return i < parts.size() ? parts[i] : std::string_view(); };
  return any_glob(part(0), kube::namespace_of(pod)) && any_glob(part(1), deployment_of(pod)) &&
         any_glob(part(2), kube::name_of(pod)) && any_pair(part(3), kube::labels_of(pod)) &&
         any_pair(part(4), kube::annotations_of(pod)) && any_glob(part(5), container);
}

bool is_wanted(const Flags& flags, const Json& pod, std::string_view container) {
  if (std::ranges::count(kube::kSystemNamespaces, kube::namespace_of(pod)) > 0) return false;
  for (const auto& spec : flags.exclude) {
    if (matches(spec, pod, container)) return false;
  }
  if (flags.include.empty()) return true;
  for (const auto& spec : flags.include) {
    if (matches(spec, pod, container)) return true;
  }
  return false;
}

class Report {
 public:
  Report(Session& session, const Flags& flags, kube::Client& client, Clock::time_point end)
      : session_(session), flags_(flags), client_(client), end_(end) {}

  Result<> open(const std::string& path) {
    if (!flags_.is_dry_run) archive_ = TRY(Archive::create(path));
    return {};
  }
  // What cannot be had is told in the log of the report, and no reason to have no report.
  void note(const std::string& text) {
    log_ += format_rfc3339(SystemClock().wall()) + " " + text + "\n";
  }

  Result<> file(const std::string& name, std::string_view text) {
    if (archive_ == nullptr || trim(text).empty()) return {};
    return archive_->add("bug-report/" + name, text);
  }

  Result<> cluster() {
    std::string cluster_wide, namespaced, custom;
    const auto resources = TRY(client_.all_resources());
    for (const kube::Resource& resource : resources) {
      const bool is_core = resource.group.empty() || resource.group == "apps" ||
                           resource.group == "batch" || resource.group == "autoscaling" ||
                           resource.group == "networking.k8s.io" ||
                           resource.group == "discovery.k8s.io";
      const bool is_wide = resource.plural == "nodes" || resource.plural == "namespaces" ||
                           resource.plural == "customresourcedefinitions" ||
                           resource.plural == "mutatingwebhookconfigurations" ||
                           resource.plural == "validatingwebhookconfigurations";
      if (resource.plural == "secrets" || (resource.plural == "events")) continue;
      const bool is_custom =
          resource.group.ends_with(".istio.io") || resource.group == "gateway.networking.k8s.io";
      if (!is_core && !is_wide && !is_custom) continue;
      const auto list = client_.list(resource, "");
      if (!list) {
        note("listing " + resource.plural + ": " + list.error().message());
        continue;
      }
      std::string& into = is_custom ? custom : is_wide ? cluster_wide : namespaced;
      for (const Json& item : data::get_array(*list, {"items"}))
        into += "---\n" + data::dump_yaml(item);
    }
    TRY(file("cluster/k8s-resources", namespaced));
    TRY(file("cluster/k8s-cluster-resources", cluster_wide));
    TRY(file("cluster/crs", custom));
    if (const auto nodes = client_.list(kube::resources::nodes(), ""))
      TRY(file("cluster/nodes", data::dump_yaml(*nodes)));
    TRY(file("cluster/secrets", secrets()));
    return file("cluster/events", events());
  }

  Result<> context() {
    const auto config = kube::load_kubeconfig(session_.kubeconfig, session_.context);
    if (config)
      TRY(file("cluster/cluster-context", session_.context + "\n" + config->server + "\n"));
    http::PlainRequest request;
    request.url = "/version";
    if (const auto reply = client_.raw(request)) TRY(file("cluster/kubectl-version", reply->body));
    const auto pods = client_.list(kube::resources::pods(), session_.istio_ns);
    return pods ? file("cluster/pods", data::dump_yaml(*pods)) : Result<>();
  }

  Result<> pod(const Json& pod) {
    for (const char* key : {"containers", "initContainers"}) {
      for (const Json& each : data::get_array(pod, {"spec", key})) {
        const auto container = data::get_string(each, {"name"});
        if (container != "istio-proxy" && container != "discovery" && container != "istio-operator")
          continue;
        if (!is_wanted(flags_, pod, container)) continue;
        const std::string where =
            std::string(kube::namespace_of(pod)) + "/" + std::string(kube::name_of(pod)) + "/";
        session_.out << "  " << where << container << "\n";
        if (Clock::now() > end_) {
          note("no time left for " + where + std::string(container));
          continue;
        }
        const std::string folder = container == "istio-proxy" ? "proxies/"
                                   : container == "discovery" ? "istio/"
                                                              : "operator/";
        const std::string name =
            container == "istio-operator" ? "operator" : std::string(container);
        TRY(file(folder + where + name + ".log", log_of(pod, container)));
        if (container == "istio-proxy" && !flags_.skips_proxies)
          TRY(pages(pod, flags_.admin_port, kOfProxy, folder + where));
        if (container == "discovery") TRY(pages(pod, 15'014, kOfIstiod, folder + where));
      }
    }
    return {};
  }

  Result<> finish() {
    TRY(file("bug-report.log", log_.empty() ? "nothing went wrong\n" : log_));
    return archive_ == nullptr ? Result<>() : archive_->finish();
  }

 private:
  std::string secrets() {
    const auto list = client_.list(kube::resources::secrets(), "");
    if (!list) {
      note("listing secrets: " + list.error().message());
      return {};
    }
    std::string out;
    std::vector<std::vector<std::string>> rows = {{"NAMESPACE", "NAME", "TYPE", "DATA"}};
    for (const Json& item : data::get_array(*list, {"items"})) {
      if (flags_.has_full_secrets) out += "---\n" + data::dump_yaml(item);
      rows.push_back({std::string(kube::namespace_of(item)), std::string(kube::name_of(item)),
                      std::string(data::get_string(item, {"type"})),
                      std::to_string(data::get_object(item, {"data"}).size())});
    }
    return flags_.has_full_secrets ? out : format_table(rows, 3);
  }

  std::string events() {
    const auto list = client_.list(kube::resources::events(), "");
    if (!list) {
      note("listing events: " + list.error().message());
      return {};
    }
    std::vector<std::vector<std::string>> rows;
    for (const Json& item : data::get_array(*list, {"items"})) {
      rows.push_back({std::string(data::get_string(item, {"lastTimestamp"})),
                      std::string(kube::namespace_of(item)),
                      std::string(data::get_string(item, {"type"})),
                      std::string(data::get_string(item, {"reason"})),
                      std::string(data::get_string(item, {"involvedObject", "kind"})) + "/" +
                          std::string(data::get_string(item, {"involvedObject", "name"})),
                      std::string(data::get_string(item, {"message"}))});
    }
    std::sort(rows.begin(), rows.end());
    rows.insert(rows.begin(), {"LAST SEEN", "NAMESPACE", "TYPE", "REASON", "OBJECT", "MESSAGE"});
    return format_table(rows, 3);
  }

  std::string log_of(const Json& pod, std::string_view container) {
    std::string path =
        kube::resources::pods().path(kube::namespace_of(pod), kube::name_of(pod), "log") +
        "?container=" + std::string(container) + "&limitBytes=" + std::to_string(kMostLogBytes);
    if (flags_.tail > 0) path += "&tailLines=" + std::to_string(flags_.tail);
    if (!flags_.start_time.empty()) path += "&sinceTime=" + percent_encode(flags_.start_time);
    const auto get = [&](const std::string& suffix) {
      http::PlainRequest request;
      request.url = path + suffix;
      const auto reply = client_.raw(request);
      if (reply && reply->status == 200) return reply->body;
      note("log of " + kube::key_of(pod).to_string() + ": " +
           (reply ? std::to_string(reply->status) : reply.error().message()));
      return std::string();
    };
    const std::string now = get("");
    for (const Json& status : data::get_array(pod, {"status", "containerStatuses"})) {
      if (data::get_string(status, {"name"}) != container ||
          data::get_int(status, {"restartCount"}, 0) == 0)
        continue;
      return "========= Previous log present (appended at the end) =========\n\n" + now +
             "\n\n========= Previous log =========\n\n" + get("&previous=true");
    }
    return now;
  }

  template <std::size_t N>
  Result<> pages(const Json& pod, int port, const char* const (&paths)[N],
                 const std::string& folder) {
    for (const char* path : paths) {
      const auto reply = kube::pod_get(client_, kube::key_of(pod), port, "/" + std::string(path));
      if (reply && reply->status == 200) {
        TRY(file(folder + path, reply->body));
      } else {
        note(folder + path + ": " +
             (reply ? std::to_string(reply->status) : reply.error().message()));
      }
    }
    return {};
  }

  Session& session_;
  const Flags& flags_;
  kube::Client& client_;
  Clock::time_point end_;
  std::unique_ptr<Archive> archive_;
  std::string log_;
};

// Another command's output, as text.
std::string output_of(const Session& like, const std::vector<std::string>& arguments) {
  std::istringstream in;
  std::ostringstream out;
  Session session(in, out, out);
  session.kubeconfig = like.kubeconfig;
  session.context = like.context;
  session.istio_ns = like.istio_ns;
  run_istioctl(arguments, session);
  return out.str();
}

Result<> report(Session& session, Flags flags) {
  if (!flags.start_time.empty() && !flags.duration.empty())
    return invalid("only one --start-time or --duration may be set");
  if (!flags.duration.empty()) {
    const auto since = TRY(duration_of(flags.duration, "--duration"));
    flags.start_time = format_rfc3339(SystemClock().wall() - since);
  }
  const auto end = Clock::now() + TRY(duration_of(flags.timeout, "--timeout"));
  kube::Client* client = TRY(session.client());
  const std::string path =
      (flags.directory.empty() ? std::string(".") : flags.directory) + "/bug-report.tar.gz";
  Report made(session, flags, *client, end);
  TRY(made.open(path));
  const std::string versions = output_of(session, {"version"});
  session.out << versions << "\n✅ Fetching Istio control plane information from cluster.\n\n";
  TRY(made.file("versions", versions));
  if (!flags.skips_cluster) TRY(made.cluster());
  TRY(made.context());
  session.out << "✅ Fetching logs for the following containers:\n\n";
  const Json pods = TRY(client->list(kube::resources::pods(), ""));
  std::size_t count = 0;
  for (const Json& pod : data::get_array(pods, {"items"})) {
    if (++count > kMostPods) {
      made.note("more than " + std::to_string(kMostPods) + " pods: use --include");
      break;
    }
    TRY(made.pod(pod));
  }
  if (!flags.skips_analyze) {
    session.out << "\n✅ Running Istio analyze on all namespaces and report as below:\n\n✅ Analysis "
                   "Report:\n";
    const std::string found = output_of(session, {"analyze", "-A"});
    session.out << found << "\n";
    TRY(made.file("analyze/allNamespaces/allNamespaces", found));
  }
  TRY(made.finish());
  if (flags.is_dry_run) session.out << "✅ Dry run, skipping archive creation at " << path << ".\n";
  else session.out << "✅ Creating an archive at " << path << ".\n";
  session.out << "✅ Done.\n";
  return {};
}

}  // namespace

void add_bug_report_command(CLI::App& app, Session& session) {
  auto* command =
      app.add_subcommand("bug-report", "Cluster information and log capture support tool.");
  auto flags = std::make_shared<Flags>();
  command
      ->add_option("--include", flags->include,
                   "Pods whose logs to take: "
                   "ns,…/dep,…/pod,…/label=v,…/annotation=v,…/container,…; * is a wildcard")
      ->allow_extra_args(false);
  command->add_option("--exclude", flags->exclude, "Pods to leave out, in the same form")
      ->allow_extra_args(false);
  command->add_option("--output-dir", flags->directory,
                      "Where the archive goes; else the current directory");
  command->add_option("--start-time", flags->start_time, "Log lines from then on (RFC 3339)");
  command->add_option("--duration", flags->duration, "Log lines of the last …");
  command->add_option("--timeout", flags->timeout, "The most time to spend on logs and proxies")
      ->capture_default_str();
  command->add_option("--tail", flags->tail,
                      "The last lines of each log only; 0: all, up to 16 MiB");
  command->add_option("--istio-namespace", session.istio_ns,
                      "Namespace where the control plane is installed");
  command->add_option("--proxy-admin-port", flags->admin_port, "The proxies' admin port")
      ->capture_default_str();
  command->add_flag("--dry-run", flags->is_dry_run, "Fetch, but write nothing");
  command->add_flag("--full-secrets", flags->has_full_secrets, "Secrets with what is in them");
  command->add_flag("--skip-cluster-dump", flags->skips_cluster, "No objects of the cluster");
  command->add_flag("--skip-analyze", flags->skips_analyze, "No istioctl analyze");
  command->add_flag("--skip-proxy-debug", flags->skips_proxies,
                    "Nothing from proxies' admin ports");
  on_run(*command, session, [&session, flags] { return report(session, *flags); });
}

}  // namespace lateen::cli
