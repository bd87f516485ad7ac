// The front end's files, built into the program from web/dist.
#pragma once

#include <string>
#include <string_view>

#include "console/server/api.h"

namespace lateen::console {

// What index.html tells the front end about the server that it came from.
struct Page {
  std::string role;     // "kiali", "jaeger", "grafana"
  std::string root;     // path prefix of everything, "" or "/kiali"
  std::string landing;  // first view: "overview", "traces", "dashboards"
};

// index.html with `page` filled in.
ApiReply serve_page(const Page& page);
// web/dist/NAME with an ETag; 404 when there is no such file. `name` is a bare file name.
ApiReply serve_asset(const ApiRequest& request, std::string_view name);

}  // namespace lateen::console
