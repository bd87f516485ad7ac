// Set algebra on trees of path elements, and their JSON and text forms.
#include "kube/field_set.h"

namespace lateen::kube {
namespace {

constexpr int kMaxDepth = 64;

std::string element_text(std::string_view element) {
  const auto rest = element.substr(2);
  if (element.starts_with("f:")) return "." + std::string(rest);
  if (element.starts_with("v:")) return "[=" + std::string(rest) + "]";
  if (element.starts_with("i:")) return "[" + std::string(rest) + "]";
  auto keys = data::parse_json(rest);
  if (!keys || !keys->is_object()) return "[" + std::string(rest) + "]";
  std::string out;
  for (const auto& [key, value] : *keys->if_object()) {
    out += (out.empty() ? "[" : ",") + std::string(key) + "=" + data::dump_json(value);
  }
  return out + "]";
}

void collect(const FieldSet& set, const std::string& path, std::vector<std::string>& out) {
  if (set.is_member) out.push_back(path);
  for (const auto& [element, child] : set.children)
    collect(child, path + element_text(element), out);
}

Result<> read(const Json& fields, FieldSet& into, int depth) {
  const auto* object = fields.if_object();
  if (object == nullptr || depth > kMaxDepth) return invalid("fieldsV1 must be nested objects");
  for (const auto& [key_view, value] : *object) {
    const std::string_view key = key_view;
    if (key == ".") {
      into.is_member = true;
      continue;
    }
    if (key.size() < 2 || key[1] != ':') {
      return invalid("fieldsV1: \"" + std::string(key) + "\" is not a path element");
    }
    FieldSet& child = into.children[std::string(key)];
    TRY(read(value, child, depth + 1));
    if (child.children.empty()) child.is_member = true;
  }
  return {};
}

}  // namespace

const FieldSet* FieldSet::find(const std::string& element) const {
  const auto found = children.find(element);
  return found != children.end() ? &found->second : nullptr;
}

void FieldSet::merge(const FieldSet& other) {
  is_member = is_member || other.is_member;
  for (const auto& [element, child] : other.children) children[element].merge(child);
}

void FieldSet::subtract(const FieldSet& other) {
  if (other.is_member) is_member = false;
  for (const auto& [element, child] : other.children) {
    const auto mine = children.find(element);
    if (mine == children.end()) continue;
    mine->second.subtract(child);
    if (mine->second.empty()) children.erase(mine);
  }
}

FieldSet FieldSet::intersect(const FieldSet& other) const {
  FieldSet out;
  out.is_member = is_member && other.is_member;
  for (const auto& [element, child] : children) {
    const FieldSet* twin = other.find(element);
    if (twin == nullptr) continue;
    FieldSet both = child.intersect(*twin);
    if (!both.empty()) out.children.emplace(element, std::move(both));
  }
  return out;
}

std::vector<std::string> FieldSet::paths() const {
  std::vector<std::string> out;
  collect(*this, "", out);
  return out;
}

Json FieldSet::to_json() const {
  data::JsonObject out;
  if (is_member && !children.empty()) out["."] = data::JsonObject();
  for (const auto& [element, child] : children) out[element] = child.to_json();
  return Json(std::move(out));
}

Result<FieldSet> FieldSet::from_json(const Json& fields_v1) {
  FieldSet out;
  TRY(read(fields_v1, out, 0));
  return out;
}

}  // namespace lateen::kube
