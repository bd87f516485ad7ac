// experimental describe: a pod or service with the objects that decide about its traffic, as the
// proxies have them.
#include <algorithm>
#include <set>

#include "base/strings.h"
#include "cli/explain/choices.h"
#include "cli/explain/walk.h"
#include "cli/istioctl.h"
#include "cli/proxy_admin.h"
#include "mesh/hostname.h"
#include "mesh/protocol.h"

namespace lateen::cli {
namespace {

using explain::Loaded;
using explain::ObjectRef;
using explain::World;

std::string full_name(std::string_view host, std::string_view ns) {
  const std::string name = mesh::resolve_host(host, ns, "cluster.local");
  return name.ends_with(".cluster.local") || name.starts_with("*") ? name
                                                                   : name + ".svc.cluster.local";
}

std::string spaced(const std::vector<std::string>& words) { return join(words, ","); }

// A string match as routes are told: a whole value, or a prefix with a star.
std::string text_of(const Json& match) {
  if (const auto exact = data::get_string(match, {"exact"}); !exact.empty())
    return std::string(exact);
  if (const auto prefix = data::get_string(match, {"prefix"}); !prefix.empty())
    return std::string(prefix) + "*";
  return data::dump_json(match);
}

std::string match_text(const Json& match) {
  std::string out = "Match: ";
  if (const Json* uri = data::find(match, {"uri"})) {
    out += text_of(*uri);
    if (data::get_bool(match, {"ignoreUriCase"})) out += " uncased";
  }
  std::vector<std::string> headers;
  for (const auto& entry : data::get_object(match, {"headers"}))
    headers.push_back(std::string(entry.key()) + "=" + text_of(entry.value()));
  if (!headers.empty()) out += " when headers are " + join(headers, "; ");
  return std::string(trim(out));
}

std::string policies_text(const Json& policy) {
  std::vector<std::string> parts;
  for (const auto& [field, words] :
       {std::pair("loadBalancer", "load balancer"), std::pair("connectionPool", "connection pool"),
        std::pair("outlierDetection", "outlier detection")}) {
    if (data::find(policy, {field}) != nullptr) parts.emplace_back(words);
  }
  return parts.empty() ? "" : "Policies: " + join(parts, "/");
}

// Names of a rule's subsets that pick one of the pods, and of those that do not.
struct Subsets {
  std::vector<std::string> matching, others;
};
Subsets subsets_of(const Json& rule, const std::vector<Json>& pods) {
  Subsets out;
  for (const Json& subset : data::get_array(rule, {"spec", "subsets"})) {
    const auto& labels = data::get_object(subset, {"labels"});
    const bool is_matching = std::any_of(
        pods.begin(), pods.end(), [&](const Json& pod) { return explain::selects(labels, pod); });
    (is_matching ? out.matching : out.others).emplace_back(data::get_string(subset, {"name"}));
  }
  return out;
}

bool holds(const std::vector<std::string>& list, std::string_view wanted) {
  return std::find(list.begin(), list.end(), wanted) != list.end();
}

class Describer {
 public:
  Describer(Session& session, World& world, std::string ns)
      : out_(session.out), world_(world), ns_(std::move(ns)), root_ns_(session.istio_ns) {}

  Result<> describe_pod(const Json& pod) {
    describe_containers(pod);
    std::vector<const Json*> services;
    for (const Json& service : world_.all(kube::resources::services())) {
      const auto& selector = data::get_object(service, {"spec", "selector"});
      if (kube::namespace_of(service) == kube::namespace_of(pod) && !selector.empty() &&
          explain::selects(selector, pod))
        services.push_back(&service);
    }
    if (services.empty())
      out_ << "Warning: No Kubernetes Services select pod " << name_of(pod)
           << " (see https://istio.io/docs/setup/kubernetes/additional-setup/requirements/ )\n";
    out_ << "--------------------\n";
    TRY(describe_services(pod, services, {pod}));
    out_ << "--------------------\nEffective PeerAuthentication:\n   Workload mTLS mode: ";
    const auto rule = explain::peer_rule_for(world_, pod, 0);
    out_ << rule.mode << "\n";
    if (!rule.from.name.empty())
      out_ << "Applied PeerAuthentication:\n   " << rule.from.name << "." << rule.from.ns << "\n";
    return describe_ingress(services, {pod});
  }

