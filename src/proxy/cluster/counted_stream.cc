// Passes everything through and counts.

#include "proxy/cluster/counted_stream.h"

#include "proxy/stream/forwarding_stream.h"

namespace lateen::proxy {
namespace {

class CountedStream final : public ForwardingStream {
 public:
  CountedStream(std::unique_ptr<net::Stream> inner, ClusterRef cluster, HostRef host)
      : ForwardingStream(std::move(inner)), cluster_(std::move(cluster)), host_(std::move(host)) {
    stats().add(ClusterStat::kCxActive);
    host_->state->cx_active.add();
    cluster_->state->connections.fetch_add(1, std::memory_order_relaxed);
    if (inner_->tls() != nullptr) stats().add(ClusterStat::kSslHandshake);
  }
  ~CountedStream() override {
    stats().add(ClusterStat::kCxActive, -1);
    stats().add(ClusterStat::kCxDestroy);
    host_->state->cx_active.add(-1);
    cluster_->state->connections.fetch_sub(1, std::memory_order_relaxed);
  }

  net::Io read(Buffer& into, std::size_t most_bytes) override {
    const net::Io io = inner_->read(into, most_bytes);
    if (io.bytes > 0) stats().add(ClusterStat::kCxRxBytes, static_cast<std::int64_t>(io.bytes));
    return io;
  }
  net::Io write(Buffer& from) override {
    const net::Io io = inner_->write(from);
    if (io.bytes > 0) stats().add(ClusterStat::kCxTxBytes, static_cast<std::int64_t>(io.bytes));
    return io;
  }

 private:
  ClusterStats& stats() { return *cluster_->state->stats; }
  ClusterRef cluster_;
  HostRef host_;
};

}  // namespace

std::unique_ptr<net::Stream> count_upstream(std::unique_ptr<net::Stream> stream, ClusterRef cluster,
                                            HostRef host) {
  return std::make_unique<CountedStream>(std::move(stream), std::move(cluster), std::move(host));
}

}  // namespace lateen::proxy
