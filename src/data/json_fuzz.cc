// Any text: parse_json never crashes, and what it accepts survives a round trip.
#include <cstdint>
#include <cstdio>

#include "base/check.h"
#include "data/json.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto value = lateen::data::parse_json({reinterpret_cast<const char*>(data), size});
  if (!value) return 0;
  const auto again = lateen::data::parse_json(lateen::data::dump_json(*value));
  if (!again)
    std::fprintf(stderr, "%s\nfrom: %s\n", again.error().message().c_str(),
                 lateen::data::dump_json(*value).c_str());
  CHECK(again.ok());
  return 0;
}