  Result<> describe_service(const Json& service) {
    std::vector<Json> pods;
    int selected = 0;
    const auto& selector = data::get_object(service, {"spec", "selector"});
    for (const Json& pod : world_.pods()) {
      if (selector.empty() || kube::namespace_of(pod) != kube::namespace_of(service) ||
          !explain::selects(selector, pod))
        continue;
      ++selected;
      if (data::get_string(pod, {"status", "phase"}) == "Running" && explain::has_proxy(pod))
        pods.push_back(pod);
    }
    if (selected == 0) {
      out_ << "Service \"" << name_of(service) << "\" has no pods.\n";
      return {};
    }
    if (pods.empty()) {
      out_ << "Service \"" << name_of(service) << "\" has no Istio pods.  (" << selected
           << " pods in service).\nUse `istioctl kube-inject` or redeploy with Istio automatic "
              "sidecar injection.\n";
      return {};
    }
    TRY(describe_services(pods.front(), {&service}, pods));
    return describe_ingress({&service}, pods);
  }

 private:
  std::string name_of(const Json& object) const {
    return std::string(kube::name_of(object)) +
           (kube::namespace_of(object) == ns_ ? "" : "." + std::string(kube::namespace_of(object)));
  }

  void describe_containers(const Json& pod) {
    std::vector<std::string> ports;
    for (const std::string_view list : {"containers", "initContainers"}) {
      for (const Json& container : data::get_array(pod, {"spec", list})) {
        const std::string name(data::get_string(container, {"name"}));
        if (list == "initContainers" && name != "istio-proxy") continue;
        for (const Json& port : data::get_array(container, {"ports"})) {
          const auto protocol = data::get_string(port, {"protocol"}, "TCP");
          ports.push_back(std::to_string(data::get_int(port, {"containerPort"})) +
                          (protocol == "TCP" ? "" : "/" + std::string(protocol)) + " (" + name +
                          ")");
        }
        if (name != "istio-proxy" &&
            data::get_int(container, {"securityContext", "runAsUser"}) == 1337)
          out_ << "WARNING: User ID (UID) 1337 is reserved for the sidecar proxy.\n";
      }
    }
    std::string revision(kube::annotation(pod, "istio.io/rev"));
    if (revision.empty()) {
      const auto status = data::parse_json(kube::annotation(pod, "sidecar.istio.io/status"));
      if (status) revision = data::get_string(*status, {"revision"});
    }
    out_ << "Pod: " << name_of(pod) << "\n   Pod Revision: " << revision << "\n";
    if (ports.empty()) out_ << "   Pod does not expose ports\n";
    else out_ << "   Pod Ports: " << join(ports, ", ") << "\n";
    const auto phase = data::get_string(pod, {"status", "phase"});
    if (phase != "Running") {
      out_ << "   Pod is not Running (" << phase << ")\n";
      return;
    }
    for (const Json& status : data::get_array(pod, {"status", "containerStatuses"})) {
      if (!data::get_bool(status, {"ready"}))
        out_ << "WARNING: Pod " << name_of(pod) << " Container "
             << data::get_string(status, {"name"}) << " NOT READY\n";
    }
    if (!explain::has_proxy(pod)) {
      out_ << "WARNING: " << name_of(pod) << " is not part of mesh; no Istio sidecar\n";
      for (const std::string& why : explain::why_no_proxy(world_, pod))
        out_ << "   " << why << "\n";
      return;
    }
    constexpr const char* kSee =
        " label for Istio telemetry. See https://istio.io/docs/ops/deployment/requirements/.\n";
    if (kube::label(pod, "app").empty() &&
        kube::label(pod, "service.istio.io/canonical-name").empty() &&
        kube::label(pod, "app.kubernetes.io/name").empty())
      out_ << "Suggestion: add required service name" << kSee;
    if (kube::label(pod, "version").empty() &&
        kube::label(pod, "service.istio.io/canonical-revision").empty() &&
        kube::label(pod, "app.kubernetes.io/version").empty())
      out_ << "Suggestion: add required service revision" << kSee;
  }

