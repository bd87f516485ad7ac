// The fields of the built-in kinds, from one compact table (schemas_*.cc). It finds unknown fields,
// decodes protobuf bodies (protobuf.h), and answers kubectl explain and client-side validation
// (open_api.h).
//
// The table: "@package" starts a package; a line "Type field:number:type …" (continued by indented
// lines) is a message. A field named "-" is inlined. Types: s string, i integer, b boolean, d
// double, y bytes, q quantity, ios int-or-string, time, micro, dur, raw and json free-form, items a
// wrapped string list, package.Type a message; a prefix [] is a list,
// {} a map by string; a suffix ! means required, * a scalar whose zero
// differs from its absence.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "cluster/apiserver/status.h"

namespace lateen::cluster::apiserver {

extern const std::string_view kCoreSchemas;
extern const std::string_view kAppsSchemas;
extern const std::string_view kMetaSchemas;

struct SchemaMessage;
struct SchemaField {
  enum class Shape : unsigned char { kOne, kList, kMap };
  enum class Kind : unsigned char {
    kString,
    kInteger,
    kBoolean,
    kDouble,
    kBytes,
    kQuantity,
    kIntOrString,
    kTime,
    kMicroTime,
    kDuration,
    kFree,
    kItems,
    kMessage
  };
  std::string_view name;  // "-": inlined
  int number = 0;
  Shape shape = Shape::kOne;
  Kind kind = Kind::kString;
  bool is_required = false;
  bool is_pointer = false;                 // a zero was meant
  const SchemaMessage* message = nullptr;  // kMessage
  bool is_inline() const { return name == "-"; }
};
struct SchemaMessage {
  std::string_view package;
  std::string_view name;
  std::vector<SchemaField> fields;
  // Looks into inlined messages too.
  const SchemaField* find(std::string_view field) const;
};

// Immutable; parsed once.
class BuiltinSchemas {
 public:
  static const BuiltinSchemas& get();
  // The message of a kind; null when the table has none.
  const SchemaMessage* kind(std::string_view group, std::string_view version,
                            std::string_view kind) const;
  const SchemaMessage* message(std::string_view package, std::string_view name) const;

 private:
  BuiltinSchemas();
  void parse(std::string_view table);
  void parse_field(SchemaMessage& message, std::string_view word);
  std::map<std::string, std::unique_ptr<SchemaMessage>, std::less<>>
      messages_;  // "apps.Deployment"
};

// The first field whose value is of another type than the kind's, in the words of Go's decoder
// ("json: cannot unmarshal string into Go struct field DeploymentSpec.spec.replicas of type
// int32"); empty when all fit.
std::string builtin_type_fault(std::string_view kind, std::string_view group,
                               std::string_view version, const Json& object);

// Paths of fields that the kind does not have ("spec.template.foo"); removes them from `object`.
// Kinds without a description report nothing.
std::vector<std::string> unknown_builtin_fields(std::string_view kind, std::string_view group,
                                                std::string_view version, Json& object);

}  // namespace lateen::cluster::apiserver
