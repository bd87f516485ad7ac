// httpbin: tells callers what arrived, and plays faults on demand (/status, /delay, /drip…).
#include <fmt/core.h>

#include <algorithm>
#include <map>

#include "base/strings.h"
#include "samples/bookstore.h"
#include "samples/replies.h"

namespace lateen::samples {
namespace {

constexpr std::size_t kMaxBodyBytes = 8u << 20;
constexpr std::int64_t kMaxDelaySeconds = 10;
constexpr std::int64_t kMaxBytes = 100 * 1024;
constexpr std::int64_t kMaxRedirects = 100;
constexpr int kMostStreamLines = 100;

// Header names in the canonical spelling that httpbin's clients expect: X-Request-Id.
std::string canonical(std::string_view name) {
  std::string out = to_lower(name);
  bool is_start = true;
  for (char& c : out) {
    if (is_start && c >= 'a' && c <= 'z') c = static_cast<char>(c - 'a' + 'A');
    is_start = c == '-';
  }
  return out;
}

data::JsonObject headers_of(const http::Request& request) {
  data::JsonObject headers;
  headers["Host"] = data::Json(request.authority);
  for (const auto& field : request.headers) {
    const std::string name = canonical(field.name);
    data::Json& value = headers[name];
    value = value.is_null() ? data::Json(field.value)
                            : data::Json(fmt::format("{},{}", data::as_string(value), field.value));
  }
  return headers;
}

data::JsonObject multi_map(const std::vector<std::pair<std::string, std::string>>& pairs) {
  data::JsonObject out;
  for (const auto& [key, value] : pairs) {
    data::Json& slot = out[key];
    if (slot.is_null()) {
      slot = data::Json(value);
    } else if (auto* list = slot.if_array()) {
      list->emplace_back(value);
    } else {
      slot = data::JsonArray{std::move(slot), data::Json(value)};
    }
  }
  return out;
}

std::string origin_of(const http::Exchange& exchange, const http::Request& request) {
  const auto forwarded = request.headers.joined("x-forwarded-for");
  if (!forwarded.empty()) return std::string(forwarded);
  return exchange.connection.remote.ip().to_string();
}

data::Json describe(const http::Exchange& exchange, const http::Request& request) {
  return {{"args", multi_map(parse_query(query_of(request)))},
          {"headers", headers_of(request)},
          {"origin", origin_of(exchange, request)},
          {"url", fmt::format("{}://{}{}", request.scheme, request.authority, request.path)}};
}

void add_body(data::Json& echo, std::string_view content_type, const std::string& body) {
  data::JsonObject& object = *echo.if_object();
  const bool is_form = content_type.starts_with("application/x-www-form-urlencoded");
  object["data"] = data::Json(is_form ? std::string() : body);
  object["form"] =
      is_form ? data::Json(multi_map(parse_query(body))) : data::Json(data::JsonObject());
  object["files"] = data::JsonObject();
  auto parsed = data::parse_json(body);
  object["json"] = parsed.ok() && !body.empty() ? std::move(parsed).value() : data::Json(nullptr);
}

http::Response pretty(http::Exchange& exchange, int status, const data::Json& value) {
  return http::Response::text(exchange.arena, status, data::dump_json_pretty(value) + "\n",
                              "application/json");
}

// The number in "/name/N…"; nullopt when it is not one.
std::optional<std::int64_t> number_in(std::string_view path) {
  const auto parts = split(path, '/');
  return parts.size() > 2 ? parse_int(parts[2]) : std::nullopt;
}

http::Response with_location(http::Exchange& exchange, std::string_view location) {
  http::Response response = http::Response::text(exchange.arena, 302, "");
  response.headers.set("location", location);
  return response;
}

class Httpbin final : public http::Service {
 public:
  void handle(http::Exchange& exchange, http::Request request, http::Done done) override {
    const std::string_view path = path_of(request);
    const std::string_view head = path.substr(0, path.find('/', 1));
    if (head == "/delay") return delay(exchange, std::move(request), std::move(done));
    if (takes_body(request, head)) return with_body(exchange, std::move(request), std::move(done));
    done(answer(exchange, request, path, head));
  }

