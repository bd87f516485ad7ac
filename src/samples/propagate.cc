// Which headers of a request go along with the calls that it causes.
#include "samples/fetcher.h"

namespace lateen::samples {
namespace {

constexpr std::string_view kPropagated[] = {
    "x-request-id",
    "x-ot-span-context",
    "x-datadog-trace-id",
    "x-datadog-parent-id",
    "x-datadog-sampling-priority",
    "traceparent",
    "tracestate",
    "x-cloud-trace-context",
    "grpc-trace-bin",
    "b3",
    "x-b3-traceid",
    "x-b3-spanid",
    "x-b3-parentspanid",
    "x-b3-sampled",
    "x-b3-flags",
    "sw8",
    "end-user",
    "user-agent",
    "cookie",
    "authorization",
    "jwt",
};

}  // namespace

HeaderList propagated_headers(const http::Headers& from) {
  HeaderList list;
  for (std::string_view name : kPropagated) {
    if (const auto value = from.get(name)) list.emplace_back(name, *value);
  }
  return list;
}

}  // namespace lateen::samples
