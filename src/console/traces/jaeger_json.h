// Traces in the shapes of Jaeger's query API (api/traces, api/services, …), which its UI and Kiali
// read.
#pragma once

#include <string>
#include <vector>

#include "console/traces/trace_store.h"
#include "data/json.h"

namespace lateen::console {

// {"traceID", "spans", "processes", "warnings"}.
data::Json to_jaeger_trace(const std::vector<Span>& spans);
// {"data", "total", "limit", "offset", "errors"} around a list.
data::Json jaeger_answer(data::JsonArray list);
data::Json jaeger_error(int code, std::string_view message);

}  // namespace lateen::console
