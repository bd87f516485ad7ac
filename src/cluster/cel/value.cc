// See value.h.
#include "cluster/cel/value.h"

#include <fmt/format.h>

#include <cmath>

#include "base/strings.h"

namespace lateen::cluster::cel {
namespace {

Value scalar_of(const Json& json, Shape::Kind kind) {
  if (const bool* flag = json.if_bool()) return *flag;
  if (const auto* text = json.if_string()) {
    std::string made(*text);
    if (kind == Shape::Kind::kTime) {
      if (auto time = parse_rfc3339(made); time.ok()) return *time;
    }
    if (kind == Shape::Kind::kDuration) {
      if (auto duration = parse_duration(made); duration.ok()) return *duration;
    }
    if (kind == Shape::Kind::kBytes) {
      if (auto bytes = base64_decode(made); bytes.ok()) return Bytes{*bytes};
    }
    return made;
  }
  if (kind == Shape::Kind::kDouble) {
    if (const auto number = data::as_number(json)) return *number;
  }
  if (const auto number = data::as_int(json)) return *number;
  if (const std::uint64_t* number = json.if_uint64()) return *number;
  if (const double* number = json.if_double()) return *number;
  return {};
}

std::strong_ordering order(std::string_view a, std::string_view b) {
  const int difference = a.compare(b);
  return difference < 0   ? std::strong_ordering::less
         : difference > 0 ? std::strong_ordering::greater
                          : std::strong_ordering::equal;
}

std::partial_ordering compare_numbers(const Value& a, const Value& b) {
  const auto* i = a.get<std::int64_t>();
  const auto* j = b.get<std::int64_t>();
  if (i != nullptr && j != nullptr) return *i <=> *j;
  const auto* u = a.get<std::uint64_t>();
  const auto* v = b.get<std::uint64_t>();
  if (u != nullptr && v != nullptr) return *u <=> *v;
  if (i != nullptr && v != nullptr) {
    return *i < 0 ? std::partial_ordering::less : static_cast<std::uint64_t>(*i) <=> *v;
  }
  if (u != nullptr && j != nullptr) {
    return *j < 0 ? std::partial_ordering::greater : *u <=> static_cast<std::uint64_t>(*j);
  }
  const auto real = [](const Value& of) {
    if (const auto* number = of.get<double>()) return *number;
    if (const auto* number = of.get<std::int64_t>()) return static_cast<double>(*number);
    return static_cast<double>(*of.get<std::uint64_t>());
  };
  return real(a) <=> real(b);
}

bool equal_lists(const Value& a, const Value& b, bool is_unordered) {
  const std::size_t size = a.size();
  if (size != b.size()) return false;
  if (!is_unordered) {
    for (std::size_t i = 0; i < size; ++i) {
      if (!equal(a.at(i), b.at(i))) return false;
    }
    return true;
  }
  for (std::size_t i = 0; i < size; ++i) {
    bool is_found = false;
    for (std::size_t j = 0; j < size && !is_found; ++j) is_found = equal(a.at(i), b.at(j));
    if (!is_found) return false;
  }
  return true;
}

bool is_unordered(const Value& value) {
  const auto* view = value.get<JsonView>();
  return view != nullptr && view->shape != nullptr && view->shape->is_unordered;
}

std::string quoted(const Value& value) {
  if (const auto* text = value.get<std::string>()) return fmt::format("\"{}\"", *text);
  return value.to_text();
}

}  // namespace

Value Value::of(const Json& json, const Shape* shape) {
  if (json.is_object() || json.is_array()) return JsonView{&json, shape};
  return scalar_of(json, shape != nullptr ? shape->kind : Shape::Kind::kAny);
}

Value Value::list(List items) { return std::make_shared<const List>(std::move(items)); }
Value Value::map(Map entries) { return std::make_shared<const Map>(std::move(entries)); }

bool Value::is_number() const {
  return get<std::int64_t>() != nullptr || get<std::uint64_t>() != nullptr ||
         get<double>() != nullptr;
}
bool Value::is_list() const {
  const auto* view = get<JsonView>();
  return get<std::shared_ptr<const List>>() != nullptr ||
         (view != nullptr && view->json->is_array());
}
bool Value::is_map() const {
  const auto* view = get<JsonView>();
  return get<std::shared_ptr<const Map>>() != nullptr ||
         (view != nullptr && view->json->is_object());
}

std::size_t Value::size() const {
  if (const auto* list = get<std::shared_ptr<const List>>()) return (*list)->size();
  if (const auto* map = get<std::shared_ptr<const Map>>()) return (*map)->size();
  if (const auto* view = get<JsonView>()) {
    if (const auto* array = view->json->if_array()) return array->size();
    if (const auto* object = view->json->if_object()) return object->size();
  }
  return 0;
}

Value Value::at(std::size_t index) const {
  if (const auto* list = get<std::shared_ptr<const List>>()) return (**list)[index];
  const auto* view = get<JsonView>();
  const auto* array = view != nullptr ? view->json->if_array() : nullptr;
  if (array == nullptr || index >= array->size()) return {};
  return of((*array)[index], view->shape != nullptr ? view->shape->element.get() : nullptr);
}

std::optional<Value> Value::find(const Value& key) const {
  if (const auto* map = get<std::shared_ptr<const Map>>()) {
    for (const auto& entry : **map) {
      if (equal(entry.key, key)) return entry.value;
    }
    return std::nullopt;
  }
  const auto* view = get<JsonView>();
  const auto* object = view != nullptr ? view->json->if_object() : nullptr;
  const auto* name = key.get<std::string>();
  if (object == nullptr || name == nullptr) return std::nullopt;
  const Json* found = object->if_contains(*name);
  if (found == nullptr) return std::nullopt;
  const Shape* shape = view->shape;
  if (shape != nullptr && shape->kind == Shape::Kind::kObject) {
    const auto known = shape->fields.find(*name);
    return of(*found, known != shape->fields.end() ? known->second.get() : nullptr);
  }
  return of(*found, shape != nullptr ? shape->element.get() : nullptr);
}

std::optional<Value> Value::field(std::string_view name) const {
  const auto* view = get<JsonView>();
  const bool is_object =
      view != nullptr && view->shape != nullptr && view->shape->kind == Shape::Kind::kObject;
  auto found = find(Value(is_object ? unescape_field(name) : std::string(name)));
  // An absent field and one that is null are the same to a schema that does not know null.
  if (is_object && found && found->is_null()) return std::nullopt;
  return found;
}

List Value::keys() const {
  List made;
  for (auto& [key, value] : entries()) made.push_back(std::move(key));
  return made;
}

std::vector<std::pair<Value, Value>> Value::entries() const {
  std::vector<std::pair<Value, Value>> made;
  if (const auto* map = get<std::shared_ptr<const Map>>()) {
    for (const auto& entry : **map) made.emplace_back(entry.key, entry.value);
  } else if (const auto* view = get<JsonView>()) {
    if (const auto* object = view->json->if_object()) {
      for (const auto& [name, value] : *object) {
        const Value key{std::string(name)};
        made.emplace_back(key, find(key).value_or(Value()));
      }
    }
  }
  return made;
}

std::string Value::type_name() const {
  struct Name {
    std::string operator()(std::monostate) const { return "null_type"; }
    std::string operator()(bool) const { return "bool"; }
    std::string operator()(std::int64_t) const { return "int"; }
    std::string operator()(std::uint64_t) const { return "uint"; }
    std::string operator()(double) const { return "double"; }
    std::string operator()(const std::string&) const { return "string"; }
    std::string operator()(const Bytes&) const { return "bytes"; }
    std::string operator()(WallTime) const { return "google.protobuf.Timestamp"; }
    std::string operator()(nanoseconds) const { return "google.protobuf.Duration"; }
    std::string operator()(const std::shared_ptr<const List>&) const { return "list"; }
    std::string operator()(const std::shared_ptr<const Map>&) const { return "map"; }
    std::string operator()(const JsonView& view) const {
      return view.json->is_array() ? "list" : "map";
    }
    std::string operator()(const TypeName&) const { return "type"; }
    std::string operator()(const Optional&) const { return "optional_type"; }
    std::string operator()(const Url&) const { return "kubernetes.URL"; }
    std::string operator()(const net::Ip&) const { return "net.IP"; }
    std::string operator()(const net::Cidr&) const { return "net.CIDR"; }
    std::string operator()(const kube::Quantity&) const { return "kubernetes.Quantity"; }
  };
  return std::visit(Name{}, held_);
}

std::string Value::to_text() const {
  if (is_null()) return "null";
  if (const bool* flag = get<bool>()) return *flag ? "true" : "false";
  if (const auto* number = get<std::int64_t>()) return fmt::format("{}", *number);
  if (const auto* number = get<std::uint64_t>()) return fmt::format("{}", *number);
  if (const auto* number = get<double>()) {
    const bool is_whole = std::trunc(*number) == *number && std::fabs(*number) < 1e15;
    return is_whole ? fmt::format("{:.0f}", *number) : fmt::format("{}", *number);
  }
  if (const auto* text = get<std::string>()) return *text;
  if (const auto* bytes = get<Bytes>()) return bytes->text;
  if (const auto* time = get<WallTime>()) {
    return format_rfc3339(*time, time->time_since_epoch() % seconds(1) == nanoseconds(0) ? 0 : 9);
  }
  if (const auto* duration = get<nanoseconds>()) {
    const double in_seconds = static_cast<double>(duration->count()) / 1e9;
    return fmt::format("{}s", in_seconds);
  }
  if (const auto* type = get<TypeName>()) return type->name;
  if (const auto* url = get<Url>()) return url->text;
  if (const auto* ip = get<net::Ip>()) return ip->to_string();
  if (const auto* cidr = get<net::Cidr>()) return cidr->to_string();
  if (const auto* quantity = get<kube::Quantity>()) return quantity->to_string();
  if (is_list()) {
    std::string made = "[";
    for (std::size_t i = 0; i < size(); ++i) made += (i == 0 ? "" : ", ") + quoted(at(i));
    return made + "]";
  }
  if (is_map()) {
    std::string made = "{";
    for (const auto& [key, value] : entries()) {
      made += (made.size() == 1 ? "" : ", ") + quoted(key) + ": " + quoted(value);
    }
    return made + "}";
  }
  const auto* optional = get<Optional>();
  if (optional == nullptr || optional->value == nullptr) return "optional.none()";
  return fmt::format("optional.of({})", quoted(*optional->value));
}

std::size_t Value::weight() const {
  if (const auto* text = get<std::string>()) return text->size();
  if (const auto* bytes = get<Bytes>()) return bytes->text.size();
  return is_list() || is_map() ? size() : 1;
}

bool equal(const Value& a, const Value& b) {
  if (a.is_number() && b.is_number()) return compare_numbers(a, b) == 0;
  if (a.is_list() && b.is_list()) return equal_lists(a, b, is_unordered(a) || is_unordered(b));
  if (a.is_map() && b.is_map()) {
    if (a.size() != b.size()) return false;
    for (const auto& [key, value] : a.entries()) {
      const auto other = b.find(key);
      if (!other || !equal(value, *other)) return false;
    }
    return true;
  }
  if (const auto* one = a.get<Optional>()) {
    const auto* other = b.get<Optional>();
    if (other == nullptr) return false;
    if (one->value == nullptr || other->value == nullptr) return one->value == other->value;
    return equal(*one->value, *other->value);
  }
  if (a.type_name() != b.type_name()) return false;
  if (a.is_null()) return true;
  if (const auto* quantity = a.get<kube::Quantity>()) return *quantity == *b.get<kube::Quantity>();
  return a.to_text() == b.to_text();
}

std::optional<std::partial_ordering> compare(const Value& a, const Value& b) {
  if (a.is_number() && b.is_number()) return compare_numbers(a, b);
  const auto* text = a.get<std::string>();
  if (text != nullptr && b.get<std::string>() != nullptr)
    return order(*text, *b.get<std::string>());
  const auto* bytes = a.get<Bytes>();
  if (bytes != nullptr && b.get<Bytes>() != nullptr)
    return order(bytes->text, b.get<Bytes>()->text);
  const bool* flag = a.get<bool>();
  if (flag != nullptr && b.get<bool>() != nullptr) return *flag <=> *b.get<bool>();
  const auto* time = a.get<WallTime>();
  if (time != nullptr && b.get<WallTime>() != nullptr) return *time <=> *b.get<WallTime>();
  const auto* duration = a.get<nanoseconds>();
  if (duration != nullptr && b.get<nanoseconds>() != nullptr)
    return duration->count() <=> b.get<nanoseconds>()->count();
  return std::nullopt;
}

std::string unescape_field(std::string_view name) {
  if (name.find("__") == std::string_view::npos) return std::string(name);
  constexpr std::string_view kReserved[] = {
      "true",     "false",   "null",      "in",       "as",  "break",  "const",
      "continue", "else",    "for",       "function", "if",  "import", "let",
      "loop",     "package", "namespace", "return",   "var", "void",   "while"};
  for (const auto word : kReserved) {
    if (name == fmt::format("__{}__", word)) return std::string(word);
  }
  constexpr std::pair<std::string_view, char> kMarks[] = {
      {"__dot__", '.'}, {"__dash__", '-'}, {"__slash__", '/'}};
  std::string made;
  while (!name.empty()) {
    bool is_mark = false;
    if (name.starts_with("__underscores__")) {
      made += "__";
      name.remove_prefix(15);
      continue;
    }
    for (const auto& [mark, stands_for] : kMarks) {
      if (!name.starts_with(mark)) continue;
      made += stands_for;
      name.remove_prefix(mark.size());
      is_mark = true;
      break;
    }
    if (is_mark) continue;
    made += name.front();
    name.remove_prefix(1);
  }
  return made;
}

}  // namespace lateen::cluster::cel
