// A proxy on loopback from static JSON, upstreams made on the spot, and a raw client: for tests
// that look at connections. No fixed ports, no sleeps: waits are for events, with generous limits.
#pragma once

#include <gtest/gtest.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <future>
#include <thread>

#include "base/random.h"
#include "base/strings.h"
#include "envoy/config/bootstrap/v3/bootstrap.pb.h"
#include "event/epoll_loop.h"
#include "http/server.h"
#include "net/socket.h"
#include "proxy/server/bootstrap.h"
#include "proxy/server/server.h"
#include "xds/json.h"

namespace lateen::proxy::testing {

// A loop on a thread of its own.
class LoopThread {
 public:
  LoopThread()
      : loop_(*event::make_epoll_loop(clock_, system_random())),
        // A server that ends itself stops the loop, which goes on for the test.
        thread_([this] {
          while (!is_over_) loop_->run();
        }) {}
  ~LoopThread() {
    is_over_ = true;
    loop_->stop();
    thread_.join();
  }
  event::Loop& loop() { return *loop_; }
  template <typename Task>
  auto run(Task task) {
    std::promise<decltype(task())> promise;
    auto result = promise.get_future();
    loop_->post([&] {
      if constexpr (std::is_void_v<decltype(task())>) {
        task();
        promise.set_value();
      } else {
        promise.set_value(task());
      }
    });
    return result.get();
  }

 private:
  SystemClock clock_;
  std::unique_ptr<event::Loop> loop_;
  std::atomic<bool> is_over_{false};
  std::thread thread_;
};

// Waits for `condition`, asked again and again; false after ten seconds.
template <typename Condition>
bool eventually(Condition condition) {
  for (int i = 0; i < 1000; ++i) {
    if (condition()) return true;
    ::poll(nullptr, 0, 10);
  }
  return false;
}

// A blocking TCP client in plain bytes.
class RawClient {
 public:
  explicit RawClient(std::uint16_t port) : fd_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    const net::Address to(*net::Ip::parse("127.0.0.1"), port);
    sockaddr_storage raw;
    const auto length = to.to_sockaddr(raw);
    EXPECT_TRUE(length.ok());
    EXPECT_EQ(::connect(fd_.get(), reinterpret_cast<sockaddr*>(&raw), *length), 0);
    const timeval limit{20, 0};
    ::setsockopt(fd_.get(), SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
  }
  bool send(std::string_view bytes) {
    return ::send(fd_.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL) ==
           static_cast<ssize_t>(bytes.size());
  }
  // Until `end` was read, or the end of the stream; what came.
  std::string read_until(std::string_view end) {
    while (received_.find(end) == std::string::npos && more()) {
    }
    const auto at = received_.find(end);
    return take(at == std::string::npos ? received_.size() : at + end.size());
  }
  // A response with its body by content-length.
  std::string response() {
    std::string head = read_until("\r\n\r\n");
    const auto at = to_lower(head).find("content-length: ");
    const std::size_t length = at == std::string::npos ? 0 : std::stoul(head.substr(at + 16));
    while (received_.size() < length && more()) {
    }
    return head + take(std::min(length, received_.size()));
  }
  std::string get(const std::string& path, const std::string& headers = "") {
    if (!send("GET " + path + " HTTP/1.1\r\nhost: test\r\n" + headers + "\r\n")) return "";
    return response();
  }
  // The peer closes; false when it sends something or nothing for twenty seconds.
  bool is_closed() { return received_.empty() && !more() && is_over_; }

 private:
  bool more() {
    char bytes[4096];
    const ssize_t count = ::recv(fd_.get(), bytes, sizeof bytes, 0);
    if (count > 0) received_.append(bytes, static_cast<std::size_t>(count));
    is_over_ = count == 0 || (count < 0 && errno == ECONNRESET);
    return count > 0;
  }
  std::string take(std::size_t count) {
    std::string taken = received_.substr(0, count);
    received_.erase(0, count);
    return taken;
  }
  Fd fd_;
  std::string received_;
  bool is_over_ = false;
};

// An HTTP upstream from a function that runs on its loop.
class TestUpstream {
 public:
  using Handle = std::function<void(http::Exchange&, http::Request, http::Done)>;
  explicit TestUpstream(Handle handle, http::Codec codec = http::Codec::kAuto)
      : service_(std::move(handle)) {
    thread_.run([&] {
      http::ServerOptions options;
      options.codec = codec;
      server_ = std::make_unique<http::Server>(
          thread_.loop(), *net::listen_on(*net::Address::parse("127.0.0.1:0")), service_, options);
    });
  }
  ~TestUpstream() {
    thread_.run([&] { server_.reset(); });
  }
  std::uint16_t port() const { return server_->address().port(); }
  LoopThread& thread() { return thread_; }

