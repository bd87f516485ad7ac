// NDS: the names that the agent's DNS proxy answers for.
#pragma once

#include "discovery/scope.h"

namespace istio::networking::nds::v1 {
class NameTable;
}

namespace lateen::discovery {

void fill_name_table(const View& view, istio::networking::nds::v1::NameTable& out);

}  // namespace lateen::discovery
