#include "data/yaml_lines.h"

#include <yaml-cpp/yaml.h>

#include "data/json.h"

namespace lateen::data {
namespace {

constexpr int kMostNodes = 500'000;  // of a stream, aliases expanded

class Walker {
 public:
  explicit Walker(int first_line) : first_line_(first_line) {}

  Result<> walk(const YAML::Node& node, const std::string& path, int depth, FieldLines& out) {
    if (depth > kMaxJsonDepth || ++nodes_ > kMostNodes)
      return invalid("the YAML is too large to tell the lines of its fields");
    switch (node.Type()) {
      case YAML::NodeType::Undefined:
      case YAML::NodeType::Null:
      case YAML::NodeType::Scalar:
        if (node.Mark().line >= 0) out[path] = node.Mark().line + first_line_;
        return {};
      case YAML::NodeType::Sequence: {
        int index = 0;
        for (const auto& item : node)
          TRY(walk(item, path + "[" + std::to_string(index++) + "]", depth + 1, out));
        return {};
      }
      case YAML::NodeType::Map:
        for (const auto& pair : node) {
          if (!pair.first.IsScalar()) continue;
          const std::string key = pair.first.Scalar();
          TRY(walk(pair.second, path.empty() ? key : path + "." + key, depth + 1, out));
        }
        return {};
    }
    return {};
  }

 private:
  int first_line_;
  int nodes_ = 0;
};

// From that line to the next document's marker.
std::string_view document_at(std::string_view stream, int first_line) {
  std::size_t begin = 0;
  for (int line = 1; line < first_line && begin < stream.size(); ++line) {
    const std::size_t end = stream.find('\n', begin);
    begin = end == std::string_view::npos ? stream.size() : end + 1;
  }
  const std::size_t end = stream.find("\n---", begin);
  return stream.substr(begin, end == std::string_view::npos ? end : end - begin);
}

}  // namespace

Result<FieldLines> yaml_field_lines(std::string_view stream, int first_line) {
  try {
    FieldLines out;
    Walker walker(first_line);
    TRY(walker.walk(YAML::Load(std::string(document_at(stream, first_line))), "", 0, out));
    return out;
  } catch (const YAML::Exception& error) {
    return invalid("YAML line " + std::to_string(error.mark.line + first_line) + ": " + error.msg);
  }
}

}  // namespace lateen::data
