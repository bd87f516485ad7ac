// StreamInfo: all that is known about one request (or one TCP connection) while it is under way,
// for routing, logs, metrics and traces. Lives on one worker's loop; filled by the connection
// manager, the filters and the router.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "data/json.h"
#include "http/message.h"
#include "proxy/stats/stats.h"
#include "proxy/stream/flags.h"
#include "proxy/stream/peer.h"

namespace lateen::proxy {

class Worker;
struct Route;
struct RouteTable;
struct VirtualHost;
struct ClusterConfig;
struct HostConfig;
struct HttpConfig;
class SpanRecorder;
struct Failure;

// Facts of the downstream connection. Lives as long as the connection.
struct Connection {
  std::uint64_t id = 0;
  net::Address local;         // where the client meant to go
  net::Address direct_local;  // of the socket
  net::Address remote;        // with PROXY protocol: what it said
  net::Address direct_remote;
  const net::TlsInfo* tls = nullptr;
  std::string sni;
  std::string detected_transport;  // "tls" or "raw_buffer"
  std::string filter_chain;
  std::string listener;
  std::string termination_details;
  bool is_inbound = false;  // traffic_direction of the listener
  bool is_outbound = false;
  SteadyTime started{};
  PeerRef peer;                                           // told by TCP metadata exchange
  std::map<std::string, std::string, std::less<>> state;  // filter state it came with
};

// What the upstream side was.
struct UpstreamInfo {
  std::shared_ptr<const ClusterConfig> cluster;
  std::shared_ptr<const HostConfig> host;
  std::string cluster_name;  // as chosen, also when no such cluster exists
  net::Address address;      // of the host
  std::optional<net::Address> local;
  bool has_tls = false;
  std::string tls_version;
  std::vector<std::string> peer_uri_sans;
  std::string transport_failure;
  std::uint32_t attempts = 0;
  PeerRef peer;
};

class StreamInfo {
 public:
  StreamInfo(Worker& worker, const Connection& connection);
  ~StreamInfo();
  StreamInfo(const StreamInfo&) = delete;

  Worker& worker;
  const Connection& connection;
  SteadyTime started;
  WallTime started_wall;
  bool is_http = false;

  // Request: `request` has no body and is what the router sent on, or last saw. Views live in the
  // exchange's arena.
  std::optional<http::Request> request;
  std::string_view original_path;
  std::string_view request_id;
  std::optional<net::Address> remote;             // trusted client address (x-forwarded-for)
  std::shared_ptr<const RouteTable> route_table;  // pins `route` and `virtual_host`
  const VirtualHost* virtual_host = nullptr;
  const Route* route = nullptr;
  bool is_route_known = false;
  std::string_view cluster_choice;  // of weighted clusters: the one picked
  std::shared_ptr<const HttpConfig> http_config;
  bool is_grpc = false;

  // Response.
  int status = 0;
  std::optional<http::Headers> response_headers;
  std::optional<std::string> grpc_status;  // from headers or trailers
  std::vector<std::pair<std::string, std::string>> response_trailers;
  std::string details;  // RESPONSE_CODE_DETAILS
  Flags flags;
  bool is_local_reply = false;
  std::string local_body;            // %LOCAL_REPLY_BODY%, while such a reply is made
  int local_status = 0;              // of that reply, also when gRPC hides it
  std::unique_ptr<Failure> failure;  // set before the stream is logged

  UpstreamInfo upstream;
  PeerRef downstream_peer;
  bool is_peer_header_wanted = false;  // the request carried peer metadata: answer with ours

  // Bytes of bodies; of the connection for TCP.
  std::uint64_t bytes_received = 0;
  std::uint64_t bytes_sent = 0;
  std::uint64_t response_header_bytes = 0;
  std::uint64_t request_messages = 0;  // gRPC
  std::uint64_t response_messages = 0;

  std::optional<SteadyTime> request_complete;
  std::optional<SteadyTime> upstream_first_byte_sent;
  std::optional<SteadyTime> response_started;
  std::optional<SteadyTime> finished;

  data::JsonObject metadata;                              // dynamic metadata by filter name
  std::map<std::string, std::string, std::less<>> state;  // filter state
  std::optional<net::Address> wanted_host;  // of a stateful session: the host to go to
  bool is_wanted_host_strict = false;       // and to no other
  std::vector<std::string> alpn_override;   // of istio.alpn, for this request's protocol
  std::unique_ptr<SpanRecorder> span;       // server span, when traced
  std::string span_operation;
  // What TCP metrics have told so far.
  struct TcpReported {
    bool is_opened = false;
    std::uint64_t received = 0, sent = 0;
  };
  mutable TcpReported tcp_reported;
};

// A copy of all but the body; views stay valid as the original's.
http::Request head_of(const http::Request& request);

}  // namespace lateen::proxy
