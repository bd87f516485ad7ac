// Negotiation and assembly. Stored text goes out as it is whenever the client wants the stored
// version.
#include "cluster/apiserver/encode.h"

#include <fmt/format.h>

#include "base/strings.h"
#include "data/yaml.h"

namespace lateen::cluster::apiserver {
namespace {

struct Offer {
  std::string type;
  std::string as;
  std::string group;
  std::string version;
};

std::vector<Offer> parse_accept(std::string_view accept) {
  std::vector<Offer> offers;
  for (const auto& part : split(accept, ',')) {
    Offer offer;
    bool is_first = true;
    for (const auto& piece : split(part, ';')) {
      const auto text = trim(piece);
      if (is_first) {
        offer.type = to_lower(text);
        is_first = false;
      } else if (auto pair = split_once(text, "=")) {
        if (pair->first == "as") offer.as = pair->second;
        if (pair->first == "g") offer.group = pair->second;
        if (pair->first == "v") offer.version = pair->second;
      }
    }
    if (!offer.type.empty()) offers.push_back(std::move(offer));
  }
  return offers;
}

}  // namespace

Outcome<Encoder> Encoder::negotiate(const ApiRequest& request, TypePtr type, std::string version,
                                    const Clock& clock) {
  Encoder made;
  made.type_ = std::move(type);
  made.version_ = std::move(version);
  made.clock_ = &clock;
  made.needs_conversion_ = needs_conversion(*made.type_, made.version_);
  if (request.has_param("includeObject")) made.include_object_ = request.param("includeObject");
  bool is_found = false;
  for (const auto& offer : parse_accept(request.header("accept"))) {
    const bool is_json = offer.type == "application/json" || offer.type == "*/*" ||
                         offer.type == "application/*" || offer.type == "text/html" ||
                         offer.type.ends_with("+json");
    const bool is_yaml = offer.type == "application/yaml";
    if (!is_json && !is_yaml) continue;
    if (offer.as.empty()) {
      made.form_ = Form::kObject;
    } else if (offer.group != "meta.k8s.io" ||
               (offer.version != "v1" && offer.version != "v1beta1")) {
      continue;
    } else if (offer.as == "Table") {
      made.form_ = Form::kTable;
    } else if (offer.as == "PartialObjectMetadata" || offer.as == "PartialObjectMetadataList") {
      made.form_ = Form::kPartialMetadata;
    } else {
      continue;
    }
    if (!offer.version.empty()) made.meta_version_ = offer.version;
    made.is_yaml_ = is_yaml;
    is_found = true;
    break;
  }
  // Clients that only speak protobuf get JSON: client-go decodes by the answer's Content-Type.
  (void)is_found;
  made.cache_key_ =
      fmt::format("{}|{}|{}|{}|{}", made.type_->group, made.version_, static_cast<int>(made.form_),
                  made.meta_version_, made.include_object_);
  return made;
}

Json Encoder::converted(const StoredObject& object) const {
  Json value = object.value;
  if (needs_conversion_) to_served(*type_, version_, value);
  return value;
}

std::string Encoder::object_text(const StoredObject& object) const {
  if (!needs_conversion_) return object.text;
  return data::dump_json(converted(object));
}

std::string Encoder::finish(std::string json) const {
  if (!is_yaml_) return json;
  auto parsed = data::parse_json(json);
  return parsed.ok() ? data::dump_yaml(*parsed) : json;
}

std::string Encoder::one(const StoredObject& object) const {
  if (form_ == Form::kObject) return finish(object_text(object));
  const Json value = converted(object);
  if (form_ == Form::kPartialMetadata) return finish(data::dump_json(partial(value)));
  return finish(data::dump_json(table({&value}, ListMeta{object.revision, {}, 0})));
}

std::string Encoder::one_value(const Json& object) const {
  if (form_ == Form::kPartialMetadata) return finish(data::dump_json(partial(object)));
  if (form_ == Form::kTable) return finish(data::dump_json(table({&object}, ListMeta{})));
  return finish(data::dump_json(object));
}

std::string Encoder::list(const std::vector<StoredPtr>& items, const ListMeta& meta) const {
  if (form_ == Form::kTable) {
    std::vector<Json> values;
    std::vector<const Json*> objects;
    if (needs_conversion_) {
      values.reserve(items.size());
      for (const auto& item : items) values.push_back(converted(*item));
      for (const auto& value : values) objects.push_back(&value);
    } else {
      for (const auto& item : items) objects.push_back(&item->value);
    }
    return finish(data::dump_json(table(objects, meta)));
  }
  const bool is_partial = form_ == Form::kPartialMetadata;
  std::string body = fmt::format(
      R"({{"kind":"{}","apiVersion":"{}","metadata":{{"resourceVersion":"{}")",
      is_partial ? "PartialObjectMetadataList" : type_->list_kind,
      is_partial ? "meta.k8s.io/" + meta_version_ : type_->api_version(version_), meta.revision);
  if (!meta.continue_token.empty()) {
    body += fmt::format(R"(,"continue":"{}","remainingItemCount":{})", meta.continue_token,
                        meta.remaining);
  }
  body += "},\"items\":[";
  bool is_first = true;
  for (const auto& item : items) {
    if (!is_first) body += ',';
    is_first = false;
    body += is_partial ? data::dump_json(partial(item->value)) : object_text(*item);
  }
  body += "]}";
  return finish(std::move(body));
}

Json Encoder::partial(const Json& object) const {
  const Json* metadata = data::find(object, {"metadata"});
  return JsonObject{{"kind", "PartialObjectMetadata"},
                    {"apiVersion", "meta.k8s.io/" + meta_version_},
                    {"metadata", metadata != nullptr ? *metadata : Json(JsonObject{})}};
}

Json Encoder::table(const std::vector<const Json*>& objects, const ListMeta& meta) const {
  JsonArray columns;
  for (const auto& column : table_columns(*type_, version_)) {
    columns.push_back(JsonObject{{"name", column.name},
                                 {"type", column.type},
                                 {"format", column.format},
                                 {"description", column.description},
                                 {"priority", column.priority}});
  }
  JsonArray rows;
  const WallTime now = clock_->wall();
  for (const Json* object : objects) {
    JsonObject row{{"cells", table_cells(*type_, version_, *object, now)}};
    if (include_object_ == "Object") {
      row["object"] = *object;
    } else if (include_object_ != "None") {
      row["object"] = partial(*object);
    }
    rows.push_back(std::move(row));
  }
  JsonObject metadata;
  if (meta.revision != 0) metadata["resourceVersion"] = fmt::format("{}", meta.revision);
  if (!meta.continue_token.empty()) {
    metadata["continue"] = meta.continue_token;
    metadata["remainingItemCount"] = meta.remaining;
  }
  return JsonObject{{"kind", "Table"},
                    {"apiVersion", "meta.k8s.io/" + meta_version_},
                    {"metadata", std::move(metadata)},
                    {"columnDefinitions", std::move(columns)},
                    {"rows", std::move(rows)}};
}

std::string Encoder::event(std::string_view type, const StoredObject& object) const {
  std::string line = fmt::format(R"({{"type":"{}","object":)", type);
  if (form_ == Form::kObject) {
    line += object_text(object);
  } else {
    const Json value = converted(object);
    line += data::dump_json(
        form_ == Form::kTable ? table({&value}, ListMeta{object.revision, {}, 0}) : partial(value));
  }
  line += "}\n";
  return line;
}

std::string Encoder::bookmark(std::int64_t revision, bool is_initial_end) const {
  JsonObject metadata{{"resourceVersion", fmt::format("{}", revision)},
                      {"creationTimestamp", nullptr}};
  if (is_initial_end) metadata["annotations"] = JsonObject{{"k8s.io/initial-events-end", "true"}};
  JsonObject object{{"kind", type_->kind}, {"apiVersion", type_->api_version(version_)}};
  object["metadata"] = metadata;
  if (form_ == Form::kPartialMetadata) {
    object["kind"] = "PartialObjectMetadata";
    object["apiVersion"] = "meta.k8s.io/" + meta_version_;
  } else if (form_ == Form::kTable) {
    Json row_object = object;
    JsonArray cells;
    for (const auto& column : table_columns(*type_, version_)) {
      cells.push_back(column.type == "integer" ? Json(0) : Json(""));
    }
    Json empty = table({}, ListMeta{revision, {}, 0});
    data::set(empty, {"rows"},
              JsonArray{JsonObject{{"cells", std::move(cells)}, {"object", row_object}}});
    return fmt::format("{{\"type\":\"BOOKMARK\",\"object\":{}}}\n", data::dump_json(empty));
  }
  return fmt::format("{{\"type\":\"BOOKMARK\",\"object\":{}}}\n", data::dump_json(object));
}

}  // namespace lateen::cluster::apiserver
