// A scenario file: the first YAML document says who is there and what happens, the others are the
// mesh's configuration. tests/mesh/README.md lists the words.
#pragma once

#include <string>
#include <vector>

namespace lateen::mesh_test {

// Runs the file; what was not as expected, one line each. Empty: all was.
std::vector<std::string> run_scenario(const std::string& path);

}  // namespace lateen::mesh_test