 private:
  static bool takes_body(const http::Request& request, std::string_view head) {
    if (head == "/anything") return true;
    return (head == "/post" && request.method == "POST") ||
           (head == "/put" && request.method == "PUT") ||
           (head == "/patch" && request.method == "PATCH") ||
           (head == "/delete" && request.method == "DELETE");
  }

  static void with_body(http::Exchange& exchange, http::Request request, http::Done done) {
    data::Json echo = describe(exchange, request);
    data::set(echo, {"method"}, data::Json(request.method));
    const std::string type(request.headers.get("content-type").value_or(""));
    http::read_all(exchange.scope, exchange.loop, std::move(request.body), kMaxBodyBytes,
                   [&exchange, echo = std::move(echo), type,
                    done = std::move(done)](Result<Buffer> body) mutable {
                     if (!body.ok()) return done(std::move(body).error());
                     add_body(echo, type, body.value().to_string());
                     done(pretty(exchange, 200, echo));
                   });
  }

  static void delay(http::Exchange& exchange, http::Request request, http::Done done) {
    const auto seconds_wanted = parse_double(last_segment(path_of(request)));
    if (!seconds_wanted || *seconds_wanted < 0) {
      return done(http::Response::text(exchange.arena, 400, "usage: /delay/SECONDS\n"));
    }
    const double bounded = std::min(*seconds_wanted, static_cast<double>(kMaxDelaySeconds));
    event::after(exchange.scope, exchange.loop,
                 nanoseconds(static_cast<std::int64_t>(bounded * 1e9)),
                 [&exchange, echo = describe(exchange, request), done = std::move(done)] {
                   done(pretty(exchange, 200, echo));
                 });
  }

  static http::Response answer(http::Exchange& exchange, const http::Request& request,
                               std::string_view path, std::string_view head) {
    if (head == "/get") return pretty(exchange, 200, describe(exchange, request));
    if (head == "/headers") return pretty(exchange, 200, {{"headers", headers_of(request)}});
    if (head == "/ip") return pretty(exchange, 200, {{"origin", origin_of(exchange, request)}});
    if (head == "/user-agent") {
      return pretty(exchange, 200,
                    {{"user-agent", std::string(request.headers.get("user-agent").value_or(""))}});
    }
    if (head == "/status") return status(exchange, path);
    if (head == "/bytes") return bytes(exchange, path);
    if (head == "/stream") return stream(exchange, request, path);
    if (head == "/redirect") return redirect(exchange, path);
    if (head == "/cookies") return cookies(exchange, request, path);
    if (head == "/response-headers") return response_headers(exchange, request);
    if (head == "/basic-auth") return basic_auth(exchange, request, path);
    if (head == "/uuid") return pretty(exchange, 200, {{"uuid", exchange.loop.random().uuid()}});
    if (head == "/html") {
      return http::Response::text(exchange.arena, 200,
                                  "<!DOCTYPE html><html><body><h1>httpbin</h1></body></html>\n",
                                  "text/html; charset=utf-8");
    }
    if (head == "/health" || head == "/healthz")
      return http::Response::text(exchange.arena, 200, "ok\n");
    if (path == "/") return index(exchange);
    return http::Response::text(exchange.arena, 404, "Not Found\n");
  }

  static http::Response index(http::Exchange& exchange) {
    return http::Response::text(
        exchange.arena, 200,
        "<!DOCTYPE html><html><head><title>httpbin</title></head><body><h1>httpbin</h1><p>Try "
        "/get /post /put /patch /delete /anything /headers /ip /user-agent /status/CODE "
        "/delay/SECONDS /bytes/N /stream/N /redirect/N /cookies /response-headers "
        "/basic-auth/USER/PASSWORD /uuid /html</p></body></html>\n",
        "text/html; charset=utf-8");
  }

