// The fetcher makes one call at a time; who waits meanwhile is told together.

#include "proxy/filters/jwt_authn/remote_jwks.h"

#include <algorithm>

#include "base/log.h"
#include "envoy/extensions/filters/http/jwt_authn/v3/config.pb.h"
#include "proxy/filters/side_call.h"
#include "xds/convert.h"

namespace lateen::proxy {
namespace {

constexpr std::size_t kMostWaiting = 10'000;
constexpr std::size_t kMostBytes = 1u << 20;

// Called on its own loop while its scope lives.
class Waiting final : public event::Scope::Operation {
 public:
  Waiting(event::Scope& scope, Function<void()> done) : Operation(scope), done_(std::move(done)) {}
  std::weak_ptr<Waiting*> handle() const { return self_; }
  void finish() {
    auto done = std::move(done_);
    delete this;
    done();
  }

 private:
  ~Waiting() override = default;
  void cancel() override { delete this; }
  std::shared_ptr<Waiting*> self_ = std::make_shared<Waiting*>(this);
  Function<void()> done_;
};

struct Waiter {
  event::Loop* loop;
  std::weak_ptr<Waiting*> operation;  // looked at on `loop` only
  void tell() const {
    loop->post([operation = operation] {
      if (const auto held = operation.lock()) (*held)->finish();
    });
  }
};

}  // namespace

Result<RemoteJwksSettings> RemoteJwksSettings::compile(
    const envoy::extensions::filters::http::jwt_authn::v3::RemoteJwks& config) {
  RemoteJwksSettings made;
  made.cluster = config.http_uri().cluster();
  const std::string& uri = config.http_uri().uri();
  const auto mark = uri.find("://");
  if (mark == std::string::npos || made.cluster.empty())
    return invalid("remote_jwks: http_uri needs a cluster and a URI such as https://host/path",
                   Blame::kConfig);
  made.scheme = uri.substr(0, mark);
  const std::string rest = uri.substr(mark + 3);
  const auto slash = rest.find('/');
  made.authority = rest.substr(0, slash);
  if (slash != std::string::npos) made.path = rest.substr(slash);
  if (config.http_uri().has_timeout()) made.timeout = xds::to_millis(config.http_uri().timeout());
  if (config.has_cache_duration()) made.keep = xds::to_nanos(config.cache_duration());
  if (config.has_retry_policy()) {
    const auto& retry = config.retry_policy();
    made.retries = retry.has_num_retries() ? retry.num_retries().value() : 1;
    if (retry.has_retry_back_off()) {
      made.base_interval =
          std::max(milliseconds(1), xds::to_millis(retry.retry_back_off().base_interval()));
      made.max_interval = retry.retry_back_off().has_max_interval()
                              ? xds::to_millis(retry.retry_back_off().max_interval())
                              : made.base_interval * 10;
    }
  }
  made.is_fetched_ahead = config.has_async_fetch();
  if (config.async_fetch().has_failed_refetch_duration())
    made.failed_interval =
        std::max(milliseconds(1), xds::to_millis(config.async_fetch().failed_refetch_duration()));
  return made;
}

// What both sides see.
struct RemoteJwks::State {
  std::mutex mutex;
  std::shared_ptr<const Jwks> keys;
  SteadyTime good_until{};
  std::vector<Waiter> waiting;
  bool is_under_way = false;
};

class RemoteJwks::Fetcher {
 public:
  Fetcher(Worker& main, RemoteJwksSettings settings, std::shared_ptr<State> state)
      : main_(main),
        settings_(std::move(settings)),
        state_(std::move(state)),
        timer_(main.loop(), [this] { start(); }) {}

  const RemoteJwksSettings& settings() const { return settings_; }

  void start() {
    timer_.cancel();
    auto target = find_target(main_, settings_.cluster, false);
    if (!target) return on_failure("cluster '" + settings_.cluster + "' has no usable host");
    SideRequest request;
    request.scheme = settings_.scheme;
    request.authority = settings_.authority;
    request.path = settings_.path;
    request.timeout = settings_.timeout;
    request.most_bytes = kMostBytes;
    call_service(scope_, main_.loop(), *std::move(target), std::move(request),
                 [this](Result<SideResponse> answer) {
                   if (!answer.ok()) return on_failure(answer.error().message());
                   if (answer->status != 200)
                     return on_failure("status " + std::to_string(answer->status));
                   auto keys = Jwks::parse(answer->body);
                   if (!keys.ok()) return on_failure(keys.error().message());
                   on_keys(*std::move(keys));
                 });
  }

