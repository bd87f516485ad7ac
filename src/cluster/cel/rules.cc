// See rules.h.
#include "cluster/cel/rules.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/strings.h"

namespace lateen::cluster::cel {
namespace {

constexpr int kMostDepth = 100;
// As upstream's limits in spirit: for one rule, and for all rules of one write.
constexpr std::int64_t kStepsPerRule = 1'000'000;
constexpr std::int64_t kStepsPerObject = 10'000'000;

struct Rule {
  std::string text;
  std::string message;
  std::string reason;      // FieldValueInvalid, …
  std::string field_path;  // appended to where the rule is: ".foo"
  std::optional<Program> program;
  std::optional<Program> message_program;
  bool is_transition = false;
  bool has_optional_old = false;
};

Shape::Kind kind_of(const Json& schema) {
  if (data::get_bool(schema, {"x-kubernetes-int-or-string"})) return Shape::Kind::kAny;
  const auto type = data::get_string(schema, {"type"});
  const auto format = data::get_string(schema, {"format"});
  if (type == "boolean") return Shape::Kind::kBool;
  if (type == "integer") return Shape::Kind::kInt;
  if (type == "number") return Shape::Kind::kDouble;
  if (type == "array") return Shape::Kind::kList;
  if (type == "string") {
    if (format == "date-time" || format == "date") return Shape::Kind::kTime;
    if (format == "duration") return Shape::Kind::kDuration;
    return format == "byte" ? Shape::Kind::kBytes : Shape::Kind::kString;
  }
  if (type != "object") return Shape::Kind::kAny;
  if (!data::get_object(schema, {"properties"}).empty()) return Shape::Kind::kObject;
  const Json* additional = data::find(schema, {"additionalProperties"});
  if (additional != nullptr && additional->is_object()) return Shape::Kind::kMap;
  // Embedded objects have their head at least; what is preserved otherwise is not typed.
  if (data::get_bool(schema, {"x-kubernetes-embedded-resource"})) return Shape::Kind::kObject;
  return data::get_bool(schema, {"x-kubernetes-preserve-unknown-fields"}) ? Shape::Kind::kAny
                                                                          : Shape::Kind::kObject;
}

std::unique_ptr<Shape> plain(Shape::Kind kind) {
  auto made = std::make_unique<Shape>();
  made->kind = kind;
  return made;
}

void add_head(Shape& shape) {
  shape.fields["apiVersion"] = plain(Shape::Kind::kString);
  shape.fields["kind"] = plain(Shape::Kind::kString);
  auto metadata = plain(Shape::Kind::kObject);
  metadata->fields["name"] = plain(Shape::Kind::kString);
  metadata->fields["generateName"] = plain(Shape::Kind::kString);
  shape.fields["metadata"] = std::move(metadata);
}

std::unique_ptr<Shape> shape_of(const Json& schema, bool has_head, int depth) {
  auto made = plain(depth > kMostDepth ? Shape::Kind::kAny : kind_of(schema));
  if (made->kind == Shape::Kind::kList) {
    const auto type = data::get_string(schema, {"x-kubernetes-list-type"});
    made->is_unordered = type == "set" || type == "map";
    for (const Json& key : data::get_array(schema, {"x-kubernetes-list-map-keys"}))
      made->list_keys.emplace_back(data::as_string(key));
    if (const Json* items = data::find(schema, {"items"}); items != nullptr && items->is_object())
      made->element = shape_of(*items, false, depth + 1);
  }
  if (made->kind == Shape::Kind::kMap)
    made->element = shape_of(*data::find(schema, {"additionalProperties"}), false, depth + 1);
  if (made->kind != Shape::Kind::kObject) return made;
  for (const auto& [name, child] : data::get_object(schema, {"properties"})) {
    if (has_head && name == "metadata") continue;
    made->fields[std::string(name)] = shape_of(child, false, depth + 1);
  }
  if (has_head || data::get_bool(schema, {"x-kubernetes-embedded-resource"})) add_head(*made);
  return made;
}

std::string one_line(std::string_view text) { return replace_all(trim(text), "\n", " "); }

std::string shown_type(Shape::Kind kind) {
  switch (kind) {
    case Shape::Kind::kBool: return "boolean";
    case Shape::Kind::kInt: return "integer";
    case Shape::Kind::kDouble: return "number";
    case Shape::Kind::kList: return "array";
    case Shape::Kind::kMap:
    case Shape::Kind::kObject: return "object";
    case Shape::Kind::kAny: return "";
    default: return "string";
  }
}

}  // namespace

// A node of the schema at or below which there are rules.
struct RuleNode {
  std::unique_ptr<Shape> shape;
  std::vector<Rule> rules;
  std::map<std::string, std::unique_ptr<RuleNode>, std::less<>> fields;
  std::unique_ptr<RuleNode> items, values;
  bool is_empty() const {
    return rules.empty() && fields.empty() && items == nullptr && values == nullptr;
  }
};

namespace {

class Compiler {
 public:
  explicit Compiler(std::vector<kube::FieldProblem>& faults) : faults_(faults) {}

