// Parsed templates by name; the interpreter runs them.
#include "chart/template.h"

#include "chart/functions.h"
#include "chart/interpreter.h"

namespace lateen::chart {

TemplateSet::TemplateSet(TemplateOptions options) : options_(options) {}
TemplateSet::~TemplateSet() = default;
TemplateSet::TemplateSet(TemplateSet&&) noexcept = default;
TemplateSet& TemplateSet::operator=(TemplateSet&&) noexcept = default;

void TemplateSet::add_function(std::string name, TemplateFunction function) {
  functions_[std::move(name)] = std::move(function);
}

Result<> TemplateSet::add(const std::string& name, std::string_view source) {
  const auto has_function = [this](std::string_view word) {
    return functions_.contains(word) || find_builtin(word) != nullptr;
  };
  for (auto& parsed : TRY(parse_template(name, source, has_function))) {
    std::string key = parsed->name;
    templates_[std::move(key)] = std::move(parsed);
  }
  return {};
}

Result<std::string> TemplateSet::render(std::string_view name, const data::Json& data) const {
  return render_value(name, Value::from_json(data));
}

Result<std::string> TemplateSet::render_value(std::string_view name, const Value& dot) const {
  return Interpreter(*this).include(name, dot);
}

}  // namespace lateen::chart
