// One built-in kind's table: its columns as a compact list ("!" wide only, "#" integer) and the
// function of its cells.
#pragma once

#include <initializer_list>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "cluster/apiserver/status.h"
#include "kube/object.h"

namespace lateen::cluster::apiserver {

struct TableKind {
  std::string_view bucket;
  std::string_view columns;
  JsonArray (*cells)(const Json& object, WallTime now);
};
// Null: Name and Age.
const TableKind* table_kind(std::string_view bucket);
const TableKind* core_table_kind(std::string_view bucket);
const TableKind* workload_table_kind(std::string_view bucket);

std::string age_of(const Json& object, WallTime now);
std::string age_of(const Json& object, std::initializer_list<std::string_view> path, WallTime now);
std::string or_none(std::string text);             // "<none>" for ""
std::string label_text(const JsonObject& labels);  // "a=b,c=d"
std::string selector_text(const Json& object, std::initializer_list<std::string_view> path);
// Comma-separated names and images of a pod template's containers.
std::string container_names(const Json& object, std::initializer_list<std::string_view> spec_path);
std::string container_images(const Json& object, std::initializer_list<std::string_view> spec_path);

JsonArray pod_cells(const Json& pod, WallTime now);  // table_pods.cc

}  // namespace lateen::cluster::apiserver
