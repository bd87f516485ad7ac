// What filters that talk to a service beside the request's own way need: a connection to it, and
// whole bodies with their trailers.
#pragma once

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "http/client.h"
#include "proxy/http/filter.h"
#include "proxy/worker/worker.h"

namespace envoy::config::core::v3 {
class GrpcService;
}

namespace lateen::proxy {

// A gRPC service as `grpc_service` names it. Only Envoy's own client (envoy_grpc) is known.
struct SideService {
  std::string cluster;
  std::string authority;
  milliseconds timeout{0};  // 0: none was given
  std::vector<std::pair<std::string, std::string>> metadata;

  static Result<SideService> compile(const envoy::config::core::v3::GrpcService& config,
                                     std::string_view who);
};

// A host of `cluster` that can be called now. `pool` lives as long as `upstream`.
struct SideTarget {
  UpstreamRef upstream;
  HostRef host;
  http::ClientPool* pool = nullptr;
};
// nullopt: no such cluster, or no host of it may be used.
std::optional<SideTarget> find_target(Worker& worker, std::string_view cluster, bool is_grpc);

// One HTTP exchange of our own on `target`; the whole answer. Destroying `scope` abandons it.
struct SideRequest {
  std::string method = "GET", scheme = "http", authority, path = "/";
  std::vector<std::pair<std::string, std::string>> headers;
  std::string body;
  milliseconds timeout{5000};
  std::size_t most_bytes = 1u << 20;  // of the answer's body
};
struct SideResponse {
  int status = 0;
  std::vector<std::pair<std::string, std::string>> headers;  // names lower case
  std::string body;
};
void call_service(event::Scope& scope, event::Loop& loop, SideTarget target, SideRequest request,
                  event::Completion<SideResponse> done);

// A body read to its end.
struct WholeBody {
  Buffer data;
  std::optional<http::Headers> trailers;
};
// Fails with ResourceExhausted when longer than `most_bytes`. Never completes inside the call.
void collect_body(event::Scope& scope, event::Loop& loop, http::Body body, std::size_t most_bytes,
                  event::Completion<WholeBody> done);
http::Body body_of(WholeBody whole);

}  // namespace lateen::proxy
