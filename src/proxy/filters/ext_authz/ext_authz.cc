// External authorization over HTTP or gRPC (envoy.service.auth.v3): the service says yes, with
// changes for the upstream, or no, with its own answer for the client.

#include "base/strings.h"
#include "envoy/extensions/filters/http/ext_authz/v3/ext_authz.pb.h"
#include "envoy/service/auth/v3/external_auth.pb.h"
#include "grpc/client.h"
#include "http/h1_parser.h"
#include "proxy/filters/ext_authz/settings.h"
#include "proxy/filters/filters.h"
#include "proxy/http/config.h"
#include "proxy/stream/failure.h"
#include "xds/any.h"
#include "xds/json.h"

namespace lateen::proxy {
namespace {

namespace api = envoy::extensions::filters::http::ext_authz::v3;
namespace auth = envoy::service::auth::v3;
using Option = envoy::config::core::v3::HeaderValueOption;
using Options = google::protobuf::RepeatedPtrField<Option>;

// The first bytes of a body, and then all of it again for the upstream.
class PeekedBody final : public http::BodySource {
 public:
  PeekedBody(Buffer first, http::Body rest) : first_(std::move(first)), rest_(std::move(rest)) {}
  std::optional<Result<http::Chunk>> poll(http::Waker waker) override {
    if (!first_.empty()) return http::Chunk{std::move(first_), false, std::nullopt};
    return rest_.poll(waker);
  }

 private:
  Buffer first_;
  http::Body rest_;
};

class ExtAuthz final : public HttpFilter {
 public:
  explicit ExtAuthz(std::shared_ptr<const AuthzSettings> settings)
      : settings_(std::move(settings)) {}
  void handle(HttpState& stream, http::Request request, Next next, http::Done done) const override;

 private:
  struct Pending {
    http::Request request;
    Next next;
    http::Done done;
    const AuthzRoute* route;
    const AuthzService* service;
    std::string body;
    bool is_body_raw = false;
  };
  using PendingRef = std::shared_ptr<Pending>;
  // Collects what may be shown of the body.
  class Peek;

  void read_body(HttpState& stream, PendingRef pending, const AuthzBody& rules) const;
  void ask(HttpState& stream, PendingRef pending) const;
  void on_http_answer(HttpState& stream, const PendingRef& pending, SideResponse answer) const;
  void on_grpc_answer(HttpState& stream, const PendingRef& pending,
                      const auth::CheckResponse& answer) const;
  bool change_request(const auth::OkHttpResponse& from, http::Request& request) const;
  void allow(HttpState& stream, const PendingRef& pending,
             std::vector<std::pair<std::string, std::string>> on_response, const Options* more,
             bool is_changed) const;
  void fail(HttpState& stream, const PendingRef& pending) const;
  static void apply(const Options& options, http::Headers& headers);

  std::shared_ptr<const AuthzSettings> settings_;
};

void ExtAuthz::handle(HttpState& stream, http::Request request, Next next, http::Done done) const {
  const auto* entry = route_config_for(stream.info, settings_->name);
  const auto* route =
      entry == nullptr ? nullptr : dynamic_cast<const AuthzRoute*>(entry->config.get());
  if (route != nullptr && route->is_disabled)
    return next(stream, std::move(request), std::move(done));
  const bool is_on =
      stream.exchange.loop.random().below(1'000'000) < settings_->enabled &&
      (!settings_->enabled_metadata || settings_->enabled_metadata->matches(stream.info.metadata));
  if (!is_on) {
    if (!settings_->is_denied_when_off) return next(stream, std::move(request), std::move(done));
    return done(local_reply(stream, settings_->error_status, "", "ext_authz_denied",
                            Flag::kUnauthorizedExternal));
  }
  const AuthzService* service =
      route != nullptr && route->service ? &*route->service : &settings_->service;
  auto pending = std::make_shared<Pending>(
      Pending{std::move(request), next, std::move(done), route, service, {}});
  const AuthzBody& rules = route != nullptr && route->body ? *route->body : settings_->body;
  const bool is_body_off = (route != nullptr && route->is_body_off) || rules.most_bytes == 0 ||
                           pending->request.body.empty() || !pending->request.upgrade.empty() ||
                           pending->request.method == "CONNECT";
  if (is_body_off) return ask(stream, std::move(pending));
  read_body(stream, std::move(pending), rules);
}

class ExtAuthz::Peek final : public event::Scope::Operation {
 public:
  // `done`: what was read, the rest, and whether the rest is more than nothing.
  using Done = Function<void(Result<Buffer>, http::Body, bool)>;
  Peek(event::Scope& scope, event::Loop& loop, http::Body body, std::size_t most, Done done)
      : Operation(scope),
        body_(std::move(body)),
        most_(most),
        done_(std::move(done)),
        start_(loop, [this] { pull(); }) {
    start_.arm(nanoseconds(0));
  }

