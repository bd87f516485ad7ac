// Reads a scenario and plays it: builds the mesh, then goes through the steps in virtual time.
#include "scenario.h"

#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "base/strings.h"
#include "client.h"
#include "data/yaml.h"
#include "expect.h"
#include "kube/object.h"
#include "proxy/admin/admin.h"

namespace lateen::mesh_test {
namespace {

using data::Json;
using data::JsonArray;
using data::JsonObject;

constexpr std::string_view kOutside = "outside";
constexpr seconds kConverge{60};

std::string string_at(const Json& value, std::string_view key, std::string_view fallback = {}) {
  return std::string(data::get_string(value, {key}, fallback));
}

class Player {
 public:
  Player(const std::string& path, std::vector<Json> documents, const Observer& observer)
      : observer_(observer),
        log_path_(log_path_for(path)),
        header_(std::move(documents.front())),
        world_(1) {
    documents.erase(documents.begin());
    config_ = std::move(documents);
  }
  ~Player() { std::filesystem::remove(log_path_); }

  std::vector<std::string> play() {
    build();
    if (!mesh_->start()) complain("the mesh does not converge");
    int number = 0;
    for (const Json& step : data::get_array(header_, {"steps"})) {
      where_ =
          "step " + std::to_string(++number) + " (" + data::dump_json(step).substr(0, 160) + ")";
      run_step(step);
    }
    where_ = "at the end";
    check_refusals();
    return std::move(problems_);
  }

 private:
  static std::string log_path_for(const std::string& path) {
    return (std::filesystem::temp_directory_path() /
            (std::filesystem::path(path).stem().string() + "-" + std::to_string(getpid()) + ".log"))
        .string();
  }
  void complain(const std::string& what) { problems_.push_back(where_ + ": " + what); }
  void want(const std::string& what, const Json& wanted, const std::optional<std::string>& got) {
    if (const auto problem = mismatch(wanted, got); !problem.empty())
      complain(what + " " + problem);
  }

  void build() {
    Mesh::Options options;
    options.is_watching = data::get_bool(header_, {"watch"});
    options.access_log = log_path_;
    options.mesh_config = data::get_object(header_, {"mesh"});
    mesh_ = std::make_unique<Mesh>(world_, std::move(options));
    client_ = std::make_unique<Client>(*mesh_);
    PodSpec outside;
    outside.name = outside.app = kOutside;
    outside.ip = "198.51.100.7";
    outside.has_proxy = false;
    outside.is_external = true;
    mesh_->add_pod(std::move(outside));
    for (const Json& app : data::get_array(header_, {"apps"})) add_app(app);
    for (const char* which : {"ingress", "egress"})
      if (data::get_bool(header_, {which})) add_gateway(which);
    for (const Json& host : data::get_array(header_, {"external"})) add_external(host);
    for (const Json& secret : data::get_array(header_, {"secrets"})) add_secret(secret);
    for (const Json& object : config_) apply(object);
  }

  void apply(Json object) {
    if (kube::namespace_of(object).empty()) data::set(object, {"metadata", "namespace"}, "default");
    mesh_->put(object);
  }

  static std::vector<PortSpec> ports_of(const JsonArray& list) {
    std::vector<PortSpec> ports;
    for (const Json& each : list) {
      PortSpec port;
      port.name = string_at(each, "name", "http");
      port.port = static_cast<int>(data::get_int(each, {"port"}, 80));
      port.target = static_cast<int>(data::get_int(each, {"target"}));
      port.is_tcp = data::get_bool(each, {"tcp"}, port.name.starts_with("tcp"));
      ports.push_back(std::move(port));
    }
    if (ports.empty()) ports.emplace_back();
    return ports;
  }