  // Null when there is no rule here or below.
  std::unique_ptr<RuleNode> node(const Json& schema, const std::string& path, bool is_root,
                                 int depth) {
    if (depth > kMostDepth || !schema.is_object()) return nullptr;
    auto made = std::make_unique<RuleNode>();
    for (const auto& [name, child] : data::get_object(schema, {"properties"})) {
      if (is_root && name == "metadata") continue;
      auto below = node(child, fmt::format("{}.properties[{}]", path, std::string_view(name)),
                        false, depth + 1);
      if (below != nullptr) made->fields[std::string(name)] = std::move(below);
    }
    if (const Json* items = data::find(schema, {"items"}))
      made->items = node(*items, path + ".items", false, depth + 1);
    if (const Json* values = data::find(schema, {"additionalProperties"}))
      made->values = node(*values, path + ".additionalProperties", false, depth + 1);
    // Only rules need the whole shape; on the way to them the kind and the keys of lists do.
    const auto& rules = data::get_array(schema, {"x-kubernetes-validations"});
    if (!rules.empty()) {
      made->shape = shape_of(schema, is_root, 0);
    } else {
      made->shape = plain(kind_of(schema));
      for (const Json& key : data::get_array(schema, {"x-kubernetes-list-map-keys"}))
        made->shape->list_keys.emplace_back(data::as_string(key));
    }
    int index = 0;
    for (const Json& rule : rules)
      add_rule(*made, rule, fmt::format("{}.x-kubernetes-validations[{}]", path, index++));
    if (made->is_empty()) return nullptr;
    return made;
  }

 private:
  void fault(const std::string& path, const std::string& text, const std::string& what) {
    if (faults_.size() >= kube::Schema::kMaxProblems) return;
    faults_.push_back({"FieldValueInvalid", path,
                       fmt::format("Invalid value: apiextensions.ValidationRule{{Rule:\"{}\"}}: {}",
                                   text, what)});
  }

  void add_rule(RuleNode& into, const Json& json, const std::string& path) {
    Rule rule;
    rule.text = data::get_string(json, {"rule"});
    rule.message = data::get_string(json, {"message"});
    rule.reason = data::get_string(json, {"reason"}, "FieldValueInvalid");
    rule.field_path = data::get_string(json, {"fieldPath"});
    rule.has_optional_old = data::get_bool(json, {"optionalOldSelf"});
    if (trim(rule.text).empty()) {
      faults_.push_back(
          {"FieldValueRequired", path + ".rule", "Required value: rule is not specified"});
      return;
    }
    const std::vector<Program::Variable> variables{
        {"self", into.shape.get()},
        {"oldSelf", rule.has_optional_old ? nullptr : into.shape.get()}};
    auto program = Program::compile(rule.text, variables, Shape::Kind::kBool);
    if (!program.ok()) {
      fault(path + ".rule", rule.text,
            fmt::format("compilation failed: {}", program.error().message()));
      return;
    }
    rule.is_transition = program->mentions("oldSelf");
    rule.program = std::move(*program);
    if (const auto text = data::get_string(json, {"messageExpression"}); !text.empty()) {
      auto message = Program::compile(text, variables, Shape::Kind::kString);
      if (!message.ok()) {
        fault(path + ".messageExpression", rule.text,
              fmt::format("messageExpression compilation failed: {}", message.error().message()));
        return;
      }
      rule.message_program = std::move(*message);
    }
    into.rules.push_back(std::move(rule));
  }

