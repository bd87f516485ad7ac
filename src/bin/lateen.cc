// The multi-call program: picks the subcommand by the name it was started under (istioctl,
// pilot-discovery, pilot-agent, operator) or by the first argument.
#include <cstdio>
#include <cstring>
#include <string_view>

#include "bin/commands.h"

int run_console(int argc, char** argv);

int run_agent(int argc, char** argv);
int run_istioctl(int argc, char** argv);
int run_discovery(int argc, char** argv);
int run_operator(int argc, char** argv);
int run_up(int argc, char** argv);
int run_down(int argc, char** argv);
int run_status(int argc, char** argv);
int run_reset(int argc, char** argv);
int run_image(int argc, char** argv);
int run_cluster(int argc, char** argv);

struct Entry {
  std::string_view name;
  lateen::bin::Command run;
  const char* help;
};

// clang-format off
static constexpr Entry kCommands[] = {
    {"up", run_up, "start the cluster and the mesh on this machine"},
    {"down", run_down, "end them; the data stays"},
    {"status", run_status, "what runs, with process ids and memory"},
    {"reset", run_reset, "end them and delete the data"},
    {"image", run_image, "list, add or remove images of the cluster's catalog"},
    {"cluster", run_cluster, nullptr},
    {"agent", run_agent, "the per-pod agent (pilot-agent)"},
    {"discovery", run_discovery, "the control plane (pilot-discovery)"},
    {"operator", run_operator, "the in-cluster operator (operator server)"},
    {"istioctl", run_istioctl, "the mesh's command line"},
    {"console", run_console, "graph, traces and dashboards (kiali, jaeger, grafana, prometheus)"},
};
// clang-format on

static const Entry* find_command(std::string_view name) {
  for (const Entry& entry : kCommands) {
    if (entry.name == name) return &entry;
  }
  return nullptr;
}

// Names of upstream's programs, for containers whose command says them.
static std::string_view command_for_program(std::string_view path) {
  const auto slash = path.rfind('/');
  const std::string_view program = slash == std::string_view::npos ? path : path.substr(slash + 1);
  if (program == "istioctl" || program == "operator") return program;
  if (program == "pilot-discovery") return "pilot-discovery";
  if (program == "pilot-agent") return "agent";
  if (program == "kiali") return "console";
  return {};
}

static int usage(std::FILE* to) {
  std::fprintf(to, "usage: lateen COMMAND [ARGUMENTS]\n\n");
  for (const Entry& entry : kCommands) {
    if (entry.help != nullptr)
      std::fprintf(to, "  %-12.*s %s\n", static_cast<int>(entry.name.size()), entry.name.data(),
                   entry.help);
  }
  return to == stdout ? 0 : 2;
}

int main(int argc, char** argv) {
  if (const auto name = command_for_program(argv[0]); !name.empty()) {
    // `pilot-discovery discovery …`: the subcommand follows, as upstream's programs have it.
    if (name == "pilot-discovery" && argc > 1 && std::string_view(argv[1]) == "discovery") {
      if (const Entry* entry = find_command("discovery")) return entry->run(argc - 1, argv + 1);
    }
    if (const Entry* entry = find_command(name)) return entry->run(argc, argv);
  }
  if (argc < 2) return usage(stderr);
  const std::string_view name = argv[1];
  if (name == "help" || name == "--help" || name == "-h") return usage(stdout);
  if (const Entry* entry = find_command(name)) return entry->run(argc - 1, argv + 1);
  std::fprintf(stderr, "lateen: unknown command \"%s\"\n", argv[1]);
  return usage(stderr);
}