  void describe_ports(const Json& service, const Json& pod) {
    out_ << "Service: " << name_of(service) << "\n";
    for (const Json& port : data::get_array(service, {"spec", "ports"})) {
      if (data::get_string(port, {"protocol"}, "TCP") != "TCP") continue;
      const auto name = data::get_string(port, {"name"});
      const auto number = data::get_int(port, {"port"});
      const auto app = data::get_string(port, {"appProtocol"});
      const std::string protocol = name.empty() && app.empty()
                                       ? "auto-detect"
                                       : std::string(mesh::to_string(mesh::select_protocol(
                                             static_cast<int>(number), name, "TCP", app)));
      out_ << "   Port: " << name << " " << number << "/" << protocol << " targets pod port "
           << target_of(port, pod) << "\n";
    }
  }

  static std::string target_of(const Json& port, const Json& pod) {
    const Json* target = data::find(port, {"targetPort"});
    if (target == nullptr) return std::to_string(data::get_int(port, {"port"}));
    if (!target->is_string()) return data::dump_json(*target);
    for (const Json& container : data::get_array(pod, {"spec", "containers"})) {
      for (const Json& one : data::get_array(container, {"ports"})) {
        if (data::get_string(one, {"name"}) == data::as_string(*target))
          return std::to_string(data::get_int(one, {"containerPort"}));
      }
    }
    return std::string(data::as_string(*target));
  }

  Result<> describe_services(const Json& pod, const std::vector<const Json*>& services,
                             const std::vector<Json>& pods) {
    if (!explain::has_proxy(pod)) return {};
    const Loaded* loaded = TRY(world_.loaded(pod));
    for (const Json* service : services) {
      if (service != services.front()) out_ << "--------------------\n";
      describe_ports(*service, pod);
      for (const Json& port : data::get_array(*service, {"spec", "ports"}))
        describe_port(*loaded, *service, data::get_int(port, {"port"}), pods);
      describe_policies(*loaded);
    }
    return {};
  }

  // What the proxy's own configuration says of a service's port.
  void describe_port(const Loaded& loaded, const Json& service, std::int64_t port,
                     const std::vector<Json>& pods) {
    const std::string host = full_name(kube::name_of(service), kube::namespace_of(service));
    const Json* rule = nullptr;
    const Json* cluster = loaded.cluster("outbound|" + std::to_string(port) + "||" + host);
    if (cluster != nullptr) {
      for (const ObjectRef& ref : explain::objects_of(*cluster)) {
        if (ref.kind != "DestinationRule") continue;
        rule = find("destinationrules", ref);
        if (rule == nullptr) stale("destination rule", ref);
      }
    }
    Subsets subsets;
    if (rule != nullptr) {
      subsets = subsets_of(*rule, pods);
      describe_rule(*rule, subsets);
    }
    ObjectRef ref;
    if (!route_object(loaded, host, port, ref)) return;
    const Json* routes = find("virtualservices", ref);
    if (routes == nullptr) stale("virtual service", ref);
    else describe_routes(*routes, host, subsets, rule);
  }

  void stale(std::string_view what, const ObjectRef& ref) {
    out_ << "WARNING: Proxy is stale; it references to non-existent " << what << " " << ref.name
         << "." << ref.ns << "\n";
  }

  const Json* find(std::string_view plural, const ObjectRef& ref) {
    return world_.find(explain::istio_networking(plural, ref.kind), ref.ns, ref.name);
  }

