// A JSON Web Key Set (RFC 7517) and the verification of one token against it. Immutable,
// thread-safe.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "base/clock.h"
#include "data/json.h"

namespace lateen::proxy {

class Jwks {
 public:
  // Keys of kinds that cannot verify (oct, encryption keys) are left out; a set without any usable
  // key is an error.
  static Result<std::shared_ptr<const Jwks>> parse(std::string_view json);
  // Ok when one key that fits `kid` and `alg` verifies. The error is Envoy's sentence.
  Result<> verify(const std::string& token, std::string_view kid, std::string_view algorithm) const;

 private:
  struct Key {
    std::string id;
    std::string algorithm;  // empty: any that fits its kind
    std::string kind;       // "RSA", "EC"
    std::string pem;
  };
  std::vector<Key> keys_;
};

}  // namespace lateen::proxy
