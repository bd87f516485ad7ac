// See log_stream.h.
#include "cluster/apiserver/log_stream.h"

#include <fmt/format.h>

namespace lateen::cluster::apiserver {

std::optional<std::string> waiting_reason(const Json& pod, std::string_view container,
                                          bool is_previous) {
  const Json* status = nullptr;
  for (std::string_view list : {"containerStatuses", "initContainerStatuses"}) {
    for (const auto& one : data::get_array(pod, {"status", list})) {
      if (data::get_string(one, {"name"}) == container) status = &one;
    }
  }
  const auto pod_name = kube::name_of(pod);
  if (status == nullptr) {
    if (data::get_string(pod, {"spec", "nodeName"}).empty()) {
      return fmt::format("pod {} does not have a host assigned", pod_name);
    }
    return fmt::format("container \"{}\" in pod \"{}\" is waiting to start: ContainerCreating",
                       container, pod_name);
  }
  const bool has_last = data::find(*status, {"lastState", "terminated"}) != nullptr;
  if (is_previous) {
    if (has_last) return std::nullopt;
    return fmt::format("previous terminated container \"{}\" in pod \"{}\" not found", container,
                       pod_name);
  }
  const Json* waiting = data::find(*status, {"state", "waiting"});
  if (waiting == nullptr || has_last) return std::nullopt;
  const auto reason = data::get_string(*waiting, {"reason"}, "ContainerCreating");
  if (reason == "ErrImagePull" || reason == "ImagePullBackOff") {
    return fmt::format(
        "container \"{}\" in pod \"{}\" is waiting to start: {}", container, pod_name,
        reason == "ErrImagePull" ? "image can't be pulled" : "trying and failing to pull image");
  }
  return fmt::format("container \"{}\" in pod \"{}\" is waiting to start: {}", container, pod_name,
                     reason);
}

Outcome<std::unique_ptr<LogStream>> LogStream::open(PodStreams& streams, LogRequest request) {
  std::unique_ptr<LogStream> stream(new LogStream);
  auto* raw = stream.get();
  stream->thread_ =
      std::thread([raw, &streams, request = std::move(request)] { raw->run(streams, request); });
  constexpr auto kFirstBytes = std::chrono::milliseconds(200);
  std::unique_lock lock(stream->mutex_);
  stream->changed_.wait_for(lock, kFirstBytes,
                            [&] { return raw->is_done_ || !raw->queued_.empty(); });
  if (stream->error_ && stream->queued_.empty()) {
    const Status status = Status::from(*stream->error_);
    lock.unlock();
    return status;
  }
  lock.unlock();
  return stream;
}

LogStream::~LogStream() {
  is_stopped_ = true;
  {
    std::lock_guard lock(mutex_);
    wake_ = nullptr;
  }
  changed_.notify_all();
  if (thread_.joinable()) thread_.join();
}

void LogStream::run(PodStreams& streams, const LogRequest& request) {
  auto done = streams.logs(
      request, [this](std::string_view bytes) { return push(bytes); },
      [this] { return is_stopped_.load(); });
  std::function<void()> wake;
  {
    std::lock_guard lock(mutex_);
    is_done_ = true;
    if (!done.ok()) error_ = done.error();
    wake = wake_;
  }
  changed_.notify_all();
  if (wake) wake();
}

bool LogStream::push(std::string_view bytes) {
  std::function<void()> wake;
  {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return queued_.size() < kMostQueuedBytes || is_stopped_; });
    if (is_stopped_) return false;
    queued_ += bytes;
    wake = wake_;
  }
  changed_.notify_all();
  if (wake) wake();
  return true;
}

void LogStream::on_more(std::function<void()> wake) {
  std::lock_guard lock(mutex_);
  wake_ = std::move(wake);
}

ByteStream::Taken LogStream::take() {
  Taken taken;
  {
    std::lock_guard lock(mutex_);
    taken.bytes.swap(queued_);
    taken.is_end = is_done_;
  }
  changed_.notify_all();
  return taken;
}

}  // namespace lateen::cluster::apiserver
