#include "xds/replies.h"

#include <algorithm>

namespace lateen::xds {
namespace {

constexpr std::size_t kMostReplies = 4096;
constexpr std::size_t kMostLosses = 32;

}  // namespace

std::size_t Replies::Hash::operator()(const ReplyKey& key) const {
  std::size_t out = key.type + (static_cast<std::size_t>(key.variant) << 3) +
                    (std::size_t(key.is_wildcard) << 2) + (std::size_t(key.was_answered) << 1) +
                    std::size_t(key.is_complete);
  for (const void* part :
       {static_cast<const void*>(key.names.get()), static_cast<const void*>(key.held.get()),
        static_cast<const void*>(key.resources.get())}) {
    out = (out ^ reinterpret_cast<std::size_t>(part)) * 0x9e3779b97f4a7c15u;
    out ^= out >> 29;
  }
  return out;
}

ResourcesPtr no_resources() {
  static const ResourcesPtr kNone = std::make_shared<const Resources>();
  return kNone;
}

ResourcesPtr Replies::in_order(const ResourcesPtr& resources) {
  const auto is_before = [](const ServedPtr& a, const ServedPtr& b) { return a->name < b->name; };
  const auto known = ordered_.find(resources.get());
  if (known != ordered_.end()) return known->second.second;
  ResourcesPtr out = resources;
  if (!std::is_sorted(resources->begin(), resources->end(), is_before)) {
    auto sorted = std::make_shared<Resources>(*resources);
    std::sort(sorted->begin(), sorted->end(), is_before);
    out = std::move(sorted);
  }
  ordered_.emplace(resources.get(), std::pair(resources, out));
  return out;
}

const Reply* Replies::find(const ReplyKey& key) const {
  const auto found = replies_.find(key);
  return found == replies_.end() ? nullptr : &found->second;
}

const Reply& Replies::keep(ReplyKey key, Reply reply) {
  const auto size = [](const Reply& of) { return of.bytes.size() + 256; };
  while (!order_.empty() &&
         (bytes_ + size(reply) > most_bytes_ || replies_.size() >= kMostReplies)) {
    const auto oldest = replies_.find(order_.front());
    if (oldest != replies_.end()) {
      bytes_ -= size(oldest->second);
      replies_.erase(oldest);
    }
    order_.pop_front();
  }
  bytes_ += size(reply);
  const auto [at, is_new] = replies_.insert_or_assign(key, std::move(reply));
  if (is_new) order_.push_back(std::move(key));
  return at->second;
}

ResourcesPtr Replies::without(const ResourcesPtr& held,
                              const std::shared_ptr<const std::vector<std::string>>& names) {
  if (held == nullptr || held->empty() || names->empty()) return held;
  for (const Loss& loss : losses_) {
    if (loss.from == held && loss.names == names) return loss.to;
  }
  std::vector<std::string_view> lost(names->begin(), names->end());
  std::sort(lost.begin(), lost.end());
  auto to = std::make_shared<Resources>();
  to->reserve(held->size());
  for (const ServedPtr& served : *held) {
    if (!std::binary_search(lost.begin(), lost.end(), std::string_view(served->name))) {
      to->push_back(served);
    }
  }
  ResourcesPtr out = to->size() == held->size() ? held : ResourcesPtr(std::move(to));
  losses_.push_back({held, names, out});
  if (losses_.size() > kMostLosses) losses_.pop_front();
  return out;
}

void Replies::clear() {
  replies_.clear();
  order_.clear();
  losses_.clear();
  bytes_ = 0;
  // What only we hold nobody asks for again.
  std::erase_if(ordered_, [](const auto& entry) {
    const auto& [key, sorted] = entry.second;
    return key.use_count() == (key == sorted ? 2 : 1);
  });
}

}  // namespace lateen::xds
