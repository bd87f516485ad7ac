// The connection manager's limits on a request's time: idle, whole request, whole stream.

#include <algorithm>

#include "proxy/http/connection_manager.h"
#include "proxy/http/overrides.h"
#include "proxy/http/router.h"

namespace lateen::proxy {

void ConnectionManager::watch(HttpState& stream) {
  stream.manager = this;
  stream.next = streams_;
  if (streams_ != nullptr) streams_->previous = &stream;
  streams_ = &stream;
  const SteadyTime now = worker_.loop().now();
  stream.last_activity = now;
  stream.idle_timeout = config_->stream_idle_timeout;
  if (stream.idle_timeout.count() > 0) arm_by(now + stream.idle_timeout);
  if (config_->request_timeout.count() == 0) return;
  stream.request_due = stream.info.started + config_->request_timeout;
  arm_by(stream.request_due);
}

void ConnectionManager::forget(HttpState& stream) {
  (stream.previous != nullptr ? stream.previous->next : streams_) = stream.next;
  if (stream.next != nullptr) stream.next->previous = stream.previous;
}

// What the route says about time, once it is known.
void ConnectionManager::limit(HttpState& stream) {
  const StreamInfo& info = stream.info;
  const auto* forward = info.route == nullptr ? nullptr : std::get_if<Forward>(&info.route->action);
  // A tunnel's "request" is as long as the tunnel.
  if (!info.request->upgrade.empty() || info.request->method == "CONNECT")
    stream.request_due = SteadyTime::max();
  milliseconds duration = stream.config->max_stream_duration;
  if (forward != nullptr) {
    if (forward->idle_timeout) {
      stream.idle_timeout = *forward->idle_timeout;
      if (stream.idle_timeout.count() > 0) arm_by(stream.last_activity + stream.idle_timeout);
    }
    const auto asked = forward->max_grpc_duration && info.is_grpc
                           ? grpc_timeout_of(info.request->headers)
                           : std::nullopt;
    if (asked) {
      duration = *asked;
      if (forward->max_grpc_duration->count() > 0)
        duration = std::min(duration, *forward->max_grpc_duration);
      duration = std::max(milliseconds(1), duration - forward->grpc_duration_offset);
    } else if (forward->max_stream_duration) {
      duration = *forward->max_stream_duration;
    }
  }
  if (duration.count() == 0) return;
  stream.duration_due = info.started + duration;
  arm_by(stream.duration_due);
}

void ConnectionManager::arm_by(SteadyTime due) {
  if (timer_.is_armed() && armed_due_ <= due) return;
  armed_due_ = due;
  timer_.arm(std::max(nanoseconds(0), due - worker_.loop().now()));
}

void ConnectionManager::on_timer() {
  const SteadyTime now = worker_.loop().now();
  SteadyTime due = SteadyTime::max();
  for (HttpState* stream = streams_; stream != nullptr;) {
    HttpState* next = stream->next;  // Streams die at the end of the turn, not in here.
    due = std::min(due, check(*stream, now));
    stream = next;
  }
  if (due != SteadyTime::max()) arm_by(due);
}

// When to look again.
SteadyTime ConnectionManager::check(HttpState& stream, SteadyTime now) {
  constexpr SteadyTime kNever = SteadyTime::max();
  SteadyTime due = kNever;
  if (now >= stream.duration_due && !stream.info.finished) {
    expire(stream, HttpStat::kRqMaxDuration, "downstream duration timeout", "max_duration_timeout",
           Flag::kMaxDuration);
    return kNever;
  }
  due = std::min(due, stream.info.finished ? kNever : stream.duration_due);
  if (!stream.info.request_complete) {
    if (now >= stream.request_due) {
      expire(stream, HttpStat::kRqTimeout, "request timeout", "request_overall_timeout",
             Flag::kDownstreamProtocolError);
      return kNever;
    }
    due = std::min(due, stream.request_due);
  }
  if (stream.idle_timeout.count() == 0) return due;
  const SteadyTime idle_due = stream.last_activity + stream.idle_timeout;
  if (now < idle_due) return std::min(due, idle_due);
  expire(stream, HttpStat::kIdleTimeout, "stream timeout", "stream_idle_timeout",
         Flag::kStreamIdle);
  return kNever;
}

void ConnectionManager::expire(HttpState& stream, HttpStat stat, std::string_view text,
                               std::string_view details, Flag flag) {
  stream.idle_timeout = milliseconds(0);  // Once is enough.
  stream.request_due = stream.duration_due = SteadyTime::max();
  stream.config->stats->add(stat);
  if (stat != HttpStat::kRqTimeout) stream.info.flags.set(flag);
  if (!stream.done) {
    stream.info.details = details;
    return stream.cut();
  }
  stream.router.reset();
  stream.exchange.scope.cancel_all();
  const int status = stat == HttpStat::kRqTimeout || !stream.info.request_complete ? 408 : 504;
  answer(stream, local_reply(stream, status, std::string(text), details));
}

}  // namespace lateen::proxy
