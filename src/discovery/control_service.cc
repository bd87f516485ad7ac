#include "discovery/control_service.h"

#include <algorithm>

#include "base/log_scopes.h"
#include "base/strings.h"
#include "data/json.h"

namespace lateen::discovery {
namespace {

using data::Json;
using data::JsonArray;
using data::JsonObject;

constexpr std::size_t kMostBytes = 64u << 10;
constexpr std::string_view kPrefix = "/scopej";
constexpr const char* kLevels[] = {"debug", "info", "warn", "error", "none"};

struct Scope {
  const char *name, *description;
};
constexpr Scope kScopes[] = {
    {"ads", "Streams of proxies: what they ask for, are sent and reject"},
    {"ca", "Signing of certificates and rotation of the root"},
    {"default", "All scopes without a level of their own"},
    {"discovery", "Start, ports and configuration of the control plane"},
    {"envoyfilter", "Patches of EnvoyFilters"},
    {"events", "Events written to the cluster"},
    {"http", "Listening ports"},
    {"ingest", "Objects of the cluster becoming a snapshot"},
    {"injector", "Injection of sidecars"},
    {"jwks", "Keys of token issuers"},
    {"kube", "The connection to the API server"},
    {"registration", "Workload entries of machines"},
    {"status", "Statuses written to the cluster"},
    {"store", "Objects that are taken or refused"},
    {"webhook", "Admission webhooks"},
};

JsonObject json_of(const Scope& scope) {
  const auto own = log::scope_levels();
  const auto found = own.find(scope.name);
  const auto level = found == own.end() ? log::default_level() : found->second;
  return {{"name", scope.name},
          {"description", scope.description},
          {"output_level", kLevels[static_cast<int>(level)]},
          {"stack_trace_level", "none"},
          {"log_callers", false}};
}

const Scope* find_scope(std::string_view name) {
  const auto* found = std::find_if(std::begin(kScopes), std::end(kScopes),
                                   [&](const Scope& s) { return name == s.name; });
  return found == std::end(kScopes) ? nullptr : found;
}

void set_level(const Scope& scope, log::Level level) {
  if (std::string_view(scope.name) != "default") return log::set_scope_level(scope.name, level);
  const auto own = log::scope_levels();
  log::set_all_levels(level);
  for (const auto& [name, theirs] : own) log::set_scope_level(name, theirs);
}

Result<> change(const Scope& scope, std::string_view body) {
  const Json wanted = TRY(data::parse_json(body).at("unable to decode request"));
  const auto stack = data::get_string(wanted, {"stack_trace_level"});
  if (!stack.empty() && stack != "none")
    return invalid("this control plane's log has no stack traces");
  const auto text = data::get_string(wanted, {"output_level"});
  if (text.empty()) return {};
  for (std::size_t i = 0; i < std::size(kLevels); ++i) {
    if (text != kLevels[i]) continue;
    set_level(scope, static_cast<log::Level>(i));
    return {};
  }
  return invalid("unknown level \"" + std::string(text) +
                 "\": one of debug, info, warn, error, none");
}

}  // namespace

void ControlService::handle(http::Exchange& exchange, http::Request request, http::Done done) {
  std::string_view path = request.path.substr(0, request.path.find('?'));
  const bool is_scopes =
      path.starts_with(kPrefix) && (path.size() == kPrefix.size() || path[kPrefix.size()] == '/');
  if (!is_scopes) return pages_.handle(exchange, std::move(request), std::move(done));
  const auto answer = [](http::Exchange& to, int status, std::string body) {
    return http::Response::text(to.arena, status, std::move(body), "application/json");
  };
  path.remove_prefix(kPrefix.size());
  if (path.empty() || path == "/") {
    if (request.method != "GET") return done(answer(exchange, 405, "{}"));
    JsonArray all;
    for (const Scope& scope : kScopes) all.push_back(json_of(scope));
    return done(answer(exchange, 200, data::dump_json(all)));
  }
  const auto name = percent_decode(path.substr(1));
  const Scope* scope = name ? find_scope(*name) : nullptr;
  if (scope == nullptr)
    return done(
        answer(exchange, 400, data::dump_json(JsonObject{{"error", "unknown scope name"}})));
  if (request.method == "GET") return done(answer(exchange, 200, data::dump_json(json_of(*scope))));
  if (request.method != "PUT") return done(answer(exchange, 405, "{}"));
  http::read_all(exchange.scope, exchange.loop, std::move(request.body), kMostBytes,
                 [answer, scope, &exchange, done = std::move(done)](Result<Buffer> body) {
                   if (!body.ok()) return done(std::move(body).error());
                   const auto changed = change(*scope, body->to_string());
                   if (changed.ok()) return done(answer(exchange, 202, ""));
                   done(answer(exchange, 400,
                               data::dump_json(JsonObject{{"error", changed.error().message()}})));
                 });
}

}  // namespace lateen::discovery
