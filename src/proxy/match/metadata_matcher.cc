// ValueMatcher as a small tree over JSON values.
#include "proxy/match/metadata_matcher.h"

#include <algorithm>

#include "envoy/type/matcher/v3/metadata.pb.h"
#include "envoy/type/matcher/v3/value.pb.h"
#include "proxy/match/string_matcher.h"

namespace lateen::proxy {

using envoy::type::matcher::v3::ValueMatcher;

class ValueNode {
 public:
  static Result<std::shared_ptr<const ValueNode>> compile(const ValueMatcher& config, int depth) {
    if (depth > 16) return invalid("metadata value matcher is nested too deep", Blame::kConfig);
    auto node = std::make_shared<ValueNode>();
    node->kind_ = config.match_pattern_case();
    switch (node->kind_) {
      case ValueMatcher::kStringMatch:
        node->text_ = TRY(StringMatcher::compile(config.string_match()));
        break;
      case ValueMatcher::kBoolMatch: node->flag_ = config.bool_match(); break;
      case ValueMatcher::kPresentMatch: node->flag_ = config.present_match(); break;
      case ValueMatcher::kDoubleMatch: TRY(node->compile_number(config.double_match())); break;
      case ValueMatcher::kListMatch:
        node->parts_.push_back(TRY(compile(config.list_match().one_of(), depth + 1)));
        break;
      case ValueMatcher::kOrMatch:
        for (const auto& part : config.or_match().value_matchers())
          node->parts_.push_back(TRY(compile(part, depth + 1)));
        break;
      case ValueMatcher::kNullMatch: break;
      default: return invalid("a metadata value matcher says nothing", Blame::kConfig);
    }
    return std::shared_ptr<const ValueNode>(std::move(node));
  }

  // `value` is null when there is none.
  bool matches(const data::Json* value) const {
    switch (kind_) {
      case ValueMatcher::kPresentMatch: return (value != nullptr) == flag_;
      case ValueMatcher::kNullMatch: return value != nullptr && value->is_null();
      case ValueMatcher::kBoolMatch:
        return value != nullptr && value->is_bool() && *value->if_bool() == flag_;
      case ValueMatcher::kStringMatch:
        return value != nullptr && value->is_string() && text_->matches(data::as_string(*value));
      case ValueMatcher::kDoubleMatch: {
        const auto number = value != nullptr ? data::as_number(*value) : std::nullopt;
        return number && *number >= low_ && (is_exact_ ? *number == low_ : *number < high_);
      }
      case ValueMatcher::kListMatch: {
        const auto* list = value != nullptr ? value->if_array() : nullptr;
        return list != nullptr &&
               std::any_of(list->begin(), list->end(),
                           [&](const data::Json& item) { return parts_[0]->matches(&item); });
      }
      case ValueMatcher::kOrMatch:
        return std::any_of(parts_.begin(), parts_.end(),
                           [&](const auto& part) { return part->matches(value); });
      default: return false;
    }
  }

 private:
  Result<> compile_number(const envoy::type::matcher::v3::DoubleMatcher& config) {
    is_exact_ = config.has_exact();
    low_ = is_exact_ ? config.exact() : config.range().start();
    high_ = is_exact_ ? low_ : config.range().end();
    return {};
  }

  ValueMatcher::MatchPatternCase kind_ = ValueMatcher::MATCH_PATTERN_NOT_SET;
  std::optional<StringMatcher> text_;
  bool flag_ = false;
  bool is_exact_ = false;
  double low_ = 0, high_ = 0;
  std::vector<std::shared_ptr<const ValueNode>> parts_;
};

Result<MetadataMatcher> MetadataMatcher::compile(
    const envoy::type::matcher::v3::MetadataMatcher& config) {
  MetadataMatcher matcher;
  matcher.filter_ = config.filter();
  matcher.is_inverted_ = config.invert();
  for (const auto& segment : config.path()) matcher.path_.push_back(segment.key());
  matcher.value_ =
      TRY(ValueNode::compile(config.value(), 0).at("metadata matcher for " + config.filter()));
  return matcher;
}

const data::Json* MetadataMatcher::find(const data::JsonObject& metadata) const {
  const data::Json* at = metadata.if_contains(filter_);
  for (const auto& key : path_) {
    const auto* object = at != nullptr ? at->if_object() : nullptr;
    at = object != nullptr ? object->if_contains(key) : nullptr;
  }
  return at;
}

bool MetadataMatcher::matches(const data::JsonObject& metadata) const {
  return value_->matches(find(metadata)) != is_inverted_;
}

}  // namespace lateen::proxy
