// `istioctl`, also `lateen istioctl`: the mesh's command line.
#include <unistd.h>

#include <iostream>
#include <string>
#include <vector>

#include "base/log.h"
#include "bin/commands.h"
#include "cli/istioctl.h"

int run_istioctl(int argc, char** argv) {
  lateen::log::set_level(lateen::log::Level::kWarn);
  lateen::cli::Session session(std::cin, std::cout, std::cerr);
  session.is_terminal = isatty(STDOUT_FILENO) == 1;
  return lateen::cli::run_istioctl(std::vector<std::string>(argv + 1, argv + argc), session);
}
