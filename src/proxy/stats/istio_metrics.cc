// Names as Prometheus sees them (istio_*), and Envoy's dotted form for /stats.

#include "proxy/stats/istio_metrics.h"

#include <algorithm>

namespace lateen::proxy {

bool IstioMetrics::is_dropped(std::string_view name) const {
  return std::find(dropped_.begin(), dropped_.end(), name) != dropped_.end();
}

void IstioMetrics::collect(StatSink& sink) const {
  const auto name_of = [](std::string_view metric, const Tags& tags) {
    std::string name = "istiocustom." + std::string(metric);
    for (const auto& [label, value] : tags) name += "." + label + "." + value;
    return name;
  };
  const auto count = [&](std::string_view metric, const Tags& tags, const Counter& counter,
                         bool is_zero_shown) {
    if ((counter.value() != 0 || is_zero_shown) && !is_dropped(metric))
      sink.counter(name_of(metric, tags), metric, tags, counter.value());
  };
  const auto spread = [&](std::string_view metric, const Tags& tags, const Histogram& histogram) {
    const auto reading = histogram.read();
    if (reading.count != 0 && !is_dropped(metric))
      sink.histogram(name_of(metric, tags), metric, tags, reading);
  };
  for (const Shard& shard : shards_) {
    const std::lock_guard lock(shard.mutex);
    for (const auto& [key, series] : shard.http) {
      count("istio_requests_total", series->tags, series->requests, true);
      spread("istio_request_duration_milliseconds", series->tags, series->duration);
      spread("istio_request_bytes", series->tags, series->request_bytes);
      spread("istio_response_bytes", series->tags, series->response_bytes);
      count("istio_request_messages_total", series->tags, series->request_messages, false);
      count("istio_response_messages_total", series->tags, series->response_messages, false);
    }
    for (const auto& [key, series] : shard.tcp) {
      count("istio_tcp_connections_opened_total", series->tags, series->opened, true);
      count("istio_tcp_connections_closed_total", series->tags, series->closed, true);
      count("istio_tcp_sent_bytes_total", series->tags, series->sent, true);
      count("istio_tcp_received_bytes_total", series->tags, series->received, true);
    }
  }
}

}  // namespace lateen::proxy
