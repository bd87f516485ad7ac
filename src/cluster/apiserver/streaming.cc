// exec, attach and port-forward: checks the request, agrees on a protocol, and hands the connection
// over.
#include <fmt/format.h>

#include <functional>

#include "base/strings.h"
#include "cluster/apiserver/exec_wires.h"
#include "cluster/apiserver/port_forward.h"
#include "cluster/apiserver/subresources.h"
#include "cluster/apiserver/takeover.h"
#include "cluster/apiserver/web_socket.h"

namespace lateen::cluster::apiserver {
namespace {

constexpr std::string_view kSpdy = "SPDY/3.1";
constexpr std::string_view kTunnel = "SPDY/3.1+portforward.k8s.io";
constexpr std::string_view kChannels = "v4.channel.k8s.io";
constexpr std::size_t kMostForwardedPorts = 16;

class FunctionTakeover final : public Takeover {
 public:
  using Start = std::function<std::unique_ptr<DuplexBody>(event::Loop&, http::Body)>;
  FunctionTakeover(std::string protocol, std::vector<std::pair<std::string, std::string>> headers,
                   Start start)
      : protocol_(std::move(protocol)), headers_(std::move(headers)), start_(std::move(start)) {}
  http::Body start(event::Loop& loop, http::Body from_client) override {
    return http::Body(start_(loop, std::move(from_client)));
  }
  std::string protocol() const override { return protocol_; }
  std::vector<std::pair<std::string, std::string>> headers() const override { return headers_; }

