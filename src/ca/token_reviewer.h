// Proves service account tokens with the API server's TokenReview, off the loop: a few threads, a
// bounded queue, and a short memory of good answers.
#pragma once

#include <condition_variable>
#include <deque>
#include <map>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "event/loop.h"
#include "kube/client.h"

namespace lateen::ca {

struct Caller {
  std::string ns;
  std::string service_account;
};
// "spiffe://<trust domain>/ns/<ns>/sa/<name>"; InvalidArgument for other URIs.
Result<Caller> parse_spiffe(std::string_view uri);

class TokenReviewer {
 public:
  static constexpr std::size_t kMostQueued = 10'000;
  static constexpr std::size_t kMostRemembered = 10'000;

  // `client` and `clock` outlive it. Tokens must be for one of `audiences`.
  TokenReviewer(kube::Client& client, const Clock& clock, std::vector<std::string> audiences);
  ~TokenReviewer();

  // `done` runs on `loop`. Unauthenticated when the token is not good, Unavailable when nobody
  // could be asked.
  void review(event::Scope& scope, event::Loop& loop, std::string token,
              event::Completion<Caller> done);
  // The blocking call behind it.
  Result<Caller> review_now(const std::string& token);

 private:
  struct Job;
  void work();

  kube::Client& client_;
  const Clock& clock_;
  std::vector<std::string> audiences_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<std::shared_ptr<Job>> queue_;
  struct Remembered {
    Caller caller;
    SteadyTime until;
  };
  std::map<std::string, Remembered> remembered_;  // by the token's hash
  bool is_stopped_ = false;
  std::vector<std::thread> threads_;
};

}  // namespace lateen::ca
