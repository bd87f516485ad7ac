// Any text: parse_yaml_stream never crashes or runs away, and what it accepts can be written and
// read again.
#include <cstdint>
#include <cstdio>

#include "base/check.h"
#include "data/yaml.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto stream = lateen::data::parse_yaml_stream({reinterpret_cast<const char*>(data), size});
  if (!stream) return 0;
  for (const auto& document : *stream) {
    const auto again = lateen::data::parse_yaml(lateen::data::dump_yaml(document.value));
    if (!again)
      std::fprintf(stderr, "%s\nfrom: %s\n", again.error().message().c_str(),
                   lateen::data::dump_yaml(document.value).c_str());
    CHECK(again.ok());
  }
  return 0;
}
