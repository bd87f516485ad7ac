// Tables of `kubectl get`: the columns of each built-in kind as the stock API server prints them,
// and JSONPath columns of custom resources. Cells of the bigger kinds are in table_workloads.cc and
// table_core.cc.
#include <fmt/format.h>

#include "base/strings.h"
#include "cluster/apiserver/encode.h"
#include "cluster/apiserver/json_path.h"
#include "cluster/apiserver/table_cells.h"

namespace lateen::cluster::apiserver {

std::string age_of(const Json& object, std::initializer_list<std::string_view> path, WallTime now) {
  auto made = parse_rfc3339(data::get_string(object, path));
  if (!made.ok()) return "<unknown>";
  return human_duration(now - *made);
}
std::string age_of(const Json& object, WallTime now) {
  return age_of(object, {"metadata", "creationTimestamp"}, now);
}
std::string or_none(std::string text) { return text.empty() ? "<none>" : text; }

std::string label_text(const JsonObject& labels) {
  std::map<std::string, std::string> sorted;
  for (const auto& [key, value] : labels) sorted.emplace(key, data::as_string(value));
  std::vector<std::string> parts;
  for (const auto& [key, value] : sorted) parts.push_back(fmt::format("{}={}", key, value));
  return or_none(join(parts, ","));
}

namespace {

// "Ready!" would be wide-only; the name's type is string unless marked: "#" integer.
std::vector<PrinterColumn> parse_columns(std::string_view spec) {
  std::vector<PrinterColumn> columns;
  for (auto word : split(spec, '|')) {
    PrinterColumn column;
    column.type = "string";
    if (word.starts_with('!')) {
      column.priority = 1;
      word.remove_prefix(1);
    }
    if (word.starts_with('#')) {
      column.type = "integer";
      word.remove_prefix(1);
    }
    column.name = word;
    if (word == "Name") column.format = "name";
    columns.push_back(std::move(column));
  }
  return columns;
}

Json json_path_cell(const PrinterColumn& column, const Json& object, WallTime now) {
  const auto values = evaluate_json_path(column.json_path, object);
  if (values.empty()) return nullptr;
  if (column.type == "date") {
    auto time = parse_rfc3339(data::as_string(*values.front()));
    return time.ok() ? Json(human_duration(now - *time)) : Json("<invalid>");
  }
  if (column.type == "integer") {
    if (const auto number = data::as_int(*values.front())) return *number;
    return nullptr;
  }
  if (column.type == "number" || column.type == "boolean") return *values.front();
  std::vector<std::string> parts;
  for (const Json* value : values) {
    parts.push_back(value->is_string() ? std::string(data::as_string(*value))
                                       : data::dump_json(*value));
  }
  return Json(join(parts, ","));
}

}  // namespace

std::vector<PrinterColumn> table_columns(const ResourceType& type, std::string_view version) {
  if (!type.is_custom) {
    if (const TableKind* kind = table_kind(type.bucket)) return parse_columns(kind->columns);
    return parse_columns("Name|Age");
  }
  auto columns = parse_columns("Name");
  const ServedVersion* served = type.version(version);
  if (served != nullptr && !served->columns.empty()) {
    columns.insert(columns.end(), served->columns.begin(), served->columns.end());
  } else {
    columns.push_back({"Age", "date", "", "", 0, ".metadata.creationTimestamp"});
  }
  return columns;
}

JsonArray table_cells(const ResourceType& type, std::string_view version, const Json& object,
                      WallTime now) {
  if (!type.is_custom) {
    if (const TableKind* kind = table_kind(type.bucket)) return kind->cells(object, now);
    return {Json(kube::name_of(object)), Json(age_of(object, now))};
  }
  JsonArray cells{Json(kube::name_of(object))};
  const ServedVersion* served = type.version(version);
  if (served == nullptr || served->columns.empty()) {
    cells.emplace_back(age_of(object, now));
    return cells;
  }
  for (const auto& column : served->columns) cells.push_back(json_path_cell(column, object, now));
  return cells;
}

}  // namespace lateen::cluster::apiserver
