// Any text as a template: parsing and running it ends in text or in an error, within its bounds,
// twice the same.
#include <cstdint>
#include <string_view>

#include "base/check.h"
#include "chart/template.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t size) {
  using lateen::chart::TemplateOptions;
  using lateen::chart::TemplateSet;
  TemplateOptions options;
  options.most_steps = 20'000;
  options.most_output_bytes = 1u << 20;
  options.most_depth = 20;
  TemplateSet set(options);
  if (!set.add("t", {reinterpret_cast<const char*>(bytes), size})) return 0;
  const lateen::data::Json data(
      lateen::data::JsonObject{{"a", 1}, {"b", "text"}, {"c", lateen::data::JsonArray{1, 2}}});
  const auto first = set.render("t", data), second = set.render("t", data);
  CHECK(first.ok() == second.ok());
  if (first.ok()) CHECK(first.value() == second.value());
  return 0;
}