 private:
  void on_keys(std::shared_ptr<const Jwks> keys) {
    tries_ = 0;
    finish(std::move(keys));
    if (!settings_.is_fetched_ahead) return;
    // A little before they are old, so that no request has to wait.
    const nanoseconds ahead = std::min<nanoseconds>(seconds(5), settings_.keep / 2);
    timer_.arm(std::max<nanoseconds>(milliseconds(100), settings_.keep - ahead));
  }

  void on_failure(const std::string& why) {
    LOG(kWarn, "jwt", "keys from {}://{}{} (cluster {}): {}", settings_.scheme, settings_.authority,
        settings_.path, settings_.cluster, why);
    if (tries_ < settings_.retries) {
      auto wait = settings_.base_interval * (std::int64_t{1} << std::min(tries_, 16u));
      ++tries_;
      return timer_.arm(std::min(wait, std::max(settings_.max_interval, settings_.base_interval)));
    }
    tries_ = 0;
    finish(nullptr);
    if (settings_.is_fetched_ahead) timer_.arm(settings_.failed_interval);
  }

  // Null keys: a failure; earlier ones stay as long as they are good.
  void finish(std::shared_ptr<const Jwks> keys) {
    std::vector<Waiter> waiting;
    {
      const std::lock_guard lock(state_->mutex);
      if (keys != nullptr) {
        state_->keys = std::move(keys);
        state_->good_until = main_.loop().now() + settings_.keep;
      }
      state_->is_under_way = false;
      waiting.swap(state_->waiting);
    }
    for (const Waiter& one : waiting) one.tell();
  }

  Worker& main_;
  RemoteJwksSettings settings_;
  std::shared_ptr<State> state_;
  std::uint32_t tries_ = 0;
  event::Timer timer_;
  event::Scope scope_;  // last
};

std::shared_ptr<RemoteJwks> RemoteJwks::make(Worker& main, RemoteJwksSettings settings) {
  std::shared_ptr<RemoteJwks> made(new RemoteJwks());
  made->main_ = &main;
  made->state_ = std::make_shared<State>();
  made->fetcher_ = std::make_shared<Fetcher>(main, std::move(settings), made->state_);
  if (made->fetcher_->settings().is_fetched_ahead) {
    made->state_->is_under_way = true;
    // Not now: the cluster may be later in the same configuration.
    main.loop().post([weak = std::weak_ptr<Fetcher>(made->fetcher_)] {
      if (const auto fetcher = weak.lock()) fetcher->start();
    });
  }
  return made;
}

RemoteJwks::~RemoteJwks() {
  if (main_->loop().is_loop_thread()) return;
  // The last request that used us ended on a worker.
  main_->loop().post([fetcher = std::move(fetcher_)] {});
}

std::shared_ptr<const Jwks> RemoteJwks::current() const {
  const SteadyTime now = main_->loop().clock().steady();
  const std::lock_guard lock(state_->mutex);
  return now < state_->good_until ? state_->keys : nullptr;
}

void RemoteJwks::fetch(event::Scope& scope, event::Loop& loop, Function<void()> done) {
  auto* operation = new Waiting(scope, std::move(done));
  Waiter waiter{&loop, operation->handle()};
  bool must_start = false;
  {
    const std::lock_guard lock(state_->mutex);
    if (state_->waiting.size() >= kMostWaiting) return waiter.tell();
    state_->waiting.push_back(waiter);
    must_start = !std::exchange(state_->is_under_way, true);
  }
  if (!must_start) return;
  main_->loop().post([weak = std::weak_ptr<Fetcher>(fetcher_)] {
    if (const auto fetcher = weak.lock()) fetcher->start();
  });
}

}  // namespace lateen::proxy
