// Zipkin's JSON (v2, and v1 for old tracers) and protobuf, in and out.
// https://zipkin.io/zipkin-api/, zipkin.proto3.
#pragma once

#include <string_view>
#include <vector>

#include "console/traces/span.h"
#include "data/json.h"

namespace lateen::console {

struct ParsedSpans {
  std::vector<Span> spans;
  std::size_t refused = 0;      // spans without usable ids; the rest of the batch is kept
  std::string first_complaint;  // why the first was refused
};

// POST /api/v2/spans: a list of spans. Fails when the body is no list at all.
Result<ParsedSpans> parse_zipkin_v2(std::string_view body);
// POST /api/v1/spans: spans with annotations cs, cr, sr, ss.
Result<ParsedSpans> parse_zipkin_v1(std::string_view body);
// POST /api/v2/spans with content-type application/x-protobuf: zipkin.proto3.ListOfSpans.
Result<ParsedSpans> parse_zipkin_proto(std::string_view body);

data::Json to_zipkin_v2(const Span& span);

}  // namespace lateen::console
