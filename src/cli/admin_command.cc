// admin log: the levels of a control plane's log, told and changed through its control port.
#include <algorithm>

#include "base/strings.h"
#include "cli/control_plane.h"
#include "cli/istioctl.h"
#include "data/yaml.h"
#include "http/blocking_client.h"
#include "kube/port_forward.h"

namespace lateen::cli {
namespace {

struct Flags {
  std::string pod, revision, selector, level, stack_level, output = "short";
  bool is_reset = false, is_log_reset = false, is_stack_reset = false;
  int port = 9876;
};

// The scopes of one istiod, over a forward to its control port.
class Scopes {
 public:
  static Result<std::unique_ptr<Scopes>> open(kube::Client& client, const kube::Key& pod,
                                              int port) {
    auto out = std::unique_ptr<Scopes>(new Scopes);
    out->forward_ = TRY(kube::PortForwarder::start(client, pod, port, 0));
    return out;
  }

  Result<std::vector<Json>> all() {
    const auto reply = TRY(call("GET", "", {}));
    if (reply.status != 200)
      return unavailable("request not successful " + std::to_string(reply.status));
    const Json list = TRY(data::parse_json(reply.body).at("scopes of istiod"));
    std::vector<Json> out;
    if (const auto* array = list.if_array()) out.assign(array->begin(), array->end());
    std::sort(out.begin(), out.end(), [](const Json& a, const Json& b) {
      return data::get_string(a, {"name"}) < data::get_string(b, {"name"});
    });
    return out;
  }

  Result<> put(const std::string& name, const std::string& level, const std::string& stack_level) {
    data::JsonObject body{{"name", name}};
    if (!level.empty()) body["output_level"] = level;
    if (!stack_level.empty()) body["stack_trace_level"] = stack_level;
    const auto reply = TRY(call("PUT", "/" + percent_encode(name), data::dump_json(body)));
    if (reply.status != 202)
      return invalid("failed updating Scope " + name + ": cannot update resource " + name +
                     ", got status " + std::to_string(reply.status));
    return {};
  }

 private:
  Scopes() = default;
  Result<http::PlainResponse> call(const char* method, const std::string& path, std::string body) {
    http::PlainRequest request;
    request.method = method;
    request.url = "http://127.0.0.1:" + std::to_string(forward_->local_port()) + "/scopej" + path;
    request.body = std::move(body);
    return http_.call(request).at("istiod's control port");
  }
  std::unique_ptr<kube::PortForwarder> forward_;
  http::BlockingClient http_;
};

// "scope:level,scope:level".
Result<> change(Scopes& scopes, const std::string& pairs, bool is_stack) {
  for (const auto each : split(pairs, ',')) {
    const auto pair = split_once(each, ":");
    constexpr std::string_view kLevels[] = {"none", "error", "warn", "info", "debug"};
    if (!pair ||
        std::find(std::begin(kLevels), std::end(kLevels), pair->second) == std::end(kLevels))
      return invalid("pattern " + std::string(each) +
                     " did not match: write SCOPE:LEVEL, with none, error, warn, info or debug");
    const std::string name(pair->first), level(pair->second);
    TRY(scopes.put(name, is_stack ? "" : level, is_stack ? level : ""));
  }
  return {};
}

Result<> print(Session& session, Scopes& scopes, const std::string& output) {
  std::vector<std::vector<std::string>> rows = {
      {"ACTIVE SCOPE", "DESCRIPTION", "LOG LEVEL", "STACK TRACE LEVEL"}};
  data::JsonArray list;
  for (const Json& each : TRY(scopes.all())) {
    const auto text = [&](const char* key) { return std::string(data::get_string(each, {key})); };
    rows.push_back(
        {text("name"), text("description"), text("output_level"), text("stack_trace_level")});
    list.push_back(data::JsonObject{{"scope_name", text("name")},
                                    {"log_level", text("output_level")},
                                    {"stack_trace_level", text("stack_trace_level")},
                                    {"description", text("description")}});
  }
  if (output == "short") session.out << format_table(rows, 3);
  else if (output == "json") session.out << data::dump_json_pretty(list, 2) << "\n";
  else if (output == "yaml") session.out << data::dump_yaml(Json(list));
  else return invalid("output format \"" + output + "\" not supported");
  return {};
}

Result<> run(Session& session, const Flags& flags) {
  if (flags.is_reset && flags.is_log_reset && !flags.level.empty())
    return invalid("--level cannot be combined with --reset, --log-reset");
  kube::Client* client = TRY(session.client());
  kube::Key pod{session.istio_ns, flags.pod};
  if (flags.pod.empty()) {
    const auto pods = TRY(
        istiod_pods(session, flags.revision.empty() ? "default" : flags.revision, flags.selector));
    if (pods.empty()) return not_found("no pods found");
    pod = kube::key_of(pods.back());
  }
  const auto scopes = TRY(Scopes::open(*client, pod, flags.port));
  const bool resets_log = flags.is_reset || flags.is_log_reset,
             resets_stack = flags.is_reset || flags.is_stack_reset;
  if (resets_log || resets_stack) {
    for (const Json& each : TRY(scopes->all()))
      TRY(scopes->put(std::string(data::get_string(each, {"name"})), resets_log ? "info" : "",
                      resets_stack ? "none" : ""));
    return {};
  }
  if (flags.level.empty() && flags.stack_level.empty())
    return print(session, *scopes, flags.output);
  if (!flags.level.empty()) TRY(change(*scopes, flags.level, false));
  if (!flags.stack_level.empty()) TRY(change(*scopes, flags.stack_level, true));
  return {};
}

}  // namespace

void add_admin_command(CLI::App& app, Session& session) {
  auto* group =
      app.add_subcommand("admin", "Manage control plane (istiod) configuration")->alias("istiod");
  group->require_subcommand(1);
  auto flags = std::make_shared<Flags>();
  group->add_option("-l,--selector", flags->selector, "Label selector of control planes");
  auto* log = group->add_subcommand("log", "Manage istiod logging.")->alias("l");
  log->add_option("pod", flags->pod, "A control plane's pod; else one of the revision");
  log->add_option("-r,--revision", flags->revision, "Control plane revision");
  log->add_option("--level", flags->level, "SCOPE:LEVEL,… with none, error, warn, info or debug");
  log->add_option("--stack-trace-level", flags->stack_level, "SCOPE:LEVEL,…");
  log->add_flag("--reset", flags->is_reset, "Reset all levels to default value. (info)");
  log->add_flag("--log-reset", flags->is_log_reset, "Reset log levels to default value. (info)");
  log->add_flag("--stack-trace-reset", flags->is_stack_reset,
                "Reset stack trace levels to default value. (none)");
  log->add_option("--ctrlz_port", flags->port, "ControlZ port")->capture_default_str();
  log->add_option("-o,--output", flags->output, "json, yaml or short")->capture_default_str();
  on_run(*log, session, [&session, flags] { return run(session, *flags); });
}

}  // namespace lateen::cli
