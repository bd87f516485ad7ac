// Checks of DestinationRules' TLS (IST0128, IST0129), service ports (IST0116, IST0118),
// AuthorizationPolicies (IST0101), EnvoyFilters (IST0151 to IST0154) and ServiceEntries (IST0134).
#include <algorithm>
#include <map>
#include <set>

#include "base/strings.h"
#include "cli/analysis/world.h"
#include "mesh/hostname.h"

namespace lateen::cli {
namespace {

bool is_unverified(const Json& tls) {
  const auto mode = data::get_string(tls, {"mode"});
  return (mode == "SIMPLE" || mode == "MUTUAL") &&
         data::get_string(tls, {"caCertificates"}).empty() &&
         data::get_string(tls, {"credentialName"}).empty() &&
         !data::get_bool(tls, {"insecureSkipVerify"});
}

bool is_conventional(std::string_view name) {
  static constexpr std::string_view kProtocols[] = {"http",  "http2", "https",    "tcp",
                                                    "tls",   "grpc",  "grpc-web", "mongo",
                                                    "mysql", "redis", "udp",      "hbone"};
  for (const auto protocol : kProtocols) {
    if (name == protocol || name.starts_with(std::string(protocol) + "-")) return true;
  }
  return false;
}

void check_shared_ports(const World& world, std::vector<Message>& out) {
  for (const Subject& deployment : world.all("Deployment")) {
    std::map<std::int64_t, std::map<std::string, std::vector<std::string>>>
        users;  // port -> protocol -> services
    const Json* labels = data::find(deployment.object, {"spec", "template", "metadata"});
    if (labels == nullptr) continue;
    Json as_pod = data::JsonObject();
    data::set(as_pod, {"metadata"}, *labels);
    for (const Subject& service : world.all("Service")) {
      const auto& selector = data::get_object(service.object, {"spec", "selector"});
      if (kube::namespace_of(service.object) != kube::namespace_of(deployment.object) ||
          selector.empty() || !labels_match(selector, as_pod))
        continue;
      for (const Json& port : data::get_array(service.object, {"spec", "ports"})) {
        users[data::get_int(port, {"port"})]
             [std::string(data::get_string(port, {"protocol"}, "TCP"))]
                 .emplace_back(kube::name_of(service.object));
      }
    }
    for (const auto& [port, protocols] : users) {
      if (protocols.size() < 2) continue;
      std::vector<std::string> names;
      for (const auto& [protocol, services] : protocols)
        names.insert(names.end(), services.begin(), services.end());
      out.push_back(about(deployment, "IST0116", Severity::kWarning,
                          "This deployment " + kube::key_of(deployment.object).to_string() +
                              " is associated with multiple services using port " +
                              std::to_string(port) + " but different protocols: [" +
                              join(names, " ") + "]"));
    }
  }
}

}  // namespace

void check_destination_tls(const World& world, std::vector<Message>& out) {
  for (const Subject& rule : world.all("DestinationRule")) {
    const std::string name(kube::name_of(rule.object)), ns(kube::namespace_of(rule.object)),
        host(data::get_string(rule.object, {"spec", "host"}));
    const auto report = [&](const Json& tls, const std::string& port) {
      out.push_back(
          about(rule, port.empty() ? "IST0128" : "IST0129", Severity::kWarning,
                "DestinationRule " + name + " in namespace " + ns + " has TLS mode set to " +
                    std::string(data::get_string(tls, {"mode"})) +
                    " but no caCertificates are set to validate server identity for host: " + host +
                    (port.empty() ? "" : " at port " + port)));
    };
    if (const Json* tls = data::find(rule.object, {"spec", "trafficPolicy", "tls"});
        tls != nullptr && is_unverified(*tls))
      report(*tls, "");
    for (const Json& each :
         data::get_array(rule.object, {"spec", "trafficPolicy", "portLevelSettings"})) {
      const Json* tls = data::find(each, {"tls"});
      if (tls != nullptr && is_unverified(*tls))
        report(*tls, "number:" + std::to_string(data::get_int(each, {"port", "number"})));
    }
  }
}

void check_ports(const World& world, std::vector<Message>& out) {
  for (const Subject& service : world.all("Service")) {
    if (is_system_namespace(world, kube::namespace_of(service.object))) continue;
    // Services that only carry labels of the mesh's own parts are not the user's.
    for (const Json& port : data::get_array(service.object, {"spec", "ports"})) {
      const std::string name(data::get_string(port, {"name"}));
      if (data::get_string(port, {"protocol"}, "TCP") != "TCP" ||
          !data::get_string(port, {"appProtocol"}).empty() || is_conventional(name))
        continue;
      if (kube::name_of(service.object) == "kubernetes" &&
          kube::namespace_of(service.object) == "default")
        continue;
      const Json* target = data::find(port, {"targetPort"});
      const std::string target_text = target == nullptr
                                          ? std::to_string(data::get_int(port, {"port"}))
                                      : target->is_string() ? std::string(*target->if_string())
                                                            : data::dump_json(*target);
      out.push_back(about(service, "IST0118", Severity::kInfo,
                          "Port name " + name +
                              " (port: " + std::to_string(data::get_int(port, {"port"})) +
                              ", targetPort: " + target_text +
                              ") doesn't follow the naming convention of Istio port."));
    }
  }
  check_shared_ports(world, out);
}

void check_authorization(const World& world, std::vector<Message>& out) {
  for (const Subject& policy : world.all("AuthorizationPolicy")) {
    for (const Json& rule : data::get_array(policy.object, {"spec", "rules"})) {
      for (const Json& from : data::get_array(rule, {"from"})) {
        for (const Json& each : data::get_array(from, {"source", "namespaces"})) {
          const auto ns = data::as_string(each);
          const bool is_pattern = ns.find('*') != std::string_view::npos;
          if (is_pattern || world.all("Namespace").empty() ||
              world.find("Namespace", {"", std::string(ns)}) != nullptr)
            continue;
          out.push_back(about(policy, "IST0101", Severity::kError,
                              "Referenced namespace not found: " + quoted(ns)));
        }
      }
    }
  }
}

void check_envoy_filters(const World& world, std::vector<Message>& out) {
  for (const Subject& filter : world.all("EnvoyFilter")) {
    for (const Json& patch : data::get_array(filter.object, {"spec", "configPatches"})) {
      const auto operation = data::get_string(patch, {"patch", "operation"});
      const auto target = data::get_string(patch, {"applyTo"});
      const bool is_relative = operation == "INSERT_BEFORE" || operation == "INSERT_AFTER" ||
                               operation == "REMOVE" || operation == "REPLACE" ||
                               operation == "MERGE";
      if (data::get_int(filter.object, {"spec", "priority"}) == 0 && is_relative) {
        out.push_back(about(filter, "IST0151", Severity::kWarning,
                            "This EnvoyFilter does not have a priority and has a relative patch "
                            "operation set which can cause the EnvoyFilter not to be applied. "
                            "Using the INSERT_FIRST of ADD option or setting the priority may help "
                            "in ensuring the EnvoyFilter is applied correctly."));
      }
      if (operation == "REPLACE" && target != "HTTP_FILTER" && target != "NETWORK_FILTER")
        out.push_back(
            about(filter, "IST0152", Severity::kError,
                  "The REPLACE operation is only valid for HTTP_FILTER and NETWORK_FILTER."));
      const bool is_route = target == "ROUTE_CONFIGURATION" || target == "HTTP_ROUTE";
      if (operation == "ADD" && is_route)
        out.push_back(about(filter, "IST0153", Severity::kError,
                            "The ADD operation will be ignored when applyTo is set to "
                            "ROUTE_CONFIGURATION, or HTTP_ROUTE."));
      if (operation == "REMOVE" && is_route)
        out.push_back(about(filter, "IST0154", Severity::kError,
                            "The REMOVE operation will be ignored when applyTo is set to "
                            "ROUTE_CONFIGURATION, or HTTP_ROUTE."));
    }
  }
}

void check_service_entries(const World& world, std::vector<Message>& out) {
  for (const Subject& entry : world.all("ServiceEntry")) {
    if (!data::get_array(entry.object, {"spec", "addresses"}).empty()) continue;
    for (const Json& port : data::get_array(entry.object, {"spec", "ports"})) {
      const auto protocol = data::get_string(port, {"protocol"});
      if (protocol.empty() || iequals(protocol, "TCP")) {
        out.push_back(about(entry, "IST0134", Severity::kWarning,
                            "ServiceEntry addresses are required for this protocol."));
        break;
      }
    }
  }
}

}  // namespace lateen::cli
