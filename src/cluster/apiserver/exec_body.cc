// See exec_body.h.
#include "cluster/apiserver/exec_body.h"

#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>

#include "data/json.h"

namespace lateen::cluster::apiserver {
namespace {

using data::Json;
using data::JsonArray;
using data::JsonObject;

constexpr std::size_t kReadBytes = 32 * 1024;
constexpr std::size_t kMostStdinBytes = 256 * 1024;

std::string success_status() {
  return data::dump_json(JsonObject{{"metadata", JsonObject{}}, {"status", "Success"}});
}
std::string exit_status(int code) {
  return data::dump_json(JsonObject{
      {"metadata", JsonObject{}},
      {"status", "Failure"},
      {"message", fmt::format("command terminated with non-zero exit code: exit status {}", code)},
      {"reason", "NonZeroExitCode"},
      {"details",
       JsonObject{{"causes", JsonArray{JsonObject{{"reason", "ExitCode"},
                                                  {"message", fmt::format("{}", code)}}}}}}});
}
std::string failure_status(const std::string& message) {
  return data::dump_json(
      JsonObject{{"metadata", JsonObject{}},
                 {"status", "Failure"},
                 {"message", fmt::format("Internal error occurred: {}", message)},
                 {"reason", "InternalError"},
                 {"details", JsonObject{{"causes", JsonArray{JsonObject{{"message", message}}}}}},
                 {"code", 500}});
}

}  // namespace

ExecBody::ExecBody(event::Loop& loop, http::Body from_client, ExecPlan plan)
    : DuplexBody(loop, std::move(from_client)), plan_(std::move(plan)) {}

// Watches go before the descriptors they watch; the session last, which kills what still runs.
ExecBody::~ExecBody() {
  stdout_.watch = nullptr;
  stderr_.watch = nullptr;
  stdin_watch_ = nullptr;
}

void ExecBody::begin() {
  if (is_begun_) return;
  is_begun_ = true;
  auto work = [gate = gate(), plan = plan_, this]() mutable {
    auto made =
        plan.is_attach ? plan.streams->attach(plan.request) : plan.streams->exec(plan.request);
    auto result = std::make_shared<Result<std::shared_ptr<ExecSession>>>(
        made.ok()
            ? Result<std::shared_ptr<ExecSession>>(std::shared_ptr<ExecSession>(std::move(*made)))
            : Result<std::shared_ptr<ExecSession>>(made.error()));
    gate.post([this, result] { started(std::move(*result)); });
  };
  if (!plan_.pool->submit(std::move(work))) fail("the server has too many requests under way");
}

void ExecBody::started(Result<std::shared_ptr<ExecSession>> session) {
  if (!session.ok()) {
    fail(fmt::format("error executing command in container: {}", session.error().message()));
    return;
  }
  session_ = std::move(*session);
  // The client tells its size at once, mostly before the process is there.
  if (columns_ > 0 && rows_ > 0) session_->resize(columns_, rows_);
  stdin_ = session_->take_stdin();
  if (stdin_.is_open()) {
    stdin_watch_ = loop().watch(stdin_.get(), [this](event::FdWatch::Ready) { write_stdin(); });
  }
  write_stdin();
  open_source(stdout_, session_->stdout_fd(), Channel::kStdout);
  open_source(stderr_, session_->stderr_fd(), Channel::kStderr);
  read_source(stdout_);
  read_source(stderr_);
  wait_for_exit();
}

void ExecBody::open_source(Source& source, int fd, Channel channel) {
  if (fd < 0) return;
  source.fd = fd;
  source.channel = channel;
  source.is_open = true;
  source.watch = loop().watch(fd, [this, &source](event::FdWatch::Ready) {
    read_source(source);
    wait_for_exit();
  });
}

// Until nothing is left now, the end, or the client is behind (then on_drained() continues).
void ExecBody::read_source(Source& source) {
  while (source.is_open && !is_full() && !is_finished()) {
    char bytes[kReadBytes];
    const ssize_t got = ::read(source.fd, bytes, sizeof bytes);
    if (got > 0) {
      write_channel(source.channel, {bytes, static_cast<std::size_t>(got)});
    } else if (got < 0 && errno == EINTR) {
      continue;
    } else if (got < 0 && errno == EAGAIN) {
      return;
    } else {  // the end; EIO is how a pty says it
      source.is_open = false;
      source.watch = nullptr;
    }
  }
}

void ExecBody::on_drained() {
  read_source(stdout_);
  read_source(stderr_);
  wait_for_exit();
}

void ExecBody::on_channel(Channel channel, std::string_view bytes) {
  if (channel == Channel::kStdin && !is_stdin_ended_) {
    stdin_queue_.append(bytes);
    write_stdin();
  } else if (channel == Channel::kResize) {
    auto size = data::parse_json(bytes);
    if (!size.ok()) return;
    columns_ = static_cast<int>(data::get_int(*size, {"Width"}));
    rows_ = static_cast<int>(data::get_int(*size, {"Height"}));
    if (session_ != nullptr) session_->resize(columns_, rows_);
  }
}

void ExecBody::on_channel_end(Channel channel) {
  if (channel != Channel::kStdin) return;
  is_stdin_ended_ = true;
  write_stdin();
}

// Before the process runs, more channels may still have to arrive.
bool ExecBody::is_input_wanted() const {
  return !is_begun_ || stdin_queue_.size() < kMostStdinBytes;
}

void ExecBody::write_stdin() {
  if (session_ == nullptr || !stdin_.is_open()) return;
  while (!stdin_queue_.empty()) {
    const auto piece = stdin_queue_.front();
    const ssize_t put = ::write(stdin_.get(), piece.data(), piece.size());
    if (put > 0) {
      stdin_queue_.drop(static_cast<std::size_t>(put));
      if (is_input_wanted()) resume_input();
    } else if (put < 0 && errno == EINTR) {
      continue;
    } else if (put < 0 && errno == EAGAIN) {
      return;
    } else {  // the process closed it
      stdin_queue_.clear();
      resume_input();
      is_stdin_ended_ = true;
    }
  }
  if (is_stdin_ended_) {
    stdin_watch_ = nullptr;
    stdin_.close();
  }
}

// Output first, then the exit code: a client closes when it has the code.
void ExecBody::wait_for_exit() {
  if (session_ == nullptr || is_waiting_ || stdout_.is_open || stderr_.is_open || is_finished())
    return;
  is_waiting_ = true;
  auto work = [gate = gate(), session = session_, this]() mutable {
    auto code = std::make_shared<Result<int>>(session->wait());
    session = nullptr;
    gate.post([this, code] { ended(std::move(*code)); });
  };
  if (!plan_.pool->submit(std::move(work))) fail("the server has too many requests under way");
}

void ExecBody::ended(Result<int> code) {
  if (!code.ok()) return fail(code.error().message());
  close_with(*code == 0 ? success_status() : exit_status(*code));
}

void ExecBody::fail(const std::string& message) { close_with(failure_status(message)); }

void ExecBody::close_with(const std::string& status_json) {
  if (is_finished()) return;
  write_channel(Channel::kError, status_json);
  write_goodbye();
  finish();
}

// The client is gone: so is the process (attached containers live on).
void ExecBody::on_end() {
  if (!is_finished()) finish();
}

}  // namespace lateen::cluster::apiserver
