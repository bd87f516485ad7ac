// Rendering is kept per generation; ownership is decided from what is rendered now.
#include "operator/claims.h"

namespace lateen::op {
namespace {

Result<WishPtr> make_wish(install::Charts& charts, const Json& iop) {
  auto wish = std::make_shared<Wish>();
  wish->key = kube::key_of(iop);
  wish->uid = kube::uid_of(iop);
  wish->generation = data::get_int(iop, {"metadata", "generation"});
  wish->created = data::get_string(iop, {"metadata", "creationTimestamp"});
  wish->plan = TRY(install::make_plan(charts, iop));
  wish->manifests = TRY(install::render(charts, wish->plan));
  for (auto& manifest : wish->manifests) {
    for (Json& object : manifest.objects) {
      install::stamp(object, wish->plan, manifest.part);
      wish->objects[install::identity(object)] = manifest.part;
    }
  }
  return WishPtr(std::move(wish));
}

bool is_newer(const Wish& a, const Wish& b) {
  return a.created != b.created ? a.created > b.created : a.key > b.key;
}

}  // namespace

Result<WishPtr> Claims::refresh(install::Charts& charts, const Json& iop) {
  const kube::Key key = kube::key_of(iop);
  {
    std::lock_guard lock(mutex_);
    const auto found = wishes_.find(key);
    const bool is_current =
        found != wishes_.end() && found->second->uid == kube::uid_of(iop) &&
        found->second->generation == data::get_int(iop, {"metadata", "generation"}) &&
        found->second->generation > 0;
    if (is_current) return found->second;
    if (found == wishes_.end() && wishes_.size() >= kMostOperators) {
      return Error(Code::kResourceExhausted,
                   "more than " + std::to_string(kMostOperators) + " IstioOperators: remove some");
    }
  }
  // What an object that is now wrong once asked for stays in force: a typing mistake removes
  // nothing.
  WishPtr wish = TRY(make_wish(charts, iop));
  std::lock_guard lock(mutex_);
  wishes_[key] = wish;
  return wish;
}

void Claims::forget(const kube::Key& key) {
  std::lock_guard lock(mutex_);
  wishes_.erase(key);
}

WishPtr Claims::owner_of(const std::string& identity) const {
  std::lock_guard lock(mutex_);
  WishPtr owner;
  for (const auto& [key, wish] : wishes_) {
    if (wish->objects.contains(identity) && (owner == nullptr || is_newer(*wish, *owner)))
      owner = wish;
  }
  return owner;
}

std::vector<kube::Key> Claims::sharing_with(const Wish& wish) const {
  std::lock_guard lock(mutex_);
  std::vector<kube::Key> out;
  for (const auto& [key, other] : wishes_) {
    if (key == wish.key) continue;
    for (const auto& [identity, part] : wish.objects) {
      if (!other->objects.contains(identity)) continue;
      out.push_back(key);
      break;
    }
  }
  return out;
}

std::size_t Claims::size() const {
  std::lock_guard lock(mutex_);
  return wishes_.size();
}

}  // namespace lateen::op