  static bool route_object(const Loaded& loaded, const std::string& host, std::int64_t port,
                           ObjectRef& out) {
    const std::string wanted = host + ":" + std::to_string(port);
    for (const Json& config : loaded.routes) {
      const auto name = text_at(config, {"name"});
      const bool is_gateway = name.starts_with("http.") || name.starts_with("https.");
      if (name != std::to_string(port) && !is_gateway) continue;
      for (const Json& virtual_host : list_at(config, {"virtual_hosts"})) {
        if (!is_gateway && text_at(virtual_host, {"name"}) != wanted) continue;
        for (const Json& route : list_at(virtual_host, {"routes"})) {
          const auto objects = explain::objects_of(route);
          if (objects.empty() || (is_gateway && !leads_to(route, host))) continue;
          out = objects.front();
          return true;
        }
      }
    }
    return false;
  }

  static bool leads_to(const Json& route, const std::string& host) {
    const Json* action = member(route, "route");
    if (action == nullptr) return false;
    const auto destinations = explain::destinations_of(*action);
    return std::any_of(destinations.begin(), destinations.end(),
                       [&](const auto& each) { return each.cluster.ends_with("|" + host); });
  }

  void describe_rule(const Json& rule, const Subsets& subsets) {
    out_ << "DestinationRule: " << name_of(rule) << " for \""
         << data::get_string(rule, {"spec", "host"}) << "\"\n";
    if (!subsets.matching.empty() || !subsets.others.empty()) {
      if (subsets.matching.empty())
        out_ << "   WARNING POD DOES NOT MATCH ANY SUBSETS.  (Non matching subsets "
             << spaced(subsets.others) << ")\n";
      out_ << "   Matching subsets: " << spaced(subsets.matching) << "\n";
      if (!subsets.others.empty())
        out_ << "      (Non-matching subsets " << spaced(subsets.others) << ")\n";
    }
    const Json* policy = data::find(rule, {"spec", "trafficPolicy"});
    if (policy == nullptr) {
      out_ << "   No Traffic Policy\n";
      return;
    }
    if (data::find(*policy, {"tls"}) != nullptr)
      out_ << "   Traffic Policy TLS Mode: "
           << data::get_string(*policy, {"tls", "mode"}, "DISABLE") << "\n";
    if (const auto text = policies_text(*policy); !text.empty()) out_ << "   " << text << "\n";
    const auto& ports = data::get_array(*policy, {"portLevelSettings"});
    if (!ports.empty()) out_ << "   Port Level Settings:\n";
    for (const Json& port : ports) {
      out_ << "    " << data::get_int(port, {"port", "number"}) << ":\n";
      if (data::find(port, {"tls"}) != nullptr)
        out_ << "      TLS Mode: " << data::get_string(port, {"tls", "mode"}, "DISABLE") << "\n";
      if (const auto text = policies_text(port); !text.empty()) out_ << "      " << text << "\n";
    }
  }

  // Whether a route leads to the service, and what is to be said of it.
  bool describe_route(const Json& virtual_service, const Json& route, const std::string& host,
                      const Subsets& subsets, const Json* rule, std::vector<std::string>& facts) {
    bool is_match = false;
    std::vector<std::string> mismatches;
    for (const Json& to : data::get_array(route, {"route"})) {
      const std::string given(data::get_string(to, {"destination", "host"}));
      const std::string subset(data::get_string(to, {"destination", "subset"}));
      const auto weight = data::get_int(to, {"weight"});
      if (full_name(given, kube::namespace_of(virtual_service)) != host) {
        facts.push_back(subset.empty() ? "Route to host \"" + given + "\" with weight " +
                                             std::to_string(weight) + "%"
                                       : "Route to " + given + " with invalid config");
        continue;
      }
      if (!subset.empty() && holds(subsets.others, subset)) {
        mismatches.push_back("Route to non-matching subset " + subset + " for (" +
                             matches_text(route) + ")");
        continue;
      }
      if (!subset.empty() && !holds(subsets.matching, subset)) {
        mismatches.push_back(rule == nullptr ? "Warning: Route to subset " + subset +
                                                   " but NO DESTINATION RULE defining subsets!"
                                             : "Warning: Route to UNKNOWN subset " + subset +
                                                   "; check DestinationRule " + name_of(*rule));
        continue;
      }
      is_match = true;
      if (weight > 0)
        facts.push_back("Route to host \"" + given + "\"" +
                        (subset.empty() ? "" : " subset \"" + subset + "\"") + " with weight " +
                        std::to_string(weight) + "%");
    }
    if (is_match) {
      std::vector<std::string> parts;
      if (const Json* fault = data::find(route, {"fault"}))
        parts.push_back("Fault injection " + data::dump_json(*fault));
      for (const Json& match : data::get_array(route, {"match"}))
        parts.push_back(match_text(match));
      if (!parts.empty()) facts.push_back(join(parts, ", "));
    } else {
      facts.insert(facts.end(), mismatches.begin(), mismatches.end());
    }
    return is_match;
  }