  std::vector<kube::FieldProblem>& faults_;
};

class Run {
 public:
  explicit Run(std::vector<kube::FieldProblem>& problems) : problems_(problems) {}

  void check(const RuleNode& node, const Json& value, const Json* old, const std::string& path) {
    if (is_out_) return;
    const bool is_unchanged = old != nullptr && data::equal(value, *old);
    for (const Rule& rule : node.rules) {
      if (is_out_) return;
      if (rule.is_transition && old == nullptr && !rule.has_optional_old) continue;
      if (is_unchanged && !rule.is_transition) continue;
      check_rule(node, rule, value, old, path);
    }
    if (const auto* object = value.if_object()) {
      check_object(node, *object, old, path);
    } else if (const auto* list = value.if_array(); list != nullptr && node.items != nullptr) {
      for (std::size_t i = 0; i < list->size(); ++i) {
        check(*node.items, (*list)[i], counterpart(*node.shape, (*list)[i], old),
              fmt::format("{}[{}]", path, i));
      }
    }
  }

 private:
  void check_object(const RuleNode& node, const data::JsonObject& object, const Json* old,
                    const std::string& path) {
    for (const auto& [name, value] : object) {
      const auto field = node.fields.find(std::string_view(name));
      const RuleNode* below = field != node.fields.end() ? field->second.get() : node.values.get();
      if (below == nullptr || value.is_null()) continue;
      const Json* former = old != nullptr ? data::find(*old, {std::string_view(name)}) : nullptr;
      const bool is_field = field != node.fields.end();
      check(*below, value, former,
            path.empty() ? std::string(name)
            : is_field   ? fmt::format("{}.{}", path, std::string_view(name))
                         : fmt::format("{}[{}]", path, std::string_view(name)));
    }
  }

  // Only items of a list of type map have a former self.
  static const Json* counterpart(const Shape& shape, const Json& item, const Json* old) {
    if (old == nullptr || shape.list_keys.empty()) return nullptr;
    const auto* list = old->if_array();
    if (list == nullptr) return nullptr;
    for (const Json& one : *list) {
      const bool is_same =
          std::all_of(shape.list_keys.begin(), shape.list_keys.end(), [&](const std::string& key) {
            const Json* a = data::find(item, {key});
            const Json* b = data::find(one, {key});
            return (a == nullptr) == (b == nullptr) && (a == nullptr || data::equal(*a, *b));
          });
      if (is_same) return &one;
    }
    return nullptr;
  }

