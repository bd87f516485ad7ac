// The semantics of text/template/exec.go on our values: nodes write text, pipelines make values.
#include "chart/interpreter.h"

#include <cctype>

namespace lateen::chart {

using Kind = Expression::Kind;

namespace {

constexpr std::size_t kMostSourceInError = 80;

// Go's field names for JSON keys: Containers -> containers, DNSPolicy -> dnsPolicy, FSGroup ->
// fsGroup.
std::string json_key(std::string_view name) {
  std::size_t upper = 0;
  while (upper < name.size() && std::isupper(static_cast<unsigned char>(name[upper]))) ++upper;
  const std::size_t lowered =
      upper <= 1 || upper == name.size() ? std::max<std::size_t>(upper, 1) : upper - 1;
  std::string key(name);
  for (std::size_t i = 0; i < lowered && i < key.size(); ++i) {
    key[i] = static_cast<char>(std::tolower(static_cast<unsigned char>(key[i])));
  }
  return key;
}

const Value* find_struct_field(const Map& map, std::string_view name) {
  if (const auto found = map.find(name); found != map.end()) return &found->second;
  if (const auto found = map.find(json_key(name)); found != map.end()) return &found->second;
  if (name.starts_with("Get") && name.size() > 3) return find_struct_field(map, name.substr(3));
  return nullptr;
}

}  // namespace

Error Interpreter::at(const Frame& frame, Position where, std::string_view source,
                      const Error& error) const {
  const bool is_long = source.size() > kMostSourceInError;
  return Error(error.code(),
               "template: " + frame.running.file + ":" + std::to_string(where.line) + ":" +
                   std::to_string(where.column) + ": executing \"" + frame.running.name +
                   "\" at <" + std::string(source.substr(0, kMostSourceInError)) +
                   (is_long ? "..." : "") + ">: " + error.message(),
               error.blame());
}

Result<> Interpreter::count_step() {
  if (++steps_ <= set_.options_.most_steps) return {};
  return Error(Code::kResourceExhausted, "the template did not end within " +
                                             std::to_string(set_.options_.most_steps) +
                                             " steps: look for endless recursion or huge ranges");
}

Result<> Interpreter::charge(std::size_t bytes) {
  output_bytes_ += bytes;
  if (output_bytes_ <= set_.options_.most_output_bytes) return {};
  return Error(Code::kResourceExhausted, "the template makes more than " +
                                             std::to_string(set_.options_.most_output_bytes) +
                                             " bytes of text");
}

const Template* Interpreter::find(std::string_view name) const {
  for (auto overlay = overlays_.rbegin(); overlay != overlays_.rend(); ++overlay) {
    if (const auto found = overlay->find(name); found != overlay->end()) return found->second.get();
  }
  const auto found = set_.templates_.find(name);
  return found != set_.templates_.end() ? found->second.get() : nullptr;
}

bool Interpreter::has_function(std::string_view name) const {
  return set_.functions_.contains(name) || find_builtin(name) != nullptr;
}

Result<std::string> Interpreter::include(std::string_view name, const Value& dot) {
  const Template* found = find(name);
  if (found == nullptr)
    return not_found("template: no template \"" + std::string(name) +
                     "\" is defined: check the name in define and include");
  std::string out;
  TRY(run(*found, dot, out));
  return out;
}

Result<std::string> Interpreter::render_text(std::string_view source, const Value& dot) {
  static const std::string kFile = "tpl";
  TRY(charge(source.size()));
  auto parsed = TRY(
      parse_template(kFile, source, [this](std::string_view name) { return has_function(name); }));
  auto& overlay = overlays_.emplace_back();
  for (auto& each : parsed) {
    kept_.push_back(each);
    overlay[each->name] = each;
  }
  std::string out;
  const Result<> ran = run(*parsed[0], dot, out);
  overlays_.pop_back();
  if (!ran) return Error(ran.error());
  return out;
}

Result<> Interpreter::run(const Template& running, const Value& dot, std::string& out) {
  if (depth_ >= set_.options_.most_depth) {
    return Error(Code::kResourceExhausted,
                 "template \"" + running.name + "\" is nested more than " +
                     std::to_string(set_.options_.most_depth) + " deep: does it include itself?");
  }
  ++depth_;
  Frame frame{running, out, {{"$", dot}}};
  const auto flow = walk(frame, running.body, dot);
  --depth_;
  if (!flow) return Error(flow.error());
  return {};
}

Result<Interpreter::Flow> Interpreter::walk(Frame& frame, const std::vector<Node>& nodes,
                                            const Value& dot) {
  for (const Node& node : nodes) {
    TRY(count_step());
    const Flow flow = TRY(step(frame, node, dot));
    if (flow != Flow::kNext) return flow;
  }
  return Flow::kNext;
}

Result<Interpreter::Flow> Interpreter::step(Frame& frame, const Node& node, const Value& dot) {
  switch (node.kind) {
    case Node::Kind::kText:
      TRY(charge(node.text.size()));
      frame.out += node.text;
      return Flow::kNext;
    case Node::Kind::kAction: {
      const Value value = TRY(evaluate(frame, node.pipeline, dot));
      if (node.pipeline.variables.empty() && !value.is_nil()) {
        const std::string text = format_plain(value);
        TRY(charge(text.size()));
        frame.out += text;
      }
      return Flow::kNext;
    }
    case Node::Kind::kIf:
    case Node::Kind::kWith: return branch(frame, node, dot);
    case Node::Kind::kRange: return loop(frame, node, dot);
    case Node::Kind::kTemplate: TRY(call_template(frame, node, dot)); return Flow::kNext;
    case Node::Kind::kBreak: return Flow::kBreak;
    case Node::Kind::kContinue: return Flow::kContinue;
  }
  return Flow::kNext;
}

Result<Interpreter::Flow> Interpreter::branch(Frame& frame, const Node& node, const Value& dot) {
  const std::size_t mark = frame.variables.size();
  const Value value = TRY(evaluate(frame, node.pipeline, dot));
  Result<Flow> flow = Flow::kNext;
  if (value.is_true()) flow = walk(frame, node.body, node.kind == Node::Kind::kWith ? value : dot);
  else flow = walk(frame, node.otherwise, dot);
  frame.variables.resize(mark, {"", {}});
  return flow;
}

Result<Interpreter::Flow> Interpreter::loop(Frame& frame, const Node& node, const Value& dot) {
  const std::size_t mark = frame.variables.size();
  const Value over = TRY(evaluate(frame, node.pipeline, dot));
  Result<Flow> flow = Flow::kNext;
  const bool is_empty =
      over.is_nil() ||
      (!over.is_true() && over.if_int() == nullptr && over.if_string() == nullptr) ||
      (over.if_int() != nullptr && *over.if_int() <= 0);
  if (is_empty) flow = walk(frame, node.otherwise, dot);
  else flow = iterate(frame, node, over);
  frame.variables.resize(mark, {"", {}});
  return flow;
}

Result<Interpreter::Flow> Interpreter::iterate(Frame& frame, const Node& node, const Value& over) {
  if (const auto* list = over.if_list()) {
    for (std::size_t i = 0; i < list->size(); ++i) {
      if (TRY(turn(frame, node, static_cast<std::int64_t>(i), (*list)[i])) == Flow::kBreak) break;
    }
    return Flow::kNext;
  }
  if (over.if_map() != nullptr) {
    const Map snapshot = *over.if_map();  // the body may change the map
    for (const auto& [key, item] : snapshot) {
      if (TRY(turn(frame, node, key, item)) == Flow::kBreak) break;
    }
    return Flow::kNext;
  }
  if (const auto* count = over.if_int()) {
    for (std::int64_t i = 0; i < *count; ++i) {
      if (TRY(turn(frame, node, i, i)) == Flow::kBreak) break;
    }
    return Flow::kNext;
  }
  return at(frame, node.at, node.pipeline.source,
            invalid("range can't iterate over " + format_plain(over) + " (a " +
                    std::string(over.kind()) + "): it takes a list, a map or an integer"));
}

Result<Interpreter::Flow> Interpreter::turn(Frame& frame, const Node& node, const Value& key,
                                            const Value& item) {
  const std::size_t mark = frame.variables.size();
  const auto& names = node.pipeline.variables;
  if (names.size() == 1) TRY(assign(frame, node.pipeline, names[0], item));
  if (names.size() == 2) {
    TRY(assign(frame, node.pipeline, names[0], key));
    TRY(assign(frame, node.pipeline, names[1], item));
  }
  TRY(count_step());
  Result<Flow> flow = walk(frame, node.body, item);
  frame.variables.resize(mark, {"", {}});
  return flow;
}

Result<> Interpreter::call_template(Frame& frame, const Node& node, const Value& dot) {
  Value inner;
  if (node.has_pipeline) inner = TRY(evaluate(frame, node.pipeline, dot));
  const Template* found = find(node.text);
  if (found == nullptr) {
    return at(frame, node.at, "template \"" + node.text + "\"",
              not_found("template \"" + node.text + "\" not defined"));
  }
  if (const auto ran = run(*found, inner, frame.out); !ran) {
    return at(frame, node.at, "template \"" + node.text + "\"", ran.error());
  }
  return {};
}

Result<> Interpreter::assign(Frame& frame, const Pipeline& pipeline, std::string_view name,
                             const Value& value) {
  if (pipeline.is_declaration) {
    frame.variables.push_back({name, value});
    return {};
  }
  for (auto variable = frame.variables.rbegin(); variable != frame.variables.rend(); ++variable) {
    if (variable->name == name) {
      variable->value = value;
      return {};
    }
  }
  return at(frame, pipeline.at, pipeline.source,
            invalid("undefined variable " + std::string(name)));
}

Result<Value> Interpreter::evaluate(Frame& frame, const Pipeline& pipeline, const Value& dot) {
  Value value;
  bool has_value = false;
  for (const Command& each : pipeline.commands) {
    TRY(count_step());
    value = TRY(command(frame, pipeline, each, dot, has_value ? &value : nullptr));
    has_value = true;
  }
  // A range declares its variables itself, anew for each turn.
  if (!pipeline.is_range && !pipeline.variables.empty()) {
    TRY(assign(frame, pipeline, pipeline.variables[0], value));
  }
  return value;
}

Result<Value> Interpreter::command(Frame& frame, const Pipeline& pipeline, const Command& command,
                                   const Value& dot, const Value* last) {
  const Expression& first = command.words[0];
  if (first.kind == Kind::kFunction) return call(frame, pipeline, command, dot, last);
  const bool takes_arguments = command.words.size() > 1 || last != nullptr;
  if (!takes_arguments) return argument(frame, pipeline, first, dot);

  Arguments arguments;
  for (std::size_t i = 1; i < command.words.size(); ++i) {
    arguments.push_back(TRY(argument(frame, pipeline, command.words[i], dot)));
  }
  if (last != nullptr) arguments.push_back(*last);
  Value from = dot;
  if (first.kind == Kind::kVariable || first.kind == Kind::kChain) {
    Expression root{first.kind, first.at, {}, first.text, {}, nullptr};
    if (first.kind == Kind::kChain) from = TRY(evaluate(frame, *first.inner, dot));
    else from = TRY(argument(frame, pipeline, root, dot));
  }
  if (first.kind != Kind::kField && first.kind != Kind::kDot && from.is_nil() &&
      !first.names.empty())
    return Value();
  Result<Value> value =
      first.names.empty()
          ? Result<Value>(invalid("can't give arguments to a value that is no function"))
          : fields(std::move(from), first.names, &arguments);
  if (!value) return at(frame, first.at, pipeline.source, value.error());
  return value;
}

Result<Value> Interpreter::argument(Frame& frame, const Pipeline& pipeline, const Expression& word,
                                    const Value& dot) {
  Value value;
  switch (word.kind) {
    case Kind::kDot: return dot;
    case Kind::kNil: return Value();
    case Kind::kConstant: return word.constant;
    case Kind::kField: value = dot; break;
    case Kind::kChain: value = TRY(evaluate(frame, *word.inner, dot)); break;
    case Kind::kVariable: {
      const Value* found = nullptr;
      for (auto variable = frame.variables.rbegin(); variable != frame.variables.rend();
           ++variable) {
        if (variable->name == word.text) {
          found = &variable->value;
          break;
        }
      }
      if (found == nullptr)
        return at(frame, word.at, pipeline.source, invalid("undefined variable " + word.text));
      value = *found;
      break;
    }
    case Kind::kFunction: {
      Arguments none;
      Result<Value> made = call_named(word.text, none);
      if (!made) return at(frame, word.at, pipeline.source, made.error());
      return made;
    }
  }
  if (word.names.empty()) return value;
  // Go tells a nil that a variable or parentheses hold from one that a map lacks: its fields are
  // nil too, as in ((.Values.a).b).c.
  if (value.is_nil() && (word.kind == Kind::kChain || word.kind == Kind::kVariable)) return value;
  Result<Value> found = fields(std::move(value), word.names, nullptr);
  if (!found) return at(frame, word.at, pipeline.source, found.error());
  return found;
}

Result<Value> Interpreter::call(Frame& frame, const Pipeline& pipeline, const Command& command,
                                const Value& dot, const Value* last) {
  const Expression& first = command.words[0];
  if (first.text == "and" || first.text == "or")
    return short_circuit(frame, pipeline, command, dot, last);
  Arguments arguments;
  for (std::size_t i = 1; i < command.words.size(); ++i) {
    arguments.push_back(TRY(argument(frame, pipeline, command.words[i], dot)));
  }
  if (last != nullptr) arguments.push_back(*last);
  Result<Value> value = call_named(first.text, arguments);
  if (!value) return at(frame, first.at, pipeline.source, value.error());
  return value;
}

Result<Value> Interpreter::call_named(std::string_view name, Arguments& arguments) {
  if (const auto own = set_.functions_.find(name); own != set_.functions_.end()) {
    std::vector<data::Json> plain;
    for (const Value& each : arguments) plain.push_back(TRY(each.to_json()));
    auto made = own->second(plain);
    if (!made) return std::move(made).error().at("error calling " + std::string(name));
    return Value::from_json(*made);
  }
  const Builtin* builtin = find_builtin(name);
  if (builtin == nullptr) return invalid("function \"" + std::string(name) + "\" not defined");
  const auto count = static_cast<int>(arguments.size());
  if (count < builtin->least || (builtin->most >= 0 && count > builtin->most)) {
    const std::string want = builtin->most == builtin->least ? std::to_string(builtin->least)
                             : builtin->most < 0 ? "at least " + std::to_string(builtin->least)
                                                 : std::to_string(builtin->least) + " to " +
                                                       std::to_string(builtin->most);
    return invalid("wrong number of args for " + std::string(name) + ": want " + want + " got " +
                   std::to_string(count));
  }
  auto made = builtin->run(*this, arguments);
  if (!made) return std::move(made).error().at("error calling " + std::string(name));
  return made;
}

Result<Value> Interpreter::short_circuit(Frame& frame, const Pipeline& pipeline,
                                         const Command& command, const Value& dot,
                                         const Value* last) {
  const bool is_and = command.words[0].text == "and";
  Value value;
  for (std::size_t i = 1; i < command.words.size(); ++i) {
    value = TRY(argument(frame, pipeline, command.words[i], dot));
    if (value.is_true() != is_and) return value;
  }
  if (last != nullptr) return *last;
  if (command.words.size() == 1) {
    return at(
        frame, command.words[0].at, pipeline.source,
        invalid("wrong number of args for " + command.words[0].text + ": want at least 1 got 0"));
  }
  return value;
}

// `arguments`, when not null, go to the method that the last name must be.
Result<Value> Interpreter::fields(Value from, const std::vector<std::string>& names,
                                  Arguments* arguments) {
  for (std::size_t i = 0; i < names.size(); ++i) {
    const bool is_last = i + 1 == names.size();
    if (const Object* object = from.if_object()) {
      static const Arguments kNone;
      auto made = object->call(names[i], is_last && arguments != nullptr ? *arguments : kNone);
      if (!made) return invalid("can't evaluate field " + names[i] + ": there is no such method");
      from = TRY(std::move(*made));
      continue;
    }
    from = TRY(field(from, names[i]));
    if (is_last && arguments != nullptr && !is_struct_like()) {
      if (from.if_object() != nullptr) continue;
      return invalid(names[i] + " is not a method but has arguments");
    }
  }
  return from;
}

Result<Value> Interpreter::field(const Value& from, const std::string& name) {
  if (const Map* map = from.if_map()) {
    if (!is_struct_like()) {
      const auto found = map->find(name);
      return found != map->end() ? found->second : Value();
    }
    if (const Value* found = find_struct_field(*map, name)) return *found;
    return name == "GetValue" ? from : Value();
  }
  if (is_struct_like()) {
    if (name == "String") return from.is_nil() ? Value("") : Value(format_plain(from));
    if (name == "GetValue" || from.is_nil()) return name == "GetValue" ? from : Value();
  }
  if (from.is_nil()) {
    return invalid("nil pointer evaluating interface {}." + name + ": the value before ." + name +
                   " is not set; guard it with `with`, `if` or `default dict`");
  }
  return invalid("can't evaluate field " + name + " in type " + std::string(from.kind()));
}

}  // namespace lateen::chart
