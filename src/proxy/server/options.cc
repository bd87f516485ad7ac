// Flags come as "--name value", "--name=value" or "-c value".

#include "proxy/server/options.h"

#include <algorithm>
#include <map>

#include "base/strings.h"

namespace lateen::proxy {
namespace {

// Flags that take a value and change nothing here.
constexpr std::string_view kIgnoredWithValue[] = {"--component-log-level",
                                                  "--local-address-ip-version",
                                                  "--log-format",
                                                  "--log-format-prefix-with-location",
                                                  "--file-flush-interval-msec",
                                                  "--file-flush-min-size-kb",
                                                  "--max-obj-name-len",
                                                  "--max-stats",
                                                  "--socket-path",
                                                  "--socket-mode",
                                                  "--hot-restart-version",
                                                  "--disable-extensions",
                                                  "--skip-deprecated-logs",
                                                  "--base-id-path",
                                                  "--stats-tag",
                                                  "--drain-strategy-unused"};
constexpr std::string_view kIgnoredAlone[] = {"--enable-mutex-tracing",
                                              "--cpuset-threads",
                                              "--allow-unknown-static-fields",
                                              "--allow-unknown-fields",
                                              "--reject-unknown-dynamic-fields",
                                              "--ignore-unknown-dynamic-fields",
                                              "--enable-fine-grain-logging",
                                              "--log-format-escaped",
                                              "--enable-core-dump",
                                              "--skip-hot-restart-parent-stats"};

}  // namespace

Result<Options> Options::parse(int argc, char** argv) {
  Options made;
  const std::map<std::string_view, std::string*> texts = {
      {"--config-path", &made.config_path},
      {"-c", &made.config_path},
      {"--config-yaml", &made.config_yaml},
      {"--service-node", &made.service_node},
      {"--service-cluster", &made.service_cluster},
      {"--service-zone", &made.service_zone},
      {"--log-level", &made.log_level},
      {"-l", &made.log_level},
      {"--admin-address-path", &made.admin_address_path},
      {"--log-path", &made.log_path},
      {"--base-id", &made.base_id}};
  made.is_hot_restart_enabled = true;
  for (int i = 0; i < argc; ++i) made.command_line += (i == 0 ? "" : " ") + std::string(argv[i]);
  for (int i = 1; i < argc; ++i) {
    std::string name = argv[i];
    std::optional<std::string> value;
    if (const auto equals = name.find('='); name.starts_with("--") && equals != std::string::npos) {
      value = name.substr(equals + 1);
      name.resize(equals);
    }
    const auto take = [&]() -> Result<std::string> {
      if (value) return *value;
      if (i + 1 >= argc) return invalid("flag " + name + " needs a value");
      return std::string(argv[++i]);
    };
    const auto take_seconds = [&]() -> Result<seconds> {
      const auto text = TRY(take());
      const auto number = parse_uint(text);
      if (!number || *number > 10'000'000)
        return invalid("flag " + name + ": '" + text + "' is no number of seconds");
      return seconds(*number);
    };
    if (const auto found = texts.find(name); found != texts.end()) {
      *found->second = TRY(take());
      made.is_base_id_chosen = made.is_base_id_chosen || name == "--base-id";
    } else if (name == "--restart-epoch") {
      const auto text = TRY(take());
      const auto number = parse_uint(text);
      if (!number || *number > 1'000'000)
        return invalid("flag --restart-epoch: '" + text + "' is no number");
      made.restart_epoch = static_cast<unsigned>(*number);
    } else if (name == "--disable-hot-restart" || name == "--use-dynamic-base-id") {
      made.is_hot_restart_enabled = false;
    } else if (name == "--skip-hot-restart-on-no-parent") {
      made.is_missing_parent_accepted = true;
    } else if (name == "--concurrency") {
      const auto text = TRY(take());
      const auto number = parse_uint(text);
      if (!number || *number > 256)
        return invalid("flag --concurrency: '" + text + "' is no number in 0…256");
      made.concurrency = static_cast<unsigned>(*number);
    } else if (name == "--drain-time-s") {
      made.drain_time = TRY(take_seconds());
    } else if (name == "--parent-shutdown-time-s") {
      made.parent_shutdown_time = TRY(take_seconds());
    } else if (name == "--drain-strategy") {
      made.is_drain_immediate = TRY(take()) == "immediate";
    } else if (name == "--mode") {
      const auto mode = TRY(take());
      if (mode != "serve" && mode != "validate" && mode != "init_only")
        return invalid("flag --mode: '" + mode + "' is not serve, validate or init_only");
      made.is_validating = mode != "serve";
    } else if (name == "--version") {
      made.is_version_wanted = true;
    } else if (name == "--help" || name == "-h") {
      made.is_help_wanted = true;
    } else if (std::find(std::begin(kIgnoredWithValue), std::end(kIgnoredWithValue), name) !=
               std::end(kIgnoredWithValue)) {
      TRY(take());
      made.ignored.push_back(name);
    } else if (std::find(std::begin(kIgnoredAlone), std::end(kIgnoredAlone), name) !=
               std::end(kIgnoredAlone)) {
      made.ignored.push_back(name);
    } else {
      return invalid("unknown flag " + name + "; `lateen-proxy --help` lists what there is");
    }
  }
  return made;
}

std::string Options::help() {
  return R"(usage: lateen-proxy -c FILE [flag…]

An Envoy-compatible proxy: it starts from an Envoy bootstrap file (JSON or YAML) and takes Envoy's flags.

  -c, --config-path FILE         the bootstrap
      --config-yaml TEXT         merged over the file
      --concurrency N            worker threads (0: one per CPU)
      --service-node ID          node id, when the bootstrap has none
      --service-cluster NAME     node cluster, when the bootstrap has none
  -l, --log-level LEVEL          trace, debug, info, warning, error, critical, off
      --admin-address-path FILE  where to write the admin address
      --drain-time-s N           how long connections may finish (600)
      --drain-strategy S         gradual or immediate
      --restart-epoch N          take over from the process of epoch N - 1, which drains (0: none)
      --base-id ID               tells apart several proxies that restart hot on one machine
      --parent-shutdown-time-s N how long the old process may drain (900)
      --disable-hot-restart
      --mode M                   serve, or validate: check the bootstrap and exit
      --version
)";
}

}  // namespace lateen::proxy