  void add_app(const Json& app) {
    const std::string name = string_at(app, "app"), ns = string_at(app, "ns", "default");
    const int number = ++apps_;
    const auto ports = ports_of(data::get_array(app, {"ports"}));
    mesh_->add_service(ns, name, "10.96.0." + std::to_string(number), ports);
    JsonArray versions = data::get_array(app, {"versions"});
    if (versions.empty()) versions.push_back("v1");
    const auto copies = data::get_int(app, {"copies"}, 1);
    int last = 0;
    for (const Json& version : versions) {
      for (int copy = 1; copy <= copies; ++copy) {
        PodSpec spec;
        spec.app = name;
        spec.version = data::as_string(version);
        spec.name = name + "-" + spec.version + (copy > 1 ? "-" + std::to_string(copy) : "");
        spec.ns = ns;
        spec.ip = "10.1." + std::to_string(number) + "." + std::to_string(++last);
        spec.labels = data::get_object(app, {"labels"});
        spec.has_proxy = data::get_bool(app, {"sidecar"}, true);
        spec.ports = ports;
        mesh_->add_pod(std::move(spec));
      }
    }
    mesh_->publish_endpoints(ns, name);
  }

  void add_gateway(const std::string& which) {
    const std::string name = "istio-" + which + "gateway";
    std::vector<PortSpec> ports;
    for (const auto& [port_name, port, target] : {std::tuple("http2", 80, 8080),
                                                  {"https", 443, 8443},
                                                  {"tcp", 31400, 31400},
                                                  {"tls", 15443, 15443}}) {
      PortSpec one;
      one.name = port_name;
      one.port = port;
      one.target = target;
      ports.push_back(one);
    }
    mesh_->add_service("istio-system", name, which == "ingress" ? "10.96.1.1" : "10.96.1.2", ports);
    PodSpec spec;
    spec.name = spec.app = name;
    spec.ns = "istio-system";
    spec.ip = which == "ingress" ? "10.1.250.1" : "10.1.250.2";
    spec.labels["istio"] = which + "gateway";
    spec.is_gateway = true;
    mesh_->add_pod(std::move(spec));
    mesh_->publish_endpoints("istio-system", name);
  }

  std::shared_ptr<const tls::Context> server_tls(const std::string& host, bool is_mutual) {
    const auto issued =
        mesh_->authority().issue_serving({host}, "", hours(24 * 365 * 8), world_.clock().wall());
    CHECK(issued.ok());
    tls::Options options;
    options.certificates.push_back({issued->chain_pem, issued->key_pem});
    options.alpn = {"h2", "http/1.1"};
    if (is_mutual) {
      options.trusted_ca_pem = mesh_->authority().root_pem();
      options.is_peer_required = true;
    }
    auto made = tls::Context::make(tls::Context::Role::kServer, options);
    CHECK(made.ok());
    return *std::move(made);
  }

  void add_external(const Json& external) {
    const std::string host = string_at(external, "host");
    PodSpec spec;
    spec.name = spec.app = string_at(external, "name", host);
    spec.ip = string_at(external, "ip");
    spec.is_external = true;
    spec.has_proxy = false;
    spec.ports = ports_of(data::get_array(external, {"ports"}));
    for (PortSpec& port : spec.ports)
      if (port.name.starts_with("https") || port.name.starts_with("tls"))
        port.tls = server_tls(host, data::get_bool(external, {"mutual"}));
    mesh_->add_name(host, spec.ip);
    mesh_->add_pod(std::move(spec));
  }

  void add_secret(const Json& secret) {
    std::vector<std::string> hosts;
    for (const Json& host : data::get_array(secret, {"hosts"}))
      hosts.emplace_back(data::as_string(host));
    const auto issued =
        mesh_->authority().issue_serving(hosts, "", hours(24 * 365 * 8), world_.clock().wall());
    CHECK(issued.ok());
    JsonObject data{{"tls.crt", base64_encode(issued->chain_pem)},
                    {"tls.key", base64_encode(issued->key_pem)}};
    if (data::get_bool(secret, {"ca"}))
      data["ca.crt"] = base64_encode(mesh_->authority().root_pem());
    mesh_->put(
        JsonObject{{"apiVersion", "v1"},
                   {"kind", "Secret"},
                   {"type", "kubernetes.io/tls"},
                   {"metadata", JsonObject{{"name", string_at(secret, "name")},
                                           {"namespace", string_at(secret, "ns", "istio-system")}}},
                   {"data", std::move(data)}});
  }

