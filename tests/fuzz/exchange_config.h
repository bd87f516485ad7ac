// The configuration of the fuzzed proxy: a listener for each family of filters.
#pragma once

#include <string>

namespace lateen::fuzz {

// A bootstrap in JSON. Listeners keep their order: inputs of the corpus name them by number.
std::string exchange_config();

}  // namespace lateen::fuzz