  static std::string matches_text(const Json& route) {
    std::vector<std::string> out;
    for (const Json& match : data::get_array(route, {"match"})) out.push_back(match_text(match));
    return out.empty() ? "everything" : join(out, ", ");
  }

  void describe_routes(const Json& virtual_service, const std::string& host, const Subsets& subsets,
                       const Json* rule) {
    out_ << "VirtualService: " << name_of(virtual_service) << "\n";
    std::size_t matches = 0, printed = 0;
    std::vector<std::string> mismatches;
    const auto& http = data::get_array(virtual_service, {"spec", "http"});
    const auto& tcp = data::get_array(virtual_service, {"spec", "tcp"});
    for (const auto* routes : {&http, &tcp}) {
      for (const Json& route : *routes) {
        std::vector<std::string> facts;
        if (!describe_route(virtual_service, route, host, subsets, rule, facts)) {
          mismatches.insert(mismatches.end(), facts.begin(), facts.end());
          continue;
        }
        ++matches;
        printed += facts.size();
        for (const std::string& fact : facts) out_ << "   " << fact << "\n";
      }
    }
    if (matches == 0) {
      for (const auto& [count, name] :
           {std::pair(http.size(), "HTTP"), std::pair(tcp.size(), "TCP")}) {
        if (count > 0)
          out_ << "   WARNING: No destinations match pod subsets (checked " << count << " " << name
               << " routes)\n";
      }
      for (const std::string& mismatch : mismatches) out_ << "      " << mismatch << "\n";
      return;
    }
    const std::size_t possible =
        http.size() + tcp.size() + data::get_array(virtual_service, {"spec", "tls"}).size();
    if (matches < possible) {
      out_ << "   " << possible - matches
           << " additional destination(s) that will not reach this pod\n";
      if (printed > 0) return;
      for (const std::string& mismatch : mismatches) out_ << "      " << mismatch << "\n";
    } else if (printed == 0) {
      if (!http.empty()) out_ << "   " << http.size() << " HTTP route(s)\n";
      if (!tcp.empty()) out_ << "   " << tcp.size() << " TCP route(s)\n";
    }
  }

  // Of the first HTTP chain that comes in.
  void describe_policies(const Loaded& loaded) {
    const Json* listener = loaded.listener("virtualInbound");
    if (listener == nullptr) return;
    for (const Json& chain : list_at(*listener, {"filter_chains"})) {
      const Json* http = explain::find_filter(chain, ".HttpConnectionManager");
      if (http == nullptr) continue;
      std::vector<std::string> names;
      for (const Json& filter : list_at(*http, {"http_filters"})) {
        const Json* policies = walk(filter, {"typed_config", "rules", "policies"});
        if (policies == nullptr || !policies->is_object()) continue;
        for (const auto& entry : *policies->if_object()) names.emplace_back(entry.key());
      }
      if (!names.empty()) out_ << "RBAC policies: " << join(names, ", ") << "\n";
      return;
    }
  }

