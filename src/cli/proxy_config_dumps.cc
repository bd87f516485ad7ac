// proxy-config ecds and rootca-compare: extensions that a proxy has fetched, and whether two
// proxies trust the same root.
#include <algorithm>
#include <set>

#include "base/strings.h"
#include "cli/envoy_dump.h"
#include "cli/istioctl.h"
#include "cli/proxy_admin.h"
#include "tls/x509.h"

namespace lateen::cli {
namespace {

constexpr std::string_view kTypePrefix = "type.googleapis.com/";

struct Flags {
  std::string pod, file, output = "short";
  int admin_port = kProxyAdminPort;
};

Result<Json> dump_of(Session& session, const Json& pod, int port, const std::string& query) {
  return proxy_json(*TRY(session.client()), pod, port, "/config_dump" + query);
}

Result<> print_extensions(Session& session, const Flags& flags) {
  if (flags.pod.empty() == flags.file.empty())
    return invalid("ecds requires pod name or --file parameter");
  Json dump;
  if (!flags.file.empty()) {
    dump = TRY(data::parse_json(TRY(read_input(session, flags.file))).at(flags.file));
  } else {
    dump = TRY(
        dump_of(session, TRY(find_pod(session, flags.pod)), flags.admin_port, "?include_eds=true"));
  }
  const Json* found = section(dump, "EcdsConfigDump");
  if (found == nullptr)
    return not_found(
        "config dump has no configuration type type.googleapis.com/envoy.admin.v3.EcdsConfigDump");
  if (flags.output != "short") {
    session.out << TRY(format_as(camel_cased(*found), flags.output));
    return {};
  }
  std::vector<std::pair<std::string, std::string>> kept;  // type, name
  for (const Json& each : list_at(*found, {"ecds_filters"})) {
    auto type = text_at(each, {"ecds_filter", "typed_config", "@type"});
    if (type.starts_with(kTypePrefix)) type.remove_prefix(kTypePrefix.size());
    kept.emplace_back(type, text_at(each, {"ecds_filter", "name"}));
  }
  std::sort(kept.begin(), kept.end());
  std::vector<std::vector<std::string>> rows = {{"ECDS NAME", "TYPE"}};
  for (const auto& [type, name] : kept) rows.push_back({name, type});
  session.out << format_table(rows);
  return {};
}

// The certificates, as PEM, that a proxy trusts for the mesh.
Result<std::set<std::string>> roots_of(Session& session, const Json& pod, int port) {
  const Json dump =
      TRY(dump_of(session, pod, port, "?mask=dynamic_active_secrets,dynamic_warming_secrets"));
  const Json* secrets = section(dump, "SecretsConfigDump");
  for (const Json& each :
       secrets == nullptr ? data::JsonArray() : list_at(*secrets, {"dynamic_active_secrets"})) {
    if (text_at(each, {"name"}) != "ROOTCA") continue;
    std::string pem(text_at(each, {"secret", "validation_context", "trusted_ca", "inline_string"}));
    if (pem.empty())
      pem = TRY(base64_decode(
          text_at(each, {"secret", "validation_context", "trusted_ca", "inline_bytes"})));
    std::set<std::string> out;
    for (const auto& certificate :
         TRY(tls::parse_certificates(pem).at("ROOTCA of pod " + kube::key_of(pod).to_string())))
      out.insert(certificate.pem);
    return out;
  }
  return not_found("cannot find ROOTCA from secret of pod " + kube::key_of(pod).to_string());
}

Result<> compare_roots(Session& session, const std::vector<std::string>& names, int port) {
  if (names.size() != 2) return invalid("rootca-compare requires 2 pods as an argument");
  std::vector<std::set<std::string>> roots;
  std::string who;
  for (const std::string& name : names) {
    const Json pod = TRY(find_pod(session, name));
    roots.push_back(TRY(roots_of(session, pod, port)));
    who += (who.empty() ? "Both [" : " and [") + std::string(kube::name_of(pod)) + "." +
           std::string(kube::namespace_of(pod)) + "]";
  }
  const bool is_shared = std::any_of(roots[0].begin(), roots[0].end(), [&](const std::string& pem) {
    return roots[1].contains(pem);
  });
  if (!is_shared)
    return invalid(who +
                   " have the non identical ROOTCA, theoretically the connectivity between them is "
                   "unavailable");
  session.out
      << who
      << " have the identical ROOTCA, theoretically the connectivity between them is available\n";
  return {};
}

}  // namespace

void add_proxy_config_dumps(CLI::App& group, Session& session) {
  auto* ecds =
      group
          .add_subcommand(
              "ecds", "Retrieves typed extension configuration for the Envoy in the specified pod")
          ->alias("ec");
  auto flags = std::make_shared<Flags>();
  ecds->add_option("pod", flags->pod, "NAME[.NAMESPACE] or deployment/NAME");
  ecds->add_option("-f,--file", flags->file, "A config dump file instead of a pod");
  ecds->add_option("-o,--output", flags->output, "json, yaml or short")->capture_default_str();
  ecds->add_option("--proxy-admin-port", flags->admin_port, "The proxy's admin port")
      ->capture_default_str();
  on_run(*ecds, session, [&session, flags] { return print_extensions(session, *flags); });

  auto* compare =
      group.add_subcommand("rootca-compare", "Compare ROOTCA values for the two given pods")
          ->alias("rc");
  auto pods = std::make_shared<std::vector<std::string>>();
  auto port = std::make_shared<int>(kProxyAdminPort);
  compare->add_option("pods", *pods, "NAME[.NAMESPACE] or deployment/NAME, twice");
  compare->add_option("--proxy-admin-port", *port, "The proxies' admin port")
      ->capture_default_str();
  on_run(*compare, session,
         [&session, pods, port] { return compare_roots(session, *pods, *port); });
}

}  // namespace lateen::cli
