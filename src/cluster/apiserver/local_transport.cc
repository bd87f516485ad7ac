// See local_transport.h.
#include "cluster/apiserver/local_transport.h"

#include <algorithm>
#include <condition_variable>
#include <optional>

#include "base/strings.h"

namespace lateen::cluster::apiserver {
namespace {

constexpr milliseconds kPoll{200};
// A guard only: the stop signal rings. There are some eighty watches, and each rest that ends wakes
// an idle machine.
constexpr milliseconds kLongestRest{20'000};

ApiRequest to_api_request(const http::PlainRequest& request, const User& user) {
  ApiRequest made;
  made.method = request.method;
  std::string_view url = request.url;
  const auto question = url.find('?');
  made.path = url.substr(0, question);
  if (question != std::string_view::npos) made.query = parse_query(url.substr(question + 1));
  for (const auto& [name, value] : request.headers)
    made.headers.emplace_back(to_lower(name), value);
  made.body = request.body;
  made.user = user;
  made.remote = "local";
  return made;
}

http::PlainResponse to_plain(ApiResponse& response) {
  http::PlainResponse made;
  made.status = response.status;
  made.headers.emplace_back("content-type", response.content_type);
  for (const auto& [name, value] : response.headers)
    made.headers.emplace_back(to_lower(name), value);
  made.body = std::move(response.body);
  return made;
}

class LocalTransport final : public kube::Transport {
 public:
  LocalTransport(Api& api, User user, std::shared_ptr<const std::atomic<bool>> is_stopping)
      : api_(api), user_(std::move(user)), is_stopping_(std::move(is_stopping)) {}

  Result<http::PlainResponse> call(const http::PlainRequest& request) override {
    if (is_stopping_->load()) return unavailable("the API server is stopping");
    ApiResponse response = api_.handle(to_api_request(request, user_));
    if (response.stream != nullptr) {
      // A finite stream (a log that is not followed) asked for as one piece.
      http::PlainResponse made = to_plain(response);
      drain(
          *response.stream,
          [&](std::string_view bytes) {
            made.body += bytes;
            return true;
          },
          [] { return false; });
      return made;
    }
    return to_plain(response);
  }

  Result<http::PlainResponse> stream(const http::PlainRequest& request,
                                     const Function<bool(std::string_view)>& on_chunk,
                                     const Function<bool()>& should_stop) override {
    if (is_stopping_->load()) return unavailable("the API server is stopping");
    ApiResponse response = api_.handle(to_api_request(request, user_));
    if (response.status / 100 != 2) return to_plain(response);
    if (response.stream == nullptr) {
      on_chunk(response.body);
      response.body.clear();
      return to_plain(response);
    }
    drain(*response.stream, on_chunk, should_stop, request.stop);
    return to_plain(response);
  }

  Result<std::unique_ptr<http::BlockingClient::Tunnel>> upgrade(const http::PlainRequest&,
                                                                std::string_view) override {
    return Error(Code::kUnimplemented, "upgrades need a connection: use the API server's address");
  }

 private:
  template <typename OnChunk, typename ShouldStop>
  void drain(ByteStream& stream, const OnChunk& on_chunk, const ShouldStop& should_stop,
             StopSignal* stop = nullptr) {
    struct Bell {
      std::mutex mutex;
      std::condition_variable rung;
      bool is_rung = false;
    };
    auto bell = std::make_shared<Bell>();
    const auto ring = [bell] {
      std::lock_guard lock(bell->mutex);
      bell->is_rung = true;
      bell->rung.notify_one();
    };
    stream.on_more(ring);
    std::optional<StopSignal::Listener> stop_listener;
    if (stop != nullptr) stop_listener.emplace(*stop, ring);
    // The API server's own end comes after that of all who have a signal of their own.
    const milliseconds longest = stop != nullptr ? kLongestRest : kPoll;
    while (!should_stop() && !is_stopping_->load()) {
      auto taken = stream.take();
      if (!taken.bytes.empty() && !on_chunk(taken.bytes)) return;
      if (taken.is_end) return;
      if (!taken.bytes.empty()) continue;
      std::unique_lock lock(bell->mutex);
      bell->rung.wait_for(lock, std::min(longest, stream.tick_interval()),
                          [&] { return bell->is_rung; });
      bell->is_rung = false;
    }
  }

  Api& api_;
  User user_;
  std::shared_ptr<const std::atomic<bool>> is_stopping_;
};

}  // namespace

std::unique_ptr<kube::Transport> make_local_transport(
    Api& api, User user, std::shared_ptr<const std::atomic<bool>> is_stopping) {
  return std::make_unique<LocalTransport>(api, std::move(user), std::move(is_stopping));
}

}  // namespace lateen::cluster::apiserver
