// A connection manager with filters under test, an application and side services on loopback, all
// on one loop. Tests run the loop until their answer is there.
#pragma once

#include <gtest/gtest.h>

#include <map>

#include "base/strings.h"
#include "envoy/config/cluster/v3/cluster.pb.h"
#include "envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager.pb.h"
#include "event/epoll_loop.h"
#include "grpc/server.h"
#include "http/server.h"
#include "proxy/compile_context.h"
#include "proxy/filters/side_call.h"
#include "proxy/http/connection_manager.h"
#include "proxy/worker/worker.h"
#include "xds/json.h"

namespace lateen::proxy::testing {

using Fields = std::vector<std::pair<std::string, std::string>>;

// Answers by a lambda.
class App final : public http::Service {
 public:
  using Handle = std::function<void(http::Exchange&, http::Request, http::Done)>;
  explicit App(Handle handle) : handle_(std::move(handle)) {}
  void handle(http::Exchange& exchange, http::Request request, http::Done done) override {
    handle_(exchange, std::move(request), std::move(done));
  }

 private:
  Handle handle_;
};

struct Reply {
  int status = 0;
  Fields headers;  // names lower case
  std::string body;
  Fields trailers;
  std::string error;  // the body broke off
  std::string details;
  std::string get(std::string_view name) const {
    for (const auto& [key, value] : headers)
      if (key == name) return value;
    return "-";
  }
  std::string trailer(std::string_view name) const {
    for (const auto& [key, value] : trailers)
      if (key == name) return value;
    return "-";
  }
};

class FilterBench {
 public:
  FilterBench() {
    connection.local = *net::Address::parse("10.0.0.9:80");
    connection.remote = connection.direct_remote = *net::Address::parse("10.0.0.1:5000");
    connection.direct_local = connection.local;
  }
  ~FilterBench() { manager_.reset(); }

  // A server of its own on loopback, as a cluster with one host.
  net::Address serve(const std::string& name, http::Service& service, bool is_h2 = false) {
    http::ServerOptions options;
    options.codec = is_h2 ? http::Codec::kHttp2 : http::Codec::kHttp1;
    servers_.push_back(std::make_unique<http::Server>(
        *loop, *net::listen_on(*net::Address::parse("127.0.0.1:0")), service, options));
    const net::Address address = servers_.back()->address();
    add_cluster(name, {address}, is_h2);
    return address;
  }
  void add_cluster(const std::string& name, const std::vector<net::Address>& hosts, bool is_h2) {
    std::string json = R"({"name": ")" + name + R"(", "connect_timeout": "2s")";
    if (is_h2) json += R"(, "http2_protocol_options": {})";
    envoy::config::cluster::v3::Cluster config;
    read(json + "}", config);
    auto made = ClusterConfig::compile(config);
    ASSERT_TRUE(made.ok()) << (made.ok() ? "" : made.error().message());
    (*made)->state = std::make_shared<ClusterState>(name, name);
    auto set = std::make_shared<EndpointSet>();
    set->priorities.resize(1);
    set->priorities[0].resize(1);
    for (const auto& address : hosts) {
      HostConfig host;
      host.address = address;
      host.state = std::make_shared<HostState>();
      set->priorities[0][0].hosts.push_back(std::make_shared<const HostConfig>(std::move(host)));
    }
    worker.put_cluster(*made, set);
  }

  // `filters`: JSON objects of http_filters before the router, comma after each. `route`: more
  // fields of the one route. Empty on success, else the error.
  std::string configure(const std::string& filters, const std::string& route = "",
                        const std::string& action = R"("route": {"cluster": "app"})",
                        const std::string& more = "") {
    return configure_routes(filters,
                            R"({"match": {"prefix": "/"}, "name": "all", )" + action +
                                (route.empty() ? "" : ", " + route) + "}",
                            more);
  }

