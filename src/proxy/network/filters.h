// The network filters beside the HTTP connection manager and the TCP proxy, by the type of their
// configuration.
#pragma once

#include "proxy/compile_context.h"
#include "proxy/network/filter.h"

namespace lateen::proxy {

// An unknown type is an error that names it.
Result<std::shared_ptr<const NetworkFilter>> make_network_filter(
    const std::string& type, const google::protobuf::Any& config, const CompileContext& context);

}  // namespace lateen::proxy
