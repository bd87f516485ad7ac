// The reconciler: key in, cluster closer to the wish, status out.
#include "operator/controller.h"

#include <algorithm>
#include <atomic>
#include <set>

#include "base/log.h"
#include "operator/claims.h"
#include "operator/live_objects.h"
#include "operator/status.h"

namespace lateen::op {
namespace {

constexpr std::string_view kFinalizer = "istio-finalizer.install.istio.io";
constexpr std::string_view kIgnore = "install.istio.io/ignoreReconcile";

const kube::Resource& iop_resource() {
  static const kube::Resource kResource{"install.istio.io", "v1alpha1", "istiooperators",
                                        "IstioOperator", true};
  return kResource;
}

bool has_finalizer(const Json& iop) {
  const auto& list = data::get_array(iop, {"metadata", "finalizers"});
  return std::find(list.begin(), list.end(), Json(kFinalizer)) != list.end();
}

}  // namespace

struct Controller::State {
  State(kube::Client& client, const Clock& clock, install::Charts& charts,
        ControllerOptions options)
      : client(client),
        clock(clock),
        charts(charts),
        options(std::move(options)),
        loop(std::make_unique<kube::ReconcileLoop>(
            "operator", this->options.workers,
            [this](const kube::Key& key) { return reconcile(key); })),
        live(client, [this](const kube::Key& owner) { enqueue(owner); }) {
    std::vector<std::string> namespaces = this->options.namespaces;
    if (namespaces.empty()) namespaces.push_back("");
    for (const auto& ns : namespaces) {
      auto informer = std::make_unique<kube::Informer>(client, iop_resource(), ns);
      informer->on_change(
          [this](const kube::Change& change) { enqueue(kube::key_of(change.object())); });
      iops.push_back(std::move(informer));
    }
  }
  ~State() {
    // Workers read the informers, informers add to the loop's queue: the workers go first.
    std::unique_ptr<kube::ReconcileLoop> ending;
    {
      std::lock_guard lock(loop_mutex);
      ending = std::move(loop);
    }
    ending.reset();
    iops.clear();
  }
  void enqueue(const kube::Key& key) {
    std::lock_guard lock(loop_mutex);
    if (loop != nullptr) loop->queue().add(key);
  }

  kube::ObjectPtr find_iop(const kube::Key& key) const {
    for (const auto& informer : iops) {
      if (auto found = informer->find(key)) return found;
    }
    return nullptr;
  }

  Result<kube::Requeue> reconcile(const kube::Key& key);
  Result<kube::Requeue> bring_about(const Json& iop, const Wish& wish);
  Result<> apply_part(const Wish& wish, install::Part part, std::vector<std::string>& waiting,
                      std::string& elsewhere);
  Result<> apply_one(const Wish& wish, const Json& object);
  Result<> prune(const kube::Key& owner, const Wish* wish);
  Result<kube::Requeue> clean_up(const Json& iop);
  Result<> set_finalizer(const Json& iop, bool is_wanted);
  Result<> write_status(const Json& iop, const Status& status);
  milliseconds waited(const Json& iop, std::string_view for_what);

