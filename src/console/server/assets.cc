// Looks assets up in the embedded table; compressed variants are made by the build.
#include "console/server/assets.h"

#include <fmt/core.h>

#include "base/embedded.h"
#include "base/strings.h"

namespace lateen::console {
namespace {

std::string_view type_of(std::string_view name) {
  if (name.ends_with(".js")) return "text/javascript; charset=utf-8";
  if (name.ends_with(".css")) return "text/css; charset=utf-8";
  if (name.ends_with(".svg")) return "image/svg+xml";
  if (name.ends_with(".json")) return "application/json";
  if (name.ends_with(".html")) return "text/html; charset=utf-8";
  return "application/octet-stream";
}

}  // namespace

ApiReply serve_page(const Page& page) {
  const auto html = embedded_file("web/dist/index.html");
  if (!html) {
    return ApiReply::text(
        "The front end is not in this build: run tools/dev/web.sh, then build again.\n", 503);
  }
  std::string text = replace_all(*html, "@ROLE@", page.role);
  text = replace_all(text, "@ROOT@", page.root);
  text = replace_all(text, "@LANDING@", page.landing);
  ApiReply reply = ApiReply::text(std::move(text), 200, "text/html; charset=utf-8");
  reply.headers = {{"cache-control", "no-cache"},
                   {"content-security-policy",
                    "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:"},
                   {"x-content-type-options", "nosniff"}};
  return reply;
}

ApiReply serve_asset(const ApiRequest& request, std::string_view name) {
  if (name.find('/') != std::string_view::npos) return ApiReply::error(not_found("no such file"));
  const std::string path = fmt::format("web/dist/{}", name);
  const auto plain = embedded_file(path);
  if (!plain) return ApiReply::error(not_found(fmt::format("no file {}", name)));
  const std::string tag = fmt::format("\"{:016x}\"", fnv1a64(*plain));
  ApiReply reply;
  reply.content_type = type_of(name);
  reply.headers = {{"etag", tag}, {"cache-control", "no-cache"}, {"vary", "accept-encoding"}};
  if (request.if_none_match == tag) {
    reply.status = 304;
    return reply;
  }
  const auto packed = embedded_file(path + ".gz");
  if (packed && request.accept_encoding.find("gzip") != std::string::npos) {
    reply.headers.emplace_back("content-encoding", "gzip");
    reply.body = *packed;
  } else {
    reply.body = *plain;
  }
  return reply;
}

}  // namespace lateen::console
