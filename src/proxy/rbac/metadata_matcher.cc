// ValueMatcher covers null, numbers, text, bools, presence, lists and alternatives.

#include "proxy/rbac/metadata_matcher.h"

#include <algorithm>

#include "envoy/type/matcher/v3/metadata.pb.h"
#include "envoy/type/matcher/v3/value.pb.h"
#include "proxy/match/string_matcher.h"

namespace lateen::proxy {
namespace {

namespace matcher = envoy::type::matcher::v3;
using Test = std::function<bool(const data::Json&)>;

Result<Test> compile_value(const matcher::ValueMatcher& config) {
  using V = matcher::ValueMatcher;
  switch (config.match_pattern_case()) {
    case V::kNullMatch: return Test([](const data::Json& value) { return value.is_null(); });
    case V::kDoubleMatch: {
      const auto& number = config.double_match();
      if (number.has_range())
        return Test(
            [first = number.range().start(), last = number.range().end()](const data::Json& value) {
              const auto n = data::as_number(value);
              return n && *n >= first && *n < last;
            });
      return Test([exact = number.exact()](const data::Json& value) {
        return data::as_number(value) == exact;
      });
    }
    case V::kStringMatch: {
      auto text = TRY(StringMatcher::compile(config.string_match()));
      return Test([text = std::move(text)](const data::Json& value) {
        return value.is_string() && text.matches(data::as_string(value));
      });
    }
    case V::kBoolMatch:
      return Test([wanted = config.bool_match()](const data::Json& value) {
        return value.is_bool() && *value.if_bool() == wanted;
      });
    case V::kPresentMatch:
      return Test([wanted = config.present_match()](const data::Json& value) {
        return !value.is_null() == wanted;
      });
    case V::kListMatch: {
      auto one = TRY(compile_value(config.list_match().one_of()));
      return Test([one = std::move(one)](const data::Json& value) {
        const auto* list = value.if_array();
        return list != nullptr && std::any_of(list->begin(), list->end(),
                                              [&](const data::Json& item) { return one(item); });
      });
    }
    case V::kOrMatch: {
      std::vector<Test> parts;
      for (const auto& part : config.or_match().value_matchers())
        parts.push_back(TRY(compile_value(part)));
      return Test([parts = std::move(parts)](const data::Json& value) {
        return std::any_of(parts.begin(), parts.end(),
                           [&](const Test& part) { return part(value); });
      });
    }
    default: return invalid("a value matcher of a kind that is not known here", Blame::kConfig);
  }
}

}  // namespace

Result<MetadataMatcher> MetadataMatcher::compile(const matcher::MetadataMatcher& config) {
  MetadataMatcher made;
  made.filter_ = config.filter();
  for (const auto& segment : config.path()) made.path_.push_back(segment.key());
  made.value_ = TRY(compile_value(config.value()));
  made.is_inverted_ = config.invert();
  return made;
}

bool MetadataMatcher::matches(const data::JsonObject& metadata) const {
  static const data::Json kNone;
  const data::Json* at = metadata.if_contains(filter_);
  for (const auto& key : path_) {
    const auto* object = at == nullptr ? nullptr : at->if_object();
    at = object == nullptr ? nullptr : object->if_contains(key);
  }
  return value_(at == nullptr ? kNone : *at) != is_inverted_;
}

}  // namespace lateen::proxy
