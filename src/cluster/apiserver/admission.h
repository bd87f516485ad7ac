// What may change or refuse a write on its way to the store (apiserver/pkg/admission).
#pragma once

#include <string>
#include <string_view>

#include "cluster/apiserver/call.h"

namespace lateen::cluster::apiserver {

enum class Operation : unsigned char { kCreate, kUpdate, kDelete, kConnect };
std::string_view to_string(Operation operation);  // "CREATE"

struct AdmissionAttributes {
  Call& call;
  Operation operation;
  std::string ns;
  std::string name;
  const Json* old_object = nullptr;  // in the storage version
  Json options;                      // CreateOptions, UpdateOptions, …
};

// Objects are in the storage version. Thread-safe.
class Admission {
 public:
  virtual ~Admission() = default;
  // Mutating plugins, then mutating webhooks. `object` is null for deletes.
  virtual Outcome<> mutate(AdmissionAttributes& attributes, Json& object) = 0;
  virtual Outcome<> validate(AdmissionAttributes& attributes, const Json& object) = 0;
};

}  // namespace lateen::cluster::apiserver
