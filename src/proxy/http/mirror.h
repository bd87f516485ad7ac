// Copies of requests to other clusters whose answers are thrown away.
#pragma once

#include "proxy/http/filter.h"
#include "proxy/route/route.h"

namespace lateen::proxy {

// Sends a copy of `request` (its body as text) to each mirror cluster that chance picks.
void send_mirrors(HttpState& stream, const Forward& action, const http::Request& request,
                  const std::string& body);

}  // namespace lateen::proxy
