// Parsing and matching of label and field selectors.
#include "kube/selector.h"

#include <algorithm>

#include "base/strings.h"
#include "kube/names.h"

namespace lateen::kube {
namespace {

// Reads "key", "(a,b)" and operators off the front of a selector's text.
class Scanner {
 public:
  explicit Scanner(std::string_view text) : text_(text) {}

  void skip_space() {
    while (at_ < text_.size() && (text_[at_] == ' ' || text_[at_] == '\t')) ++at_;
  }
  bool is_done() {
    skip_space();
    return at_ == text_.size();
  }
  bool take(std::string_view token) {
    skip_space();
    if (text_.substr(at_).substr(0, token.size()) != token) return false;
    at_ += token.size();
    return true;
  }
  std::string_view word() {
    skip_space();
    const std::size_t start = at_;
    while (at_ < text_.size() &&
           std::string_view(" \t,()=!<>").find(text_[at_]) == std::string_view::npos) {
      ++at_;
    }
    return text_.substr(start, at_ - start);
  }
  Error error(std::string_view wanted) const {
    return invalid("unable to parse requirement: selector \"" + std::string(text_) +
                   "\": expected " + std::string(wanted) + " at position " + std::to_string(at_));
  }

 private:
  std::string_view text_;
  std::size_t at_ = 0;
};

Result<std::vector<std::string>> parse_values(Scanner& scanner) {
  if (!scanner.take("(")) return scanner.error("'('");
  std::vector<std::string> values;
  while (true) {
    values.emplace_back(scanner.word());
    if (scanner.take(")")) break;
    if (!scanner.take(",")) return scanner.error("',' or ')'");
  }
  std::sort(values.begin(), values.end());
  values.erase(std::unique(values.begin(), values.end()), values.end());
  return values;
}

Result<> check_requirement(std::string_view key, const std::vector<std::string>& values) {
  if (auto problem = check_qualified_name(key); !problem.empty()) {
    return invalid("unable to parse requirement: <nil>: Invalid value: \"" + std::string(key) +
                   "\": " + problem);
  }
  for (const auto& value : values) {
    if (auto problem = check_label_value(value); !problem.empty()) {
      return invalid("unable to parse requirement: values[0][" + std::string(key) +
                     "]: Invalid value: \"" + value + "\": " + problem);
    }
  }
  return {};
}

std::string scalar_text(const data::Json* value) {
  if (value == nullptr || value->is_null()) return {};
  if (const auto* text = value->if_string()) return std::string(*text);
  return data::dump_json(*value);
}

}  // namespace

Result<LabelSelector> LabelSelector::parse(std::string_view text) {
  LabelSelector out;
  Scanner scanner(text);
  while (!scanner.is_done()) {
    Requirement requirement;
    const bool is_negated = scanner.take("!");
    requirement.key = std::string(scanner.word());
    if (requirement.key.empty()) return scanner.error("a label name");
    if (is_negated) {
      requirement.op = Operator::kDoesNotExist;
    } else if (scanner.is_done()) {
      requirement.op = Operator::kExists;
    } else if (scanner.take("!=")) {
      requirement.op = Operator::kNotEquals;
      requirement.values = {std::string(scanner.word())};
    } else if (scanner.take("==") || scanner.take("=")) {
      requirement.op = Operator::kEquals;
      requirement.values = {std::string(scanner.word())};
    } else if (const bool is_greater = scanner.take(">"); is_greater || scanner.take("<")) {
      requirement.op = is_greater ? Operator::kGreater : Operator::kLess;
      requirement.values = {std::string(scanner.word())};
      if (!parse_int(requirement.values[0])) return scanner.error("an integer");
    } else {
      Scanner before = scanner;
      const auto word = scanner.word();
      if (word == "in" || word == "notin") {
        requirement.op = word == "in" ? Operator::kIn : Operator::kNotIn;
        requirement.values = TRY(parse_values(scanner));
      } else {
        scanner = before;
        requirement.op = Operator::kExists;
      }
    }
    TRY(check_requirement(requirement.key, requirement.values));
    out.requirements_.push_back(std::move(requirement));
    if (scanner.is_done()) break;
    if (!scanner.take(",")) return scanner.error("','");
    if (scanner.is_done()) return scanner.error("a label name");
  }
  return out;
}

Result<LabelSelector> LabelSelector::from_object(const data::Json& selector) {
  const auto* object = selector.if_object();
  if (object == nullptr) return nothing();
  LabelSelector out = from_map(data::get_object(selector, {"matchLabels"}));
  for (const auto& expression : data::get_array(selector, {"matchExpressions"})) {
    Requirement requirement;
    requirement.key = std::string(data::get_string(expression, {"key"}));
    const auto op = data::get_string(expression, {"operator"});
    for (const auto& value : data::get_array(expression, {"values"})) {
      requirement.values.emplace_back(data::as_string(value));
    }
    std::sort(requirement.values.begin(), requirement.values.end());
    const bool has_values = !requirement.values.empty();
    if (op == "In") requirement.op = Operator::kIn;
    else if (op == "NotIn") requirement.op = Operator::kNotIn;
    else if (op == "Exists") requirement.op = Operator::kExists;
    else if (op == "DoesNotExist") requirement.op = Operator::kDoesNotExist;
    else return invalid("\"" + std::string(op) + "\" is not a valid label selector operator");
    const bool wants_values = op == "In" || op == "NotIn";
    if (wants_values != has_values) {
      return invalid(wants_values ? "for 'in', 'notin' operators, values set can't be empty"
                                  : "values set must be empty for exists and does not exist");
    }
    TRY(check_requirement(requirement.key, requirement.values));
    out.requirements_.push_back(std::move(requirement));
  }
  return out;
}

LabelSelector LabelSelector::from_map(const data::JsonObject& labels) {
  LabelSelector out;
  for (const auto& [key, value] : labels) {
    out.requirements_.push_back(
        {std::string(key), Operator::kEquals, {std::string(data::as_string(value))}});
  }
  return out;
}

LabelSelector LabelSelector::everything() { return {}; }

LabelSelector LabelSelector::nothing() {
  LabelSelector out;
  out.is_nothing_ = true;
  return out;
}

bool LabelSelector::matches(const data::JsonObject& labels) const {
  if (is_nothing_) return false;
  return std::all_of(
      requirements_.begin(), requirements_.end(), [&](const Requirement& requirement) {
        const auto* found = labels.if_contains(requirement.key);
        const std::string_view value =
            found != nullptr ? data::as_string(*found) : std::string_view();
        const auto is_listed = [&] {
          return std::find(requirement.values.begin(), requirement.values.end(), value) !=
                 requirement.values.end();
        };
        switch (requirement.op) {
          case Operator::kExists: return found != nullptr;
          case Operator::kDoesNotExist: return found == nullptr;
          case Operator::kEquals:
          case Operator::kIn: return found != nullptr && is_listed();
          case Operator::kNotEquals:
          case Operator::kNotIn: return found == nullptr || !is_listed();
          case Operator::kGreater:
          case Operator::kLess: {
            const auto number = parse_int(value);
            const auto limit = parse_int(requirement.values[0]);
            if (found == nullptr || !number || !limit) return false;
            return requirement.op == Operator::kGreater ? *number > *limit : *number < *limit;
          }
        }
        return false;
      });
}

std::string LabelSelector::to_string() const {
  std::vector<std::string> parts;
  for (const auto& requirement : requirements_) {
    const auto& key = requirement.key;
    const std::string list = "(" + join(requirement.values, ",") + ")";
    switch (requirement.op) {
      case Operator::kEquals: parts.push_back(key + "=" + requirement.values[0]); break;
      case Operator::kNotEquals: parts.push_back(key + "!=" + requirement.values[0]); break;
      case Operator::kIn: parts.push_back(key + " in " + list); break;
      case Operator::kNotIn: parts.push_back(key + " notin " + list); break;
      case Operator::kExists: parts.push_back(key); break;
      case Operator::kDoesNotExist: parts.push_back("!" + key); break;
      case Operator::kGreater: parts.push_back(key + ">" + requirement.values[0]); break;
      case Operator::kLess: parts.push_back(key + "<" + requirement.values[0]); break;
    }
  }
  return join(parts, ",");
}

Result<FieldSelector> FieldSelector::parse(std::string_view text) {
  FieldSelector out;
  std::string token;
  std::vector<std::string> tokens;
  // A backslash takes ',', '=' and '\' literally; keep it until the value is cut off.
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '\\' && i + 1 < text.size()) {
      token.append(text.substr(i++, 2));
    } else if (text[i] == ',') {
      tokens.push_back(std::move(token));
      token.clear();
    } else {
      token += text[i];
    }
  }
  tokens.push_back(std::move(token));

  for (const auto& raw : tokens) {
    const auto trimmed = trim(raw);
    if (trimmed.empty()) continue;
    const auto equals = trimmed.find('=');
    if (equals == std::string_view::npos || equals == 0) {
      return invalid("invalid selector: '" + std::string(text) + "'; can't understand '" + raw +
                     "'");
    }
    Term term;
    term.is_equal = trimmed[equals - 1] != '!';
    term.path = std::string(trim(trimmed.substr(0, term.is_equal ? equals : equals - 1)));
    auto value = trimmed.substr(equals + 1);
    if (term.is_equal && value.starts_with('=')) value.remove_prefix(1);
    for (std::size_t i = 0; i < value.size(); ++i) {
      if (value[i] == '\\' && i + 1 < value.size()) ++i;
      term.value += value[i];
    }
    out.terms_.push_back(std::move(term));
  }
  return out;
}

bool FieldSelector::matches(const data::Json& object) const {
  return std::all_of(terms_.begin(), terms_.end(), [&](const Term& term) {
    std::string actual = scalar_text(data::find_dotted(object, term.path));
    // A Go bool that was never set still reads as false.
    if (actual.empty() && term.value == "false") actual = "false";
    return (actual == term.value) == term.is_equal;
  });
}

std::optional<std::string> FieldSelector::required(std::string_view path) const {
  for (const auto& term : terms_) {
    if (term.is_equal && term.path == path) return term.value;
  }
  return std::nullopt;
}

}  // namespace lateen::kube
