// Small answers that all samples share.
#pragma once

#include <string>
#include <string_view>

#include "data/json.h"
#include "http/message.h"

namespace lateen::samples {

http::Response json_reply(http::Exchange& exchange, int status, const data::Json& value);
http::Response not_found_reply(http::Exchange& exchange);
// The path without its query.
std::string_view path_of(const http::Request& request);
std::string_view query_of(const http::Request& request);
// The text after the last '/'.
std::string_view last_segment(std::string_view path);
std::string escape_html(std::string_view text);

}  // namespace lateen::samples
