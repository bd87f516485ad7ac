// RBAC, Istio's TCP metrics, and the small ones.

#include "proxy/network/filters.h"

#include "envoy/extensions/filters/network/direct_response/v3/config.pb.h"
#include "envoy/extensions/filters/network/rbac/v3/rbac.pb.h"
#include "istio/stats.pb.h"
#include "proxy/api/field_check.h"
#include "proxy/filters/rbac/matcher.h"
#include "proxy/listener/downstream_connection.h"
#include "proxy/stats/istio_labels.h"
#include "proxy/stats/istio_metrics.h"
#include "xds/any.h"
#include "xds/convert.h"

namespace lateen::proxy {
namespace {

class NetworkRbac final : public NetworkFilter {
 public:
  std::shared_ptr<const RbacRules> rules, shadow;
  std::string shadow_prefix;

  void handle(DownstreamConnection& connection, NetworkNext next) const override {
    const RbacSubject subject{connection.facts(), connection.info(), nullptr};
    if (shadow) {
      const auto verdict = shadow->decide(subject);
      data::JsonObject noted;
      noted[shadow_prefix + "shadow_engine_result"] = verdict.is_allowed ? "allowed" : "denied";
      if (!verdict.policy.empty())
        noted[shadow_prefix + "shadow_effective_policy_id"] = verdict.policy;
      connection.info().metadata["envoy.filters.network.rbac"] = std::move(noted);
    }
    if (rules) {
      const auto verdict = rules->decide(subject);
      if (!verdict.is_allowed) {
        connection.facts().termination_details = rbac_details(verdict.policy);
        return connection.close();
      }
    }
    next(connection);
  }
};

// Opened is counted when the peer is known or at the first report; bytes at each report and at the
// end.
class TcpIstioStats final : public NetworkFilter {
 public:
  TcpIstioStats(IstioLabelRules rules, std::shared_ptr<IstioMetrics> metrics, milliseconds interval)
      : rules_(std::move(rules)), metrics_(std::move(metrics)), interval_(interval) {}

  void handle(DownstreamConnection& connection, NetworkNext next) const override {
    if (!connection.chain().is_http) {
      auto timer = std::make_shared<event::Timer*>(nullptr);
      auto made = std::make_unique<event::Timer>(connection.loop(), [this, &connection, timer] {
        report(connection.info(), false);
        (*timer)->arm(interval_);
      });
      *timer = made.get();
      made->arm(interval_);
      connection.add_timer(std::move(made));
    }
    next(connection);
  }
  void on_complete(const StreamInfo& info) const override { report(info, true); }

 private:
  void report(const StreamInfo& info, bool is_last) const {
    IstioSeries* series = metrics_->find(
        info.worker.index(), true, istio_key(rules_, info, true),
        [&] { return istio_labels(rules_, info, info.worker.shared().identity, true); });
    if (series == nullptr) return;
    auto& noted = info.tcp_reported;
    if (!noted.is_opened) series->opened.add();
    noted.is_opened = true;
    series->received.add(info.bytes_received - noted.received);
    series->sent.add(info.bytes_sent - noted.sent);
    noted.received = info.bytes_received;
    noted.sent = info.bytes_sent;
    if (is_last) series->closed.add();
  }
  IstioLabelRules rules_;
  std::shared_ptr<IstioMetrics> metrics_;
  milliseconds interval_;
};

class DirectResponseFilter final : public NetworkFilter {
 public:
  explicit DirectResponseFilter(std::string text) : text_(std::move(text)) {}
  void handle(DownstreamConnection& connection, NetworkNext) const override {
    Buffer out(text_);
    connection.stream()->write(out);
    connection.stream()->shutdown_write();
    connection.close();
  }

 private:
  std::string text_;
};

class SniCluster final : public NetworkFilter {
 public:
  void handle(DownstreamConnection& connection, NetworkNext next) const override {
    connection.info().state["envoy.tcp_proxy.cluster"] = connection.facts().sni;
    next(connection);
  }
};

// Filters that only watch a protocol for statistics of their own: the bytes go on untouched.
class Watcher final : public NetworkFilter {
 public:
  void handle(DownstreamConnection& connection, NetworkNext next) const override {
    next(connection);
  }
};

using FilterRef = std::shared_ptr<const NetworkFilter>;

}  // namespace

Result<FilterRef> make_network_filter(const std::string& type, const google::protobuf::Any& config,
                                      const CompileContext& context) {
  namespace network = envoy::extensions::filters::network;
  if (type == "stats.PluginConfig") {
    const auto from = TRY(xds::unpack<::stats::PluginConfig>(config));
    auto rules = TRY(compile_istio_rules(from, context.is_inbound));
    const milliseconds interval = from.has_tcp_reporting_duration()
                                      ? xds::to_millis(from.tcp_reporting_duration())
                                      : milliseconds(5000);
    return FilterRef(std::make_shared<TcpIstioStats>(
        std::move(rules), context.shared->istio_metrics, std::max(milliseconds(100), interval)));
  }
  if (type.ends_with("network.rbac.v3.RBAC")) {
    const auto from = TRY(unpack_checked<network::rbac::v3::RBAC>(config));
    if (from.enforcement_type() != network::rbac::v3::RBAC::ONE_TIME_ON_FIRST_BYTE)
      return invalid("enforcement_type CONTINUOUS is not supported", Blame::kConfig);
    auto made = std::make_shared<NetworkRbac>();
    if (from.has_rules()) made->rules = TRY(RbacRules::compile(from.rules()));
    if (from.has_shadow_rules()) made->shadow = TRY(RbacRules::compile(from.shadow_rules()));
    if (from.has_matcher()) made->rules = TRY(RbacRules::compile(from.matcher()));
    if (from.has_shadow_matcher()) made->shadow = TRY(RbacRules::compile(from.shadow_matcher()));
    made->shadow_prefix = from.shadow_rules_stat_prefix();
    return FilterRef(std::move(made));
  }
  if (type.ends_with("network.direct_response.v3.Config")) {
    const auto from = TRY(unpack_checked<network::direct_response::v3::Config>(config));
    return FilterRef(std::make_shared<DirectResponseFilter>(TRY(xds::read_data(from.response()))));
  }
  if (type.ends_with("mongo_proxy.v3.MongoProxy") || type.ends_with("mysql_proxy.v3.MySQLProxy") ||
      type.ends_with("postgres_proxy.v3alpha.PostgresProxy"))
    return FilterRef(std::make_shared<Watcher>());
  if (type.ends_with("network.sni_cluster.v3.SniCluster"))
    return FilterRef(std::make_shared<SniCluster>());
  return invalid("network filter type " + type + " is not supported", Blame::kConfig);
}

}  // namespace lateen::proxy