  // A proxy that refused what it was sent is a defect of one side, unless the scenario says so.
  void check_refusals() {
    for (const auto& pod : mesh_->pods()) {
      if (pod->proxy() == nullptr) continue;
      const bool is_expected = data::get_bool(header_, {"refusals"});
      for (const auto& [name, why] : pod->proxy()->rejections())
        if (!is_expected) complain(pod->spec().name + " refused " + name + ": " + why);
    }
  }

  void run_step(const Json& step) {
    if (const Json* objects = data::find(step, {"apply"})) {
      for (const Json& object : *objects->if_array()) apply(object);
      return settle();
    }
    if (const Json* wait = data::find(step, {"wait"})) {
      const auto span = parse_duration(data::as_string(*wait));
      CHECK(span.ok());
      return world_.run_for(*span);
    }
    for (const char* verb : {"stop", "start"}) {
      const Json* name = data::find(step, {verb});
      if (name == nullptr) continue;
      Pod* pod = pod_of(data::as_string(*name));
      if (pod == nullptr) return;
      if (verb == std::string_view("stop")) mesh_->stop_pod(*pod);
      else mesh_->start_pod(*pod);
      if (!data::get_bool(step, {"unnoticed"}))
        mesh_->publish_endpoints(pod->spec().ns, pod->spec().app);
      return settle();
    }
    if (const Json* metric = data::find(step, {"metric"})) return check_metric(*metric);
    if (const Json* log = data::find(step, {"log"})) return check_log(*log);
    run_call(step);
  }

  void settle() {
    if (!mesh_->converge(kConverge)) complain("the mesh does not converge");
  }

  Pod* pod_of(std::string_view name) {
    Pod* pod = mesh_->find_pod(name);
    if (pod == nullptr) complain("there is no pod " + std::string(name));
    return pod;
  }

  std::optional<Call> read_call(const Json& step) {
    Call call;
    call.from = pod_of(string_at(step, "from", kOutside));
    if (call.from == nullptr) return std::nullopt;
    std::string url;
    for (const char* method : {"get", "post", "put", "delete", "options", "head"}) {
      if (const Json* found = data::find(step, {method})) {
        url = data::as_string(*found);
        call.method = method;
        std::transform(call.method.begin(), call.method.end(), call.method.begin(), ::toupper);
      }
    }
    for (const char* scheme : {"tcp", "tls"})
      if (const Json* found = data::find(step, {scheme}))
        url = std::string(scheme) + "://" + std::string(data::as_string(*found));
    const auto scheme = split_once(url, "://");
    if (!scheme) return complain("no such step"), std::nullopt;
    call.scheme = scheme->first;
    const auto slash = scheme->second.find('/');
    std::string_view place = scheme->second.substr(0, slash);
    if (slash != std::string_view::npos) call.path = scheme->second.substr(slash);
    call.port = call.scheme == "https" || call.scheme == "tls" ? 443 : 80;
    if (const auto colon = split_once(place, ":")) {
      call.port = static_cast<int>(parse_int(colon->second).value_or(0));
      place = colon->first;
    }
    call.host = place;
    call.connect_to = string_at(step, "connect");
    if (call.connect_to == "ingress") call.connect_to = "10.96.1.1";
    if (call.connect_to == "egress") call.connect_to = "10.96.1.2";
    call.connect_port = static_cast<int>(data::get_int(step, {"connect_port"}));
    call.authority = string_at(step, "host");
    call.is_http2 = data::get_bool(step, {"http2"});
    call.is_reusing = data::get_bool(step, {"reuse"});
    call.certificate_of = string_at(step, "certificate");
    call.body = string_at(step, "body");
    for (const auto& [name, value] : data::get_object(step, {"headers"}))
      call.headers.emplace_back(name, data::as_string(value));
    return call;
  }

