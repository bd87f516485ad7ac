// Envoy's command line, as far as it means something here; the rest is accepted and told in the
// log.
#pragma once

#include <string>
#include <vector>

#include "base/clock.h"
#include "base/result.h"

namespace lateen::proxy {

struct Options {
  std::string config_path;
  std::string config_yaml;
  unsigned concurrency = 0;  // 0: one worker per CPU
  std::string service_node;
  std::string service_cluster;
  std::string service_zone;
  seconds drain_time{600};
  seconds parent_shutdown_time{900};
  std::string log_level = "info";
  std::string admin_address_path;
  std::string log_path;
  bool is_validating = false;  // --mode validate
  bool is_version_wanted = false;
  bool is_help_wanted = false;
  bool is_drain_immediate = false;  // --drain-strategy immediate
  std::string base_id = "0";
  unsigned restart_epoch = 0;
  bool is_hot_restart_enabled = false;      // set by parse(), without --disable-hot-restart
  bool is_base_id_chosen = false;           // then a taken id is an error
  bool is_missing_parent_accepted = false;  // --skip-hot-restart-on-no-parent
  std::string command_line;
  std::vector<std::string> ignored;

  static Result<Options> parse(int argc, char** argv);
  static std::string help();
};

}  // namespace lateen::proxy