  kube::Client& client;
  const Clock& clock;
  install::Charts& charts;
  ControllerOptions options;
  Claims claims;
  std::atomic<std::uint64_t> reconciled{0}, failed{0}, applied{0}, pruned{0};
  std::mutex mutex;
  std::map<std::string, SteadyTime>
      waiting_since;  // by uid, generation and part; erased when ready
  std::mutex loop_mutex;
  std::unique_ptr<kube::ReconcileLoop> loop;
  LiveObjects live;
  std::vector<std::unique_ptr<kube::Informer>> iops;  // last: their callbacks use the rest
};

Controller::Controller(kube::Client& client, const Clock& clock, install::Charts& charts,
                       ControllerOptions options)
    : state_(std::make_unique<State>(client, clock, charts, std::move(options))) {}
Controller::~Controller() = default;

void Controller::start() {
  state_->live.start();
  for (auto& informer : state_->iops) informer->start();
  state_->loop->start();
}

Controller::Counts Controller::counts() const {
  return {state_->reconciled, state_->failed, state_->applied, state_->pruned,
          state_->claims.size()};
}

Result<kube::Requeue> Controller::State::reconcile(const kube::Key& key) {
  // Pruning from a half-read cluster would be wrong in both directions.
  TRY(live.wait_synced(milliseconds(30'000)));
  for (const auto& informer : iops) {
    if (!informer->wait_synced(milliseconds(30'000)))
      return unavailable("the IstioOperators could not be read yet");
  }
  const auto iop = find_iop(key);
  if (iop == nullptr) {
    claims.forget(key);
    return kube::Requeue::no();
  }
  if (!options.revision.empty() && data::get_string(*iop, {"spec", "revision"}) != options.revision)
    return kube::Requeue::no();
  if (kube::annotation(*iop, kIgnore) == "true") return kube::Requeue::no();
  if (kube::is_deleting(*iop)) return clean_up(*iop);
  ++reconciled;

  auto wish = claims.refresh(charts, *iop);
  if (!wish) {
    ++failed;
    LOG(kWarn, "installer", "IstioOperator {}: {}", key.to_string(), wish.error().message());
    TRY(write_status(*iop, Status::mistake(wish.error().message())));
    return kube::Requeue::no();  // Only an edit of the object can help.
  }
  if (!has_finalizer(*iop)) TRY(set_finalizer(*iop, true));
  return bring_about(*iop, **wish);
}

Result<kube::Requeue> Controller::State::bring_about(const Json& iop, const Wish& wish) {
  Status status;
  TRY(install::ensure_namespace(client, wish.plan.ns));
  bool is_complete = true;
  bool is_blocked = false;
  // Gateways need the control plane, but not each other.
  const auto hold = [&](install::Part part) {
    is_complete = false;
    is_blocked = is_blocked || !install::is_gateway(part);
  };
  for (const install::Part part : install::kParts) {
    const bool is_asked = std::any_of(wish.manifests.begin(), wish.manifests.end(),
                                      [&](const auto& m) { return m.part == part; });
    if (!is_asked) continue;
    if (is_blocked) {
      status.set(part, Status::Level::kReconciling, "waits for the parts before it");
      continue;
    }
    std::vector<std::string> waiting;
    std::string elsewhere;
    if (const auto done = apply_part(wish, part, waiting, elsewhere); !done) {
      ++failed;
      status.set(part, Status::Level::kError, done.error().message());
      LOG(kWarn, "installer", "{} of IstioOperator {}: {}", install::to_string(part),
          wish.key.to_string(), done.error().message());
      hold(part);
      continue;
    }
    const std::string clock_name = wish.uid + "/" + std::to_string(wish.generation) + "/" +
                                   std::string(install::to_string(part));
    if (waiting.empty()) {
      status.set(part, Status::Level::kHealthy, elsewhere);
      std::lock_guard lock(mutex);
      waiting_since.erase(clock_name);
      continue;
    }
    const bool is_late = waited(iop, clock_name) > options.ready_limit;
    status.set(part, is_late ? Status::Level::kError : Status::Level::kReconciling,
               waiting.front());
    hold(part);
  }
  // What an incomplete installation leaves standing may still be serving: prune only when all is
  // well.
  if (is_complete) TRY(prune(wish.key, &wish));
  TRY(write_status(iop, status));
  if (status.overall() == Status::Level::kHealthy) return kube::Requeue::no();
  const bool is_error = status.overall() == Status::Level::kError;
  return kube::Requeue::after(is_error ? options.ready_poll * 10 : options.ready_poll);
}

Result<> Controller::State::apply_part(const Wish& wish, install::Part part,
                                       std::vector<std::string>& waiting, std::string& elsewhere) {
  for (const auto& manifest : wish.manifests) {
    if (manifest.part != part) continue;
    for (const Json& object : manifest.objects) {
      const auto owner = claims.owner_of(install::identity(object));
      if (owner != nullptr && owner->key != wish.key) {
        if (part != install::Part::kBase)
          elsewhere = install::identity(object) + " is managed by IstioOperator " +
                      owner->key.to_string() + ", which is newer";
        continue;
      }
      TRY(apply_one(wish, object));
      if (const auto now = live.find(object)) {
        if (std::string why = install::waits_for(*now); !why.empty())
          waiting.push_back(std::move(why));
      } else {
        waiting.push_back(install::identity(object) + ": not there yet");
      }
    }
  }
  return {};
}

Result<> Controller::State::apply_one(const Wish& wish, const Json& object) {
  if (live.is_settled(object)) return {};
  if (const std::string ns(kube::namespace_of(object)); !ns.empty() && ns != wish.plan.ns)
    TRY(install::ensure_namespace(client, ns));
  const Json now = TRY(install::apply_object(client, object));
  live.remember(object, now);
  ++applied;
  return {};
}

Result<> Controller::State::prune(const kube::Key& owner, const Wish* wish) {
  auto doomed = live.owned_by(owner);
  // Removal goes against the order of installation.
  std::stable_sort(doomed.begin(), doomed.end(), [](const Json& a, const Json& b) {
    return chart::install_rank(kube::kind_of(a)) > chart::install_rank(kube::kind_of(b));
  });
  for (const Json& object : doomed) {
    const std::string identity = install::identity(object);
    if (wish != nullptr && wish->objects.contains(identity)) continue;
    if (kube::kind_of(object) == "CustomResourceDefinition" || kube::is_deleting(object)) continue;
    if (const auto heir = claims.owner_of(identity)) {
      enqueue(heir->key);
      continue;
    }
    TRY(install::remove_object(client, object));
    live.forget(object);
    ++pruned;
    LOG(kInfo, "installer", "removed {}, which IstioOperator {} no longer asks for", identity,
        owner.to_string());
  }
  return {};
}

Result<kube::Requeue> Controller::State::clean_up(const Json& iop) {
  const kube::Key key = kube::key_of(iop);
  if (!has_finalizer(iop)) {
    claims.forget(key);
    return kube::Requeue::no();
  }
  claims.forget(key);
  TRY(prune(key, nullptr));
  TRY(set_finalizer(iop, false));
  LOG(kInfo, "installer", "IstioOperator {} is gone, with its parts", key.to_string());
  return kube::Requeue::no();
}

Result<> Controller::State::set_finalizer(const Json& iop, bool is_wanted) {
  data::JsonArray list;
  for (const Json& each : data::get_array(iop, {"metadata", "finalizers"})) {
    if (each != Json(kFinalizer)) list.push_back(each);
  }
  if (is_wanted) list.emplace_back(kFinalizer);
  Json patch = data::JsonObject();
  data::set(patch, {"metadata", "finalizers"}, std::move(list));
  data::set(patch, {"metadata", "resourceVersion"}, Json(kube::resource_version_of(iop)));
  auto done = client.patch(iop_resource(), kube::key_of(iop), kube::Patch::kMerge, patch);
  if (!done && !(done.error().code() == Code::kNotFound && !is_wanted))
    return std::move(done).error().at("finalizer of IstioOperator " +
                                      kube::key_of(iop).to_string());
  if (done) {
    for (auto& informer : iops) {
      if (informer->find(kube::key_of(iop)) != nullptr && is_wanted) informer->observe(*done);
    }
  }
  return {};
}

Result<> Controller::State::write_status(const Json& iop, const Status& status) {
  const Json wanted = status.to_json();
  const Json* now = data::find(iop, {"status"});
  if (now != nullptr && data::equal(*now, wanted)) return {};
  Json patch = data::JsonObject();
  // A merge patch keeps what it does not name: name the components that are gone.
  Json merged = wanted;
  for (const auto& member : data::get_object(iop, {"status", "componentStatus"})) {
    if (data::find(wanted, {"componentStatus", member.key()}) == nullptr)
      data::set(merged, {"componentStatus", member.key()}, nullptr);
  }
  if (data::find(wanted, {"componentStatus"}) == nullptr)
    data::set(merged, {"componentStatus"}, nullptr);
  if (data::find(wanted, {"message"}) == nullptr) data::set(merged, {"message"}, nullptr);
  for (const auto& member : data::get_object(wanted, {"componentStatus"})) {
    if (data::find(member.value(), {"error"}) == nullptr)
      data::set(merged, {"componentStatus", member.key(), "error"}, nullptr);
    if (data::find(member.value(), {"message"}) == nullptr)
      data::set(merged, {"componentStatus", member.key(), "message"}, nullptr);
  }
  data::set(patch, {"status"}, std::move(merged));
  kube::PatchOptions patching;
  patching.subresource = "status";
  const auto done =
      client.patch(iop_resource(), kube::key_of(iop), kube::Patch::kMerge, patch, patching);
  if (!done && done.error().code() != Code::kNotFound)
    return Error(done.error()).at("status of IstioOperator " + kube::key_of(iop).to_string());
  return {};
}

milliseconds Controller::State::waited(const Json&, std::string_view for_what) {
  std::lock_guard lock(mutex);
  const auto [since, is_new] = waiting_since.emplace(for_what, clock.steady());
  if (waiting_since.size() > Claims::kMostOperators * 8) waiting_since.clear();
  return is_new ? milliseconds(0)
                : std::chrono::duration_cast<milliseconds>(clock.steady() - since->second);
}

}  // namespace lateen::op
