// The router filter: route actions that need no upstream are answered here, the others become a
// RouterCall.

#include "proxy/http/router.h"

#include "base/strings.h"
#include "proxy/http/config.h"
#include "proxy/http/connect_call.h"
#include "proxy/http/local_replies.h"
#include "proxy/http/mirror.h"

namespace lateen::proxy {

void Router::handle(HttpState& stream, http::Request request, Next, http::Done done) const {
  StreamInfo& info = stream.info;
  if (info.virtual_host == nullptr || info.route == nullptr) {
    stream.config->stats->add(HttpStat::kNoRoute);
    return done(local_reply(stream, 404, "", "route_not_found", Flag::kNoRoute));
  }
  const bool is_plain = request.headers.get("x-forwarded-proto").value_or("http") != "https";
  if (info.virtual_host->require_tls == VirtualHost::Tls::kAll && is_plain) {
    Redirect redirect;
    redirect.is_https = true;
    return done(redirect_response(stream, redirect, request));
  }
  if (const auto* redirect = std::get_if<Redirect>(&info.route->action)) {
    auto response = redirect_response(stream, *redirect, request);
    apply_response_rules(info, response.headers);
    return done(std::move(response));
  }
  if (const auto* direct = std::get_if<DirectResponse>(&info.route->action)) {
    stream.config->stats->add(HttpStat::kRqDirectResponse);
    std::string body = direct->body;
    if (direct->format != nullptr) {
      info.status = direct->status;
      info.local_body = std::move(body);
      body = direct->format->body(info);
      info.local_body.clear();
    }
    const bool has_body = !body.empty();
    auto response = local_reply(stream, direct->status, std::move(body), "direct_response");
    if (direct->format != nullptr && has_body && !info.is_grpc)
      response.headers.set("content-type", direct->format->content_type());
    apply_response_rules(info, response.headers);
    return done(std::move(response));
  }
  const auto& forward = std::get<Forward>(info.route->action);
  info.upstream.cluster_name = info.cluster_choice;
  UpstreamRef upstream = info.worker.find_cluster(info.cluster_choice);
  if (upstream == nullptr) {
    stream.config->stats->add(HttpStat::kNoCluster);
    return done(
        local_reply(stream, forward.no_cluster_status, "", "cluster_not_found", Flag::kNoCluster));
  }
  info.upstream.cluster = upstream->config_ref();
  stream.keep_alive = upstream;
  auto overrides = take_overrides(request);
  apply_request_rules(info, request);
  rewrite_request(info, forward, request);
  if (!info.route->operation.empty() && info.route->is_operation_propagated &&
      stream.config->tracing && stream.config->tracing->is_egress)
    request.headers.set("x-envoy-decorator-operation", info.route->operation);

  if (forward.is_connect_terminated && request.method == "CONNECT") {
    auto call = std::make_unique<ConnectCall>(stream, std::move(upstream), std::move(request),
                                              std::move(done));
    ConnectCall& started = *call;
    stream.router = std::move(call);
    return started.start();
  }
  auto run = [this, &stream, &forward, upstream, overrides = std::move(overrides)](
                 http::Request ready, http::Done answer) mutable {
    auto call = std::make_unique<RouterCall>(stream, forward, std::move(upstream), std::move(ready),
                                             options_, std::move(overrides), std::move(answer));
    RouterCall& started = *call;
    stream.router = std::move(call);
    started.start();
  };
  if (forward.mirrors.empty()) return run(std::move(request), std::move(done));
  // Mirrors need the whole body beside the one that is streamed.
  constexpr std::size_t kMostMirrored = 1u << 20;
  auto held = std::make_shared<http::Request>(std::move(request));
  if (held->body.empty()) {
    send_mirrors(stream, forward, *held, "");
    return run(std::move(*held), std::move(done));
  }
  http::Body body = std::move(held->body);
  http::read_all(
      stream.exchange.scope, stream.exchange.loop, std::move(body), kMostMirrored,
      [&stream, &forward, held, run = std::move(run),
       done = std::move(done)](Result<Buffer> whole) mutable {
        if (!whole.ok())
          return done(local_reply(stream, 413, "Payload Too Large", "request_payload_too_large"));
        const std::string text = whole->to_string();
        held->body = http::Body::of(text);
        send_mirrors(stream, forward, *held, text);
        run(std::move(*held), std::move(done));
      });
}

}  // namespace lateen::proxy
