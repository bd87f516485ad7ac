// Lookups over a few hundred types; linear scans inside one group are cheaper than they look.
#include "cluster/apiserver/registry.h"

#include <algorithm>
#include <tuple>

#include "base/strings.h"

namespace lateen::cluster::apiserver {

const ServedVersion* ResourceType::version(std::string_view name) const {
  for (const auto& one : versions) {
    if (one.name == name && one.is_served) return &one;
  }
  return nullptr;
}

bool ResourceType::has_subresource(std::string_view name, std::string_view version_name) const {
  const ServedVersion* served = version(version_name);
  if (served == nullptr) return false;
  if (name == "status") return served->has_status;
  if (name == "scale") return served->scale != nullptr;
  return std::find(subresources.begin(), subresources.end(), name) != subresources.end();
}

namespace {

// (is a Kubernetes version, stability, major, minor); bigger is better.
std::tuple<int, int, std::int64_t, std::int64_t> rank_of(std::string_view version) {
  const auto not_one = std::tuple<int, int, std::int64_t, std::int64_t>(0, 0, 0, 0);
  if (version.size() < 2 || version[0] != 'v') return not_one;
  const std::string_view rest = version.substr(1);
  const auto digits = rest.find_first_not_of("0123456789");
  const auto major = parse_int(rest.substr(0, digits));
  if (!major) return not_one;
  if (digits == std::string_view::npos) return {1, 2, *major, 0};
  for (const auto& [word, stability] :
       {std::pair<std::string_view, int>{"beta", 1}, {"alpha", 0}}) {
    if (!rest.substr(digits).starts_with(word)) continue;
    const auto minor = parse_int(rest.substr(digits + word.size()));
    if (minor) return {1, stability, *major, *minor};
  }
  return not_one;
}

}  // namespace

bool is_better_version(std::string_view a, std::string_view b) {
  const auto left = rank_of(a);
  const auto right = rank_of(b);
  if (left != right) return left > right;
  return a < b;
}

Registry::Registry(std::vector<TypePtr> types) : types_(std::move(types)) {
  for (const auto& type : types_) {
    if (!versions_.contains(type->group)) {
      versions_[type->group];
      if (!type->group.empty()) groups_.push_back(type->group);
    }
    auto& known = versions_[type->group];
    for (const auto& version : type->versions) {
      if (!version.is_served) continue;
      if (std::find(known.begin(), known.end(), version.name) == known.end())
        known.push_back(version.name);
    }
  }
  for (auto& [group, known] : versions_) std::sort(known.begin(), known.end(), is_better_version);
  std::erase_if(groups_, [&](const auto& group) { return versions_[group].empty(); });
}

TypePtr Registry::find(std::string_view group, std::string_view version,
                       std::string_view plural) const {
  for (const auto& type : types_) {
    if (type->plural == plural && type->group == group && type->version(version) != nullptr)
      return type;
  }
  return nullptr;
}

TypePtr Registry::find_kind(std::string_view group, std::string_view version,
                            std::string_view kind) const {
  for (const auto& type : types_) {
    if (type->kind == kind && type->group == group && type->version(version) != nullptr)
      return type;
  }
  return nullptr;
}

TypePtr Registry::find_any_version(std::string_view group, std::string_view plural) const {
  for (const auto& type : types_) {
    if (type->plural == plural && type->group == group) return type;
  }
  return nullptr;
}

const std::vector<std::string>& Registry::versions(std::string_view group) const {
  static const std::vector<std::string> none;
  const auto found = versions_.find(group);
  return found == versions_.end() ? none : found->second;
}

bool Registry::serves(std::string_view group, std::string_view version) const {
  const auto& known = versions(group);
  return std::find(known.begin(), known.end(), version) != known.end();
}

}  // namespace lateen::cluster::apiserver