  void run_call(const Json& step) {
    const auto call = read_call(step);
    if (!call) return;
    log_from_ = read_log().size();
    const auto times = std::max<std::int64_t>(1, data::get_int(step, {"times"}, 1));
    std::vector<Answer> answers;
    if (data::get_bool(step, {"together"})) {
      for (int i = 0; i < times; ++i)
        client_->start(*call, [&](Answer answer) { answers.push_back(std::move(answer)); });
      world_.run_until([&] { return answers.size() == static_cast<std::size_t>(times); },
                       call->limit + seconds(1));
    } else {
      for (int i = 0; i < times; ++i) answers.push_back(client_->run(*call));
    }
    if (observer_)
      for (const Answer& answer : answers) observer_(*mesh_, *call, answer);
    const Json* expected = data::find(step, {"expect"});
    if (expected == nullptr) return;
    std::map<std::string, int> served, statuses;
    for (const Answer& answer : answers) {
      check_answer(*expected, answer);
      if (const auto* by = answer.header("x-served-by")) ++served[*by];
      ++statuses[answer.error.empty() ? std::to_string(answer.status) : "error"];
    }
    check_counts("served", data::get_object(*expected, {"served"}), served);
    check_counts("statuses", data::get_object(*expected, {"statuses"}), statuses);
    if (const Json* seen = data::find(*expected, {"requests"}))
      for (const auto& [name, wanted] : *seen->if_object()) check_requests(name, wanted);
  }

  // Requests that a pod's application has seen since the last such check.
  void check_requests(std::string_view name, const Json& wanted) {
    Pod* pod = pod_of(name);
    if (pod == nullptr) return;
    world_.run_for(milliseconds(50));  // A mirrored request may still be on its way.
    std::uint64_t count = 0;
    for (const PortSpec& port : pod->spec().ports)
      if (App* app = pod->app(port.target == 0 ? port.port : port.target))
        count += app->request_count();
    auto& before = requests_before_[pod];
    want("requests at " + std::string(name), wanted, std::to_string(count - before));
    before = count;
  }

  void check_counts(const std::string& what, const JsonObject& wanted,
                    const std::map<std::string, int>& got) {
    for (const auto& [name, value] : wanted) {
      const auto found = got.find(std::string(name));
      want(what + " " + std::string(name), value,
           std::to_string(found == got.end() ? 0 : found->second));
    }
  }

  void check_answer(const Json& expected, const Answer& answer) {
    const auto parsed = data::parse_json(answer.body);
    const Json told = parsed.ok() ? *parsed : Json(JsonObject());
    const auto field = [&](const char* key) -> std::optional<std::string> {
      const Json* value = data::find(told, {key});
      if (value == nullptr) return std::nullopt;
      return std::string(data::as_string(*value));
    };
    if (const Json* error = data::find(expected, {"error"})) {
      std::optional<std::string> got;
      if (!answer.error.empty()) got = answer.error;
      want("error", *error, got);
    } else if (!answer.error.empty() && data::find(expected, {"statuses"}) == nullptr) {
      complain("failed: " + answer.error);
    }
    if (const Json* status = data::find(expected, {"status"}))
      want("status", *status, std::to_string(answer.status));
    for (const char* key : {"served_by", "method", "path", "host", "sni", "version"})
      if (const Json* wanted = data::find(expected, {key})) want(key, *wanted, field(key));
    if (const Json* wanted = data::find(expected, {"sent_body"}))
      want("sent_body", *wanted, field("body"));
    if (const Json* wanted = data::find(expected, {"body"})) want("body", *wanted, answer.body);
    if (const Json* wanted = data::find(expected, {"seconds"}))
      want("seconds", *wanted, std::to_string(std::chrono::duration<double>(answer.took).count()));
    for (const auto& [name, wanted] : data::get_object(expected, {"headers"})) {
      const auto* got = answer.header(name);
      want("header " + std::string(name), wanted,
           got == nullptr ? std::nullopt : std::optional(*got));
    }
    for (const auto& [name, wanted] : data::get_object(expected, {"request_headers"})) {
      const Json* got = data::find(told, {"headers", name});
      want("request header " + std::string(name), wanted,
           got == nullptr ? std::nullopt : std::optional(std::string(data::as_string(*got))));
    }
  }

