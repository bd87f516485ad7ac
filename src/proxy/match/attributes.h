// Envoy's request attributes by their dotted names ("request.path", "source.address"), as CEL
// expressions, external processors and loggers name them. Pure functions, thread-safe.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "data/json.h"
#include "http/message.h"
#include "proxy/stream/stream_info.h"

namespace lateen::proxy {

// nullopt: no such attribute, or it has no value now. `request`: null looks at the head that `info`
// noted. Times are RFC 3339 texts, durations numbers of seconds with unit ("0.25s").
std::optional<data::Json> find_attribute(std::string_view name, const StreamInfo& info,
                                         const http::Request* request);
// The same by path; what is behind the attribute's own name is looked up in its value.
std::optional<data::Json> find_attribute(const std::vector<std::string>& path,
                                         const StreamInfo& info, const http::Request* request);
// Whether a root such as "request" or "xds" is known at all.
bool is_attribute_root(std::string_view root);

}  // namespace lateen::proxy