 private:
  // Hands out the last chunk once more, for its trailers.
  class Tail final : public http::BodySource {
   public:
    explicit Tail(http::Chunk chunk) : chunk_(std::move(chunk)) {}
    std::optional<Result<http::Chunk>> poll(http::Waker) override { return std::move(chunk_); }

   private:
    http::Chunk chunk_;
  };
  void pull() {
    for (;;) {
      auto next = body_.poll({[](void* self) { static_cast<Peek*>(self)->pull(); }, this});
      if (!next) return;
      if (!next->ok()) return finish(std::move(*next).error(), {}, false);
      http::Chunk& chunk = **next;
      read_.append(std::move(chunk.data));
      if (chunk.is_last) {
        chunk.data = Buffer();
        return finish(std::move(read_), http::Body(std::make_unique<Tail>(std::move(chunk))),
                      false);
      }
      if (read_.size() > most_) return finish(std::move(read_), std::move(body_), true);
    }
  }
  void finish(Result<Buffer> read, http::Body rest, bool has_more) {
    auto done = std::move(done_);
    delete this;
    done(std::move(read), std::move(rest), has_more);
  }
  void cancel() override { delete this; }
  http::Body body_;
  std::size_t most_;
  Buffer read_;
  Done done_;
  event::Timer start_;
};

void ExtAuthz::read_body(HttpState& stream, PendingRef pending, const AuthzBody& rules) const {
  http::Body body = std::move(pending->request.body);
  const auto length = body.length();
  new Peek(
      stream.exchange.scope, stream.exchange.loop, std::move(body), rules.most_bytes,
      [this, &stream, pending, rules, length](Result<Buffer> read, http::Body rest, bool has_more) {
        const bool is_cut = read.ok() && (has_more || read->size() > rules.most_bytes);
        if (!read.ok() || (is_cut && !rules.is_partial_allowed))
          return pending->done(
              local_reply(stream, 413, "Payload Too Large", "request_payload_too_large"));
        pending->is_body_raw = rules.is_raw;
        pending->body = read->clone().to_string();
        if (pending->body.size() > rules.most_bytes) pending->body.resize(rules.most_bytes);
        pending->request.headers.set("x-envoy-auth-partial-body", is_cut ? "true" : "false");
        pending->request.body =
            http::Body(std::make_unique<PeekedBody>(*std::move(read), std::move(rest)), length);
        ask(stream, pending);
      });
}

static const std::string& cluster_of(const AuthzService& service) {
  return service.is_grpc ? service.grpc.cluster : service.cluster;
}

void ExtAuthz::fail(HttpState& stream, const PendingRef& pending) const {
  if (settings_->is_failure_allowed) {
    if (settings_->is_failure_told)
      pending->request.headers.set("x-envoy-auth-failure-mode-allowed", "true");
    return allow(stream, pending, {}, nullptr, false);
  }
  name_decider(stream.info, settings_->name, cluster_of(*pending->service));
  pending->done(local_reply(stream, settings_->error_status, "", "ext_authz_error",
                            Flag::kUnauthorizedExternal));
}

void ExtAuthz::ask(HttpState& stream, PendingRef pending) const {
  const AuthzService& service = *pending->service;
  auto target =
      find_target(stream.info.worker, service.is_grpc ? service.grpc.cluster : service.cluster,
                  service.is_grpc);
  if (!target) return fail(stream, pending);
  event::Scope& scope = stream.exchange.scope;
  if (!service.is_grpc)
    return call_service(scope, stream.exchange.loop, *std::move(target),
                        http_question(service, *settings_, pending->request, pending->body),
                        [this, &stream, pending](Result<SideResponse> answer) {
                          if (!answer.ok()) return fail(stream, pending);
                          on_http_answer(stream, pending, *std::move(answer));
                        });
  auth::CheckRequest check;
  grpc_question(*settings_, pending->route, stream, pending->request, pending->body,
                pending->is_body_raw, check);
  grpc::unary(scope, stream.exchange.loop, *target->pool, service.grpc.authority,
              "/envoy.service.auth.v3.Authorization/Check", service.grpc.metadata,
              check.SerializeAsString(), service.timeout,
              [this, &stream, pending, upstream = target->upstream](Result<std::string> bytes) {
                auth::CheckResponse answer;
                if (!bytes.ok() || !answer.ParseFromString(*bytes)) return fail(stream, pending);
                on_grpc_answer(stream, pending, answer);
              });
}

void ExtAuthz::on_http_answer(HttpState& stream, const PendingRef& pending,
                              SideResponse answer) const {
  const AuthzService& service = *pending->service;
  if (answer.status >= 500) return fail(stream, pending);
  for (const auto& [name, value] : answer.headers)
    if (matches_any(service.metadata, name))
      data::ensure_object(stream.info.metadata[settings_->name], {})[name] = value;
  if (answer.status == 200) {
    std::vector<std::pair<std::string, std::string>> on_response;
    bool is_changed = false;
    for (const auto& [name, value] : answer.headers) {
      if (name == "x-envoy-auth-headers-to-remove") {
        for (const auto part : split(value, ',')) pending->request.headers.remove(trim(part));
        continue;
      }
      if (matches_any(service.upstream, name)) {
        pending->request.headers.set(name, value);
        is_changed = true;
      }
      if (matches_any(service.appended, name)) {
        pending->request.headers.add(name, value);
        is_changed = true;
      }
      if (matches_any(service.client_on_success, name)) on_response.emplace_back(name, value);
    }
    return allow(stream, pending, std::move(on_response), nullptr, is_changed);
  }
  name_decider(stream.info, settings_->name, cluster_of(*pending->service));
  auto reply = local_reply(stream, answer.status, std::move(answer.body), "ext_authz_denied",
                           Flag::kUnauthorizedExternal);
  for (const auto& [name, value] : answer.headers) {
    if (name == "content-length" || name == "transfer-encoding") continue;
    const bool is_always = name == "www-authenticate" || name == "location";
    const bool is_kept = service.client.empty()
                             ? name != "host" && name != "date" && name != "server"
                             : is_always || matches_any(service.client, name);
    if (!is_kept) continue;
    if (name == "set-cookie") reply.headers.add(name, value);
    else reply.headers.set(name, value);
  }
  pending->done(std::move(reply));
}

const std::string& value_of(const Option& option) {
  return option.header().raw_value().empty() ? option.header().value()
                                             : option.header().raw_value();
}

bool is_appended(const Option& option, const http::Headers& headers, bool& is_skipped) {
  const bool is_there = headers.has(option.header().key());
  switch (option.append_action()) {
    case Option::ADD_IF_ABSENT: is_skipped = is_there; return true;
    case Option::OVERWRITE_IF_EXISTS: is_skipped = !is_there; return false;
    case Option::OVERWRITE_IF_EXISTS_OR_ADD: return false;
    default: return option.append().value();
  }
}

void ExtAuthz::apply(const Options& options, http::Headers& headers) {
  for (const auto& option : options) {
    const std::string name = to_lower(option.header().key());
    if (name.starts_with(':') || name == "content-length" || name == "transfer-encoding") continue;
    if (!http::h1::is_token(name) || !http::h1::is_field_value(value_of(option))) continue;
    bool is_skipped = false;
    const bool is_added = is_appended(option, headers, is_skipped);
    if (is_skipped) continue;
    if (is_added) headers.add(name, value_of(option));
    else headers.set(name, value_of(option));
  }
}

// False when a change is invalid, or forbidden and that is an error.
bool ExtAuthz::change_request(const auth::OkHttpResponse& from, http::Request& request) const {
  for (const auto& option : from.headers()) {
    const std::string name = to_lower(option.header().key());
    const std::string_view plain =
        name.starts_with(':') ? std::string_view(name).substr(1) : std::string_view(name);
    if (!http::h1::is_token(plain) || !http::h1::is_field_value(value_of(option))) return false;
    if (settings_->rules) {
      const auto verdict = settings_->rules->check(name, false);
      if (verdict == MutationRules::Verdict::kFail) return false;
      if (verdict == MutationRules::Verdict::kIgnore) continue;
    }
    const std::string_view value = request.headers.arena().copy(value_of(option));
    if (name == ":path") request.path = value;
    else if (name == ":method") request.method = value;
    else if (name == ":authority" || name == "host") request.authority = value;
    if (name.starts_with(':') || name == "host" || name == "content-length") continue;
    bool is_skipped = false;
    const bool is_added = is_appended(option, request.headers, is_skipped);
    if (is_skipped) continue;
    if (is_added) request.headers.add(name, value);
    else request.headers.set(name, value);
  }
  for (const auto& one : from.headers_to_remove()) {
    const std::string name = to_lower(one);
    if (name.starts_with(':') || name == "host") continue;
    if (settings_->rules && settings_->rules->check(name, true) != MutationRules::Verdict::kAllow)
      continue;
    request.headers.remove(name);
  }
  if (from.query_parameters_to_set().empty() && from.query_parameters_to_remove().empty())
    return true;
  const auto mark = request.path.find('?');
  auto query = mark == std::string_view::npos ? std::vector<std::pair<std::string, std::string>>()
                                              : parse_query(request.path.substr(mark + 1));
  const auto drop = [&](const std::string& name) {
    std::erase_if(query, [&](const auto& one) { return one.first == name; });
  };
  for (const auto& name : from.query_parameters_to_remove()) drop(name);
  for (const auto& one : from.query_parameters_to_set()) {
    drop(one.key());
    query.emplace_back(one.key(), one.value());
  }
  std::string path(request.path.substr(0, mark));
  for (std::size_t i = 0; i < query.size(); ++i)
    path += (i == 0 ? "?" : "&") + percent_encode(query[i].first) + "=" +
            percent_encode(query[i].second);
  request.path = request.headers.arena().copy(path);
  return true;
}

void ExtAuthz::on_grpc_answer(HttpState& stream, const PendingRef& pending,
                              const auth::CheckResponse& answer) const {
  if (answer.has_dynamic_metadata() && settings_->is_metadata_taken)
    stream.info.metadata[settings_->name] = xds::struct_to_json(answer.dynamic_metadata());
  if (answer.status().code() == 0) {
    const auto& ok = answer.ok_response();
    if (!change_request(ok, pending->request)) {
      if (settings_->is_mutation_validated)
        return pending->done(
            local_reply(stream, 500, "", "ext_authz_invalid", Flag::kUnauthorizedExternal));
      return fail(stream, pending);
    }
    return allow(stream, pending, {},
                 ok.response_headers_to_add().empty() ? nullptr : &ok.response_headers_to_add(),
                 !ok.headers().empty() || !ok.headers_to_remove().empty());
  }
  const auto& denied = answer.denied_response();
  const int status =
      denied.has_status() && denied.status().code() > 0 ? denied.status().code() : 403;
  std::string body = denied.body();
  if (settings_->most_denied_body != 0 && body.size() > settings_->most_denied_body)
    body.resize(settings_->most_denied_body);
  name_decider(stream.info, settings_->name, cluster_of(*pending->service));
  auto reply =
      local_reply(stream, status, std::move(body), "ext_authz_denied", Flag::kUnauthorizedExternal);
  apply(denied.headers(), reply.headers);
  pending->done(std::move(reply));
}

void ExtAuthz::allow(HttpState& stream, const PendingRef& pending,
                     std::vector<std::pair<std::string, std::string>> on_response,
                     const Options* more, bool is_changed) const {
  if (settings_->is_route_cleared && is_changed) select_route(stream, pending->request);
  if (on_response.empty() && more == nullptr)
    return pending->next(stream, std::move(pending->request), std::move(pending->done));
  auto options = std::make_shared<Options>();
  if (more != nullptr) *options = *more;
  pending->next(
      stream, std::move(pending->request),
      [pending, on_response = std::move(on_response), options](Result<http::Response> response) {
        if (response.ok()) {
          for (const auto& [name, value] : on_response) response->headers.set(name, value);
          apply(*options, response->headers);
        }
        pending->done(std::move(response));
      });
}

}  // namespace

Result<HttpFilterRef> make_ext_authz(const google::protobuf::Any& config,
                                     const CompileContext& context) {
  const auto from = TRY(xds::unpack<api::ExtAuthz>(config));
  return HttpFilterRef(
      std::make_shared<const ExtAuthz>(TRY(AuthzSettings::compile(from, context.filter_name))));
}

Result<RouteConfigRef> make_ext_authz_route(const google::protobuf::Any& config,
                                            const CompileContext&) {
  const auto from = TRY(xds::unpack<api::ExtAuthzPerRoute>(config));
  return RouteConfigRef(TRY(AuthzRoute::compile(from)));
}

}  // namespace lateen::proxy
