// The console's HTTP handlers are plain blocking functions: they ask Prometheus, Kubernetes or a
// database and return. Dispatcher runs them on a few threads beside the server's loop.
#pragma once

#include <condition_variable>
#include <deque>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include "base/function.h"
#include "data/json.h"
#include "http/message.h"

namespace lateen::console {

struct ApiRequest {
  std::string method;
  std::string path;  // decoded, without query
  std::string raw_query;
  std::vector<std::pair<std::string, std::string>> query;
  std::string content_type;
  std::string accept_encoding;
  std::string if_none_match;
  std::string body;

  std::optional<std::string> get(std::string_view name) const;  // the first
  std::string get_or(std::string_view name, std::string_view fallback) const;
  std::int64_t number_or(std::string_view name, std::int64_t fallback) const;
  std::vector<std::string> all(std::string_view name) const;
};

struct ApiReply {
  int status = 200;
  std::string content_type = "application/json";
  std::string body;
  std::vector<std::pair<std::string, std::string>> headers;
  std::vector<std::pair<std::string, std::string>> trailers;  // gRPC; empty: none are sent

  static ApiReply json(const data::Json& value, int status = 200);
  static ApiReply text(std::string body, int status = 200,
                       std::string content_type = "text/plain; charset=utf-8");
  // {"error": …} with the status that fits the code.
  static ApiReply error(const Error& error);
  static ApiReply redirect(std::string to);
};

using Handler = Function<ApiReply(const ApiRequest&)>;

// A bounded queue of jobs and the threads that do them.
class Workers {
 public:
  explicit Workers(int threads);
  ~Workers();  // finishes what is under way, drops the rest
  // False when too much is waiting.
  bool submit(Function<void()> job);

 private:
  void work();
  std::mutex mutex_;
  std::condition_variable wake_;
  std::deque<Function<void()>> jobs_;
  bool is_stopped_ = false;
  std::vector<std::thread> threads_;
};

// Reads the body, runs `handler` on `workers`, sends the reply. Both outlive it; so does the loop.
class Dispatcher final : public http::Service {
 public:
  Dispatcher(Workers& workers, Handler handler, std::size_t max_body_bytes = 16u << 20)
      : workers_(workers), handler_(std::move(handler)), max_body_bytes_(max_body_bytes) {}
  void handle(http::Exchange& exchange, http::Request request, http::Done done) override;

 private:
  void run(http::Exchange& exchange, ApiRequest request, http::Done done);
  Workers& workers_;
  Handler handler_;
  std::size_t max_body_bytes_;
};

}  // namespace lateen::console