  // `routes`: whole routes of the one virtual host; `host`: more fields of it.
  std::string configure_routes(const std::string& filters, const std::string& routes,
                               const std::string& more = "", const std::string& host = "") {
    const std::string json = R"({"stat_prefix": "t", "http_filters": [)" + filters +
                             R"({"name": "router", "typed_config": {"@type":
        "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router"}}],
        "route_config": {"name": "r", "virtual_hosts": [{"name": "v", "domains": ["*"], "routes": [)" +
                             routes + "]" + (host.empty() ? "" : ", " + host) + "}]}" +
                             (more.empty() ? "" : ", " + more) + "}";
    using Manager =
        envoy::extensions::filters::network::http_connection_manager::v3::HttpConnectionManager;
    Manager config;
    read(json, config);
    CompileContext context;
    context.logs = &logs;
    context.shared = &shared;
    context.main = &worker;
    auto made = HttpConfig::compile(config, context);
    if (!made.ok()) return made.error().message();
    manager_ = std::make_unique<ConnectionManager>(worker, connection, *made);
    return "";
  }

  void start(http::Exchange& exchange, http::Request request, http::Done done) {
    manager_->handle(exchange, std::move(request), std::move(done));
  }

  Reply call(const std::string& method, const std::string& path, const Fields& headers = {},
             const std::string& body = "", http::Version version = http::Version::kHttp11) {
    Reply reply;
    {
      http::Exchange exchange(*loop, info_);
      http::Request request(exchange.arena);
      request.method = method;
      request.path = path;
      request.scheme = "http";
      request.authority = "example.com";
      request.version = version;
      for (const auto& [name, value] : headers) request.headers.add(name, value);
      if (!body.empty()) {
        request.headers.add("content-length", std::to_string(body.size()));
        request.body = http::Body::of(body);
      }
      event::Timer limit(*loop, [&] {
        reply.error = "no answer in time";
        loop->stop();
      });
      limit.arm(seconds(20));
      manager_->handle(exchange, std::move(request), [&](Result<http::Response> result) {
        if (!result.ok()) {
          reply.error = result.error().message();
          return loop->stop();
        }
        reply.status = result->status;
        for (const auto& field : result->headers)
          reply.headers.emplace_back(to_lower(field.name), field.value);
        collect_body(exchange.scope, *loop, std::move(result->body), 64u << 20,
                     [&](Result<WholeBody> whole) {
                       if (!whole.ok()) {
                         reply.error = whole.error().message();
                       } else {
                         reply.body = whole->data.to_string();
                         if (whole->trailers)
                           for (const auto& field : *whole->trailers)
                             reply.trailers.emplace_back(to_lower(field.name), field.value);
                       }
                       loop->stop();
                     });
      });
      loop->run();
      if (exchange.state != nullptr)
        reply.details = static_cast<HttpState&>(*exchange.state).info.details;
    }
    return reply;
  }

  template <typename Message>
  static void read(const std::string& json, Message& into) {
    const auto parsed = data::parse_json(json);
    ASSERT_TRUE(parsed.ok()) << (parsed.ok() ? "" : parsed.error().message()) << "\n" << json;
    const auto done = xds::from_json(*parsed, into);
    ASSERT_TRUE(done.ok()) << (done.ok() ? "" : done.error().message());
  }

  SystemClock clock;
  std::unique_ptr<event::Loop> loop = *event::make_epoll_loop(clock, system_random());
  Shared shared;
  LogFiles logs;
  Worker worker{*loop, shared, 0};
  Connection connection;

 private:
  http::ConnectionInfo info_;
  std::vector<std::unique_ptr<http::Server>> servers_;
  std::unique_ptr<ConnectionManager> manager_;
};

// An application that answers with `headers` and `body`, and tells what it saw.
struct Seen {
  std::string method, path, body;
  Fields headers, trailers;
  int count = 0;
  std::string get(std::string_view name) const {
    for (const auto& [key, value] : headers)
      if (key == name) return value;
    return "-";
  }
};
inline App::Handle answering(Seen& seen, Fields headers, std::string body, int status = 200,
                             Fields trailers = {}) {
  return [&seen, headers, body, status, trailers](http::Exchange& exchange, http::Request request,
                                                  http::Done done) {
    ++seen.count;
    seen.method = request.method;
    seen.path = request.path;
    seen.headers.clear();
    for (const auto& field : request.headers)
      seen.headers.emplace_back(to_lower(field.name), field.value);
    collect_body(exchange.scope, exchange.loop, std::move(request.body), 64u << 20,
                 [&seen, &exchange, headers, body, status, trailers,
                  done = std::move(done)](Result<WholeBody> whole) {
                   if (whole.ok()) {
                     seen.body = whole->data.to_string();
                     seen.trailers.clear();
                     if (whole->trailers)
                       for (const auto& field : *whole->trailers)
                         seen.trailers.emplace_back(to_lower(field.name), field.value);
                   }
                   http::Response response(exchange.arena);
                   response.status = status;
                   for (const auto& [name, value] : headers) response.headers.add(name, value);
                   WholeBody out;
                   out.data = Buffer(body);
                   if (!trailers.empty()) {
                     out.trailers.emplace(exchange.arena);
                     for (const auto& [name, value] : trailers) out.trailers->add(name, value);
                   } else {
                     response.headers.add("content-length", std::to_string(body.size()));
                   }
                   response.body = body_of(std::move(out));
                   done(std::move(response));
                 });
  };
}

inline std::string filter(const std::string& name, const std::string& type,
                          const std::string& fields) {
  return R"({"name": ")" + name + R"(", "typed_config": {"@type": "type.googleapis.com/)" + type +
         "\"" + (fields.empty() ? "" : ", " + fields) + "}},";
}

}  // namespace lateen::proxy::testing
