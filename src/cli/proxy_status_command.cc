// proxy-status: what each istiod has sent to its proxies and what they accepted; for one proxy, the
// difference between the two.
#include <algorithm>
#include <map>

#include "base/strings.h"
#include "cli/control_plane.h"
#include "cli/envoy_dump.h"
#include "cli/istioctl.h"
#include "cli/proxy_admin.h"
#include "cli/text_diff.h"
#include "data/yaml.h"
#include "kube/port_forward.h"

namespace lateen::cli {
namespace {

struct StatusFlags {
  std::string pod;
  std::string revision;
  std::string output = "table";
  std::string file;
  int verbosity = 0;
  int admin_port = kProxyAdminPort;
};

std::string sync_state(const Json& proxy, std::string_view kind) {
  const std::string sent(data::get_string(proxy, {std::string(kind) + "_sent"})),
      acked(data::get_string(proxy, {std::string(kind) + "_acked"}));
  if (sent.empty()) return "NOT SENT";
  if (sent == acked) return "SYNCED";
  return acked.empty() ? "STALE (Never Acknowledged)" : "STALE";
}

Result<> list_all(Session& session, const StatusFlags& flags) {
  const auto answers = TRY(ask_istiods(session, "/debug/syncz", flags.revision));
  std::vector<std::vector<std::string>> rows;
  data::JsonArray all;
  for (const auto& answer : answers) {
    const Json parsed = TRY(data::parse_json(answer.body).at("istiod " + answer.pod));
    const data::JsonArray* proxies = parsed.if_array();
    for (const Json& proxy : proxies != nullptr ? *proxies : data::JsonArray()) {
      const std::string name(data::get_string(proxy, {"proxy"}));
      if (!session.ns.empty() && !name.ends_with("." + session.ns)) continue;
      std::string version(data::get_string(proxy, {"istio_version"}));
      if (version.empty()) version = std::string(data::get_string(proxy, {"proxy_version"})) + "*";
      rows.push_back({name, std::string(data::get_string(proxy, {"cluster_id"}, "Kubernetes")),
                      sync_state(proxy, "cluster"), sync_state(proxy, "listener"),
                      sync_state(proxy, "endpoint"), sync_state(proxy, "route"),
                      sync_state(proxy, "extensionconfig"), answer.pod, version});
      all.push_back(proxy);
    }
  }
  if (flags.output != "table") {
    session.out << TRY(format_as(Json(std::move(all)), flags.output));
    return {};
  }
  if (rows.empty()) {
    session.err << "no proxies found (checked " << answers.size() << " istiods)\n";
    return {};
  }
  std::sort(rows.begin(), rows.end());
  rows.insert(rows.begin(),
              {"NAME", "CLUSTER", "CDS", "LDS", "EDS", "RDS", "ECDS", "ISTIOD", "VERSION"});
  session.out << format_table(rows);
  return {};
}

// A message type that one side cannot read is shown as bytes there: only its type can be compared.
void align_opaque(Json& a, Json& b, int depth = 0) {
  if (depth > data::kMaxJsonDepth) return;
  if (auto* x = a.if_array(), *y = b.if_array(); x != nullptr && y != nullptr) {
    for (std::size_t i = 0; i < std::min(x->size(), y->size()); ++i)
      align_opaque((*x)[i], (*y)[i], depth + 1);
    return;
  }
  auto *x = a.if_object(), *y = b.if_object();
  if (x == nullptr || y == nullptr) return;
  const auto is_opaque = [](const data::JsonObject& o) {
    const Json* value = o.if_contains("value");
    return o.size() == 2 && o.contains("@type") && value != nullptr && value->is_string();
  };
  const bool is_same_type = x->contains("@type") && y->contains("@type") &&
                            *x->if_contains("@type") == *y->if_contains("@type");
  if (is_same_type && (is_opaque(*x) || is_opaque(*y))) {
    for (auto* each : {x, y}) *each = data::JsonObject{{"@type", *each->if_contains("@type")}};
    return;
  }
  for (auto& entry : *x) {
    if (Json* twin = y->if_contains(entry.key())) align_opaque(entry.value(), *twin, depth + 1);
  }
}

// By name, so that order makes no difference.
std::map<std::string, Json> by_name(const std::vector<Json>& resources) {
  std::map<std::string, Json> out;
  for (const Json& each : resources) out[std::string(text_at(each, {"name"}))] = camel_cased(each);
  return out;
}

std::string as_text(const std::map<std::string, Json>& resources) {
  std::string out;
  for (const auto& [name, resource] : resources) out += data::dump_yaml(resource) + "---\n";
  return out;
}

void drop_local(std::vector<Json>& mine, const std::vector<Json>& theirs) {
  std::map<std::string, bool> known;
  for (const Json& each : theirs) known[std::string(text_at(each, {"name"}))] = true;
  // The proxy also has its bootstrap's own clusters and listeners.
  std::erase_if(mine, [&](const Json& each) {
    return !known.contains(std::string(text_at(each, {"name"})));
  });
}

void compare(Session& session, std::string_view title, std::vector<Json> of_istiod,
             std::vector<Json> of_proxy) {
  drop_local(of_proxy, of_istiod);
  auto theirs = by_name(of_istiod), ours = by_name(of_proxy);
  for (auto& [name, resource] : theirs) {
    if (const auto twin = ours.find(name); twin != ours.end()) align_opaque(resource, twin->second);
  }
  const std::string wanted = as_text(theirs), loaded = as_text(ours);
  if (wanted == loaded) {
    session.out << title << " Match\n";
    return;
  }
  session.out << title << " Don't Match\n--- Istiod " << title << "\n+++ Envoy " << title << "\n"
              << text_diff(wanted, loaded) << "\n";
}

Result<> compare_one(Session& session, const StatusFlags& flags) {
  const Json pod = TRY(find_pod(session, flags.pod));
  const std::string id =
      std::string(kube::name_of(pod)) + "." + std::string(kube::namespace_of(pod));
  Json of_istiod;
  std::string last_error = "no istiod runs";
  for (const Json& istiod : TRY(istiod_pods(session, flags.revision))) {
    auto reply = kube::pod_get(*TRY(session.client()), kube::key_of(istiod), 15014,
                               "/debug/config_dump?proxyID=" + id);
    if (reply && reply->status == 200) {
      of_istiod = TRY(data::parse_json(reply->body));
      break;
    }
    last_error = reply ? std::string(trim(reply->body)) : reply.error().message();
  }
  if (of_istiod.is_null()) return not_found("no istiod knows proxy " + id + ": " + last_error);
  Json of_proxy;
  if (!flags.file.empty()) {
    of_proxy = TRY(data::parse_json(TRY(read_input(session, flags.file))).at(flags.file));
  } else {
    of_proxy = TRY(proxy_json(*TRY(session.client()), pod, flags.admin_port, "/config_dump"));
  }
  compare(session, "Clusters", clusters_in(of_istiod), clusters_in(of_proxy));
  compare(session, "Listeners", listeners_in(of_istiod), listeners_in(of_proxy));
  compare(session, "Routes", routes_in(of_istiod), routes_in(of_proxy));
  return {};
}

}  // namespace

void add_proxy_status_command(CLI::App& app, Session& session) {
  auto* command =
      app.add_subcommand("proxy-status",
                         "Retrieves the synchronization status of each Envoy in the mesh")
          ->alias("ps");
  auto flags = std::make_shared<StatusFlags>();
  command->add_option(
      "pod", flags->pod,
      "NAME[.NAMESPACE] or deployment/NAME: compare what istiod sent with what it loaded");
  command->add_option("-r,--revision", flags->revision, "Only this revision's control plane");
  command->add_option("-o,--output", flags->output, "table, json or yaml")->capture_default_str();
  command->add_option("-f,--file", flags->file, "The proxy's config dump as a file");
  command->add_option("-v,--verbosity", flags->verbosity, "Accepted; all types are always shown");
  command->add_option("--proxy-admin-port", flags->admin_port, "The proxy's admin port")
      ->capture_default_str();
  on_run(*command, session, [&session, flags] {
    return flags->pod.empty() ? list_all(session, *flags) : compare_one(session, *flags);
  });
}

}  // namespace lateen::cli
