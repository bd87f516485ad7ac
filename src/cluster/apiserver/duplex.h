// Both directions of an upgraded connection as one object: what the server pulls and sends to the
// client, and what the client sends. Destroyed with the connection. Lives on the network loop.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "event/loop.h"
#include "http/message.h"

namespace lateen::cluster::apiserver {

class DuplexBody : public http::BodySource {
 public:
  DuplexBody(event::Loop& loop, http::Body from_client);
  ~DuplexBody() override;
  std::optional<Result<http::Chunk>> poll(http::Waker waker) final;

 protected:
  // Above this much unsent output, producers should pause until on_drained().
  static constexpr std::size_t kMostQueuedBytes = 512 * 1024;

  virtual void on_bytes(std::string_view bytes) = 0;  // from the client
  virtual void on_end() = 0;                          // the client sends no more; called once
  virtual void on_drained() {}
  // False holds the client back through its TCP window, until resume_input().
  virtual bool is_input_wanted() const { return true; }
  void resume_input();
  void send(std::string bytes);
  void finish();  // after what is queued, the connection ends
  bool is_full() const { return queued_.size() >= kMostQueuedBytes; }
  bool is_finished() const { return is_finished_; }
  event::Loop& loop() { return loop_; }
  // Runs `task` on the loop, from any thread, unless this object is gone by then.
  class Gate {
   public:
    template <typename Task>
    void post(Task task) {
      loop->post([self = state, task = std::move(task)]() mutable {
        if (self->is_open) task();
      });
    }
    struct State {
      bool is_open = true;  // loop thread only
    };
    event::Loop* loop;
    std::shared_ptr<State> state;
  };
  Gate gate() const { return {&loop_, gate_}; }

 private:
  void pump();
  void wake();
  event::Loop& loop_;
  http::Body input_;
  Buffer queued_;
  http::Waker waker_;
  bool is_started_ = false;
  bool is_finished_ = false;
  bool is_input_ended_ = false;
  bool is_paused_ = false;
  std::shared_ptr<Gate::State> gate_ = std::make_shared<Gate::State>();
};

}  // namespace lateen::cluster::apiserver