  static http::Response status(http::Exchange& exchange, std::string_view path) {
    const auto choices = split(last_segment(path), ',');
    const auto code = parse_int(choices[exchange.loop.random().below(choices.size())]);
    if (!code || *code < 200 || *code > 599) {
      return http::Response::text(exchange.arena, 400, "usage: /status/CODE[,CODE…], 200 to 599\n");
    }
    if (*code == 418) {
      return http::Response::text(exchange.arena, 418, "I am short and stout.\n");
    }
    return http::Response::text(exchange.arena, static_cast<int>(*code), "");
  }

  static http::Response bytes(http::Exchange& exchange, std::string_view path) {
    const auto count = number_in(path);
    if (!count || *count < 0) return http::Response::text(exchange.arena, 400, "usage: /bytes/N\n");
    std::string body(static_cast<std::size_t>(std::min(*count, kMaxBytes)), '\0');
    exchange.loop.random().fill({reinterpret_cast<unsigned char*>(body.data()), body.size()});
    return http::Response::text(exchange.arena, 200, std::move(body), "application/octet-stream");
  }

  static http::Response stream(http::Exchange& exchange, const http::Request& request,
                               std::string_view path) {
    const auto count = number_in(path);
    if (!count || *count < 0)
      return http::Response::text(exchange.arena, 400, "usage: /stream/N\n");
    data::Json echo = describe(exchange, request);
    std::string body;
    for (int i = 0; i < std::min<std::int64_t>(*count, kMostStreamLines); ++i) {
      data::set(echo, {"id"}, i);
      body += data::dump_json(echo) + "\n";
    }
    return http::Response::text(exchange.arena, 200, std::move(body), "application/json");
  }

  static http::Response redirect(http::Exchange& exchange, std::string_view path) {
    const auto left = number_in(path);
    if (!left || *left < 1 || *left > kMaxRedirects) {
      return http::Response::text(exchange.arena, 400, "usage: /redirect/N, 1 to 100\n");
    }
    return with_location(exchange, *left == 1 ? "/get" : fmt::format("/redirect/{}", *left - 1));
  }

  static http::Response cookies(http::Exchange& exchange, const http::Request& request,
                                std::string_view path) {
    if (path == "/cookies/set") {
      http::Response response = with_location(exchange, "/cookies");
      for (const auto& [key, value] : parse_query(query_of(request))) {
        response.headers.add(
            "set-cookie", fmt::format("{}={}; Path=/", percent_encode(key), percent_encode(value)));
      }
      return response;
    }
    data::JsonObject found;
    for (const auto& field : request.headers) {
      if (!iequals(field.name, "cookie")) continue;
      for (std::string_view pair : split(field.value, ';')) {
        if (const auto parts = split_once(trim(pair), "=")) {
          found[parts->first] = data::Json(parts->second);
        }
      }
    }
    return pretty(exchange, 200, {{"cookies", std::move(found)}});
  }

  static http::Response response_headers(http::Exchange& exchange, const http::Request& request) {
    const auto pairs = parse_query(query_of(request));
    http::Response response = pretty(exchange, 200, multi_map(pairs));
    const auto is_safe = [](std::string_view text) {
      return !text.empty() && std::all_of(text.begin(), text.end(),
                                          [](unsigned char c) { return c >= 32 && c != 127; });
    };
    for (const auto& [key, value] : pairs) {
      if (is_safe(key) && key.find_first_of(" :") == std::string::npos && is_safe(value)) {
        response.headers.add(key, value);
      }
    }
    return response;
  }

  static http::Response basic_auth(http::Exchange& exchange, const http::Request& request,
                                   std::string_view path) {
    const auto parts = split(path, '/');
    const std::string_view given = request.headers.get("authorization").value_or("");
    const std::string expected =
        parts.size() == 4 ? "Basic " + base64_encode(fmt::format("{}:{}", parts[2], parts[3])) : "";
    if (expected.empty() || given != expected) {
      http::Response response = http::Response::text(exchange.arena, 401, "");
      response.headers.set("www-authenticate", "Basic realm=\"httpbin\"");
      return response;
    }
    return pretty(exchange, 200, {{"authenticated", true}, {"user", std::string(parts[2])}});
  }
};

}  // namespace

std::unique_ptr<http::Service> make_httpbin() { return std::make_unique<Httpbin>(); }

}  // namespace lateen::samples
