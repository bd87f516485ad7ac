// One exec or attach over an upgraded connection: pumps between the session's descriptors and the
// client's channels, whatever the wire (SPDY streams or WebSocket channels) that a subclass speaks.
// Lives on the network loop.
#pragma once

#include <memory>
#include <string>

#include "cluster/apiserver/duplex.h"
#include "cluster/apiserver/worker_pool.h"
#include "cluster/node/streams.h"

namespace lateen::cluster::apiserver {

// Numbers of the WebSocket channel protocol.
enum class Channel : unsigned char {
  kStdin = 0,
  kStdout = 1,
  kStderr = 2,
  kError = 3,
  kResize = 4
};

// What to run; made by the handler, started when the client's channels are there.
struct ExecPlan {
  PodStreams* streams = nullptr;
  ExecRequest request;
  bool is_attach = false;
  WorkerPool* pool = nullptr;
};

class ExecBody : public DuplexBody {
 public:
  ExecBody(event::Loop& loop, http::Body from_client, ExecPlan plan);
  ~ExecBody() override;

 protected:
  virtual void write_channel(Channel channel, std::string_view bytes) = 0;
  // All channels are done: say goodbye on the wire.
  virtual void write_goodbye() = 0;

  void begin();  // the client is ready; starts the session in the pool
  void on_channel(Channel channel, std::string_view bytes);
  void on_channel_end(Channel channel);  // end of input
  const ExecPlan& plan() const { return plan_; }
  void on_drained() override;
  void on_end() override;
  bool is_input_wanted() const override;

 private:
  struct Source {
    int fd = -1;
    Channel channel = Channel::kStdout;
    std::unique_ptr<event::FdWatch> watch;
    bool is_open = false;
  };
  void started(Result<std::shared_ptr<ExecSession>> session);
  void open_source(Source& source, int fd, Channel channel);
  void read_source(Source& source);
  void write_stdin();
  void wait_for_exit();
  void ended(Result<int> code);
  void fail(const std::string& message);
  void close_with(const std::string& status_json);

  ExecPlan plan_;
  std::shared_ptr<ExecSession> session_;
  Source stdout_;
  Source stderr_;
  Fd stdin_;
  std::unique_ptr<event::FdWatch> stdin_watch_;
  Buffer stdin_queue_;
  bool is_stdin_ended_ = false;
  int columns_ = 0, rows_ = 0;  // of the client's terminal, once told
  bool is_waiting_ = false;
  bool is_begun_ = false;
};

}  // namespace lateen::cluster::apiserver
