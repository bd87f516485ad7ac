// Insides of BlockingClient: its loop thread, its pools, and calls under way on them.
#pragma once

#include <condition_variable>
#include <map>
#include <mutex>
#include <set>
#include <thread>

#include "event/epoll_loop.h"
#include "http/blocking_client.h"
#include "http/client.h"
#include "http/url.h"

namespace lateen::http {

// Where a call goes, found out on the caller's thread: DNS may block there.
struct Destination {
  Url url;
  std::vector<net::Address> addresses;  // in the order to try
};

struct BlockingLoop;

// One call on the loop thread, until `finish` ran there. Subclasses say what happens with the
// response.
class BlockingJob : public std::enable_shared_from_this<BlockingJob> {
 public:
  BlockingJob(PlainRequest request, Destination to)
      : request(std::move(request)), to(std::move(to)) {}
  virtual ~BlockingJob() = default;

  // Caller's thread. Waits until finished, or cancels at `until` or when `should_stop` says so
  // (asked each 100 ms while is_polled(), and when `request.stop` is set).
  Result<PlainResponse> wait(BlockingLoop& loop, std::optional<SteadyTime> until,
                             const Function<bool()>* should_stop = nullptr);

  const PlainRequest request;
  const Destination to;

 protected:
  friend struct BlockingLoop;
  // Loop thread.
  virtual void on_response(Response response) = 0;
  virtual Body make_body() { return Body::of(std::string(request.body)); }
  virtual std::string_view upgrade() const { return {}; }
  virtual bool is_polled() const { return true; }
  virtual void on_finished() {}
  void finish(Result<PlainResponse> result);
  void start_attempt();
  void on_result(CallResult result);

  BlockingLoop* loop = nullptr;
  std::unique_ptr<Exchange> exchange;
  std::size_t address_index = 0;
  bool is_retried = false;
  std::unique_ptr<event::Scope> scope;  // of the current attempt

  std::mutex mutex;
  std::condition_variable changed;
  std::optional<Result<PlainResponse>> result;  // by `mutex`
};

// What lives on the client's thread.
struct BlockingLoop {
  explicit BlockingLoop(BlockingClientOptions options);
  ~BlockingLoop();

  Result<Destination> locate(const std::string& url) const;  // any thread
  void submit(std::shared_ptr<BlockingJob> job);             // any thread
  void cancel(std::shared_ptr<BlockingJob> job,
              Error why);  // any thread; finishes it unless it has

  Result<ClientPool*> pool_for(const Destination& to, std::size_t address_index,
                               bool is_h2_allowed);

  BlockingClientOptions options;
  SystemClock clock;
  std::unique_ptr<event::Loop> loop;
  ConnectionInfo connection;
  // Loop thread only.
  std::set<std::shared_ptr<BlockingJob>> jobs;
  std::map<std::string, std::unique_ptr<ClientPool>> pools;
  bool is_stopping = false;
  std::thread thread;
};

struct BlockingClient::State {
  explicit State(BlockingClientOptions options) : loop(std::move(options)) {}
  BlockingLoop loop;
};

PlainHeaders plain_headers(const Headers& headers);

}  // namespace lateen::http
