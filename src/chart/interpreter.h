// Runs parsed templates: one Interpreter per rendering, on one thread.
#pragma once

#include "chart/functions.h"
#include "chart/syntax.h"
#include "chart/template.h"

namespace lateen::chart {

class Interpreter final : public Call {
 public:
  explicit Interpreter(const TemplateSet& set) : set_(set) {}  // `set` outlives us

  Result<std::string> include(std::string_view name, const Value& dot) override;
  Result<std::string> render_text(std::string_view source, const Value& dot) override;
  bool is_struct_like() const override { return set_.options_.is_struct_like; }
  Result<> charge(std::size_t bytes) override;

 private:
  enum class Flow : unsigned char { kNext, kBreak, kContinue };
  struct Variable {
    std::string_view name;  // of the tree, which outlives the run
    Value value;
  };
  // One running template: what its body sees.
  struct Frame {
    const Template& running;
    std::string& out;
    std::vector<Variable> variables;
  };

  const Template* find(std::string_view name) const;
  bool has_function(std::string_view name) const;
  Result<> run(const Template& running, const Value& dot, std::string& out);
  Result<Flow> walk(Frame& frame, const std::vector<Node>& nodes, const Value& dot);
  Result<Flow> step(Frame& frame, const Node& node, const Value& dot);
  Result<Flow> branch(Frame& frame, const Node& node, const Value& dot);
  Result<Flow> loop(Frame& frame, const Node& node, const Value& dot);
  Result<Flow> iterate(Frame& frame, const Node& node, const Value& over);
  Result<Flow> turn(Frame& frame, const Node& node, const Value& key, const Value& item);
  Result<> call_template(Frame& frame, const Node& node, const Value& dot);

  Result<Value> evaluate(Frame& frame, const Pipeline& pipeline, const Value& dot);
  Result<> assign(Frame& frame, const Pipeline& pipeline, std::string_view name,
                  const Value& value);
  Result<Value> command(Frame& frame, const Pipeline& pipeline, const Command& command,
                        const Value& dot, const Value* last);
  Result<Value> argument(Frame& frame, const Pipeline& pipeline, const Expression& word,
                         const Value& dot);
  Result<Value> call(Frame& frame, const Pipeline& pipeline, const Command& command,
                     const Value& dot, const Value* last);
  Result<Value> call_named(std::string_view name, Arguments& arguments);
  Result<Value> short_circuit(Frame& frame, const Pipeline& pipeline, const Command& command,
                              const Value& dot, const Value* last);
  Result<Value> fields(Value from, const std::vector<std::string>& names, Arguments* arguments);
  Result<Value> field(const Value& from, const std::string& name);
  Result<> count_step();
  Error at(const Frame& frame, Position where, std::string_view source, const Error& error) const;

  const TemplateSet& set_;
  std::vector<std::map<std::string, TemplatePtr, std::less<>>> overlays_;  // of tpl calls under way
  std::vector<TemplatePtr> kept_;  // trees of finished tpl calls may be named by variables
  std::int64_t steps_ = 0;
  std::size_t output_bytes_ = 0;
  int depth_ = 0;
};

}  // namespace lateen::chart
