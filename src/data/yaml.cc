// yaml-cpp's nodes turned into JSON values by the rules of sigs.k8s.io/yaml (go-yaml v2): YAML 1.1
// scalars, so that yes/no/on/off are booleans and 0755 is octal, exactly as kubectl would send
// them. y and n stay strings: Kubernetes objects use them as keys and values, never as booleans.
#include "data/yaml.h"

#include <yaml-cpp/yaml.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <limits>

#include "base/strings.h"
#include "data/number.h"

namespace lateen::data {
namespace {

constexpr int kMostNodes = 2'000'000;  // after alias expansion, per stream

bool is_one_of(std::string_view text, std::initializer_list<std::string_view> words) {
  return std::find(words.begin(), words.end(), text) != words.end();
}

std::optional<Json> number_of(std::string_view text) {
  std::string digits;
  for (const char c : text) {
    if (c != '_') digits += c;
  }
  std::string_view body = digits;
  const bool is_negative = body.starts_with('-');
  if (is_negative || body.starts_with('+')) body.remove_prefix(1);
  if (body.empty()) return std::nullopt;

  int base = 10;
  if (body.starts_with("0x")) base = 16;
  else if (body.starts_with("0o")) base = 8;
  else if (body.starts_with("0b")) base = 2;
  if (base != 10) body.remove_prefix(2);
  else if (body.size() > 1 && body[0] == '0' &&
           body.find_first_not_of("01234567") == std::string_view::npos)
    base = 8;

  std::uint64_t whole = 0;
  const auto [end, error] = std::from_chars(body.data(), body.data() + body.size(), whole, base);
  if (error == std::errc() && end == body.data() + body.size()) {
    if (is_negative) {
      if (whole > static_cast<std::uint64_t>(INT64_MAX)) return std::nullopt;
      return Json(-static_cast<std::int64_t>(whole));
    }
    if (whole <= static_cast<std::uint64_t>(INT64_MAX))
      return Json(static_cast<std::int64_t>(whole));
    return Json(whole);
  }
  if (base != 10 || (body[0] != '.' && (body[0] < '0' || body[0] > '9'))) return std::nullopt;
  if (body.find_first_not_of("0123456789.eE+-") != std::string_view::npos) return std::nullopt;
  const auto value = parse_double(body);
  if (!value) return std::nullopt;
  return Json(is_negative ? -*value : *value);
}

Json scalar_of(const YAML::Node& node) {
  const std::string& text = node.Scalar();
  const std::string& tag = node.Tag();
  if (tag == "!" || tag == "tag:yaml.org,2002:str") return Json(text);
  if (is_one_of(text, {"", "~", "null", "Null", "NULL"})) return nullptr;
  if (is_one_of(text, {"true", "True", "TRUE", "yes", "Yes", "YES", "on", "On", "ON"})) return true;
  if (is_one_of(text, {"false", "False", "FALSE", "no", "No", "NO", "off", "Off", "OFF"}))
    return false;
  if (auto number = number_of(text)) return *std::move(number);
  return Json(text);
}

class Converter {
 public:
  Result<Json> convert(const YAML::Node& node, int depth) {
    if (depth > kMaxJsonDepth) return at(node, "nested too deep");
    if (++nodes_ > kMostNodes) return at(node, "too many nodes (aliases expanded)");
    switch (node.Type()) {
      case YAML::NodeType::Undefined:
      case YAML::NodeType::Null: return Json(nullptr);
      case YAML::NodeType::Scalar: return scalar_of(node);
      case YAML::NodeType::Sequence: {
        JsonArray array;
        for (const auto& item : node) array.push_back(TRY(convert(item, depth + 1)));
        return Json(std::move(array));
      }
      case YAML::NodeType::Map: return convert_map(node, depth);
    }
    return Json(nullptr);
  }

 private:
  Result<Json> convert_map(const YAML::Node& node, int depth) {
    JsonObject object;
    for (const auto& pair : node) {
      if (!pair.first.IsScalar() && !pair.first.IsNull())
        return at(pair.first, "a key must be a scalar");
      const std::string key = pair.first.IsNull() ? "null" : pair.first.Scalar();
      if (key == "<<" && pair.first.Tag() != "!") {
        TRY(merge(object, pair.second, depth));
        continue;
      }
      // Keys that a merge brought in give way; a key written twice is a mistake.
      if (object.contains(key) && !merged_.contains(key)) {
        return at(pair.first, "key \"" + key + "\" is set twice in this mapping");
      }
      object[key] = TRY(convert(pair.second, depth + 1));
    }
    return Json(std::move(object));
  }

