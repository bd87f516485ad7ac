// Kubernetes' protobuf bodies (runtime.Unknown envelope) to JSON, driven by the table of built-in
// schemas. Newer clients send built-in kinds this way; answers are always JSON, which every client
// accepts.
#pragma once

#include <string>
#include <string_view>

#include "cluster/apiserver/status.h"

namespace lateen::cluster::apiserver {

bool is_kubernetes_protobuf(std::string_view body);
// The object with its apiVersion and kind. Fails on kinds that the table does not describe and on
// malformed bytes.
Result<Json> decode_kubernetes_protobuf(std::string_view body);

// Wire primitives (protobuf.dev/programming-guides/encoding), for the OpenAPI documents too.
class ProtoWriter {
 public:
  void varint(int field, std::uint64_t value);
  void bytes(int field, std::string_view value);
  std::string take() { return std::move(out_); }
  const std::string& text() const { return out_; }

 private:
  void raw_varint(std::uint64_t value);
  std::string out_;
};

}  // namespace lateen::cluster::apiserver
