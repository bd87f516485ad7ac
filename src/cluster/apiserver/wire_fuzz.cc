// Hostile bytes into every decoder of the API server's wires.
#include <cstdint>

#include "cluster/apiserver/json_path.h"
#include "cluster/apiserver/protobuf.h"
#include "cluster/apiserver/spdy.h"
#include "cluster/apiserver/web_socket.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  namespace apiserver = lateen::cluster::apiserver;
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  apiserver::SpdyCodec spdy;
  (void)spdy.feed(bytes);
  apiserver::WebSocketCodec web_socket;
  (void)web_socket.feed(bytes);
  (void)apiserver::decode_kubernetes_protobuf(bytes);
  const auto object = lateen::data::parse_json(R"({"a":[{"b":"c"}]})");
  if (object.ok()) (void)apiserver::evaluate_json_path(bytes, *object);
  return 0;
}
