// Jaeger's own dialects in: Thrift batches (jaeger.thrift, binary protocol, port 14268) and
// protobuf (api_v2/collector.proto PostSpansRequest, port 14250).
#pragma once

#include <string_view>

#include "console/traces/zipkin.h"

namespace lateen::console {

Result<ParsedSpans> parse_jaeger_thrift(std::string_view body);
Result<ParsedSpans> parse_jaeger_proto(std::string_view message);

}  // namespace lateen::console
