// istioctl proxy-config (pc): what a proxy has loaded, from its admin port or from a file.
#pragma once

#include "cli/context.h"

namespace CLI {
class App;
}

namespace lateen::cli {

void add_proxy_config(CLI::App& root, Context& context);

// Texts of the tables' cells; pure, over config dump JSON in Envoy's field names.
namespace describe {
std::string route_match(const data::Json& match);
std::string domains(const data::JsonArray& domains);
std::string chain_match(const data::Json& filter_chain_match);
std::string destination(const data::Json& filter_chain);
// "v1.default" of metadata's config path; empty when there is none.
std::string managing_config(const data::Json& object);
std::string listener_type(const data::Json& listener);
}  // namespace describe

}  // namespace lateen::cli
