// Connecting, reading and printing for all verbs.
#include "cli/session.h"

#include <fstream>
#include <sstream>

#include "base/strings.h"
#include "data/yaml.h"

namespace lateen::cli {

Result<kube::Client*> Session::client() {
  if (client_ != nullptr) return client_.get();
  auto config = kube::load_kubeconfig(kubeconfig, context);
  if (!config && kubeconfig.empty() && context.empty()) {
    // Inside a pod there is no kubeconfig, but an account.
    if (auto inside = kube::in_cluster_config()) config = std::move(inside);
  }
  if (!config) return std::move(config).error();
  context_ns_ = config->ns;
  client_ = TRY(kube::connect(*config));
  return client_.get();
}

Result<std::string> Session::effective_namespace() {
  if (!ns.empty()) return ns;
  TRY(client());
  return context_ns_.empty() ? std::string("default") : context_ns_;
}

bool Session::confirm(std::string_view question) {
  out << question << " " << std::flush;
  std::string answer;
  std::getline(in, answer);
  answer = to_lower(trim(answer));
  return answer == "y" || answer == "yes";
}

void on_run(CLI::App& command, Session& session, std::function<Result<>()> action) {
  command.callback([&session, action = std::move(action)] {
    const auto done = action();
    if (done) return;
    session.out.flush();
    session.err << "Error: " << done.error().message() << "\n";
    session.exit_status = 1;
  });
}

Result<std::string> read_input(Session& session, const std::string& path) {
  std::ostringstream text;
  if (path == "-") {
    text << session.in.rdbuf();
    return text.str();
  }
  std::ifstream file(path, std::ios::binary);
  if (!file)
    return not_found("cannot read " + path + ": check that the file exists and may be read");
  text << file.rdbuf();
  return text.str();
}

Result<Json> find_pod(Session& session, const std::string& text) {
  kube::Client* client = TRY(session.client());
  std::string ns = TRY(session.effective_namespace());
  std::string name = text, kind = "pod";
  if (const auto cut = split_once(text, "/")) {
    kind = cut->first;
    name = cut->second;
  }
  if (const auto dot = name.rfind('.'); dot != std::string::npos) {
    ns = name.substr(dot + 1);
    name = name.substr(0, dot);
  }
  if (kind == "pod" || kind == "pods" || kind == "po")
    return client->get(kube::resources::pods(), {ns, name});
  if (kind != "deployment" && kind != "deploy" && kind != "deployments" && kind != "service" &&
      kind != "svc") {
    return invalid("cannot find pods of \"" + text +
                   "\": name a pod, deployment/NAME or service/NAME");
  }
  const bool is_service = kind.starts_with("s");
  const Json owner = TRY(client->get(
      is_service ? kube::resources::services() : kube::resources::deployments(), {ns, name}));
  const auto& labels = is_service ? data::get_object(owner, {"spec", "selector"})
                                  : data::get_object(owner, {"spec", "selector", "matchLabels"});
  kube::ListOptions options;
  for (const auto& member : labels) {
    options.label_selector += (options.label_selector.empty() ? "" : ",") +
                              std::string(member.key()) + "=" +
                              std::string(data::as_string(member.value()));
  }
  const Json pods = TRY(client->list(kube::resources::pods(), ns, options));
  for (const Json& pod : data::get_array(pods, {"items"})) {
    if (data::get_string(pod, {"status", "phase"}) == "Running" && !kube::is_deleting(pod))
      return pod;
  }
  return not_found("no running pod of " + text + " in namespace " + ns);
}

Result<std::vector<Json>> find_pods(Session& session, const std::string& text,
                                    const std::string& selector, const std::string& verb) {
  if (text.empty() && selector.empty())
    return invalid(verb + " requires pod name or label selector");
  if (!text.empty() && !selector.empty())
    return invalid("name cannot be provided when the label selector is specified");
  std::vector<Json> out;
  if (!text.empty()) {
    out.push_back(TRY(find_pod(session, text)));
    return out;
  }
  const std::string ns = TRY(session.effective_namespace());
  const Json pods = TRY(TRY(session.client())->list(kube::resources::pods(), ns, {selector, {}}));
  for (const Json& pod : data::get_array(pods, {"items"})) out.push_back(pod);
  if (out.empty()) return not_found("no pods found");
  return out;
}

std::string format_table(const std::vector<std::vector<std::string>>& rows, std::size_t padding) {
  std::vector<std::size_t> widths;
  const auto width_of = [](std::string_view cell) {
    std::size_t points = 0;
    for (const char c : cell) points += (static_cast<unsigned char>(c) & 0xc0) != 0x80;
    return points;
  };
  for (const auto& row : rows) {
    if (widths.size() < row.size()) widths.resize(row.size());
    for (std::size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], width_of(row[i]));
  }
  std::string out;
  for (const auto& row : rows) {
    for (std::size_t i = 0; i < row.size(); ++i) {
      out += row[i];
      if (i + 1 < row.size()) out.append(widths[i] - width_of(row[i]) + padding, ' ');
    }
    out += '\n';
  }
  return out;
}

Result<std::string> format_as(const Json& value, const std::string& format) {
  if (format == "json") return data::dump_json_pretty(value, 4) + "\n";
  if (format == "yaml") return data::dump_yaml(value);
  return invalid("unknown output format \"" + format + "\": use json or yaml");
}

}  // namespace lateen::cli
