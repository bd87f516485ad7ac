// Ownership: managedFields in and out, conflicts, and the two ways a write changes them.
#include "kube/apply.h"

#include <algorithm>
#include <tuple>

#include "base/strings.h"
#include "kube/apply_merge.h"
#include "kube/object.h"

namespace lateen::kube {
namespace {

constexpr std::size_t kMaxUpdateEntries = 10;

struct Entry {
  std::string manager, operation, api_version, subresource, time;
  FieldSet fields;
};
using Entries = std::vector<Entry>;

// Metadata that belongs to the system.
constexpr std::string_view kSystemFields[] = {
    "name",       "namespace",     "creationTimestamp", "selfLink",   "uid",
    "generation", "managedFields", "resourceVersion",   "clusterName"};

Result<Entries> read_entries(const Json& object) {
  Entries out;
  for (const Json& item : data::get_array(object, {"metadata", "managedFields"})) {
    const Json* fields = data::find(item, {"fieldsV1"});
    if (fields == nullptr) return invalid("a managedFields entry lacks fieldsV1");
    const auto text = [&](std::string_view key) {
      return std::string(data::get_string(item, {key}));
    };
    auto set = TRY(FieldSet::from_json(*fields));
    out.push_back({text("manager"), text("operation"), text("apiVersion"), text("subresource"),
                   text("time"), std::move(set)});
    const auto& operation = out.back().operation;
    if (operation != "Apply" && operation != "Update") {
      return invalid("invalid managedFields operation \"" + operation + "\"");
    }
  }
  return out;
}

void write_entries(Json& object, Entries entries) {
  std::erase_if(entries, [](const Entry& entry) { return entry.fields.empty(); });
  const auto order = [](const Entry& e) {
    return std::tie(e.operation, e.time, e.manager, e.api_version, e.subresource);
  };
  std::sort(entries.begin(), entries.end(),
            [&](const Entry& a, const Entry& b) { return order(a) < order(b); });
  if (entries.empty()) {
    data::erase(object, {"metadata", "managedFields"});
    return;
  }
  data::JsonArray list;
  for (const Entry& entry : entries) {
    data::JsonObject item;
    item["apiVersion"] = entry.api_version;
    item["fieldsType"] = "FieldsV1";
    item["fieldsV1"] = entry.fields.to_json();
    item["manager"] = entry.manager;
    item["operation"] = entry.operation;
    if (!entry.subresource.empty()) item["subresource"] = entry.subresource;
    item["time"] = entry.time;
    list.push_back(Json(std::move(item)));
  }
  data::set(object, {"metadata", "managedFields"}, Json(std::move(list)));
}

// What nobody owns, and what this door does not write.
void strip(FieldSet& fields, const Writer& writer) {
  fields.children.erase("f:apiVersion");
  fields.children.erase("f:kind");
  if (const auto metadata = fields.children.find("f:metadata"); metadata != fields.children.end()) {
    metadata->second.is_member = false;
    for (const auto name : kSystemFields) metadata->second.children.erase("f:" + std::string(name));
    if (metadata->second.empty()) fields.children.erase(metadata);
  }
  if (writer.subresource == "status") {
    std::erase_if(fields.children, [](const auto& child) { return child.first != "f:status"; });
  } else if (writer.has_status && writer.subresource.empty()) {
    fields.children.erase("f:status");
  }
}

std::string printed_manager(const Entry& entry) {
  std::string out = "\"" + entry.manager + "\"";
  if (!entry.subresource.empty()) out += " with subresource \"" + entry.subresource + "\"";
  if (entry.operation == "Update") out += " using " + entry.api_version;
  return out;
}

bool is_same(const Entry& entry, const Writer& writer, std::string_view operation) {
  return entry.operation == operation && entry.manager == writer.manager &&
         entry.subresource == writer.subresource &&
         (operation == "Apply" || entry.api_version == writer.api_version);
}

// The writer's own entry, taken out of the list.
std::optional<Entry> take(Entries& entries, const Writer& writer, std::string_view operation) {
  const auto at = std::find_if(entries.begin(), entries.end(), [&](const Entry& entry) {
    return is_same(entry, writer, operation);
  });
  if (at == entries.end()) return std::nullopt;
  Entry out = std::move(*at);
  entries.erase(at);
  return out;
}

void drop_nulls(Json& value) {
  if (auto* object = value.if_object()) {
    for (auto it = object->begin(); it != object->end();) {
      if (it->value().is_null()) {
        it = object->stable_erase(it);
      } else {
        drop_nulls(it->value());
        ++it;
      }
    }
  } else if (auto* list = value.if_array()) {
    for (Json& item : *list) drop_nulls(item);
  }
}

// Many one-off managers would grow every object: the oldest share one entry.
void cap_updates(Entries& entries) {
  std::vector<std::size_t> updates;
  for (std::size_t i = 0; i < entries.size(); ++i) {
    if (entries[i].operation == "Update" && entries[i].subresource.empty()) updates.push_back(i);
  }
  if (updates.size() <= kMaxUpdateEntries) return;
  std::sort(updates.begin(), updates.end(),
            [&](std::size_t a, std::size_t b) { return entries[a].time < entries[b].time; });
  updates.resize(updates.size() - kMaxUpdateEntries + 1);
  Entry old = entries[updates.front()];
  old.manager = "ancient-changes";
  for (const std::size_t i : updates) {
    old.fields.merge(entries[i].fields);
    old.time = std::max(old.time, entries[i].time);
    entries[i].fields = {};
  }
  entries.push_back(std::move(old));
}

}  // namespace

Result<Applied> server_side_apply(const Json* live, const Json& applied, const FieldTypes& types,
                                  const Writer& writer, bool is_forced) {
  if (!data::get_array(applied, {"metadata", "managedFields"}).empty()) {
    return invalid("metadata.managedFields must be nil");
  }
  Json wanted = applied;
  drop_nulls(wanted);
  data::erase(wanted, {"metadata", "managedFields"});
  FieldSet fields = TRY(fields_of(wanted, types));
  strip(fields, writer);

  static const Json kNothing(boost::json::object_kind);
  const Json& before = live != nullptr ? *live : kNothing;
  auto decoded = read_entries(before);
  Entries entries = decoded ? std::move(decoded).value() : Entries();
  if (live != nullptr && entries.empty()) {
    FieldSet all = compare(kNothing, before, types).changed;
    strip(all, writer);
    entries.push_back(
        {"before-first-apply", "Update", writer.api_version, "", writer.now, std::move(all)});
  }
  const std::optional<Entry> last = take(entries, writer, "Apply");

  Applied out{typed_merge(before, wanted, types), {}};
  if (last) {
    FieldSet kept = fields;
    for (const Entry& entry : entries) kept.merge(entry.fields);
    prune(out.object, last->fields, kept, types);
  }
  Difference difference = compare(before, out.object, types);
  for (Entry& entry : entries) {
    const FieldSet disputed = entry.fields.intersect(difference.changed);
    for (const auto& path : disputed.paths())
      out.conflicts.push_back({printed_manager(entry), path});
    entry.fields.subtract(disputed);
    entry.fields.subtract(difference.removed);
  }
  if (is_forced) out.conflicts.clear();
  if (!out.conflicts.empty()) return out;

  strip(difference.changed, writer);
  strip(difference.removed, writer);
  const bool is_unchanged = last && last->fields == fields && difference.changed.empty() &&
                            difference.removed.empty() && last->api_version == writer.api_version;
  entries.push_back({writer.manager, "Apply", writer.api_version, writer.subresource,
                     is_unchanged ? last->time : writer.now, std::move(fields)});
  write_entries(out.object, std::move(entries));
  return out;
}

std::string conflict_message(const std::vector<FieldConflict>& conflicts) {
  if (conflicts.size() == 1) {
    return "Apply failed with 1 conflict: conflict with " + conflicts[0].manager + ": " +
           conflicts[0].field;
  }
  std::map<std::string, std::vector<std::string>> by_manager;
  for (const auto& conflict : conflicts) by_manager[conflict.manager].push_back(conflict.field);
  std::vector<std::string> lines;
  for (const auto& [manager, fields] : by_manager) {
    lines.push_back("conflicts with " + manager + ":");
    for (const auto& field : fields) lines.push_back("- " + field);
  }
  return "Apply failed with " + std::to_string(conflicts.size()) +
         " conflicts: " + join(lines, "\n");
}

Json conflict_causes(const std::vector<FieldConflict>& conflicts) {
  data::JsonArray causes;
  for (const auto& conflict : conflicts) {
    causes.push_back(Json{{"reason", "FieldManagerConflict"},
                          {"message", "conflict with " + conflict.manager},
                          {"field", conflict.field}});
  }
  return Json(std::move(causes));
}

void track_update(const Json* live, Json& object, const FieldTypes& types, const Writer& writer) {
  static const Json kNothing(boost::json::object_kind);
  const Json& before = live != nullptr ? *live : kNothing;
  if (const Json* sent = data::find(object, {"metadata", "managedFields"});
      sent != nullptr && live != nullptr) {
    const auto* list = sent->if_array();
    const bool is_reset = list != nullptr && list->size() == 1 && (*list)[0].is_object() &&
                          (*list)[0].if_object()->empty();
    if (is_reset) {
      data::erase(object, {"metadata", "managedFields"});
      return;
    }
  }
  auto decoded = read_entries(object);
  if (!decoded || decoded->empty()) decoded = read_entries(before);
  Entries entries = decoded ? std::move(decoded).value() : Entries();

  Difference difference = compare(before, object, types);
  strip(difference.changed, writer);
  strip(difference.removed, writer);
  std::optional<Entry> mine = take(entries, writer, "Update");
  for (Entry& entry : entries) {
    entry.fields.subtract(difference.changed);
    entry.fields.subtract(difference.removed);
  }
  Entry entry = mine ? *mine : Entry{writer.manager,     "Update",   writer.api_version,
                                     writer.subresource, writer.now, {}};
  entry.fields.merge(difference.changed);
  entry.fields.subtract(difference.removed);
  if (mine && entry.fields != mine->fields) entry.time = writer.now;
  entries.push_back(std::move(entry));
  cap_updates(entries);
  write_entries(object, std::move(entries));
}

}  // namespace lateen::kube