  Result<> merge(JsonObject& into, const YAML::Node& from, int depth) {
    if (from.IsSequence()) {
      for (const auto& item : from) TRY(merge(into, item, depth));
      return {};
    }
    Json value = TRY(convert(from, depth + 1));
    if (!value.is_object()) return at(from, "a merge key (<<) needs a mapping");
    for (auto& member : *value.if_object()) {
      if (into.contains(member.key())) continue;
      into[member.key()] = member.value();
      merged_[member.key()] = true;
    }
    return {};
  }

  static Error at(const YAML::Node& node, std::string what) {
    return invalid("YAML line " + std::to_string(node.Mark().line + 1) + ": " + what);
  }

  int nodes_ = 0;
  JsonObject merged_;
};

Error from_exception(const YAML::Exception& error, int line_offset) {
  return invalid("YAML line " + std::to_string(error.mark.line + 1 + line_offset) + ", column " +
                 std::to_string(error.mark.column + 1) + ": " + error.msg);
}

// A string that would read back as something else (or break the line) is quoted.
bool needs_quotes(std::string_view text) {
  if (text.empty() || text != trim(text)) return true;
  if (is_one_of(text, {"~",     "null",  "Null", "NULL", "true", "True", "TRUE", "false",
                       "False", "FALSE", "yes",  "Yes",  "YES",  "no",   "No",   "NO",
                       "on",    "On",    "ON",   "off",  "Off",  "OFF",  "y",    "Y",
                       "n",     "N",     "<<",   "=",    "-",    "?",    "---",  "..."})) {
    return true;
  }
  if (number_of(text).has_value()) return true;
  if (std::string_view("-?:,[]{}#&*!|>'\"%@`").find(text[0]) != std::string_view::npos) {
    const bool is_dash_word =
        (text[0] == '-' || text[0] == '?' || text[0] == ':') && text.size() > 1 && text[1] != ' ';
    if (!is_dash_word) return true;
  }
  if (text.find(": ") != std::string_view::npos || text.find(" #") != std::string_view::npos ||
      text.back() == ':')
    return true;
  return std::any_of(text.begin(), text.end(),
                     [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; });
}

class Writer {
 public:
  explicit Writer(bool sort_keys) : sort_keys_(sort_keys) {}

  void write(const Json& value, int depth) {
    if (const auto* object = value.if_object(); object != nullptr && !object->empty())
      write_object(*object, depth);
    else if (const auto* array = value.if_array(); array != nullptr && !array->empty())
      write_array(*array, depth);
    else {
      write_scalar(value, depth);
      out_ += '\n';
    }
  }
  std::string take() { return std::move(out_); }

 private:
  void pad(int depth) { out_.append(static_cast<std::size_t>(depth) * 2, ' '); }

  void write_object(const JsonObject& object, int depth) {
    std::vector<std::string_view> keys;
    for (const auto& member : object) keys.push_back(member.key());
    if (sort_keys_) std::sort(keys.begin(), keys.end());
    bool is_first = true;
    for (const auto key : keys) {
      if (!is_first || !skip_pad_) pad(depth);
      skip_pad_ = false;
      is_first = false;
      write_key(key, depth);
      out_ += ':';
      write_member(*object.if_contains(key), depth);
    }
  }

  void write_member(const Json& value, int depth) {
    if (const auto* object = value.if_object(); object != nullptr && !object->empty()) {
      out_ += '\n';
      write_object(*object, depth + 1);
    } else if (const auto* array = value.if_array(); array != nullptr && !array->empty()) {
      out_ += '\n';
      write_array(*array, depth);  // Kubernetes' style: items at the key's own column.
    } else {
      out_ += ' ';
      write_scalar(value, depth + 1);
      out_ += '\n';
    }
  }

  void write_array(const JsonArray& array, int depth) {
    bool is_first = true;
    for (const Json& item : array) {
      if (!is_first || !skip_pad_) pad(depth);
      skip_pad_ = false;
      is_first = false;
      out_ += "- ";
      skip_pad_ = true;
      write(item, depth + 1);
      skip_pad_ = false;
    }
  }

