// What istioctl explain says of each call of each scenario is compared with what happened to it.
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>

#include "base/log.h"
#include "base/strings.h"
#include "cli/explain/walk.h"
#include "kube/memory_server.h"
#include "proxy/admin/admin.h"
#include "scenario.h"

namespace lateen::mesh_test {
namespace {

using cli::explain::Outcome;
using cli::explain::Report;
using data::Json;

constexpr const char* kGroups[] = {"networking.istio.io", "security.istio.io"};

std::vector<kube::Resource> istio_resources() {
  return {{kGroups[0], "v1beta1", "virtualservices", "VirtualService", true},
          {kGroups[0], "v1beta1", "destinationrules", "DestinationRule", true},
          {kGroups[0], "v1beta1", "serviceentries", "ServiceEntry", true},
          {kGroups[1], "v1beta1", "peerauthentications", "PeerAuthentication", true},
          {kGroups[1], "v1beta1", "requestauthentications", "RequestAuthentication", true},
          {kGroups[1], "v1beta1", "authorizationpolicies", "AuthorizationPolicy", true}};
}

// The mesh's objects behind a client, in the version that is asked for.
void fill(const Mesh& mesh, kube::MemoryServer& server) {
  const auto known = istio_resources();
  for (Json object : mesh.objects()) {
    const std::string version(kube::api_version_of(object));
    for (const char* group : kGroups) {
      if (version.starts_with(group))
        data::set(object, {"apiVersion"}, Json(std::string(group) + "/v1beta1"));
    }
    const bool is_istio = version.find("istio.io") != std::string::npos;
    const bool is_known = std::any_of(known.begin(), known.end(), [&](const auto& resource) {
      return resource.kind == kube::kind_of(object);
    });
    if (is_istio && !is_known) continue;
    server.put(object);
  }
}

Result<Json> ask(Mesh& mesh, const Json& pod, const std::string& path) {
  Pod* found = mesh.find_pod(kube::name_of(pod));
  if (found == nullptr || found->proxy() == nullptr) return unavailable("no proxy");
  if (path.starts_with("/clusters")) return data::parse_json(proxy::clusters_json(*found->proxy()));
  return data::parse_json(TRY(proxy::config_dump(*found->proxy(), {.has_endpoints = true})));
}

// The pod whose proxy sees the call first; a gateway for calls from outside.
const Pod* source_of(Mesh& mesh, const Call& call) {
  if (call.from != nullptr && !call.from->spec().is_external) return call.from;
  if (call.connect_to == "10.96.1.1") return mesh.find_pod("istio-ingressgateway");
  if (call.connect_to == "10.96.1.2") return mesh.find_pod("istio-egressgateway");
  return nullptr;
}

Result<Report> explain_call(Mesh& mesh, const Call& call, const Pod& source) {
  kube::MemoryServer server(istio_resources());
  fill(mesh, server);
  kube::Client client(server.transport());
  cli::explain::World world(
      client, [&](const Json& pod, const std::string& path) { return ask(mesh, pod, path); },
      "istio-system");
  cli::explain::Question question;
  question.source =
      TRY(client.get(kube::resources::pods(), {source.spec().ns, source.spec().name}));
  const bool is_gateway = source.spec().is_gateway;
  const std::string host = call.connect_to.empty() || is_gateway ? call.host : call.connect_to;
  question.destination = call.scheme + "://" + host + ":" + std::to_string(call.port);
  question.method = call.method;
  question.path = call.path;
  for (const auto& [name, value] : call.headers) question.headers[to_lower(name)] = value;
  if (!call.authority.empty()) question.headers["host"] = call.authority;
  else if (host != call.host) question.headers["host"] = call.host;
  return cli::explain::explain(world, question);
}

// Empty: the explanation fits what happened.
std::string misfit(const Call& call, const Answer& answer, const Report& report) {
  const Outcome verdict = report.verdict();
  const auto body = data::parse_json(answer.body);
  const std::string served_by(body.ok() ? data::get_string(*body, {"served_by"}) : "");
  if (!served_by.empty()) {
    if (verdict == Outcome::kStop) return "it arrived at " + served_by;
    const bool is_named = std::any_of(report.ends.begin(), report.ends.end(), [&](const auto& end) {
      return end.outcome != Outcome::kStop && end.at.starts_with(served_by);
    });
    const bool is_inside = std::any_of(report.ends.begin(), report.ends.end(), [](const auto& end) {
      return end.at.find(".default") != std::string::npos;
    });
    // An authorizer may answer itself.
    const bool is_authorizer =
        verdict == Outcome::kMaybe &&
        std::any_of(report.steps.begin(), report.steps.end(), [&](const auto& step) {
          return step.subject.starts_with("an external authorizer decides");
        });
    return is_named || !is_inside || is_authorizer ? "" : "it arrived at " + served_by;
  }
  const bool is_refused = answer.status == 401 || answer.status == 404 ||
                          (answer.status == 403 && answer.body.starts_with("RBAC")) ||
                          (answer.status == 0 && !call.scheme.starts_with("tls"));
  if (is_refused && verdict == Outcome::kPass)
    return "it was refused: " + std::to_string(answer.status) + " " + answer.error + " " +
           answer.body;
  return {};
}

class Explained : public testing::TestWithParam<std::string> {};

TEST_P(Explained, AsItHappens) {
  log::set_level(log::Level::kNone);
  int compared = 0;
  std::string last;
  const auto problems =
      run_scenario(GetParam(), [&](Mesh& mesh, const Call& call, const Answer& answer) {
        const Pod* source = source_of(mesh, call);
        if (source == nullptr) return;
        const std::string what = call.method + " " + call.scheme + "://" + call.host + call.path;
        if (what == last) return;  // of a series, once is enough
        last = what;
        const auto report = explain_call(mesh, call, *source);
        if (!report.ok()) {
          ADD_FAILURE() << what << ": " << report.error().message();
          return;
        }
        ++compared;
        EXPECT_EQ(misfit(call, answer, *report), "") << what << "\n"
                                                     << cli::explain::format_text(*report, false);
      });
  EXPECT_TRUE(problems.empty()) << problems.front();
  RecordProperty("compared", compared);
}

INSTANTIATE_TEST_SUITE_P(Mesh, Explained, testing::ValuesIn(scenario_files()),
                         [](const testing::TestParamInfo<std::string>& info) {
                           return std::filesystem::path(info.param).stem().string();
                         });

}  // namespace
}  // namespace lateen::mesh_test
