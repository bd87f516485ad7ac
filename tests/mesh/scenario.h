// A scenario file: the first YAML document says who is there and what happens, the others are the
// mesh's configuration. tests/mesh/README.md lists the words.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "client.h"

namespace lateen::mesh_test {

// Sees each call of a scenario with its answer, before time goes on.
using Observer = std::function<void(Mesh& mesh, const Call& call, const Answer& answer)>;

// All files of tests/mesh/scenarios, sorted.
std::vector<std::string> scenario_files();

// Runs the file; what was not as expected, one line each. Empty: all was.
std::vector<std::string> run_scenario(const std::string& path, const Observer& observer = {});

}  // namespace lateen::mesh_test