  void check_rule(const RuleNode& node, const Rule& rule, const Json& value, const Json* old,
                  const std::string& path) {
    const Value self = Value::of(value, node.shape.get());
    Value former;
    if (old != nullptr) former = Value::of(*old, node.shape.get());
    if (rule.has_optional_old) {
      former = old != nullptr ? Value(Optional{std::make_shared<const Value>(former)})
                              : Value(Optional{});
    }
    const Program::Bindings bindings{{"self", self}, {"oldSelf", former}};
    const std::int64_t allowed = std::min(kStepsPerRule, left_);
    Counted counted(allowed);
    auto verdict = rule.program->evaluate(bindings, counted.budget);
    left_ -= counted.used();
    const std::string message =
        rule.message.empty() ? fmt::format("failed rule: {}", one_line(rule.text)) : rule.message;
    if (counted.budget.is_used_up() || left_ <= 0) {
      is_out_ = left_ <= 0;
      add(node, "FieldValueInvalid", path,
          is_out_ ? std::string("validation failed due to running out of cost budget, no further "
                                "validation rules will be run")
                  : fmt::format("call cost exceeds limit for rule: {}", one_line(rule.text)));
      return;
    }
    if (!verdict.ok()) {
      add(node, rule.reason, path,
          fmt::format("{} evaluating rule: {}", verdict.error().message(), message));
      return;
    }
    const bool* holds = verdict->get<bool>();
    if (holds != nullptr && *holds) return;
    add(node, rule.reason, path + rule.field_path,
        holds == nullptr ? fmt::format("the rule gives no bool: {}", message)
                         : message_of(rule, bindings, message));
  }

  struct Counted {
    explicit Counted(std::int64_t steps) : allowed(steps), budget(steps) {}
    std::int64_t used() const { return allowed - std::max<std::int64_t>(budget.left(), 0); }
    std::int64_t allowed;
    Budget budget;
  };

  std::string message_of(const Rule& rule, const Program::Bindings& bindings,
                         const std::string& otherwise) {
    if (!rule.message_program) return otherwise;
    Counted counted(std::min(kStepsPerRule, left_));
    const auto made = rule.message_program->evaluate(bindings, counted.budget);
    left_ -= counted.used();
    if (!made.ok()) return otherwise;
    const auto* text = made->get<std::string>();
    constexpr std::size_t kMostBytes = 5 * 1024;
    if (text == nullptr || trim(*text).empty() || text->size() > kMostBytes ||
        text->find('\n') != std::string::npos)
      return otherwise;
    return *text;
  }

  void add(const RuleNode& node, const std::string& reason, const std::string& path,
           const std::string& message) {
    if (problems_.size() >= kube::Schema::kMaxProblems) return;
    std::string detail;
    if (reason == "FieldValueForbidden") detail = fmt::format("Forbidden: {}", message);
    else if (reason == "FieldValueRequired") detail = fmt::format("Required value: {}", message);
    else if (reason == "FieldValueDuplicate")
      detail = fmt::format("Duplicate value: \"{}\"", shown_type(node.shape->kind));
    else detail = fmt::format("Invalid value: \"{}\": {}", shown_type(node.shape->kind), message);
    const std::string where = path.starts_with('.') ? path.substr(1) : path;
    problems_.push_back({reason, where.empty() ? "<nil>" : where, std::move(detail)});
  }

  std::vector<kube::FieldProblem>& problems_;
  std::int64_t left_ = kStepsPerObject;
  bool is_out_ = false;
};

}  // namespace

ValidationRules::ValidationRules(std::unique_ptr<const RuleNode> root) : root_(std::move(root)) {}
ValidationRules::ValidationRules(ValidationRules&&) noexcept = default;
ValidationRules& ValidationRules::operator=(ValidationRules&&) noexcept = default;
ValidationRules::~ValidationRules() = default;

bool ValidationRules::empty() const { return root_ == nullptr; }

ValidationRules ValidationRules::compile(const Json& open_api_v3,
                                         std::vector<kube::FieldProblem>& faults) {
  return ValidationRules(Compiler(faults).node(open_api_v3, "", true, 0));
}

std::vector<kube::FieldProblem> ValidationRules::validate(const Json& object,
                                                          const Json* old) const {
  std::vector<kube::FieldProblem> problems;
  if (root_ != nullptr) Run(problems).check(*root_, object, old, "");
  return problems;
}

std::unique_ptr<Shape> shape_from_schema(const Json& open_api_v3, bool is_root) {
  return shape_of(open_api_v3, is_root, 0);
}

}  // namespace lateen::cluster::cel
