// Doubles as text, the way Go writes them in JSON and YAML: the fewest digits that read back the
// same. Boost's own form ("1.25E1") is right, but no reader of Kubernetes' output expects it.
#pragma once

#include <string>

namespace lateen::data {

// encoding/json: an exponent below 1e-6 and from 1e21 on. `number` is finite.
std::string json_number(double number);
// go-yaml: an exponent below 1e-4 and from 1e21 on, of two digits at least.
std::string yaml_number(double number);

}  // namespace lateen::data
