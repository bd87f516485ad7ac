#include "ca/token_reviewer.h"

#include <atomic>

#include "base/strings.h"
#include "tls/x509.h"

namespace lateen::ca {
namespace {

constexpr int kThreads = 2;
constexpr seconds kMemory{60};

}  // namespace

// A review under way. The loop side owns `done`; the worker only fills `result` and posts.
struct TokenReviewer::Job {
  event::Loop* loop;
  std::string token;
  Function<void(Result<Caller>)> finish;  // called on the loop
};

namespace {

// Lives until it completes or its scope dies; both happen on the loop.
class Operation final : public event::Scope::Operation {
 public:
  Operation(event::Scope& scope, event::Completion<Caller> done)
      : event::Scope::Operation(scope), done_(std::move(done)) {}
  void complete(Result<Caller> result) {
    unlink();
    auto done = std::move(done_);
    delete this;
    done(std::move(result));
  }
  std::shared_ptr<std::atomic<bool>> alive = std::make_shared<std::atomic<bool>>(true);

 private:
  void cancel() override {
    *alive = false;
    delete this;
  }
  event::Completion<Caller> done_;
};

}  // namespace

Result<Caller> parse_spiffe(std::string_view uri) {
  const auto parts = split(uri, '/');
  if (!uri.starts_with("spiffe://") || parts.size() != 7 || parts[3] != "ns" || parts[5] != "sa" ||
      parts[4].empty() || parts[6].empty()) {
    return invalid("\"" + std::string(uri) + "\" is not spiffe://DOMAIN/ns/NAMESPACE/sa/ACCOUNT");
  }
  return Caller{std::string(parts[4]), std::string(parts[6])};
}

TokenReviewer::TokenReviewer(kube::Client& client, const Clock& clock,
                             std::vector<std::string> audiences)
    : client_(client), clock_(clock), audiences_(std::move(audiences)) {
  for (int i = 0; i < kThreads; ++i) threads_.emplace_back([this] { work(); });
}

TokenReviewer::~TokenReviewer() {
  {
    const std::lock_guard lock(mutex_);
    is_stopped_ = true;
  }
  changed_.notify_all();
  for (std::thread& thread : threads_) thread.join();
}

void TokenReviewer::review(event::Scope& scope, event::Loop& loop, std::string token,
                           event::Completion<Caller> done) {
  auto* operation = new Operation(scope, std::move(done));
  auto job = std::make_shared<Job>();
  job->loop = &loop;
  job->token = std::move(token);
  job->finish = [operation, alive = operation->alive](Result<Caller> result) {
    if (*alive) operation->complete(std::move(result));
  };
  bool is_full = false;
  {
    const std::lock_guard lock(mutex_);
    is_full = queue_.size() >= kMostQueued;
    if (!is_full) queue_.push_back(job);
  }
  if (is_full) {
    loop.post([job] { job->finish(unavailable("too many token reviews are waiting")); });
    return;
  }
  changed_.notify_one();
}

void TokenReviewer::work() {
  while (true) {
    std::shared_ptr<Job> job;
    {
      std::unique_lock lock(mutex_);
      changed_.wait(lock, [&] { return is_stopped_ || !queue_.empty(); });
      if (is_stopped_) return;
      job = std::move(queue_.front());
      queue_.pop_front();
    }
    auto result = review_now(job->token);
    event::Loop& loop = *job->loop;
    loop.post([job = std::move(job), result = std::move(result)]() mutable {
      job->finish(std::move(result));
    });
  }
}

Result<Caller> TokenReviewer::review_now(const std::string& token) {
  if (token.empty()) return Error(Code::kUnauthenticated, "no token was sent");
  const std::string hash = tls::sha256(token);
  {
    const std::lock_guard lock(mutex_);
    const auto found = remembered_.find(hash);
    if (found != remembered_.end() && found->second.until > clock_.steady()) {
      return found->second.caller;
    }
  }
  data::JsonArray audiences;
  for (const std::string& audience : audiences_) audiences.push_back(data::Json(audience));
  const data::Json review = data::JsonObject{
      {"apiVersion", "authentication.k8s.io/v1"},
      {"kind", "TokenReview"},
      {"spec", data::JsonObject{{"token", token}, {"audiences", std::move(audiences)}}}};
  auto answer = client_.create(kube::resources::token_reviews(), review);
  if (!answer.ok()) return unavailable("TokenReview: " + answer.error().message());
  if (!data::get_bool(*answer, {"status", "authenticated"})) {
    const std::string why(data::get_string(*answer, {"status", "error"}, "the token is not valid"));
    return Error(Code::kUnauthenticated, "token refused by the API server: " + why);
  }
  const std::string_view user = data::get_string(*answer, {"status", "user", "username"});
  const auto parts = split(user, ':');
  if (parts.size() != 4 || parts[0] != "system" || parts[1] != "serviceaccount") {
    return Error(Code::kUnauthenticated, "\"" + std::string(user) + "\" is not a service account");
  }
  const Caller caller{std::string(parts[2]), std::string(parts[3])};
  const std::lock_guard lock(mutex_);
  if (remembered_.size() >= kMostRemembered) remembered_.clear();
  remembered_[hash] = {caller, clock_.steady() + kMemory};
  return caller;
}

}  // namespace lateen::ca
