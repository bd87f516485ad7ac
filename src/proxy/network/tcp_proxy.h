// The TCP proxy: picks a cluster's host, connects, and moves bytes both ways with back-pressure.
#pragma once

#include "proxy/compile_context.h"
#include "proxy/network/filter.h"
#include "proxy/route/route.h"
#include "proxy/stats/names.h"
#include "proxy/stream/formatter.h"

namespace envoy::extensions::filters::network::tcp_proxy::v3 {
class TcpProxy;
}

namespace lateen::proxy {

class TcpProxy final : public NetworkFilter {
 public:
  static Result<std::shared_ptr<const NetworkFilter>> compile(
      const envoy::extensions::filters::network::tcp_proxy::v3::TcpProxy& config,
      const CompileContext& context);
  void handle(DownstreamConnection& connection, NetworkNext next) const override;
  void on_complete(const StreamInfo& info) const override;

  struct Target {
    std::string cluster;
    std::uint32_t weight = 1;
  };
  // An HTTP request that carries the connection's bytes (tunneling_config).
  struct Tunneling {
    Formatter hostname;
    bool is_post = false;
    std::string post_path;
    std::vector<std::pair<std::string, Formatter>> headers;
  };
  const std::optional<Tunneling>& tunneling() const { return tunneling_; }
  const data::JsonObject* subset() const { return subset_.empty() ? nullptr : &subset_; }
  const std::string& pick_cluster(Random& random) const;
  milliseconds idle_timeout() const { return idle_timeout_; }
  milliseconds max_duration() const { return max_duration_; }
  std::uint32_t most_attempts() const { return most_attempts_; }
  bool is_source_hashed() const { return is_source_hashed_; }
  TcpStats& stats() const { return *stats_; }

 private:
  std::vector<Target> targets_;
  std::uint64_t total_weight_ = 0;
  milliseconds idle_timeout_{3'600'000};
  milliseconds max_duration_{0};
  std::uint32_t most_attempts_ = 1;
  bool is_source_hashed_ = false;
  std::optional<Tunneling> tunneling_;
  data::JsonObject subset_;
  std::shared_ptr<TcpStats> stats_;
  std::vector<AccessLog> logs_;
};

}  // namespace lateen::proxy
