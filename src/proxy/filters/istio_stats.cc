// istio.stats for HTTP: counts each finished request under Istio's labels.

#include "istio/stats.pb.h"
#include "proxy/filters/filters.h"
#include "proxy/stats/istio_labels.h"
#include "proxy/stats/istio_metrics.h"
#include "proxy/worker/worker.h"
#include "xds/any.h"

namespace lateen::proxy {
namespace {

class IstioStats final : public HttpFilter {
 public:
  IstioStats(IstioLabelRules rules, std::shared_ptr<IstioMetrics> metrics)
      : rules_(std::move(rules)), metrics_(std::move(metrics)) {}

  void handle(HttpState& stream, http::Request request, Next next, http::Done done) const override {
    next(stream, std::move(request), std::move(done));
  }

  void on_complete(const StreamInfo& info) const override {
    IstioSeries* series = metrics_->find(
        info.worker.index(), false, istio_key(rules_, info, false),
        [&] { return istio_labels(rules_, info, info.worker.shared().identity, false); });
    if (series == nullptr) return;
    series->requests.add();
    if (info.finished)
      series->duration.record(static_cast<double>((*info.finished - info.started).count()) / 1e6);
    std::uint64_t header_bytes = 0;
    if (info.request)
      for (const auto& field : info.request->headers)
        header_bytes += field.name.size() + field.value.size();
    series->request_bytes.record(static_cast<double>(info.bytes_received + header_bytes));
    series->response_bytes.record(
        static_cast<double>(info.bytes_sent + info.response_header_bytes));
    if (info.is_grpc) {
      series->request_messages.add(info.request_messages);
      series->response_messages.add(info.response_messages);
    }
  }

 private:
  IstioLabelRules rules_;
  std::shared_ptr<IstioMetrics> metrics_;
};

}  // namespace

Result<HttpFilterRef> make_istio_stats(const google::protobuf::Any& config,
                                       const CompileContext& context) {
  const auto from = TRY(xds::unpack<::stats::PluginConfig>(config));
  auto rules = TRY(compile_istio_rules(from, context.is_inbound));
  context.shared->istio_metrics->set_dropped(dropped_metrics(from));
  return HttpFilterRef(
      std::make_shared<const IstioStats>(std::move(rules), context.shared->istio_metrics));
}

}  // namespace lateen::proxy
