// docs/envoy-api.md, from the registry of filters and the field rows.

#include <google/protobuf/descriptor.h>

#include "base/strings.h"
#include "proxy/api/field_check.h"
#include "proxy/filters/registry.h"

namespace lateen::proxy {
namespace {

namespace pb = google::protobuf;

std::string short_name(std::string_view type) {
  for (const std::string_view prefix :
       {"envoy.extensions.filters.http.", "envoy.extensions.", "envoy.config.", "envoy."})
    if (type.starts_with(prefix)) return std::string(type.substr(prefix.size()));
  return std::string(type);
}

// Fields of `type` that the row does not name: what is refused.
std::string refused_fields(const FieldRow& row) {
  const auto* type =
      pb::DescriptorPool::generated_pool()->FindMessageTypeByName(std::string(row.type));
  if (type == nullptr) return "(not linked in)";
  std::string names;
  for (int i = 0; i < type->field_count(); ++i) {
    const std::string& name = type->field(i)->name();
    bool is_named = false;
    for (const auto list : {row.honoured, row.harmless})
      for (const auto one : split(list, ' ')) is_named |= one == name;
    if (!is_named) names += (names.empty() ? "" : ", ") + name;
  }
  return names;
}

std::string listed(std::string_view names) {
  std::string made;
  for (const auto one : split(names, ' '))
    if (!one.empty()) made += (made.empty() ? "" : ", ") + std::string(one);
  return made;
}

void add_rows(std::span<const FieldRow> rows, std::string& out) {
  out += "| message | honoured | without effect | refused by name |\n| --- | --- | --- | --- |\n";
  for (const auto& row : rows) {
    std::string harmless = listed(row.harmless);
    if (!harmless.empty() && !row.why.empty()) harmless += " (" + std::string(row.why) + ")";
    out += "| `" + short_name(row.type) + "` | " + listed(row.honoured) + " | " + harmless + " | " +
           refused_fields(row) + " |\n";
  }
}

}  // namespace

std::string api_document() {
  std::string out =
      "# Envoy's API here\n\n"
      "Generated from the code (`src/proxy/api`, `src/proxy/filters/registry.cc`); a test compares "
      "it. Types that are\nnot listed are refused by name when a configuration holds them, and so "
      "is each field of the tables below that\nis set and is neither honoured nor without effect "
      "here: by a NACK, or at the start when it is in the bootstrap. A\nfield that is honoured may "
      "have values that are not; these are refused by name, too.\n\n## HTTP filters\n\n| "
      "configuration | on routes |\n| --- | --- |\n";
  for (const auto& factory : http_filters())
    out += "| `" + std::string(factory.type) + "` | " +
           (factory.route_type.empty() ? "" : "`" + std::string(factory.route_type) + "`") + " |\n";
  out +=
      "\nWebAssembly (`envoy.extensions.filters.http.wasm.v3.Wasm`) and every other type: "
      "refused by name.\n";
  for (const auto& table : field_tables()) {
    out += "\n## Fields of " + std::string(table.title) + "\n\n";
    add_rows(table.rows, out);
  }
  return out;
}

}  // namespace lateen::proxy