  // Which gateways lead to the services.
  Result<> describe_ingress(const std::vector<const Json*>& services,
                            const std::vector<Json>& pods) {
    std::vector<const Json*> gateways;
    for (const Json& pod : world_.pods()) {
      if (kube::label(pod, "istio") == "ingressgateway" &&
          data::get_string(pod, {"status", "phase"}) == "Running")
        gateways.push_back(&pod);
    }
    if (gateways.empty()) {
      out_ << "Skipping Gateway information (no ingress gateway pods)\n";
      return {};
    }
    std::set<std::pair<std::string, std::string>> told;
    for (const Json* gateway : gateways) {
      const Loaded* loaded = TRY(world_.loaded(*gateway));
      for (const Json* service : services) {
        for (const Json& port : data::get_array(*service, {"spec", "ports"})) {
          const std::string host = full_name(kube::name_of(*service), kube::namespace_of(*service));
          ObjectRef ref;
          if (!route_object(*loaded, host, data::get_int(port, {"port"}), ref) ||
              !told.insert({ref.ns, ref.name}).second)
            continue;
          const Json* routes = find("virtualservices", ref);
          if (routes == nullptr) continue;
          out_ << "--------------------\n";
          describe_exposure(*gateway);
          const Json* rule = nullptr;
          for (const Json& each :
               world_.all(explain::istio_networking("destinationrules", "DestinationRule"))) {
            if (full_name(data::get_string(each, {"spec", "host"}), kube::namespace_of(each)) ==
                host)
              rule = &each;
          }
          describe_routes(*routes, host, rule == nullptr ? Subsets{} : subsets_of(*rule, pods),
                          rule);
        }
      }
    }
    return {};
  }

  void describe_exposure(const Json& gateway) {
    for (const Json& service : world_.all(kube::resources::services())) {
      const auto& selector = data::get_object(service, {"spec", "selector"});
      if (selector.empty() || kube::namespace_of(service) != kube::namespace_of(gateway) ||
          !explain::selects(selector, gateway))
        continue;
      const auto& addresses = data::get_array(service, {"status", "loadBalancer", "ingress"});
      std::string ip = addresses.empty()
                           ? std::string(data::get_string(gateway, {"status", "hostIP"}))
                           : std::string(data::get_string(addresses[0], {"ip"}));
      if (ip.empty()) ip = "unknown";
      for (const Json& port : data::get_array(service, {"spec", "ports"})) {
        const auto name = data::get_string(port, {"name"});
        if (name != "http" && name != "http2") continue;
        const auto number = data::get_int(port, {"port"});
        out_ << "Exposed on Ingress Gateway http://" << ip
             << (number == 80 ? "" : ":" + std::to_string(number)) << "\n";
      }
    }
  }

  std::ostream& out_;
  World& world_;
  std::string ns_, root_ns_;
};

struct Flags {
  std::string name;
  int admin_port = kProxyAdminPort;
  bool is_unmeshed_ignored = false;
};

Result<> describe(Session& session, const Flags& flags, bool is_service) {
  kube::Client* client = TRY(session.client());
  const std::string ns = TRY(session.effective_namespace());
  World world(*client, explain::by_forward(*client, flags.admin_port), session.istio_ns);
  Describer describer(session, world, ns);
  if (!is_service) return describer.describe_pod(TRY(find_pod(session, flags.name)));
  std::string name = flags.name, own_ns = ns;
  if (const auto dot = name.rfind('.'); dot != std::string::npos) {
    own_ns = name.substr(dot + 1);
    name = name.substr(0, dot);
  }
  return describer.describe_service(TRY(client->get(kube::resources::services(), {own_ns, name})));
}

}  // namespace

void add_describe_commands(CLI::App& app, Session& session) {
  auto* group = app.add_subcommand("describe", "Describe resource and related Istio configuration")
                    ->alias("des");
  group->require_subcommand(1);
  const auto add = [&](const char* name, const char* alias, const char* text, bool is_service) {
    auto* command = group->add_subcommand(name, text)->alias(alias);
    auto flags = std::make_shared<Flags>();
    command->add_option("name", flags->name, "NAME[.NAMESPACE]")->required();
    command->add_flag("--ignoreUnmeshed", flags->is_unmeshed_ignored, "Accepted for compatibility");
    command->add_option("--proxy-admin-port", flags->admin_port, "The proxy's admin port")
        ->capture_default_str();
    on_run(*command, session,
           [&session, flags, is_service] { return describe(session, *flags, is_service); });
  };
  add("pod", "po", "Describe pods and their Istio configuration", false);
  add("service", "svc", "Describe services and their Istio configuration", true);
}

}  // namespace lateen::cli
