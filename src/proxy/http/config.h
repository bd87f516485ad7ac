// The HTTP connection manager's settings, compiled. Immutable, shared by all workers and
// connections.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "http/server.h"
#include "proxy/http/filter.h"
#include "proxy/log/access_log.h"
#include "proxy/stats/names.h"
#include "proxy/trace/config.h"

namespace envoy::extensions::filters::network::http_connection_manager::v3 {
class HttpConnectionManager;
}

namespace lateen::proxy {

struct CompileContext;
class LocalReplies;  // http/local_replies.h

struct NamedFilter {
  std::string name;
  std::shared_ptr<const HttpFilter> filter;
  bool is_disabled = false;         // unless a route enables it
  bool has_later_answerer = false;  // some filter behind it sees answers of this one
};

struct HttpConfig {
  enum class ClientCert : unsigned char {
    kSanitize,
    kForwardOnly,
    kAppendForward,
    kSanitizeSet,
    kAlwaysForward
  };
  enum class Server : unsigned char { kOverwrite, kAppendIfAbsent, kPassThrough };
  enum class EscapedSlash : unsigned char { kKeep, kReject, kRedirect, kForward };
  enum class Underscore : unsigned char { kAllow, kReject, kDrop };

  std::string stat_prefix;
  std::shared_ptr<HttpStats> stats;
  http::ServerOptions server;
  std::shared_ptr<const RouteTable> routes;  // inline; null: by name
  std::string route_name;                    // RDS
  std::vector<NamedFilter> filters;          // the router last
  std::vector<AccessLog> access_logs;
  std::optional<TraceConfig> tracing;

  bool is_remote_address_used = false;
  std::uint32_t trusted_hops = 0;
  bool is_forwarded_for_kept = false;  // skip_xff_append
  ClientCert client_cert = ClientCert::kSanitize;
  bool is_cert_uri_set = false, is_cert_subject_set = false, is_cert_dns_set = false,
       is_cert_set = false;
  bool is_request_id_generated = true;
  bool is_external_request_id_kept = false;
  bool is_request_id_returned = false;
  bool is_path_normalized = false;
  bool is_slash_merged = false;
  EscapedSlash escaped_slash = EscapedSlash::kKeep;
  bool is_fragment_rejected = true;
  Underscore underscore = Underscore::kAllow;  // in header names
  Server server_header = Server::kOverwrite;
  std::string server_name = "envoy";
  std::string via;
  std::shared_ptr<const LocalReplies> local_replies;  // null: answers as they are
  bool is_any_port_stripped = false;
  bool is_own_port_stripped = false;       // when it is the listener's
  bool are_h1_trailers_passed = false;     // enable_trailers
  std::vector<net::Cidr> internal_ranges;  // clients whose x-envoy-* headers count
  bool is_forwarded_port_added = false;    // x-forwarded-port
  bool is_overload_bypassed = false;
  bool is_trailing_dot_stripped = false;
  milliseconds request_timeout{0};
  milliseconds stream_idle_timeout{300'000};
  milliseconds max_stream_duration{0};
  std::vector<std::string> upgrades;
  bool is_connect_allowed = false;
  bool is_envoy_header_suppressed = false;  // of the router filter

  static Result<std::shared_ptr<const HttpConfig>> compile(
      const envoy::extensions::filters::network::http_connection_manager::v3::HttpConnectionManager&
          config,
      const CompileContext& context);
};

}  // namespace lateen::proxy
