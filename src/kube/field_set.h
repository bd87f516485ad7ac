// FieldSet: which fields of an object someone owns, in the fieldsV1 form of metadata.managedFields
// (sigs.k8s.io/structured-merge-diff, fieldpath). Value type.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "data/json.h"

namespace lateen::kube {

using data::Json;

// A node of the tree. Keys are path elements as fieldsV1 writes them: "f:name",
// "k:{\"name\":\"x\"}" (an item of an associative list, keys sorted), "v:\"x\"" (an item of a set),
// "i:0".
struct FieldSet {
  bool is_member = false;  // the field itself, not only something below it
  std::map<std::string, FieldSet> children;

  bool empty() const { return !is_member && children.empty(); }
  bool operator==(const FieldSet&) const = default;
  const FieldSet* find(const std::string& element) const;

  void merge(const FieldSet& other);     // union
  void subtract(const FieldSet& other);  // removes other's members
  // The members both have.
  FieldSet intersect(const FieldSet& other) const;
  // ".spec.containers[name=\"x\"].image" of each member, in order.
  std::vector<std::string> paths() const;

  Json to_json() const;
  static Result<FieldSet> from_json(const Json& fields_v1);
};

}  // namespace lateen::kube
