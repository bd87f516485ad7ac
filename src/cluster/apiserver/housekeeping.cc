// See housekeeping.h.
#include "cluster/apiserver/housekeeping.h"

#include "base/log.h"

namespace lateen::cluster::apiserver {
namespace {

constexpr std::string_view kCleanup = "customresourcecleanup.apiextensions.k8s.io";
constexpr auto kTick = milliseconds(250);
constexpr int kTicksPerEventSweep = 240;  // a minute
constexpr int kTicksPerEnsure = 40;       // ten seconds
constexpr auto kEventLifetime = hours(1);

ApiRequest system_request() {
  ApiRequest request;
  request.method = "DELETE";
  request.user.name = "system:apiserver";
  request.user.groups = {"system:masters"};
  return request;
}

}  // namespace

void Housekeeping::start() {
  thread_ = std::thread([this] { run(); });
}

void Housekeeping::stop() {
  {
    std::lock_guard lock(mutex_);
    is_stopping_ = true;
  }
  changed_.notify_all();
  if (thread_.joinable()) thread_.join();
}

void Housekeeping::run() {
  std::unique_lock lock(mutex_);
  for (int tick = 0; !is_stopping_; ++tick) {
    lock.unlock();
    finish_definitions();
    if (tick % kTicksPerEventSweep == 0) drop_old_events();
    if (tick % kTicksPerEnsure == kTicksPerEnsure - 1) ensure_();
    lock.lock();
    changed_.wait_for(lock, kTick, [&] { return is_stopping_; });
  }
}

// A definition that is being deleted goes once its last instance is gone; instances with finalizers
// hold it up.
void Housekeeping::finish_definitions() {
  auto& store = resources_.parts().store;
  for (const auto& definition : store.list(kCrdBucket).items) {
    if (!kube::is_deleting(definition->value)) continue;
    const auto registry = catalog_.current();
    const TypePtr served = type_from_crd(definition->value);
    const ApiRequest request = system_request();
    if (served != nullptr) {
      for (const auto& instance : store.list(served->bucket).items) {
        Call call{request,
                  {},
                  served,
                  registry,
                  {},
                  false,
                  false,
                  "lateen-apiserver",
                  FieldValidation::kIgnore};
        call.info.version = served->storage_version;
        call.info.ns = instance->key.ns;
        call.info.name = instance->key.name;
        (void)resources_.remove(call, instance->key, DeleteSpec{});
      }
      if (store.count(served->bucket) != 0) continue;
    }
    const TypePtr crd_type =
        registry->find_any_version("apiextensions.k8s.io", "customresourcedefinitions");
    Call call{request,
              {},
              crd_type,
              registry,
              {},
              false,
              false,
              "lateen-apiserver",
              FieldValidation::kIgnore};
    call.info.version = "v1";
    call.info.name = definition->key.name;
    auto done = resources_.update(
        call, definition->key,
        [&](const Json& existing) -> Outcome<Json> {
          Json next = existing;
          JsonArray left;
          for (const auto& one : data::get_array(existing, {"metadata", "finalizers"})) {
            if (data::as_string(one) != kCleanup) left.push_back(one);
          }
          data::set(next, {"metadata", "finalizers"}, std::move(left));
          return next;
        },
        UpdateTarget::kFinalize);
    if (!done.ok() && done.error().code != 404) {
      LOG(kWarn, "apiserver", "finishing the deletion of {}: {}", definition->key.name,
          done.error().message);
    }
  }
}

void Housekeeping::drop_old_events() {
  auto& store = resources_.parts().store;
  const WallTime oldest = resources_.parts().clock.wall() - kEventLifetime;
  for (const auto& event : store.list("/events").items) {
    auto last = parse_rfc3339(data::get_string(event->value, {"lastTimestamp"}));
    if (!last.ok())
      last = parse_rfc3339(data::get_string(event->value, {"metadata", "creationTimestamp"}));
    if (last.ok() && *last < oldest) (void)store.remove("/events", event->key, event->revision);
  }
}

}  // namespace lateen::cluster::apiserver
