#include "xds/names.h"

#include <algorithm>
#include <array>
#include <cstring>

#include "base/strings.h"
#include "xds/wire.h"

namespace lateen::xds {
namespace {

constexpr std::size_t kMostOrders = 128;
constexpr std::size_t kMostKnown = 4096;  // between sweeps

std::string joined(const std::vector<std::string_view>& names) {
  std::size_t size = 0;
  for (const std::string_view name : names) size += name.size() + wire::varint_size(name.size());
  std::string out;
  out.reserve(size);
  for (const std::string_view name : names) {
    wire::put_varint(out, name.size());
    out += name;
  }
  return out;
}

}  // namespace

// Four independent lanes, so that multiplications overlap.
std::uint64_t quick_hash(std::string_view bytes) {
  constexpr std::uint64_t kPrime = 0x9e3779b97f4a7c15u;
  std::array<std::uint64_t, 4> lanes = {bytes.size(), 1, 2, 3};
  const auto mix = [](std::uint64_t& lane, std::uint64_t word) {
    lane = (lane ^ word) * kPrime;
    lane ^= lane >> 32;
  };
  std::array<std::uint64_t, 4> words{};
  while (bytes.size() >= sizeof words) {
    std::memcpy(words.data(), bytes.data(), sizeof words);
    for (std::size_t i = 0; i < lanes.size(); ++i) mix(lanes[i], words[i]);
    bytes.remove_prefix(sizeof words);
  }
  words = {};
  std::memcpy(words.data(), bytes.data(), bytes.size());
  for (std::size_t i = 0; i < lanes.size(); ++i) mix(lanes[i], words[i]);
  for (std::size_t i = 1; i < lanes.size(); ++i) mix(lanes[0], lanes[i]);
  return lanes[0];
}

bool Names::contains(std::string_view name) const {
  const auto at = std::lower_bound(sorted_.begin(), sorted_.end(), name);
  return at != sorted_.end() && *at == name;
}

NamesPtr no_names() {
  static const NamesPtr kNone = std::make_shared<const Names>();
  return kNone;
}

NamesPtr NamePool::take(const std::vector<std::string_view>& names) {
  if (names.empty()) return no_names();
  std::string given = joined(names);
  const std::uint64_t hash = quick_hash(given);
  const auto [begin, end] = orders_.equal_range(hash);
  for (auto it = begin; it != end; ++it) {
    if (it->second.given != given) continue;
    if (NamesPtr known = it->second.names.lock()) return known;
  }
  std::vector<std::string_view> sorted = names;
  std::sort(sorted.begin(), sorted.end());
  sorted.erase(std::unique(sorted.begin(), sorted.end()), sorted.end());
  const std::uint64_t sum = quick_hash(joined(sorted));
  NamesPtr out;
  const auto [first, last] = known_.equal_range(sum);
  for (auto it = first; it != last && out == nullptr; ++it) {
    NamesPtr known = it->second.lock();
    if (known != nullptr &&
        std::equal(known->begin(), known->end(), sorted.begin(), sorted.end())) {
      out = std::move(known);
    }
  }
  if (out == nullptr) {
    out = std::make_shared<const Names>(std::vector<std::string>(sorted.begin(), sorted.end()));
    if (known_.size() >= kMostKnown) sweep();
    known_.emplace(sum, out);
  }
  if (orders_.size() >= kMostOrders) orders_.clear();
  orders_.emplace(hash, Order{std::move(given), out});
  return out;
}

void NamePool::sweep() {
  std::erase_if(known_, [](const auto& entry) { return entry.second.expired(); });
  std::erase_if(orders_, [](const auto& entry) { return entry.second.names.expired(); });
}

}  // namespace lateen::xds
