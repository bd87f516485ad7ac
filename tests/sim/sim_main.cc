// ./dev sim: one simulation of a mesh with faults, from its seed.
//
// usage: mesh_sim [SEED] [SECONDS]     the trace goes to standard output, the verdict to standard
// error
#include <cstdio>
#include <cstdlib>

#include "base/log.h"
#include "base/strings.h"
#include "simulation.h"

int main(int argc, char** argv) {
  const auto fallback = lateen::system_random()->below(1'000'000);
  const auto seed = argc > 1 ? lateen::parse_uint(argv[1]) : std::optional(fallback);
  const auto span = argc > 2 ? lateen::parse_uint(argv[2]) : std::optional<std::uint64_t>(60);
  if (!seed || !span) return std::fprintf(stderr, "usage: mesh_sim [SEED] [SECONDS]\n"), 2;
  std::fprintf(stderr, "seed %llu\n", static_cast<unsigned long long>(*seed));
  lateen::log::set_level(std::getenv("LATEEN_TEST_LOG") != nullptr ? lateen::log::Level::kDebug
                                                                   : lateen::log::Level::kNone);
  lateen::mesh_test::Simulation simulation(*seed);
  simulation.run(lateen::seconds(*span));
  std::fputs(simulation.trace().c_str(), stdout);
  const auto& counts = simulation.counts();
  std::fprintf(stderr, "%d calls, %d answers (%d failed), %d faults, %zu problems\n", counts.calls,
               counts.answers, counts.failures, counts.faults, simulation.problems().size());
  for (const auto& problem : simulation.problems()) std::fprintf(stderr, "  %s\n", problem.c_str());
  return simulation.problems().empty() ? 0 : 1;
}
