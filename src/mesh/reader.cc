#include "mesh/reader.h"

#include <algorithm>

#include "base/strings.h"

namespace lateen::mesh {

void Issues::error(std::string message) {
  if (errors.size() < kMost) errors.push_back(std::move(message));
}

void Issues::warn(std::string message) {
  if (warnings.size() < kMost) warnings.push_back(std::move(message));
}

std::string Issues::to_string() const { return join(errors, "; "); }

Reader::Reader(const data::Json& value, std::string path, Issues& issues)
    : object_(value.if_object()), path_(std::move(path)), issues_(issues) {}

Reader::~Reader() {
  if (object_ == nullptr || is_open_) return;
  for (const auto& entry : *object_) {
    const std::string_view key = entry.key();
    if (std::find(known_.begin(), known_.end(), key) != known_.end()) continue;
    issues_.error("unknown field \"" + path_of(key) + "\"");
  }
}

const data::Json* Reader::raw(std::string_view key) {
  known_.push_back(key);
  if (object_ == nullptr) return nullptr;
  const data::Json* value = object_->if_contains(key);
  return value == nullptr || value->is_null() ? nullptr : value;
}

bool Reader::has(std::string_view key) { return raw(key) != nullptr; }

std::string Reader::text(std::string_view key, std::string_view fallback) {
  const data::Json* value = raw(key);
  if (value == nullptr) return std::string(fallback);
  if (const data::JsonString* text = value->if_string()) return std::string(*text);
  error(key, "must be a string");
  return std::string(fallback);
}

bool Reader::flag(std::string_view key, bool fallback) {
  return maybe_flag(key).value_or(fallback);
}

std::optional<bool> Reader::maybe_flag(std::string_view key) {
  const data::Json* value = raw(key);
  if (value == nullptr) return std::nullopt;
  if (const bool* flag = value->if_bool()) return *flag;
  error(key, "must be true or false");
  return std::nullopt;
}

std::int64_t Reader::integer(std::string_view key, std::int64_t fallback) {
  return maybe_integer(key).value_or(fallback);
}

std::optional<std::int64_t> Reader::maybe_integer(std::string_view key) {
  const data::Json* value = raw(key);
  if (value == nullptr) return std::nullopt;
  if (const auto number = data::as_int(*value)) return number;
  if (const data::JsonString* text = value->if_string()) {
    if (const auto number = parse_int(std::string_view(*text))) return number;
  }
  error(key, "must be an integer");
  return std::nullopt;
}

std::optional<double> Reader::maybe_number(std::string_view key) {
  const data::Json* value = raw(key);
  if (value == nullptr) return std::nullopt;
  if (const auto number = data::as_number(*value)) return number;
  if (const data::JsonString* text = value->if_string()) {
    if (const auto number = parse_double(std::string_view(*text))) return number;
  }
  error(key, "must be a number");
  return std::nullopt;
}

std::optional<nanoseconds> Reader::duration(std::string_view key) {
  const data::Json* value = raw(key);
  if (value == nullptr) return std::nullopt;
  const data::JsonString* text = value->if_string();
  if (text == nullptr) return error(key, "must be a duration such as \"1.5s\""), std::nullopt;
  auto parsed = parse_duration(std::string_view(*text));
  if (!parsed) return error(key, parsed.error().message()), std::nullopt;
  return *parsed;
}

std::vector<std::string> Reader::texts(std::string_view key) {
  std::vector<std::string> out;
  const data::Json* value = raw(key);
  if (value == nullptr) return out;
  const data::JsonArray* list = value->if_array();
  if (list == nullptr) return error(key, "must be a list of strings"), out;
  for (const data::Json& item : *list) {
    if (const data::JsonString* text = item.if_string()) {
      out.emplace_back(*text);
    } else {
      error(key, "must be a list of strings");
    }
  }
  return out;
}

Labels Reader::map(std::string_view key) {
  Labels out;
  const data::Json* value = raw(key);
  if (value == nullptr) return out;
  const data::JsonObject* object = value->if_object();
  if (object == nullptr) return error(key, "must be a map of strings"), out;
  for (const auto& entry : *object) {
    if (const data::JsonString* text = entry.value().if_string()) {
      out.emplace(std::string(entry.key()), std::string(*text));
    } else {
      error(key, "\"" + std::string(entry.key()) + "\" must be a string");
    }
  }
  return out;
}

void Reader::error(std::string_view key, std::string_view message) {
  issues_.error(path_of(key) + ": " + std::string(message));
}

void Reader::warn(std::string_view key, std::string_view message) {
  issues_.warn(path_of(key) + ": " + std::string(message));
}

void Reader::unused(std::string_view key, std::string_view why) {
  if (has(key)) warn(key, "has no effect: " + std::string(why));
}

std::string Reader::path_of(std::string_view key) const {
  return path_.empty() ? std::string(key) : path_ + "." + std::string(key);
}

}  // namespace lateen::mesh
