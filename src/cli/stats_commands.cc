// experimental envoy-stats and metrics: numbers of a proxy, and of workloads from Prometheus.
#include <chrono>
#include <cmath>

#include "base/strings.h"
#include "cli/istioctl.h"
#include "cli/proxy_admin.h"
#include "data/yaml.h"
#include "http/blocking_client.h"
#include "kube/port_forward.h"

namespace lateen::cli {
namespace {

constexpr int kPrometheusPort = 9090;

struct StatsFlags {
  std::string pod, selector, output = "short", type = "server";
  int admin_port = kProxyAdminPort;
};

struct Place {
  int port;
  std::string path;
};

// Where a pod says that its merged metrics are.
Place merged_metrics(const Json& pod) {
  const auto port = parse_int(kube::annotation(pod, "prometheus.io/port"));
  const std::string path(kube::annotation(pod, "prometheus.io/path"));
  return {port ? static_cast<int>(*port) : 15020, path.empty() ? "/stats/prometheus" : path};
}

Result<Place> place_of(const StatsFlags& flags, const Json& pod) {
  const bool is_json = flags.output == "json" || flags.output == "yaml";
  if (flags.type == "cluster" || flags.type == "clusters") {
    if (!is_json && flags.output != "short")
      return invalid("unable to match a printer suitable for the output format " + flags.output +
                     ", allowed formats are: json,yaml,short");
    return Place{flags.admin_port, is_json ? "/clusters?format=json" : "/clusters"};
  }
  if (flags.type != "server") return invalid("unknown stats type " + flags.type);
  if (flags.output == "short") return Place{flags.admin_port, "/stats"};
  if (is_json) return Place{flags.admin_port, "/stats?format=json"};
  if (flags.output == "prom") return Place{flags.admin_port, "/stats/prometheus"};
  if (flags.output == "prom-merged") return merged_metrics(pod);
  return invalid("unable to match a printer suitable for the output format " + flags.output +
                 ", allowed formats are: json,yaml,short,prom,prom-merged");
}

Result<> print_stats(Session& session, const StatsFlags& flags) {
  const auto pods = TRY(find_pods(session, flags.pod, flags.selector, "stats"));
  for (const Json& pod : pods) {
    const Place place = TRY(place_of(flags, pod));
    const std::string body = TRY(proxy_page(*TRY(session.client()), pod, place.port, place.path));
    session.out << "\nThe result of pod " << kube::name_of(pod) << ":\n\n";
    if (flags.output == "json" || flags.output == "yaml") {
      session.out << TRY(format_as(TRY(data::parse_json(body)), flags.output));
    } else {
      session.out << body;
    }
  }
  return {};
}

// A number of Prometheus' instant query; 0 when it has none.
Result<double> ask(http::BlockingClient& http, int port, const std::string& query) {
  http::PlainRequest request;
  request.method = "GET";
  request.url =
      "http://127.0.0.1:" + std::to_string(port) + "/api/v1/query?query=" + percent_encode(query);
  const auto reply = TRY(http.call(request).at("Prometheus"));
  const Json answer = TRY(data::parse_json(reply.body).at("Prometheus"));
  if (data::get_string(answer, {"status"}) != "success")
    return invalid("query() failure for '" + query +
                   "': " + std::string(data::get_string(answer, {"error"})));
  const auto& results = data::get_array(answer, {"data", "result"});
  if (results.empty()) return 0.0;
  const auto& value = data::get_array(results.front(), {"value"});
  if (value.size() != 2) return invalid("bad metric value type returned for query");
  return parse_double(data::as_string(value[1])).value_or(0.0);
}

// Go's way to write a duration of whole milliseconds.
std::string duration_text(double milliseconds) {
  if (!std::isfinite(milliseconds) || milliseconds < 1) return "0s";
  const auto whole = static_cast<std::int64_t>(milliseconds);
  if (whole < 1000) return std::to_string(whole) + "ms";
  std::string out;
  if (whole >= 3'600'000) out += std::to_string(whole / 3'600'000) + "h";
  if (whole >= 60'000) out += std::to_string(whole / 60'000 % 60) + "m";
  std::string seconds = fmt::format("{:.3f}", static_cast<double>(whole % 60'000) / 1000);
  while (seconds.ends_with('0')) seconds.pop_back();
  if (seconds.ends_with('.')) seconds.pop_back();
  return out + seconds + "s";
}

void print_row(Session& session, const std::vector<std::string>& cells) {
  std::string line = fmt::format("{:>40}", cells[0]);
  // The first column gets its own padding of two; each other is 13 wide at least, aligned right.
  line = "  " + line;
  for (std::size_t i = 1; i < cells.size(); ++i)
    line += std::string(std::max<std::size_t>(13, cells[i].size() + 2) - cells[i].size(), ' ') +
            cells[i];
  session.out << line << "\n";
}

Result<> print_metrics(Session& session, const std::vector<std::string>& workloads,
                       const std::string& duration) {
  if (workloads.empty()) return invalid("metrics requires workload name");
  kube::Client* client = TRY(session.client());
  Json pods = TRY(client->list(kube::resources::pods(), session.istio_ns,
                               {"app.kubernetes.io/name=prometheus", {}}));
  // As older addons, and ours, label it.
  if (data::get_array(pods, {"items"}).empty())
    pods = TRY(client->list(kube::resources::pods(), session.istio_ns, {"app=prometheus", {}}));
  const auto& items = data::get_array(pods, {"items"});
  if (items.empty()) return not_found("no Prometheus pods found");
  auto forward =
      TRY(kube::PortForwarder::start(*client, kube::key_of(items.front()), kPrometheusPort, 0));
  http::BlockingClient http;
  print_row(session,
            {"WORKLOAD", "TOTAL RPS", "ERROR RPS", "P50 LATENCY", "P90 LATENCY", "P99 LATENCY"});
  for (const std::string& workload : workloads) {
    const auto parts = split(workload, '.');
    const std::string name(parts[0]), ns(parts.size() > 1 ? parts[1] : "");
    const std::string labels = R"(destination_workload=~")" + name +
                               R"(.*", destination_workload_namespace=~")" + ns +
                               R"(.*",reporter="destination")";
    const auto value = [&](const std::string& query) {
      return ask(http, forward->local_port(), query)
          .at("could not build metrics for workload '" + workload + "'");
    };
    const double total =
        TRY(value("sum(rate(istio_requests_total{" + labels + "}[" + duration + "]))"));
    const double errors = TRY(value("sum(rate(istio_requests_total{" + labels +
                                    R"(,response_code=~"[45][0-9]{2}"}[)" + duration + "]))"));
    std::vector<std::string> row = {workload, fmt::format("{:.3f}", total),
                                    fmt::format("{:.3f}", errors)};
    for (const char* quantile : {"0.500000", "0.900000", "0.990000"})
      row.push_back(
          duration_text(TRY(value("histogram_quantile(" + std::string(quantile) +
                                  ", sum(rate(istio_request_duration_milliseconds_bucket{" +
                                  labels + "}[" + duration + "])) by (le))"))));
    print_row(session, row);
  }
  return {};
}

}  // namespace

void add_stats_commands(CLI::App& app, Session& session) {
  auto* stats = app.add_subcommand("envoy-stats", "Retrieves Envoy metrics in the specified pod")
                    ->alias("es");
  auto flags = std::make_shared<StatsFlags>();
  stats->add_option("pod", flags->pod, "NAME[.NAMESPACE] or deployment/NAME");
  stats->add_option("-o,--output", flags->output, "json, yaml, short, prom or prom-merged")
      ->capture_default_str();
  stats->add_option("-t,--type", flags->type, "server or clusters")->capture_default_str();
  stats->add_option("-l,--selector", flags->selector, "Label selector");
  stats->add_option("--proxy-admin-port", flags->admin_port, "The proxy's admin port")
      ->capture_default_str();
  on_run(*stats, session, [&session, flags] { return print_stats(session, *flags); });

  auto* metrics =
      app.add_subcommand(
             "metrics",
             "Prints the metrics for the specified workload(s) when running in Kubernetes.")
          ->alias("m");
  auto workloads = std::make_shared<std::vector<std::string>>();
  auto duration = std::make_shared<std::string>("1m");
  metrics->add_option("workload", *workloads, "WORKLOAD[.NAMESPACE]…");
  metrics
      ->add_option("-d,--duration", *duration, "The time that rates and latencies are taken over")
      ->capture_default_str();
  on_run(*metrics, session,
         [&session, workloads, duration] { return print_metrics(session, *workloads, *duration); });
}

}  // namespace lateen::cli