 private:
  struct Answering final : http::Service {
    explicit Answering(Handle handle_in) : answer(std::move(handle_in)) {}
    void handle(http::Exchange& exchange, http::Request request, http::Done done) override {
      answer(exchange, std::move(request), std::move(done));
    }
    Handle answer;
  };
  LoopThread thread_;
  Answering service_;
  std::unique_ptr<http::Server> server_;
};

// A body that never says more after its first bytes.
class StallingBody final : public http::BodySource {
 public:
  explicit StallingBody(std::string first) : first_(std::move(first)) {}
  std::optional<Result<http::Chunk>> poll(http::Waker) override {
    if (first_.empty()) return std::nullopt;
    return http::Chunk{Buffer(std::exchange(first_, {})), false, std::nullopt};
  }

 private:
  std::string first_;
};

class StaticProxy {
 public:
  // `resources`: JSON of static_resources.
  explicit StaticProxy(const std::string& resources, Options options = {}) {
    options.concurrency = 2;
    options.config_yaml =
        R"({"node": {"id": "sidecar~127.0.0.1~a.default~default.svc.cluster.local", "cluster": "a"},
            "static_resources": )" +
        resources + "}";
    auto bootstrap = load_bootstrap(options);
    EXPECT_TRUE(bootstrap.ok()) << bootstrap.error().message();
    if (!bootstrap.ok()) return;
    thread_.run([&] {
      server_ = std::make_unique<Server>(thread_.loop(), options, *std::move(bootstrap));
      const auto started = server_->start();
      EXPECT_TRUE(started.ok()) << (started.ok() ? "" : started.error().message());
    });
  }
  ~StaticProxy() {
    thread_.run([&] { server_.reset(); });
  }
  Server& server() { return *server_; }
  template <typename Task>
  auto run(Task task) {
    return thread_.run(std::move(task));
  }
  std::uint16_t port_of(const std::string& listener) {
    return run([&] { return server_->listeners().entries().at(listener)->bound.port(); });
  }
  static google::protobuf::Any any_of(std::string_view type, const std::string& json) {
    google::protobuf::Any any;
    auto parsed = data::parse_json(json);
    EXPECT_TRUE(parsed.ok()) << json;
    (*parsed->if_object())["@type"] = type;
    const auto done = xds::from_json(*parsed, any);
    EXPECT_TRUE(done.ok()) << (done.ok() ? "" : done.error().message());
    return any;
  }
  // The NACK, or "".
  std::string put_listener(const std::string& json) {
    const auto any = any_of("type.googleapis.com/envoy.config.listener.v3.Listener", json);
    return run([&] {
      const auto done = server_->listeners().put(any, "1", true);
      return done.ok() ? std::string() : done.error().message();
    });
  }
  // Every worker has applied what was published so far.
  void settle() {
    run([&] {
      for (Worker* worker : server_->publisher().workers()) {
        std::promise<void> promise;
        auto done = promise.get_future();
        worker->loop().post([&] { promise.set_value(); });
        done.wait();
      }
    });
  }

 private:
  LoopThread thread_;
  std::unique_ptr<Server> server_;
};

// Pieces of configuration.
inline std::string socket_address(std::uint16_t port) {
  return R"({"socket_address": {"address": "127.0.0.1", "port_value": )" + std::to_string(port) +
         "}}";
}
inline std::string endpoints(const std::string& cluster, const std::string& lb_endpoints) {
  return R"("load_assignment": {"cluster_name": ")" + cluster +
         R"(", "endpoints": [{"lb_endpoints": [)" + lb_endpoints + "]}]}";
}
inline std::string endpoint(std::uint16_t port) {
  return R"({"endpoint": {"address": )" + socket_address(port) + "}}";
}
inline std::string cluster(const std::string& name, std::uint16_t port,
                           const std::string& more = "") {
  return R"({"name": ")" + name + R"(", "type": "STATIC", "connect_timeout": "5s", )" + more +
         endpoints(name, endpoint(port)) + "}";
}
// A connection manager with one virtual host; `routes` and `filters` are JSON lists' insides.
inline std::string manager(const std::string& routes, const std::string& filters = "",
                           const std::string& more = "") {
  return R"({"name": "hcm", "typed_config": {
    "@type": "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
    "stat_prefix": "test", )" +
         more + R"("route_config": {"name": "r", "virtual_hosts": [{"name": "all", "domains": ["*"],
    "include_attempt_count_in_response": true, "routes": [)" +
         routes + R"(]}]}, "http_filters": [)" + filters + R"(
    {"name": "router", "typed_config": {"@type": "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router"}}]}})";
}
inline std::string tcp_proxy(const std::string& cluster, const std::string& more = "") {
  return R"({"name": "tcp", "typed_config": {
    "@type": "type.googleapis.com/envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy",
    "stat_prefix": "tcp", )" +
         more + R"("cluster": ")" + cluster + R"("}})";
}
inline std::string listener(const std::string& name, const std::string& filter,
                            const std::string& chain_more = "", std::uint16_t port = 0) {
  return R"({"name": ")" + name + R"(", "address": )" + socket_address(port) +
         R"(, "filter_chains": [{)" + chain_more + R"("filters": [)" + filter + "]}]}";
}
inline std::string resources(const std::string& listeners, const std::string& clusters) {
  return R"({"listeners": [)" + listeners + R"(], "clusters": [)" + clusters + "]}";
}

}  // namespace lateen::proxy::testing
