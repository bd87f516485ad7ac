// Probes and hooks.
#include "cluster/node/probes.h"

#include <fmt/format.h>

#include "base/strings.h"
#include "cluster/node/probe_socket.h"
#include "http/blocking_client.h"
#include "tls/context.h"

namespace lateen::cluster::node {
namespace {

using data::Json;

constexpr std::size_t kMaxReplyBytes = 10 * 1024;

Outcome failure(std::string message) { return {false, std::move(message)}; }

struct Reply {
  int status = 0;
  std::string body;
};

// Reads the status line and as much of the body as comes with it, at most kMaxReplyBytes.
Result<Reply> get_plain(const std::string& host, const std::string& ip, int port,
                        const std::string& path, const Json& handler, milliseconds limit) {
  auto socket = TRY(ProbeSocket::connect(ip, port, limit));
  std::string request = fmt::format("GET {} HTTP/1.1\r\n", path);
  bool has_host = false, has_agent = false;
  for (const Json& field : data::get_array(handler, {"httpHeaders"})) {
    const auto name = data::get_string(field, {"name"});
    has_host = has_host || iequals(name, "host");
    has_agent = has_agent || iequals(name, "user-agent");
    request += fmt::format("{}: {}\r\n", name, data::get_string(field, {"value"}));
  }
  if (!has_host) request += fmt::format("Host: {}\r\n", host);
  if (!has_agent) request += "User-Agent: kube-probe/1.32\r\n";
  request += "Accept: */*\r\nConnection: close\r\n\r\n";
  TRY(socket.send(request));
  std::string in;
  while (in.size() < kMaxReplyBytes) {
    auto got = socket.receive();
    if (!got.ok()) {
      if (in.find("\r\n") == std::string::npos) return std::move(got).error();
      break;
    }
    if (got->empty()) break;
    in += *got;
    // The status is all that decides; a failed one's text is worth waiting for.
    if (in.size() > 12 && in[9] >= '2' && in[9] <= '3' && in.find("\r\n\r\n") != std::string::npos)
      break;
  }
  if (in.empty()) return unavailable("EOF");
  if (!in.starts_with("HTTP/1.") || in.size() < 12)
    return unavailable("net/http: malformed HTTP response");
  const auto status = parse_int(std::string_view(in).substr(9, 3));
  if (!status.has_value()) return unavailable("net/http: malformed HTTP status code");
  const std::size_t body = in.find("\r\n\r\n");
  return Reply{static_cast<int>(*status), body == std::string::npos ? "" : in.substr(body + 4)};
}

Result<Reply> get_tls(const std::string& url, const Json& handler, milliseconds limit) {
  tls::Options options;
  options.is_untrusted_accepted = true;
  http::BlockingClientOptions client_options;
  client_options.tls = TRY(tls::Context::make(tls::Context::Role::kClient, options));
  http::BlockingClient client(std::move(client_options));
  http::PlainRequest request;
  request.url = url;
  request.timeout = limit;
  request.headers.emplace_back("user-agent", "kube-probe/1.32");
  for (const Json& field : data::get_array(handler, {"httpHeaders"}))
    request.headers.emplace_back(data::get_string(field, {"name"}),
                                 data::get_string(field, {"value"}));
  auto response = TRY(client.call(request));
  return Reply{response.status, std::move(response.body)};
}

Outcome try_http(const Json& handler, const ProbeTarget& target, milliseconds limit) {
  const Json* wanted = data::find(handler, {"port"});
  auto port = resolve_port(wanted == nullptr ? Json() : *wanted, target.container);
  if (!port.ok()) return failure(port.error().message());
  const std::string host(data::get_string(handler, {"host"}, target.pod_ip));
  std::string path(data::get_string(handler, {"path"}, "/"));
  if (!path.starts_with("/")) path = "/" + path;
  const bool is_tls = iequals(data::get_string(handler, {"scheme"}, "HTTP"), "HTTPS");
  const std::string authority = fmt::format("{}:{}", host, *port);
  const std::string url = fmt::format("{}://{}{}", is_tls ? "https" : "http", authority, path);
  auto reply = is_tls ? get_tls(url, handler, limit)
                      : get_plain(authority, host, *port, path, handler, limit);
  if (!reply.ok()) return failure(fmt::format("Get \"{}\": {}", url, reply.error().message()));
  if (reply->status >= 200 && reply->status < 400) return {true, {}};
  return failure(fmt::format("HTTP probe failed with statuscode: {}", reply->status));
}

Outcome try_exec(const Json& handler, const ProbeTarget& target, milliseconds limit) {
  std::vector<std::string> command;
  for (const Json& part : data::get_array(handler, {"command"}))
    command.emplace_back(data::as_string(part));
  if (command.empty()) return failure("the command is empty");
  auto finished = target.exec(command, limit);
  if (!finished.ok()) {
    if (finished.error().code() == Code::kDeadlineExceeded)
      return failure(fmt::format("command \"{}\" timed out", join(command, " ")));
    return failure(finished.error().message());
  }
  if (finished->exit_code == 0) return {true, {}};
  return failure(finished->output.empty() ? fmt::format("command \"{}\" exited with {}",
                                                        join(command, " "), finished->exit_code)
                                          : finished->output);
}

}  // namespace

Outcome try_handler(const Json& handler, const ProbeTarget& target, milliseconds limit) {
  if (const Json* http = data::find(handler, {"httpGet"})) return try_http(*http, target, limit);
  if (const Json* exec = data::find(handler, {"exec"})) return try_exec(*exec, target, limit);
  if (const Json* tcp = data::find(handler, {"tcpSocket"})) {
    const Json* wanted = data::find(*tcp, {"port"});
    auto port = resolve_port(wanted == nullptr ? Json() : *wanted, target.container);
    if (!port.ok()) return failure(port.error().message());
    auto socket = ProbeSocket::connect(std::string(data::get_string(*tcp, {"host"}, target.pod_ip)),
                                       *port, limit);
    return socket.ok() ? Outcome{true, {}} : failure(socket.error().message());
  }
  if (const Json* grpc = data::find(handler, {"grpc"})) {
    const int port = static_cast<int>(data::get_int(*grpc, {"port"}));
    auto socket = ProbeSocket::connect(target.pod_ip, port, limit);
    if (!socket.ok()) return failure(socket.error().message());
    auto checked = check_grpc_health(*socket, fmt::format("{}:{}", target.pod_ip, port),
                                     std::string(data::get_string(*grpc, {"service"})));
    return checked.ok() ? Outcome{true, {}} : failure(checked.error().message());
  }
  if (data::find(handler, {"sleep"}) != nullptr)
    return {true, {}};  // the worker's own clock does it
  return failure("missing probe handler");
}

Result<int> resolve_port(const Json& port, const Json& container) {
  if (const auto number = data::as_int(port)) return static_cast<int>(*number);
  const std::string_view name = data::as_string(port);
  for (const Json& candidate : data::get_array(container, {"ports"}))
    if (data::get_string(candidate, {"name"}) == name)
      return static_cast<int>(data::get_int(candidate, {"containerPort"}));
  if (const auto number = parse_int(name)) return static_cast<int>(*number);
  return not_found(fmt::format("couldn't find port: \"{}\"", name));
}

}  // namespace lateen::cluster::node