  void write_scalar(const Json& value, int depth) {
    skip_pad_ = false;
    if (const auto* text = value.if_string()) write_text(*text, depth);
    else if (const auto* number = value.if_double()) out_ += yaml_number(*number);
    else out_ += dump_json(value);  // {} [] null true 1
  }

  // A key is never a block: it must end on its line. YAML reads at most 1,024 characters ahead for
  // the colon of a key that is not marked as one.
  void write_key(std::string_view key, int depth) {
    constexpr std::size_t kMostUnmarkedBytes = 1000;
    const std::string text = needs_quotes(key) ? dump_json(Json(key)) : std::string(key);
    const bool is_marked = text.size() > kMostUnmarkedBytes;
    if (is_marked) out_ += "? ";
    out_ += text;
    if (!is_marked) return;
    out_ += '\n';
    pad(depth);
  }

  void write_text(std::string_view text, int depth) {
    if (text.find('\n') != std::string_view::npos && is_block_text(text))
      return write_block(text, depth);
    if (needs_quotes(text)) out_ += dump_json(Json(text));
    else out_ += text;
  }

  static bool is_block_text(std::string_view text) {
    return text[0] != ' ' && text[0] != '\n' && std::none_of(text.begin(), text.end(), [](char c) {
             return (static_cast<unsigned char>(c) < 0x20 && c != '\n' && c != '\t') || c == 0x7f;
           });
  }

  void write_block(std::string_view text, int depth) {
    std::size_t newlines = 0;
    while (newlines < text.size() && text[text.size() - 1 - newlines] == '\n') ++newlines;
    out_ += newlines == 0 ? "|-" : newlines == 1 ? "|" : "|+";
    if (newlines > 0) text.remove_suffix(1);
    for (const auto line : split(text, '\n')) {
      out_ += '\n';
      if (!line.empty()) pad(depth);
      out_ += line;
    }
  }

  bool sort_keys_;
  bool skip_pad_ = false;  // the first line follows "- " on the same line
  std::string out_;
};

struct Piece {
  std::string_view text;
  int line;
};

// Cuts a stream at "---" lines; yaml-cpp would lose the line numbers between documents.
std::vector<Piece> cut_documents(std::string_view text) {
  std::vector<Piece> pieces;
  std::size_t begin = 0, at = 0;
  int line = 1, begin_line = 1;
  while (at < text.size()) {
    const std::size_t end = std::min(text.find('\n', at), text.size());
    const std::string_view row = text.substr(at, end - at);
    const bool is_marker = row.starts_with("---") &&
                           (row.size() == 3 || row[3] == ' ' || row[3] == '\r' || row[3] == '\t');
    if (is_marker) {
      pieces.push_back({text.substr(begin, at - begin), begin_line});
      const bool has_content = !trim(row.substr(3)).empty() && trim(row.substr(3))[0] != '#';
      begin = has_content ? at + 3 : std::min(end + 1, text.size());
      begin_line = has_content ? line : line + 1;
    }
    at = end + 1;
    ++line;
  }
  pieces.push_back({text.substr(begin), begin_line});
  return pieces;
}

Result<Json> parse_piece(const Piece& piece) {
  try {
    const YAML::Node node = YAML::Load(std::string(piece.text));
    return Converter().convert(node, 0);
  } catch (const YAML::Exception& error) {
    return from_exception(error, piece.line - 1);
  }
}

}  // namespace

Result<std::vector<YamlDocument>> parse_yaml_stream(std::string_view text) {
  std::vector<YamlDocument> documents;
  for (const Piece& piece : cut_documents(text)) {
    Json value = TRY(parse_piece(piece));
    if (!value.is_null()) documents.push_back({std::move(value), piece.line});
  }
  return documents;
}

Result<std::vector<Json>> parse_yaml_documents(std::string_view text) {
  std::vector<Json> values;
  for (auto& document : TRY(parse_yaml_stream(text))) values.push_back(std::move(document.value));
  return values;
}

Result<Json> parse_yaml(std::string_view text) {
  auto documents = TRY(parse_yaml_documents(text));
  if (documents.empty()) return Json(nullptr);
  if (documents.size() > 1)
    return invalid("YAML: expected one document, found " + std::to_string(documents.size()));
  return std::move(documents.front());
}

std::string dump_yaml(const Json& value, bool sort_keys) {
  Writer writer(sort_keys);
  writer.write(value, 0);
  return writer.take();
}

}  // namespace lateen::data
