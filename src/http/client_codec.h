// What the pool and its connections share: a call under way and the codec that carries it.
#pragma once

#include "http/client.h"

namespace lateen::http {

// One call, from ClientPool::call() until both its directions have ended. Lives in its caller's
// scope.
class Call final : public event::Scope::Operation {
 public:
  // Who holds the call now: the pool while it waits for a connection, then a codec.
  class Holder {
   public:
    // The caller's scope died: forget `call`, which is deleted after. Must not call user code.
    virtual void forget(Call& call) = 0;

   protected:
    ~Holder() = default;
  };

  Call(event::Scope& scope, Exchange& exchange, Request request, Function<void(CallResult)> done)
      : Operation(scope), exchange(exchange), request(std::move(request)), done(std::move(done)) {}

  // The end of a call that has no response yet: deletes it and tells the caller.
  void fail(CallError error) {
    auto tell = std::move(done);
    delete this;
    if (tell) tell(CallResult{std::nullopt, std::move(error), nullptr});
  }
  void remove() { delete this; }

  Exchange& exchange;
  Request request;
  Function<void(CallResult)> done;  // empty once the response's head was handed over
  Holder* holder = nullptr;
  std::int32_t stream_id = 0;  // HTTP/2

 private:
  ~Call() override = default;
  void cancel() override {
    if (holder != nullptr) holder->forget(*this);
    delete this;
  }
};

// One connection. Its events come from the loop or from inside its calls; the pool never deletes a
// codec within them.
class ClientCodec {
 public:
  class Events {
   public:
    virtual void on_room(ClientCodec& codec) = 0;  // a call ended: it may take another, or be idle
    virtual void on_closed(ClientCodec& codec) = 0;  // takes no more; delete it later
   protected:
    ~Events() = default;
  };
  virtual ~ClientCodec() = default;
  virtual void start(Call& call) = 0;  // only when has_room()
  virtual bool has_room() const = 0;
  virtual std::size_t active_count() const = 0;
  virtual void drain() = 0;  // closes when nothing is under way
  SteadyTime idle_since{};   // the pool's notes
  SteadyTime opened{};
  bool is_listed = false;
};

namespace h2 {
std::unique_ptr<ClientCodec> make_client_codec(event::Loop& loop,
                                               std::unique_ptr<net::Stream> stream,
                                               const ClientOptions& options,
                                               ClientCodec::Events& events);
}  // namespace h2

}  // namespace lateen::http