 private:
  std::string protocol_;
  std::vector<std::pair<std::string, std::string>> headers_;
  Start start_;
};

std::vector<std::string> offered(const ApiRequest& request, std::string_view header) {
  std::vector<std::string> made;
  for (const auto& [name, value] : request.headers) {
    if (name != header) continue;
    for (const auto part : split(value, ',')) made.emplace_back(trim(part));
  }
  return made;
}

// The best of `known` (in order of preference) that the client offers.
std::string pick(const std::vector<std::string>& offers,
                 std::initializer_list<std::string_view> known) {
  for (const auto wanted : known) {
    for (const auto& offer : offers) {
      if (offer == wanted) return offer;
    }
  }
  return {};
}

ApiResponse switch_protocols(std::string protocol,
                             std::vector<std::pair<std::string, std::string>> headers,
                             FunctionTakeover::Start start) {
  ApiResponse response;
  response.status = 101;
  response.takeover =
      std::make_shared<FunctionTakeover>(std::move(protocol), std::move(headers), std::move(start));
  return response;
}

std::vector<std::pair<std::string, std::string>> web_socket_headers(const ApiRequest& request,
                                                                    const std::string& protocol) {
  std::vector<std::pair<std::string, std::string>> headers{
      {"Sec-WebSocket-Accept", WebSocketCodec::accept_key(request.header("sec-websocket-key"))}};
  if (!protocol.empty()) headers.emplace_back("Sec-WebSocket-Protocol", protocol);
  return headers;
}

bool is_web_socket(const ApiRequest& request) { return iequals(request.upgrade, "websocket"); }
bool is_spdy(const ApiRequest& request) { return iequals(request.upgrade, kSpdy); }

Outcome<ExecPlan> exec_plan(const Call& call, const Json& pod) {
  const auto& request = call.request;
  ExecPlan plan;
  plan.is_attach = call.info.subresource == "attach";
  plan.request.pod = call.key();
  plan.request.container = TRY(pick_container(pod, request.param("container")));
  for (const auto part : request.params("command")) plan.request.command.emplace_back(part);
  plan.request.has_stdin = request.is_param_true("stdin");
  plan.request.has_stdout = request.is_param_true("stdout");
  plan.request.has_stderr = request.is_param_true("stderr");
  plan.request.is_tty = request.is_param_true("tty");
  if (!plan.is_attach && plan.request.command.empty()) {
    return Status::bad_request("you must specify at least one command for the container");
  }
  if (!plan.request.has_stdin && !plan.request.has_stdout && !plan.request.has_stderr) {
    return Status::bad_request("you must specify at least one of stdin, stdout, stderr");
  }
  const auto phase = data::get_string(pod, {"status", "phase"});
  if (phase == "Succeeded" || phase == "Failed") {
    return Status::bad_request(
        fmt::format("cannot exec into a container in a completed pod; current phase is {}", phase));
  }
  if (data::get_string(pod, {"spec", "nodeName"}).empty()) {
    return Status::bad_request(fmt::format("pod {} does not have a host assigned", call.info.name));
  }
  return plan;
}

Outcome<ApiResponse> answer_exec(const ApiRequest& request, ExecPlan plan) {
  if (is_web_socket(request)) {
    const auto offers = offered(request, "sec-websocket-protocol");
    const std::string protocol =
        pick(offers, {"v5.channel.k8s.io", "v4.channel.k8s.io", "channel.k8s.io"});
    if (protocol.empty() && !offers.empty())
      return Status::bad_request("unable to upgrade: no protocol in common");
    return switch_protocols("websocket", web_socket_headers(request, protocol),
                            [plan = std::move(plan), protocol](event::Loop& loop, http::Body body) {
                              return make_web_socket_exec(loop, std::move(body), plan, protocol);
                            });
  }
  if (!is_spdy(request)) return Status::bad_request("Upgrade request required");
  const auto offers = offered(request, "x-stream-protocol-version");
  const std::string protocol =
      pick(offers, {"v4.channel.k8s.io", "v3.channel.k8s.io", "v2.channel.k8s.io"});
  if (protocol.empty()) {
    return Status{
        403, "Forbidden",
        fmt::format("unable to upgrade: unable to negotiate protocol: client supports [{}], "
                    "server accepts [v4.channel.k8s.io v3.channel.k8s.io v2.channel.k8s.io]",
                    join(offers, " ")),
        Json()};
  }
  return switch_protocols(std::string(kSpdy), {{"X-Stream-Protocol-Version", protocol}},
                          [plan = std::move(plan)](event::Loop& loop, http::Body body) {
                            return make_spdy_exec(loop, std::move(body), plan);
                          });
}

// Empty when none is given or one is not a port.
std::vector<int> requested_ports(const ApiRequest& request) {
  std::vector<int> ports;
  for (const auto& [name, value] : request.query) {
    if (name != "ports") continue;
    for (const auto part : split(value, ',')) {
      const auto port = parse_int(part);
      if (!port || *port < 1 || *port > 65535 || ports.size() >= kMostForwardedPorts) return {};
      ports.push_back(static_cast<int>(*port));
    }
  }
  return ports;
}

Outcome<ApiResponse> answer_forward(const ApiRequest& request, ForwardPlan plan) {
  if (is_web_socket(request)) {
    const std::string protocol =
        pick(offered(request, "sec-websocket-protocol"), {kTunnel, kChannels});
    if (protocol.empty()) return Status::bad_request("unable to upgrade: no protocol in common");
    if (protocol == kChannels) {
      std::vector<int> ports = requested_ports(request);
      if (ports.empty())
        return Status::bad_request("query parameter \"ports\" is required: 1 to 65535, at most 16");
      return switch_protocols("websocket", web_socket_headers(request, protocol),
                              [plan, ports](event::Loop& loop, http::Body body) {
                                return make_channel_forward(loop, std::move(body), plan, ports);
                              });
    }
    plan.is_tunnelled = true;
    return switch_protocols("websocket", web_socket_headers(request, protocol),
                            [plan](event::Loop& loop, http::Body body) {
                              return make_port_forward(loop, std::move(body), plan);
                            });
  }
  if (!is_spdy(request)) return Status::bad_request("Upgrade request required");
  return switch_protocols(std::string(kSpdy), {{"X-Stream-Protocol-Version", "portforward.k8s.io"}},
                          [plan](event::Loop& loop, http::Body body) {
                            return make_port_forward(loop, std::move(body), plan);
                          });
}

}  // namespace

Outcome<ApiResponse> Subresources::stream(Call& call) {
  const auto pod = resources_.parts().store.get(call.type->bucket, call.key());
  if (pod == nullptr) return call.not_found(call.info.name);
  PodStreams* streams = streams_.load();
  if (streams == nullptr) return Status::unavailable("the node agent is not running yet");
  if (call.info.subresource == "portforward") {
    const auto phase = data::get_string(pod->value, {"status", "phase"});
    if (phase != "Running") {
      return Status::bad_request(fmt::format(
          "unable to forward port because pod is not running. Current status={}", phase));
    }
    return answer_forward(call.request, ForwardPlan{streams, call.key(), &pool_, false});
  }
  if (call.info.subresource != "exec" && call.info.subresource != "attach")
    return Status::no_such_path();
  ExecPlan plan = TRY(exec_plan(call, pod->value));
  plan.streams = streams;
  plan.pool = &pool_;
  return answer_exec(call.request, std::move(plan));
}

}  // namespace lateen::cluster::apiserver
