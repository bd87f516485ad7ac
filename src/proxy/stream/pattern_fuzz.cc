// Texts of the data plane: format strings, path templates, what peers say of themselves. Any bytes
// are refused or read.
#include <cstdint>
#include <string>

#include "base/check.h"
#include "proxy/match/string_matcher.h"
#include "proxy/route/compile.h"
#include "proxy/stream/formatter.h"
#include "proxy/stream/json_format.h"
#include "proxy/stream/peer.h"

namespace lateen::proxy {
namespace {

void run(const std::uint8_t* data, std::size_t size) {
  if (size > 16 * 1024) return;
  const std::string text(reinterpret_cast<const char*>(data), size);
  if (const auto format = Formatter::compile(text); format.ok()) (void)format->is_literal();
  if (const auto json = data::parse_json(text); json.ok())
    (void)JsonFormat::compile(*json, size % 2 == 0);
  if (const auto path = parse_uri_template(text); path.ok()) CHECK(!path->regex.empty());
  (void)parse_peer("sidecar~1.2.3.4~a.b~b.svc.cluster.local", text);
  (void)parse_peer_header("router~1.2.3.4~a.b~b.svc.cluster.local", text);
  (void)parse_workload_text(text);
}

}  // namespace
}  // namespace lateen::proxy

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  lateen::proxy::run(data, size);
  return 0;
}
