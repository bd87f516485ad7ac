// The syntax tree of Go's text/template, and its parser. A tree is const once parsed.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "chart/value.h"

namespace lateen::chart {

struct Position {
  int line = 1;    // 1-based
  int column = 1;  // 1-based, in bytes
};

struct Pipeline;

struct Expression {
  enum class Kind : unsigned char {
    kDot,
    kNil,
    kConstant,  // `constant`
    kField,     // .a.b: `names` looked up from the dot
    kVariable,  // $x.a.b: `text` is the variable ("$x"), `names` the fields
    kChain,     // (pipeline).a.b
    kFunction,  // `text`
  };
  Kind kind;
  Position at;
  Value constant;
  std::string text;
  std::vector<std::string> names;
  std::unique_ptr<Pipeline> inner;
};

// One stage of a pipeline: a function, method or value, and its arguments.
struct Command {
  std::vector<Expression> words;
};

struct Pipeline {
  Position at;
  std::string source;                  // as written, for error messages
  std::vector<std::string> variables;  // "$i", "$x"; assigned from the result
  bool is_declaration = false;         // := rather than =
  bool is_range = false;               // the head of a range: assigned anew for each turn
  std::vector<Command> commands;
};

struct Node {
  enum class Kind : unsigned char {
    kText,
    kAction,
    kIf,
    kWith,
    kRange,
    kTemplate,
    kBreak,
    kContinue
  };
  Kind kind;
  Position at;
  std::string text;  // kText: the text; kTemplate: the template's name
  Pipeline pipeline;
  bool has_pipeline = false;  // kTemplate may have none
  std::vector<Node> body;
  std::vector<Node> otherwise;
};

struct Template {
  std::string name;
  std::string file;  // where it was defined
  std::vector<Node> body;
};
using TemplatePtr = std::shared_ptr<const Template>;

// All templates that `source` defines, the file's own body first. `has_function` tells known names
// apart from mistakes. The error reads "template: FILE:LINE:COLUMN: …".
Result<std::vector<TemplatePtr>> parse_template(
    const std::string& file, std::string_view source,
    const std::function<bool(std::string_view)>& has_function);

}  // namespace lateen::chart
