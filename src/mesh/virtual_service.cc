// Reads a VirtualService. What its fields mean together is checked in virtual_service_check.cc.
#include "mesh/virtual_service.h"

#include "base/strings.h"

namespace lateen::mesh {
namespace {

StringMatch read_match(Reader& reader) {
  StringMatch match;
  const auto take = [&](std::string_view key, StringMatch::Kind kind) {
    if (!reader.has(key)) return;
    match = {kind, reader.text(key)};
  };
  take("exact", StringMatch::Kind::kExact);
  take("prefix", StringMatch::Kind::kPrefix);
  take("regex", StringMatch::Kind::kRegex);
  return match;
}

void read_optional_match(Reader& reader, std::string_view key, std::optional<StringMatch>& out) {
  reader.object(key, [&](Reader& inner) { out = read_match(inner); });
}

void read_match_map(Reader& reader, std::string_view key,
                    std::map<std::string, StringMatch, std::less<>>& out) {
  reader.each_entry(key,
                    [&](const std::string& name, Reader& inner) { out[name] = read_match(inner); });
}

void read_destination(Reader& reader, Destination& out) {
  out.host = reader.text("host");
  out.subset = reader.text("subset");
  reader.object("port", [&](Reader& port) { out.port = static_cast<int>(port.integer("number")); });
}

void read_operations(Reader& reader, HeaderOperations& out) {
  out.set = reader.map("set");
  out.add = reader.map("add");
  out.remove = reader.texts("remove");
}

void read_headers(Reader& reader, HeaderRules& out) {
  reader.object("headers", [&](Reader& headers) {
    headers.object("request", [&](Reader& r) { read_operations(r, out.request); });
    headers.object("response", [&](Reader& r) { read_operations(r, out.response); });
  });
}

void read_routes(Reader& reader, std::vector<RouteDestination>& out) {
  reader.each("route", [&](Reader& item) {
    RouteDestination& route = out.emplace_back();
    item.object("destination", [&](Reader& r) { read_destination(r, route.destination); });
    route.weight = static_cast<int>(item.integer("weight"));
    read_headers(item, route.headers);
  });
}

void read_http_match(Reader& reader, HttpMatch& out) {
  out.name = reader.text("name");
  read_optional_match(reader, "uri", out.uri);
  read_optional_match(reader, "scheme", out.scheme);
  read_optional_match(reader, "method", out.method);
  read_optional_match(reader, "authority", out.authority);
  read_match_map(reader, "headers", out.headers);
  read_match_map(reader, "withoutHeaders", out.without_headers);
  read_match_map(reader, "queryParams", out.query_params);
  out.is_uri_case_ignored = reader.flag("ignoreUriCase");
  out.port = static_cast<int>(reader.integer("port"));
  out.source_labels = reader.map("sourceLabels");
  out.source_namespace = reader.text("sourceNamespace");
  out.gateways = reader.texts("gateways");
  out.stat_prefix = reader.text("statPrefix");
}

double read_percent(Reader& reader, double fallback) {
  double percent = fallback;
  if (const auto whole = reader.maybe_integer("percent")) percent = static_cast<double>(*whole);
  reader.object("percentage",
                [&](Reader& value) { percent = value.maybe_number("value").value_or(0); });
  return percent;
}

void read_fault(Reader& reader, HttpFault& out) {
  reader.object("delay", [&](Reader& delay) {
    out.delay.emplace();
    out.delay->fixed = delay.duration("fixedDelay").value_or(nanoseconds(0));
    delay.unused("exponentialDelay", "use fixedDelay");
    out.delay->percent = read_percent(delay, 100);
  });
  reader.object("abort", [&](Reader& abort) {
    out.abort.emplace();
    if (const auto status = abort.maybe_integer("httpStatus")) {
      out.abort->http_status = static_cast<int>(*status);
    }
    out.abort->grpc_status = abort.text("grpcStatus");
    abort.unused("http2Error", "use httpStatus or grpcStatus");
    out.abort->percent = read_percent(abort, 100);
  });
}

void read_redirect(Reader& reader, HttpRedirect& out) {
  out.uri = reader.text("uri");
  out.authority = reader.text("authority");
  out.scheme = reader.text("scheme");
  out.prefix_rewrite = reader.text("prefixRewrite");
  if (const auto port = reader.maybe_integer("port")) out.port = static_cast<int>(*port);
  using Derive = HttpRedirect::DerivePort;
  out.derive_port = reader.choice<Derive>("derivePort",
                                          {{"FROM_PROTOCOL_DEFAULT", Derive::kFromProtocolDefault},
                                           {"FROM_REQUEST_PORT", Derive::kFromRequestPort}},
                                          Derive::kNone);
  out.code = static_cast<int>(reader.integer("redirectCode", 301));
}

void read_cors(Reader& reader, CorsPolicy& out) {
  for (std::string& origin : reader.texts("allowOrigin")) {
    out.allow_origins.push_back({StringMatch::Kind::kExact, std::move(origin)});
  }
  reader.each("allowOrigins", [&](Reader& r) { out.allow_origins.push_back(read_match(r)); });
  out.allow_methods = reader.texts("allowMethods");
  out.allow_headers = reader.texts("allowHeaders");
  out.expose_headers = reader.texts("exposeHeaders");
  out.max_age = reader.duration("maxAge");
  out.allow_credentials = reader.maybe_flag("allowCredentials");
  out.unmatched_preflights = reader.text("unmatchedPreflights");
}

void read_mirrors(Reader& reader, HttpRoute& out) {
  reader.object("mirror", [&](Reader& mirror) {
    read_destination(mirror, out.mirrors.emplace_back().destination);
  });
  if (!out.mirrors.empty()) {
    for (const char* key : {"mirrorPercent", "mirror_percent"}) {
      if (const auto percent = reader.maybe_integer(key)) {
        out.mirrors.back().percent = static_cast<double>(*percent);
      }
    }
    reader.object("mirrorPercentage", [&](Reader& value) {
      out.mirrors.back().percent = value.maybe_number("value").value_or(0);
    });
  }
  if (out.mirrors.empty()) {
    for (const char* key : {"mirrorPercent", "mirror_percent", "mirrorPercentage"}) {
      reader.unused(key, "there is no mirror");
    }
  }
  reader.each("mirrors", [&](Reader& item) {
    HttpMirror& mirror = out.mirrors.emplace_back();
    item.object("destination", [&](Reader& r) { read_destination(r, mirror.destination); });
    item.object("percentage",
                [&](Reader& value) { mirror.percent = value.maybe_number("value").value_or(0); });
  });
}

void read_http_route(Reader& reader, HttpRoute& out) {
  out.name = reader.text("name");
  reader.each("match", [&](Reader& r) { read_http_match(r, out.match.emplace_back()); });
  read_routes(reader, out.route);
  reader.object("redirect", [&](Reader& r) { read_redirect(r, out.redirect.emplace()); });
  reader.object("directResponse", [&](Reader& r) {
    out.direct_response.emplace();
    out.direct_response->status = static_cast<int>(r.integer("status"));
    r.object("body", [&](Reader& body) {
      if (body.has("string")) out.direct_response->body = body.text("string");
      if (!body.has("bytes")) return;
      auto bytes = base64_decode(body.text("bytes"));
      if (!bytes) return body.error("bytes", "must be base64");
      out.direct_response->body = *std::move(bytes);
    });
  });
  reader.object("delegate", [&](Reader& r) {
    out.delegate = Delegate{r.text("name"), r.text("namespace")};
  });
  reader.object("rewrite", [&](Reader& r) {
    out.rewrite.emplace();
    out.rewrite->uri = r.text("uri");
    out.rewrite->authority = r.text("authority");
    r.object("uriRegexRewrite", [&](Reader& regex) {
      out.rewrite->uri_regex = HttpRewrite::Regex{regex.text("match"), regex.text("rewrite")};
    });
  });
  out.timeout = reader.duration("timeout");
  reader.object("retries", [&](Reader& r) { read_retry(r, out.retries.emplace()); });
  reader.object("fault", [&](Reader& r) { read_fault(r, out.fault.emplace()); });
  read_mirrors(reader, out);
  reader.object("corsPolicy", [&](Reader& r) { read_cors(r, out.cors.emplace()); });
  read_headers(reader, out.headers);
}

void read_l4_match(Reader& reader, L4Match& out) {
  out.sni_hosts = reader.texts("sniHosts");
  out.destination_subnets = reader.texts("destinationSubnets");
  out.port = static_cast<int>(reader.integer("port"));
  reader.unused("sourceSubnet", "match by sourceLabels or sourceNamespace");
  out.source_labels = reader.map("sourceLabels");
  out.source_namespace = reader.text("sourceNamespace");
  out.gateways = reader.texts("gateways");
}

void read_l4_route(Reader& reader, L4Route& out) {
  reader.each("match", [&](Reader& r) { read_l4_match(r, out.match.emplace_back()); });
  reader.each("route", [&](Reader& item) {
    RouteDestination& route = out.route.emplace_back();
    item.object("destination", [&](Reader& r) { read_destination(r, route.destination); });
    route.weight = static_cast<int>(item.integer("weight"));
  });
}

}  // namespace

void read_retry(Reader& reader, HttpRetry& out) {
  out.attempts = static_cast<int>(reader.integer("attempts"));
  out.per_try_timeout = reader.duration("perTryTimeout");
  out.retry_on = reader.text("retryOn");
  out.retry_remote_localities = reader.maybe_flag("retryRemoteLocalities");
  out.retry_ignore_previous_hosts = reader.maybe_flag("retryIgnorePreviousHosts");
  out.backoff = reader.duration("backoff");
}

void read_spec(Reader& reader, VirtualService& spec) {
  spec.hosts = reader.texts("hosts");
  spec.gateways = reader.texts("gateways");
  reader.each("http", [&](Reader& r) { read_http_route(r, spec.http.emplace_back()); });
  reader.each("tls", [&](Reader& r) { read_l4_route(r, spec.tls.emplace_back()); });
  reader.each("tcp", [&](Reader& r) { read_l4_route(r, spec.tcp.emplace_back()); });
  spec.export_to = reader.texts("exportTo");
}

std::string resolve_gateway(std::string_view gateway, std::string_view ns) {
  if (gateway == "mesh" || gateway.find('/') != std::string_view::npos || gateway.empty()) {
    return std::string(gateway);
  }
  // "name.namespace.svc.cluster.local" is the old long form.
  const auto parts = split(gateway, '.');
  if (parts.size() >= 2 && parts.size() > 2 && parts[2] == "svc") {
    return std::string(parts[1]) + "/" + std::string(parts[0]);
  }
  return std::string(ns) + "/" + std::string(gateway);
}

}  // namespace lateen::mesh
