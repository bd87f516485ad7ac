// Flags and paths of `lateen up`, `down`, `status` and `reset`.
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cstdlib>

#include "bin/up.h"

namespace lateen::bin {

std::string default_data_dir() {
  if (const char* base = std::getenv("XDG_DATA_HOME"); base != nullptr && *base == '/')
    return std::string(base) + "/lateen";
  const char* home = std::getenv("HOME");
  return std::string(home == nullptr ? "/var/lib" : home) + "/.local/share/lateen";
}

std::string pid_path(const std::string& data_dir) { return data_dir + "/lateen.pid"; }
std::string log_path(const std::string& data_dir) { return data_dir + "/run/lateen.log"; }
std::string cluster_kubeconfig_path(const std::string& data_dir) {
  return data_dir + "/run/kubeconfig";
}
std::string state_path(const std::string& data_dir) { return data_dir + "/run/state.json"; }

namespace {

std::string absolute_path(std::string path) {
  if (!path.starts_with("/")) {
    char* here = ::getcwd(nullptr, 0);
    path = std::string(here == nullptr ? "" : here) + "/" + path;
    std::free(here);
  }
  while (path.size() > 1 && path.ends_with("/")) path.pop_back();
  return path;
}

}  // namespace

Result<UpOptions> parse_up_options(const std::string& command, int argc, char** argv) {
  UpOptions options;
  options.data_dir = default_data_dir();
  bool is_without_mesh = false;
  std::string output = "text";
  CLI::App app("The embedded cluster and mesh on this machine.", "lateen " + command);
  app.option_defaults()->multi_option_policy(CLI::MultiOptionPolicy::TakeLast);
  app.add_option("--data-dir", options.data_dir, "where all its data is")->capture_default_str();
  const CLI::Range port(1, 65535);
  CLI::Option* http = nullptr;
  CLI::Option* https = nullptr;
  if (command == "up") {
    app.add_option("--api-port", options.api_port, "the API server's port on 127.0.0.1")
        ->check(port)
        ->capture_default_str();
    http = app.add_option("--http-port", options.http_port, "where LoadBalancer port 80 is")
               ->check(port)
               ->capture_default_str();
    https = app.add_option("--https-port", options.https_port, "where LoadBalancer port 443 is")
                ->check(port)
                ->capture_default_str();
    app.add_flag("--no-mesh", is_without_mesh, "the cluster only");
  }
  if (command == "up" || command == "reset")
    app.add_option("--kubeconfig", options.kubeconfig,
                   "the file for context lateen (default: $KUBECONFIG, then ~/.kube/config)");
  if (command == "status")
    app.add_option("-o,--output", output, "text or json")
        ->check(CLI::IsMember({"text", "json"}))
        ->capture_default_str();
  if (command == "reset") app.add_flag("-y,--yes", options.is_forced, "do not ask");
  try {
    app.parse(argc, argv);
  } catch (const CLI::CallForHelp& help) {
    std::exit(app.exit(help));
  } catch (const CLI::ParseError& wrong) {
    return invalid(wrong.what());
  }
  options.is_http_port_given = http != nullptr && http->count() > 0;
  options.is_https_port_given = https != nullptr && https->count() > 0;
  options.has_mesh = !is_without_mesh;
  options.is_json = output == "json";
  if (options.data_dir.empty()) return invalid("--data-dir wants a directory");
  options.data_dir = absolute_path(options.data_dir);
  return options;
}

}  // namespace lateen::bin
