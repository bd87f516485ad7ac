// JSON and error replies, path cutting, HTML escaping.
#include "samples/replies.h"

namespace lateen::samples {

http::Response json_reply(http::Exchange& exchange, int status, const data::Json& value) {
  return http::Response::text(exchange.arena, status, data::dump_json(value), "application/json");
}

http::Response not_found_reply(http::Exchange& exchange) {
  return http::Response::text(exchange.arena, 404, "Not Found\n");
}

std::string_view path_of(const http::Request& request) {
  return request.path.substr(0, request.path.find('?'));
}

std::string_view query_of(const http::Request& request) {
  const std::size_t mark = request.path.find('?');
  return mark == std::string_view::npos ? std::string_view() : request.path.substr(mark + 1);
}

std::string_view last_segment(std::string_view path) {
  const std::size_t slash = path.rfind('/');
  return slash == std::string_view::npos ? path : path.substr(slash + 1);
}

std::string escape_html(std::string_view text) {
  std::string safe;
  safe.reserve(text.size());
  for (const char c : text) {
    switch (c) {
      case '&': safe += "&amp;"; break;
      case '<': safe += "&lt;"; break;
      case '>': safe += "&gt;"; break;
      case '"': safe += "&#34;"; break;
      case '\'': safe += "&#39;"; break;
      default: safe += c;
    }
  }
  return safe;
}

}  // namespace lateen::samples
