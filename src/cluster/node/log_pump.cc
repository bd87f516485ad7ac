// The log pump.
#include "cluster/node/log_pump.h"

#include <unistd.h>

#include <cerrno>
#include <vector>

#include "event/epoll_loop.h"

namespace lateen::cluster::node {

namespace {
// Bytes taken from one stream per turn, so that one loud container does not hold up the others.
constexpr int kReadsPerTurn = 16;
constexpr std::size_t kMaxAttached = 16;
}  // namespace

struct LogPump::Stream {
  Fd fd;
  std::unique_ptr<event::FdWatch> watch;
};

struct LogPump::Source {
  Source(const std::string& path, const Clock& clock) : writer(path, clock) {}
  LogWriter writer;
  Stream out, err;
  struct Attached {
    Fd out, err;
  };
  std::vector<Attached> attached;
};

LogPump::LogPump(const Clock& clock) : clock_(clock) {}

LogPump::~LogPump() {
  if (thread_.joinable()) {
    loop_->stop();
    thread_.join();
  }
  sources_.clear();
}

Result<> LogPump::start() {
  loop_ = TRY(event::make_epoll_loop(clock_, system_random()));
  thread_ = std::thread([this] { loop_->run(); });
  return {};
}

void LogPump::add(const std::string& id, const std::string& path, Fd out, Fd err) {
  (void)os::set_nonblocking(out.get(), true);
  if (err.is_open()) (void)os::set_nonblocking(err.get(), true);
  loop_->post([this, id, path, out = std::move(out), err = std::move(err)]() mutable {
    auto source = std::make_unique<Source>(path, clock_);
    source->out.fd = std::move(out);
    source->err.fd = std::move(err);
    Source& added = *source;
    sources_[id] = std::move(source);
    added.out.watch = loop_->watch(added.out.fd.get(),
                                   [this, id](event::FdWatch::Ready) { read_ready(id, true); });
    if (added.err.fd.is_open())
      added.err.watch = loop_->watch(added.err.fd.get(),
                                     [this, id](event::FdWatch::Ready) { read_ready(id, false); });
  });
}

void LogPump::attach(const std::string& id, Fd out, Fd err) {
  loop_->post([this, id, out = std::move(out), err = std::move(err)]() mutable {
    const auto found = sources_.find(id);
    if (found == sources_.end() || found->second->attached.size() >= kMaxAttached) return;
    found->second->attached.push_back({std::move(out), std::move(err)});
  });
}

void LogPump::read_ready(const std::string& id, bool is_stdout) {
  const auto found = sources_.find(id);
  if (found == sources_.end()) return;
  Source& source = *found->second;
  Stream& stream = is_stdout ? source.out : source.err;
  if (!stream.fd.is_open()) return;
  char chunk[32768];
  for (int i = 0; i < kReadsPerTurn; ++i) {
    const ssize_t got = ::read(stream.fd.get(), chunk, sizeof chunk);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0 && errno == EAGAIN) return;
    if (got <= 0) {  // The end; a terminal's master says EIO.
      stream.watch.reset();
      stream.fd.close();
      if (source.out.fd.is_open() || source.err.fd.is_open()) return;
      source.writer.finish();
      sources_.erase(found);
      return;
    }
    const std::string_view bytes(chunk, static_cast<std::size_t>(got));
    source.writer.append(is_stdout ? "stdout" : "stderr", bytes);
    for (auto& attached : source.attached) {
      Fd& to = is_stdout ? attached.out : attached.err;
      if (to.is_open() && ::write(to.get(), bytes.data(), bytes.size()) < 0 && errno != EAGAIN)
        to.close();
    }
  }
  // More is there: edge-triggered readiness will not tell again.
  loop_->post([this, id, is_stdout] { read_ready(id, is_stdout); });
}

}  // namespace lateen::cluster::node
