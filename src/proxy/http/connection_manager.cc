// One request's way in and out. Statistics and logs happen in ~HttpState, so that they happen once,
// however it ended.

#include "proxy/http/connection_manager.h"

#include "base/log.h"
#include "proxy/http/body.h"
#include "proxy/http/local_replies.h"
#include "proxy/http/router.h"
#include "proxy/stream/failure.h"
#include "proxy/trace/span.h"

namespace lateen::proxy {

StreamInfo::StreamInfo(Worker& w, const Connection& c)
    : worker(w), connection(c), started(w.loop().now()), started_wall(w.loop().clock().wall()) {}
StreamInfo::~StreamInfo() = default;

http::Request head_of(const http::Request& request) {
  http::Request head(request.headers.arena());
  head.method = request.method;
  head.scheme = request.scheme;
  head.authority = request.authority;
  head.path = request.path;
  head.upgrade = request.upgrade;
  head.version = request.version;
  head.headers = request.headers;
  return head;
}

HttpState::HttpState(Worker& worker, const Connection& connection, http::Exchange& exchange_in,
                     std::shared_ptr<const HttpConfig> config_in)
    : exchange(exchange_in), config(std::move(config_in)), info(worker, connection) {
  info.is_http = true;
  info.http_config = config;
  if (!connection.state.empty()) info.state = connection.state;
  config->stats->add(HttpStat::kRqTotal);
  config->stats->add(HttpStat::kRqActive);
}

void HttpState::cut() {
  if (exchange.abort) exchange.abort();
}

HttpState::~HttpState() {
  router.reset();
  if (manager != nullptr) manager->forget(*this);
  config->stats->add(HttpStat::kRqActive, -1);
  if (!info.finished) {
    // The client went away before the last byte.
    info.finished = info.worker.loop().now();
    info.flags.set(Flag::kDownstreamEnded);
    if (info.details.empty() || info.details == "via_upstream")
      info.details = "downstream_remote_disconnect";
    config->stats->add(HttpStat::kRqRxReset);
  }
  config->stats->add(HttpStat::kRqCompleted);
  if (info.status >= 100 && info.status < 600)
    config->stats->add(
        static_cast<HttpStat>(static_cast<int>(HttpStat::kRq1xx) + info.status / 100 - 1));
  note_failure(info);
  for (const auto& filter : config->filters) filter.filter->on_complete(info);
  for (const auto& log : config->access_logs) log.log(info);
  if (info.span != nullptr) info.span->finish(info);
}

namespace {

// Takes an answer up through the filters before `index`, each with its response side alone.
void pass_up(HttpState& stream, const HttpConfig& config, std::size_t index, std::size_t down_to,
             http::Response response, http::Done done) {
  while (index > down_to) {
    const NamedFilter& filter = config.filters[--index];
    const RouteFilterEntry* entry = route_config_for(stream.info, filter.name);
    const bool is_off = entry != nullptr ? entry->is_disabled : filter.is_disabled;
    if (is_off || !filter.filter->sees_answers()) continue;
    return filter.filter->answer(stream, std::move(response),
                                 [&stream, &config, index, down_to,
                                  done = std::move(done)](Result<http::Response> next) mutable {
                                   if (!next.ok()) return done(std::move(next));
                                   pass_up(stream, config, index, down_to, *std::move(next),
                                           std::move(done));
                                 });
  }
  done(std::move(response));
}

// An answer that the filter at `index` gives itself passes the response side of those behind it,
// too, as in Envoy: its answer, not that of what it passed the request on to.
http::Done passing_later(HttpState& stream, const HttpConfig& config, std::size_t index,
                         http::Done done) {
  return [&stream, &config, index, done = std::move(done)](Result<http::Response> result) mutable {
    if (stream.reached != index || !result.ok()) return done(std::move(result));
    pass_up(stream, config, config.filters.size(), index + 1, *std::move(result), std::move(done));
  };
}

}  // namespace

void Next::operator()(HttpState& stream, http::Request request, http::Done done) const {
  std::size_t index = index_;
  // A filter that is off by default runs only where a route turns it on, and the other way round.
  for (; index < config_->filters.size(); ++index) {
    const NamedFilter& filter = config_->filters[index];
    const RouteFilterEntry* entry = route_config_for(stream.info, filter.name);
    const bool is_off = entry != nullptr ? entry->is_disabled : filter.is_disabled;
    if (!is_off) break;
  }
  if (index >= config_->filters.size()) {
    return done(local_reply(stream, 500, "no terminal filter", "no_terminal_filter"));
  }
  const NamedFilter& filter = config_->filters[index];
  stream.reached = index;
  if (filter.has_later_answerer) done = passing_later(stream, *config_, index, std::move(done));
  filter.filter->handle(stream, std::move(request), Next(*config_, index + 1), std::move(done));
}

const RouteFilterEntry* route_config_for(const StreamInfo& info, std::string_view filter) {
  if (info.route_table == nullptr) return nullptr;
  return find_filter_config(*info.route_table, info.virtual_host, info.route, info.cluster_choice,
                            filter);
}

// Only what cannot stand in a header is escaped.
static std::string grpc_message(std::string_view text) {
  static constexpr char kHex[] = "0123456789ABCDEF";
  std::string out;
  for (const char c : text) {
    if (c >= ' ' && c <= '~' && c != '%') {
      out += c;
    } else {
      out += '%';
      out += kHex[static_cast<unsigned char>(c) >> 4];
      out += kHex[static_cast<unsigned char>(c) & 15];
    }
  }
  return out;
}

namespace {

// gRPC clients read errors from headers of a 200 (trailers-only).
http::Response grpc_reply(Arena& arena, int status, const std::string& body) {
  http::Response response(arena);
  response.status = 200;
  response.headers.add("content-type", "application/grpc");
  const int code = status == 400                                                      ? 13
                   : status == 401                                                    ? 16
                   : status == 403                                                    ? 7
                   : status == 404                                                    ? 12
                   : status == 429 || status == 502 || status == 503 || status == 504 ? 14
                                                                                      : 2;
  response.headers.add("grpc-status", std::to_string(code));
  if (!body.empty()) response.headers.add("grpc-message", grpc_message(body));
  return response;
}

http::Response plain_reply(Arena& arena, int status, std::string body, const std::string& type) {
  if (!body.empty()) return http::Response::text(arena, status, std::move(body), type);
  http::Response response(arena);
  response.status = status;
  response.headers.add("content-length", "0");
  return response;
}

}  // namespace

http::Response local_reply(HttpState& stream, int status, std::string body,
                           std::string_view details, std::optional<Flag> flag) {
  Arena& arena = stream.exchange.arena;
  stream.info.details = details;
  stream.info.is_local_reply = true;
  if (flag) stream.info.flags.set(*flag);
  LocalReplies::Reply reply;
  reply.status = status;
  reply.body = std::move(body);
  if (stream.config->local_replies != nullptr)
    stream.config->local_replies->apply(stream.info, reply);
  stream.info.local_status = reply.status;
  auto response = stream.info.is_grpc
                      ? grpc_reply(arena, reply.status, reply.body)
                      : plain_reply(arena, reply.status, std::move(reply.body), reply.content_type);
  if (reply.headers != nullptr) reply.headers->apply(response.headers, stream.info);
  return response;
}

void select_route(HttpState& stream, const http::Request& request) {
  StreamInfo& info = stream.info;
  info.is_route_known = true;
  info.virtual_host = nullptr;
  info.route = nullptr;
  info.cluster_choice = {};
  if (info.route_table == nullptr) return;
  info.virtual_host = info.route_table->find_host(request.authority);
  if (info.virtual_host == nullptr) return;
  const std::uint64_t random = info.worker.loop().random().next();
  info.route = info.route_table->find_route(
      *info.virtual_host, request, {info.metadata, info.state, info.connection.tls, random});
  if (info.route == nullptr) return;
  const auto* forward = std::get_if<Forward>(&info.route->action);
  if (forward == nullptr) return;
  if (forward->weighted.empty()) {
    if (!forward->cluster.empty()) info.cluster_choice = forward->cluster;
    else if (const auto name = header_of(request, forward->cluster_header))
      info.cluster_choice = *name;
    return;
  }
  std::uint64_t at = (random >> 20) % forward->total_weight;
  for (const auto& weighted : forward->weighted) {
    if (at < weighted.weight) {
      info.cluster_choice = weighted.name;
      if (weighted.name.empty())
        if (const auto name = header_of(request, weighted.cluster_header))
          info.cluster_choice = *name;
      return;
    }
    at -= weighted.weight;
  }
}

ConnectionManager::ConnectionManager(Worker& worker, const Connection& connection,
                                     std::shared_ptr<const HttpConfig> config)
    : worker_(worker),
      connection_(connection),
      config_(std::move(config)),
      timer_(worker.loop(), [this] { on_timer(); }) {
  config_->stats->add(HttpStat::kCxTotal);
  config_->stats->add(HttpStat::kCxActive);
  find_routes();
}

void ConnectionManager::find_routes() {
  routes_ = config_->routes == nullptr ? &worker_.route_slot(config_->route_name) : nullptr;
}

void ConnectionManager::set_config(std::shared_ptr<const HttpConfig> config) {
  config->stats->add(HttpStat::kCxActive);
  config_->stats->add(HttpStat::kCxActive, -1);
  config_ = std::move(config);
  find_routes();
}

ConnectionManager::~ConnectionManager() {
  config_->stats->add(HttpStat::kCxActive, -1);
  config_->stats->add(HttpStat::kCxDestroy);
}

namespace {

// What happens to every response on its way down, whoever made it.
void finish_response(HttpState& stream, http::Response& response) {
  StreamInfo& info = stream.info;
  const HttpConfig& config = *stream.config;
  if (!config.via.empty()) response.headers.add("via", config.via);
  using Server = HttpConfig::Server;
  if (config.server_header == Server::kOverwrite ||
      (config.server_header == Server::kAppendIfAbsent && !response.headers.has("server")))
    response.headers.set("server", config.server_name);
  if (config.is_request_id_returned && !info.request_id.empty())
    response.headers.set("x-request-id", info.request_id);
  info.status = response.status;
  info.response_started = info.worker.loop().now();
  if (const auto status = response.headers.get("grpc-status"))
    info.grpc_status = std::string(*status);
  info.response_headers = response.headers;
  for (const auto& field : response.headers)
    info.response_header_bytes += field.name.size() + field.value.size() + 4;
  stream.is_response_done = true;
  if (response.body.empty()) {
    info.finished = info.worker.loop().now();
    return;
  }
  response.body = count_response(stream, std::move(response.body));
}

}  // namespace

void ConnectionManager::handle(http::Exchange& exchange, http::Request request, http::Done done) {
  auto state = std::make_unique<HttpState>(worker_, connection_, exchange, config_);
  HttpState& stream = *state;
  exchange.state = std::move(state);
  config_->stats->add(
      request.version == http::Version::kHttp2 ? HttpStat::kCxHttp2Total : HttpStat::kCxHttp1Total,
      0);
  StreamInfo& info = stream.info;
  const auto type = request.headers.get("content-type");
  info.is_grpc =
      type && type->starts_with("application/grpc") && !type->starts_with("application/grpc-web");
  info.route_table = routes_ != nullptr ? routes_->table : config_->routes;
  auto refused = mutate_request(stream, request);
  info.request = head_of(request);  // Logs show what the rules made of it.
  stream.done = std::move(done);
  watch(stream);
  auto finish = [this, &stream](Result<http::Response> response) {
    answer(stream, std::move(response));
  };
  if (refused) {
    // Who sends what cannot be understood one way is not heard further.
    if (refused->status == 400 && request.version != http::Version::kHttp2)
      refused->headers.set("connection", "close");
    return finish(*std::move(refused));
  }
  const Shared& shared = worker_.shared();
  if (!config_->is_overload_bypassed &&
      shared.is_refusing_requests.load(std::memory_order_relaxed)) {
    config_->stats->add(HttpStat::kRqOverloadClose);
    return finish(local_reply(stream, 503, "envoy overloaded", "overload", Flag::kOverload));
  }
  select_route(stream, request);
  limit(stream);
  start_trace(stream, request);
  if (info.span != nullptr) info.span->inject(request);
  if (!request.body.empty()) request.body = count_request(stream, std::move(request.body));
  else info.request_complete = info.started;
  if (!request.upgrade.empty()) {
    const auto* forward =
        info.route == nullptr ? nullptr : std::get_if<Forward>(&info.route->action);
    const auto allows = [&](const std::vector<std::string>& upgrades) {
      for (const auto& one : upgrades)
        if (iequals(one, request.upgrade)) return true;
      return false;
    };
    if (!allows(config_->upgrades) && (forward == nullptr || !allows(forward->upgrades)))
      return finish(local_reply(stream, 403, "", "upgrade_failed"));
  }
  Next(*config_, 0)(stream, std::move(request), std::move(finish));
}

// The first answer counts: a time limit may have come before the filters'.
void ConnectionManager::answer(HttpState& stream, Result<http::Response> response) {
  if (!stream.done) return;
  if (!response.ok())
    response = local_reply(stream, 500, response.error().message(), "internal_error");
  finish_response(stream, *response);
  if (worker_.shared().is_keep_alive_off.load(std::memory_order_relaxed) &&
      stream.info.request->version != http::Version::kHttp2)
    response->headers.set("connection", "close");
  auto done = std::move(stream.done);
  stream.done = nullptr;
  done(std::move(response));
}

void ConnectionManager::restart(HttpState& stream, http::Request request) {
  stream.router.reset();
  stream.reached = 0;
  stream.info.upstream = UpstreamInfo();
  stream.info.request = head_of(request);
  limit(stream);
  Next(*stream.config, 0)(
      stream, std::move(request),
      [this, &stream](Result<http::Response> response) { answer(stream, std::move(response)); });
}

void ConnectionManager::start_trace(HttpState& stream, const http::Request& request) {
  if (!config_->tracing) return;
  stream.info.span = start_span(stream.info, request, *config_->tracing, config_);
}

}  // namespace lateen::proxy
