// From stored objects to what a client asked for: the object in a version, its metadata only, or a
// table row.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "cluster/apiserver/request.h"
#include "cluster/apiserver/store.h"

namespace lateen::cluster::apiserver {

enum class Form : unsigned char { kObject, kTable, kPartialMetadata };

// One negotiated way of answering. Immutable; shared between threads.
class Encoder {
 public:
  // Picks by Accept, best offer first; protobuf offers are passed over. 406 when nothing fits.
  static Outcome<Encoder> negotiate(const ApiRequest& request, TypePtr type, std::string version,
                                    const Clock& clock);

  std::string one(const StoredObject& object) const;  // body of GET, POST, PUT, …
  std::string one_value(const Json& object) const;    // of an object that is not stored
  struct ListMeta {
    std::int64_t revision = 0;
    std::string continue_token;
    std::int64_t remaining = 0;
  };
  std::string list(const std::vector<StoredPtr>& items, const ListMeta& meta) const;
  // A watch line: {"type":…,"object":…}\n
  std::string event(std::string_view type, const StoredObject& object) const;
  std::string bookmark(std::int64_t revision, bool is_initial_end) const;
  // Names this encoding among the shared ones of an event; empty when it must not be shared.
  const std::string& cache_key() const { return cache_key_; }
  Form form() const { return form_; }
  std::string content_type() const { return is_yaml_ ? "application/yaml" : "application/json"; }

 private:
  Json table(const std::vector<const Json*>& objects, const ListMeta& meta) const;
  Json partial(const Json& object) const;
  Json converted(const StoredObject& object) const;
  std::string object_text(const StoredObject& object) const;
  std::string finish(std::string json) const;

  TypePtr type_;
  std::string version_;
  const Clock* clock_ = nullptr;
  Form form_ = Form::kObject;
  std::string meta_version_ = "v1";  // of meta.k8s.io for tables and partial metadata
  std::string include_object_ = "Metadata";
  bool needs_conversion_ = false;
  bool is_yaml_ = false;
  std::string cache_key_;
};

// Between the stored version and a served one (convert.cc).
bool needs_conversion(const ResourceType& type, std::string_view version);
void to_served(const ResourceType& type, std::string_view version, Json& object);
void to_storage(const ResourceType& type, std::string_view version, Json& object);

// Columns and cells of a kind's table (table*.cc). Cells are in the order of the columns.
std::vector<PrinterColumn> table_columns(const ResourceType& type, std::string_view version);
JsonArray table_cells(const ResourceType& type, std::string_view version, const Json& object,
                      WallTime now);

}  // namespace lateen::cluster::apiserver
