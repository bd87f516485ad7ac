// RFC 6902 and RFC 7386.
#include "kube/patch.h"

#include "base/strings.h"

namespace lateen::kube {
namespace {

// A JSON pointer's tokens, unescaped.
Result<std::vector<std::string>> parse_pointer(std::string_view pointer) {
  std::vector<std::string> out;
  if (pointer.empty()) return out;
  if (pointer.front() != '/')
    return invalid("path \"" + std::string(pointer) + "\" must start with '/'");
  for (const auto token : split(pointer.substr(1), '/')) {
    out.push_back(replace_all(replace_all(token, "~1", "/"), "~0", "~"));
  }
  return out;
}

Result<std::size_t> array_index(std::string_view token, std::size_t limit) {
  const auto index = parse_int(token);
  // Negative indices count from the end, as the API server's library allows.
  const auto size = static_cast<std::int64_t>(limit);
  if (!index || *index >= size || *index < -size) {
    return invalid("index \"" + std::string(token) + "\" is out of range");
  }
  return static_cast<std::size_t>(*index < 0 ? *index + size : *index);
}

Result<Json*> resolve(Json& root, const std::vector<std::string>& tokens, std::size_t count) {
  Json* at = &root;
  for (std::size_t i = 0; i < count; ++i) {
    if (auto* object = at->if_object()) {
      at = object->if_contains(tokens[i]);
      if (at == nullptr) return not_found("the path does not exist");
    } else if (auto* array = at->if_array()) {
      at = &(*array)[TRY(array_index(tokens[i], array->size()))];
    } else {
      return not_found("the path does not exist");
    }
  }
  return at;
}

Result<> add_at(Json& root, const std::vector<std::string>& tokens, Json value) {
  if (tokens.empty()) {
    root = std::move(value);
    return {};
  }
  Json* parent = TRY(resolve(root, tokens, tokens.size() - 1));
  if (auto* object = parent->if_object()) {
    (*object)[tokens.back()] = std::move(value);
  } else if (auto* array = parent->if_array()) {
    const std::size_t index =
        tokens.back() == "-" ? array->size() : TRY(array_index(tokens.back(), array->size() + 1));
    array->insert(array->begin() + index, std::move(value));
  } else {
    return not_found("the parent is neither an object nor a list");
  }
  return {};
}

Result<Json> remove_at(Json& root, const std::vector<std::string>& tokens) {
  if (tokens.empty()) return invalid("cannot remove the whole document");
  Json* parent = TRY(resolve(root, tokens, tokens.size() - 1));
  Json* victim = TRY(resolve(*parent, {tokens.back()}, 1));
  Json removed = std::move(*victim);
  if (auto* object = parent->if_object()) {
    object->stable_erase(tokens.back());
  } else {
    auto& array = *parent->if_array();
    array.erase(array.begin() + (victim - array.data()));
  }
  return removed;
}

bool is_path_prefix(const std::vector<std::string>& prefix, const std::vector<std::string>& path) {
  return prefix.size() < path.size() && std::equal(prefix.begin(), prefix.end(), path.begin());
}

Result<> run_operation(Json& root, const Json& operation) {
  const auto op = data::get_string(operation, {"op"});
  if (data::find(operation, {"path"}) == nullptr) return invalid("\"path\" is missing");
  const auto path = TRY(parse_pointer(data::get_string(operation, {"path"})));
  const Json* value = data::find(operation, {"value"});
  if ((op == "add" || op == "replace" || op == "test") && value == nullptr) {
    return invalid("\"value\" is missing");
  }
  if (op == "add") return add_at(root, path, *value);
  if (op == "replace") {
    *TRY(resolve(root, path, path.size())) = *value;
    return {};
  }
  if (op == "remove") {
    TRY(remove_at(root, path));
    return {};
  }
  if (op == "test") {
    // A missing path equals null, as in the API server's library.
    auto actual = resolve(root, path, path.size());
    const bool is_equal = actual ? data::equal(**actual, *value) : value->is_null();
    if (is_equal) return {};
    return invalid("testing value " + std::string(data::get_string(operation, {"path"})) +
                   " failed");
  }
  if (op == "move" || op == "copy") {
    const auto from = TRY(parse_pointer(data::get_string(operation, {"from"})));
    if (op == "move" && is_path_prefix(from, path))
      return invalid("cannot move a value into itself");
    Json moved = op == "move" ? TRY(remove_at(root, from)) : *TRY(resolve(root, from, from.size()));
    return add_at(root, path, std::move(moved));
  }
  return invalid("unknown \"op\"; use add, remove, replace, move, copy or test");
}

}  // namespace

Result<Json> json_patch(const Json& target, const Json& operations) {
  const auto* list = operations.if_array();
  if (list == nullptr) return invalid("a JSON patch must be a list of operations");
  Json out = target;
  for (std::size_t i = 0; i < list->size(); ++i) {
    const Json& operation = (*list)[i];
    auto done = run_operation(out, operation);
    if (done) continue;
    return std::move(done).error().at("operation " + std::to_string(i) + " (" +
                                      std::string(data::get_string(operation, {"op"}, "?")) + " " +
                                      std::string(data::get_string(operation, {"path"}, "?")) +
                                      ")");
  }
  return out;
}

Json merge_patch(Json target, const Json& patch) {
  const auto* changes = patch.if_object();
  if (changes == nullptr) return patch;
  if (!target.is_object()) target.emplace_object();
  auto& object = *target.if_object();
  for (const auto& [key, value] : *changes) {
    if (value.is_null()) {
      object.stable_erase(key);
      continue;
    }
    Json& field = object[key];
    field = merge_patch(std::move(field), value);
  }
  return target;
}

Json make_merge_patch(const Json& from, const Json& to) {
  const auto* before = from.if_object();
  const auto* after = to.if_object();
  if (before == nullptr || after == nullptr) return to;
  Json out(boost::json::object_kind);
  auto& patch = *out.if_object();
  for (const auto& [key, value] : *before) {
    if (!after->contains(key)) patch[key] = nullptr;
  }
  for (const auto& [key, value] : *after) {
    const Json* old = before->if_contains(key);
    if (old != nullptr && data::equal(*old, value)) continue;
    const bool is_nested = old != nullptr && old->is_object() && value.is_object();
    patch[key] = is_nested ? make_merge_patch(*old, value) : value;
  }
  return out;
}

}  // namespace lateen::kube
