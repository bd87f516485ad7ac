// The tracing role: intake of spans (Zipkin, OTLP) and the query APIs of Jaeger and Zipkin over the
// store.
#pragma once

#include <atomic>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "console/server/api.h"
#include "console/traces/trace_store.h"
#include "console/traces/zipkin.h"

namespace lateen::console {

// Thread-safe handlers, one per port's protocol. `store` and `clock` outlive it.
class JaegerRole {
 public:
  JaegerRole(TraceStore& store, const Clock& clock) : store_(store), clock_(clock) {}

  // Port 16686: the UI, and api/services, api/operations, api/traces, api/dependencies; also
  // beneath /jaeger.
  ApiReply query(const ApiRequest& request);
  // Port 9411: Zipkin's POST api/v2/spans and api/v1/spans, and its query API.
  ApiReply zipkin(const ApiRequest& request);
  // Port 4318: POST v1/traces.
  ApiReply otlp(const ApiRequest& request);
  // Port 4317: OTLP over gRPC. Port 14250: Jaeger's collector over gRPC. Port 14268: its Thrift
  // over HTTP.
  ApiReply otlp_grpc(const ApiRequest& request);
  ApiReply jaeger_grpc(const ApiRequest& request);
  ApiReply jaeger_thrift(const ApiRequest& request);
  // Ports 14269, 13133, 8888: health and metrics.
  ApiReply admin(const ApiRequest& request);

  std::uint64_t received() const { return received_; }

 private:
  ApiReply api(const ApiRequest& request, std::string_view path);
  ApiReply find_traces(const ApiRequest& request);
  ApiReply one_trace(std::string_view id);
  ApiReply dependencies(const ApiRequest& request);
  ApiReply zipkin_query(const ApiRequest& request, std::string_view path);
  Result<> keep(Result<ParsedSpans> parsed);
  std::int64_t now_us() const;

  TraceStore& store_;
  const Clock& clock_;
  std::atomic<std::uint64_t> received_{0};
  std::atomic<std::uint64_t> refused_{0};
};

}  // namespace lateen::console
