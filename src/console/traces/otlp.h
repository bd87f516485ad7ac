// OpenTelemetry's ExportTraceServiceRequest over HTTP, as JSON or protobuf (opentelemetry-proto,
// trace/v1).
#pragma once

#include <string_view>

#include "console/traces/zipkin.h"

namespace lateen::console {

// POST /v1/traces, content-type application/json.
Result<ParsedSpans> parse_otlp_json(std::string_view body);
// POST /v1/traces, content-type application/x-protobuf.
Result<ParsedSpans> parse_otlp_proto(std::string_view body);

}  // namespace lateen::console
