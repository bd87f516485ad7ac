// Any bytes that a tracer may send, in each dialect: refused or read.
#include <cstdint>
#include <string_view>

#include "console/traces/jaeger_in.h"
#include "console/traces/otlp.h"

namespace lateen::console {
namespace {

void run(const std::uint8_t* data, std::size_t size) {
  if (size > 64 * 1024) return;
  const std::string_view body(reinterpret_cast<const char*>(data), size);
  for (const auto parse : {parse_otlp_json, parse_otlp_proto, parse_zipkin_v1, parse_zipkin_v2,
                           parse_zipkin_proto, parse_jaeger_thrift, parse_jaeger_proto})
    (void)parse(body);
}

}  // namespace
}  // namespace lateen::console

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  lateen::console::run(data, size);
  return 0;
}