  // Sums the series whose labels are as wanted.
  void check_metric(const Json& metric) {
    Pod* pod = pod_of(string_at(metric, "of"));
    if (pod == nullptr || pod->proxy() == nullptr) return;
    world_.run_for(milliseconds(50));  // What ends a stream may come after its answer.
    pod->proxy()->update_stats();
    const std::string name = string_at(metric, "name");
    const std::string page = proxy::stats_prometheus(*pod->proxy(), {});
    std::optional<double> sum;
    std::string near;
    for (const auto line : split(page, '\n')) {
      if (!line.starts_with(name) || line.size() <= name.size() ||
          (line[name.size()] != '{' && line[name.size()] != ' '))
        continue;
      near += "\n    " + std::string(line);
      bool fits = true;
      for (const auto& [label, value] : data::get_object(metric, {"labels"})) {
        const std::string exact =
            std::string(label) + "=\"" + std::string(data::as_string(value)) + "\"";
        fits &= line.find("{" + exact) != std::string_view::npos ||
                line.find("," + exact) != std::string_view::npos;
      }
      const auto value = parse_double(line.substr(line.rfind(' ') + 1));
      if (fits && value) sum = sum.value_or(0) + *value;
    }
    std::optional<std::string> got;
    if (sum) got = data::dump_json(*sum);
    if (const auto problem = mismatch(*data::find(metric, {"value"}), got); !problem.empty())
      complain(name + " " + problem + near);
  }

  std::string read_log() {
    for (const auto& pod : mesh_->pods())
      if (pod->proxy() != nullptr) pod->proxy()->logs().flush_all();
    std::ifstream file(log_path_, std::ios::binary);
    std::ostringstream text;
    text << file.rdbuf();
    return text.str();
  }

  // One access log entry since the last call has all these fields.
  void check_log(const Json& log) {
    world_.run_for(milliseconds(50));
    const std::string text = read_log();
    std::string best;
    for (const auto line :
         split(std::string_view(text).substr(std::min(log_from_, text.size())), '\n')) {
      const auto entry = data::parse_json(line);
      if (!entry.ok()) continue;
      std::string differs;
      for (const auto& [name, wanted] : *log.if_object()) {
        const Json* value = data::find(*entry, {name});
        std::optional<std::string> got;
        if (value != nullptr && !value->is_null())
          got = value->is_string() ? std::string(data::as_string(*value)) : data::dump_json(*value);
        if (const auto problem = mismatch(wanted, got); !problem.empty())
          differs += "\n      " + std::string(name) + " " + problem;
      }
      if (differs.empty()) return;
      best += "\n    " + std::string(line.substr(0, 900)) + differs;
    }
    complain("no such log entry:" + best);
  }

  const Observer& observer_;
  std::string log_path_;
  Json header_;
  std::vector<Json> config_;
  World world_;
  std::unique_ptr<Mesh> mesh_;
  std::unique_ptr<Client> client_;
  int apps_ = 0;
  std::size_t log_from_ = 0;
  std::map<const Pod*, std::uint64_t> requests_before_;
  std::string where_ = "at the start";
  std::vector<std::string> problems_;
};

}  // namespace

std::vector<std::string> scenario_files() {
  std::vector<std::string> out;
  for (const auto& each : std::filesystem::directory_iterator(LATEEN_SCENARIOS))
    if (each.path().extension() == ".yaml") out.push_back(each.path().string());
  std::sort(out.begin(), out.end());
  return out;
}

std::vector<std::string> run_scenario(const std::string& path, const Observer& observer) {
  std::ifstream file(path, std::ios::binary);
  std::ostringstream text;
  text << file.rdbuf();
  auto documents = data::parse_yaml_documents(text.str());
  if (!documents.ok()) return {path + ": " + documents.error().message()};
  if (documents->empty()) return {path + " is empty"};
  return Player(path, *std::move(documents), observer).play();
}

}  // namespace lateen::mesh_test
