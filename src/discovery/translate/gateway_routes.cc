// Routes of the Gateway API: bound to listeners (or to services, for the mesh), and written as
// VirtualServices: one per listener and host, its rules in the order that the API prescribes.
#include <algorithm>

#include "base/strings.h"
#include "discovery/translate/gateway_api.h"
#include "mesh/hostname.h"

namespace lateen::discovery {
namespace {

using data::get_array;
using data::get_string;
using data::Json;
using data::JsonArray;
using data::JsonObject;
using mesh::HttpMatch;
using mesh::HttpRoute;
using mesh::StringMatch;

// A rule, and what its place among the others depends on.
struct Rule {
  HttpRoute route;
  int path_rank = 0;  // exact, regex, prefix
  std::size_t path_length = 0;
  bool has_method = false;
  std::size_t headers = 0, queries = 0;
  mesh::Meta meta;
  std::size_t index = 0;
};

bool is_before(const Rule& a, const Rule& b) {
  const auto rank = [](const Rule& r) {
    return std::make_tuple(r.path_rank, r.path_length, r.has_method, r.headers, r.queries);
  };
  if (rank(a) != rank(b)) return rank(a) > rank(b);
  if (a.meta.created != b.meta.created) return a.meta.created < b.meta.created;
  return std::tie(a.meta.ns, a.meta.name, a.index) < std::tie(b.meta.ns, b.meta.name, b.index);
}

// What is wrong with a route's references; the first problem counts.
struct Problems {
  std::string reason, message;
  void add(std::string_view why, std::string text) {
    if (!reason.empty()) return;
    reason = why;
    message = std::move(text);
  }
};

class RouteReader {
 public:
  RouteReader(const TranslationInput& input, const Json& object, Problems& problems)
      : input_(input), object_(object), meta_(mesh::read_meta(object)), problems_(problems) {}

  std::vector<Rule> http_rules() const {
    std::vector<Rule> out;
    for (const Json& rule : get_array(object_, {"spec", "rules"})) add_rule(rule, out);
    return out;
  }

  std::vector<mesh::RouteDestination> l4_destinations() const {
    std::vector<mesh::RouteDestination> out;
    for (const Json& rule : get_array(object_, {"spec", "rules"})) add_backends(rule, out);
    return out;
  }

 private:
  // False: the backend cannot be used, its share of the traffic is answered with an error.
  bool read_backend(const Json& reference, mesh::Destination& out) const {
    const std::string ns(get_string(reference, {"namespace"}, meta_.ns));
    const std::string name(get_string(reference, {"name"}));
    const std::string_view kind = get_string(reference, {"kind"}, "Service");
    if (kind != "Service" || !get_string(reference, {"group"}).empty()) {
      problems_.add("InvalidKind", "backendRefs must be Services, not " + std::string(kind));
      return false;
    }
    if (!is_reference_granted(input_.objects, meta_.kind, meta_.ns, "", "Service", ns, name)) {
      problems_.add("RefNotPermitted", "no ReferenceGrant in namespace " + ns + " lets a " +
                                           meta_.kind + " of " + meta_.ns + " use Service " + name);
      return false;
    }
    out.host = name + "." + ns + ".svc." + input_.domain;
    out.port = static_cast<int>(data::get_int(reference, {"port"}));
    const bool exists = std::any_of(input_.services.begin(), input_.services.end(),
                                    [&](const auto& s) { return s->host == out.host; });
    if (!exists) problems_.add("BackendNotFound", "backend(" + out.host + ") not found");
    return exists;
  }

  // The share of backends that cannot be used.
  std::int64_t add_backends(const Json& rule, std::vector<mesh::RouteDestination>& out) const {
    std::int64_t lost = 0;
    for (const Json& item : get_array(rule, {"backendRefs"})) {
      const std::int64_t weight = data::get_int(item, {"weight"}, 1);
      mesh::RouteDestination to;
      to.weight = static_cast<int>(weight);
      if (!read_backend(item, to.destination)) {
        lost += weight;
        continue;
      }
      HttpRoute filtered;
      read_filters(item, filtered);
      to.headers = filtered.headers;
      if (weight > 0) out.push_back(std::move(to));
    }
    return lost;
  }

  static void read_operations(const Json* from, mesh::HeaderOperations& out) {
    if (from == nullptr) return;
    for (const Json& item : get_array(*from, {"set"})) {
      out.set[std::string(get_string(item, {"name"}))] = get_string(item, {"value"});
    }
    for (const Json& item : get_array(*from, {"add"})) {
      out.add[std::string(get_string(item, {"name"}))] = get_string(item, {"value"});
    }
    for (const Json& item : get_array(*from, {"remove"})) {
      out.remove.emplace_back(data::as_string(item));
    }
  }

  static void read_redirect(const Json& filter, HttpRoute& out) {
    const Json* from = data::find(filter, {"requestRedirect"});
    if (from == nullptr) return;
    mesh::HttpRedirect& redirect = out.redirect.emplace();
    redirect.scheme = get_string(*from, {"scheme"});
    redirect.authority = get_string(*from, {"hostname"});
    redirect.code = static_cast<int>(data::get_int(*from, {"statusCode"}, 302));
    if (const auto port = data::get_int(*from, {"port"}); port > 0) {
      redirect.port = static_cast<int>(port);
    } else {
      redirect.derive_port = redirect.scheme.empty()
                                 ? mesh::HttpRedirect::DerivePort::kFromRequestPort
                                 : mesh::HttpRedirect::DerivePort::kFromProtocolDefault;
    }
    if (get_string(*from, {"path", "type"}) == "ReplacePrefixMatch") {
      redirect.prefix_rewrite = get_string(*from, {"path", "replacePrefixMatch"});
      if (redirect.prefix_rewrite.empty()) redirect.prefix_rewrite = "/";
    } else {
      redirect.uri = get_string(*from, {"path", "replaceFullPath"});
    }
  }

  static void read_rewrite(const Json& filter, HttpRoute& out) {
    const Json* from = data::find(filter, {"urlRewrite"});
    if (from == nullptr) return;
    mesh::HttpRewrite& rewrite = out.rewrite.emplace();
    rewrite.authority = get_string(*from, {"hostname"});
    if (get_string(*from, {"path", "type"}) == "ReplaceFullPath") {
      std::string full(get_string(*from, {"path", "replaceFullPath"}));
      rewrite.uri_regex = mesh::HttpRewrite::Regex{"/.*", full.empty() ? "/" : full};
    } else if (data::find(*from, {"path"}) != nullptr) {
      rewrite.uri = get_string(*from, {"path", "replacePrefixMatch"});
      if (rewrite.uri.empty()) rewrite.uri = "/";
    }
  }

  void read_filters(const Json& holder, HttpRoute& out) const {
    for (const Json& filter : get_array(holder, {"filters"})) {
      const std::string_view type = get_string(filter, {"type"});
      if (type == "RequestHeaderModifier") {
        read_operations(data::find(filter, {"requestHeaderModifier"}), out.headers.request);
      } else if (type == "ResponseHeaderModifier") {
        read_operations(data::find(filter, {"responseHeaderModifier"}), out.headers.response);
      } else if (type == "RequestRedirect") {
        read_redirect(filter, out);
      } else if (type == "URLRewrite") {
        read_rewrite(filter, out);
      } else if (type == "RequestMirror") {
        mesh::HttpMirror mirror;
        const Json* to = data::find(filter, {"requestMirror", "backendRef"});
        if (to == nullptr || !read_backend(*to, mirror.destination)) continue;
        if (const Json* percent = data::find(filter, {"requestMirror", "percent"})) {
          mirror.percent = data::as_number(*percent).value_or(100);
        }
        out.mirrors.push_back(std::move(mirror));
      } else {
        problems_.add("UnsupportedValue", "filter " + std::string(type) + " is not supported");
      }
    }
  }

  static StringMatch read_value(const Json& from) {
    const bool is_regex = get_string(from, {"type"}) == "RegularExpression";
    return {is_regex ? StringMatch::Kind::kRegex : StringMatch::Kind::kExact,
            std::string(get_string(from, {"value"}))};
  }

  static void read_conditions(const Json& match, Rule& rule, HttpMatch& out) {
    for (const Json& header : get_array(match, {"headers"})) {
      out.headers.emplace(std::string(get_string(header, {"name"})), read_value(header));
    }
    for (const Json& query : get_array(match, {"queryParams"})) {
      out.query_params.emplace(std::string(get_string(query, {"name"})), read_value(query));
    }
    if (const std::string_view method = get_string(match, {"method"}); !method.empty()) {
      out.method = StringMatch{StringMatch::Kind::kExact, std::string(method)};
    }
    rule.has_method = out.method.has_value();
    rule.headers = out.headers.size();
    rule.queries = out.query_params.size();
  }

  // gRPC's service and method are its path.
  static std::optional<StringMatch> grpc_path(const Json& match) {
    const std::string service(get_string(match, {"method", "service"}));
    const std::string method(get_string(match, {"method", "method"}));
    const bool is_regex = get_string(match, {"method", "type"}) == "RegularExpression";
    if (service.empty() && method.empty()) return std::nullopt;
    if (!is_regex && !service.empty()) {
      if (!method.empty()) {
        return StringMatch{StringMatch::Kind::kExact, "/" + service + "/" + method};
      }
      return StringMatch{StringMatch::Kind::kPrefix, "/" + service + "/"};
    }
    return StringMatch{StringMatch::Kind::kRegex, "/" + (service.empty() ? "[^/]+" : service) +
                                                      "/" + (method.empty() ? "[^/]+" : method)};
  }

  void add_rule(const Json& rule, std::vector<Rule>& out) const {
    HttpRoute base;
    base.name = get_string(rule, {"name"});
    read_filters(rule, base);
    const std::int64_t lost = add_backends(rule, base.route);
    if (!base.redirect && base.route.empty()) {
      mesh::HttpDirectResponse& error = base.direct_response.emplace();
      error.status = 500;
    } else if (lost > 0 && base.route.size() == 1) {
      base.route.front().weight = 1;
    }
    for (const char* key : {"request", "backendRequest"}) {
      const std::string_view text = get_string(rule, {"timeouts", key});
      if (text.empty()) continue;
      if (auto span = parse_duration(text); span.ok()) base.timeout = *span;
    }
    read_retry(rule, base);
    const auto& matches = get_array(rule, {"matches"});
    if (matches.empty()) return add_match(Json(JsonObject{}), base, out);
    for (const Json& match : matches) add_match(match, base, out);
  }

  static void read_retry(const Json& rule, HttpRoute& out) {
    const Json* from = data::find(rule, {"retry"});
    if (from == nullptr) return;
    mesh::HttpRetry& retry = out.retries.emplace();
    retry.attempts = static_cast<int>(data::get_int(*from, {"attempts"}, 2));
    retry.retry_on = "connect-failure,refused-stream,unavailable,cancelled";
    for (const Json& code : get_array(*from, {"codes"})) {
      retry.retry_on += "," + std::to_string(data::as_int(code).value_or(0));
    }
    if (auto span = parse_duration(get_string(*from, {"backoff"})); span.ok()) {
      retry.backoff = *span;
    }
  }

  // A prefix is one of whole elements: "/a" is for "/a" and "/a/…". Both get a rule of their own,
  // since what a rewrite replaces differs.
  void add_match(const Json& match, const HttpRoute& base, std::vector<Rule>& out) const {
    Rule rule;
    rule.route = base;
    rule.meta = meta_;
    rule.index = out.size();
    HttpMatch conditions;
    read_conditions(match, rule, conditions);
    const auto add = [&](std::optional<StringMatch> uri, int rank, std::size_t length,
                         bool has_slash) {
      Rule made = rule;
      made.path_rank = rank;
      made.path_length = length;
      HttpMatch with_path = conditions;
      with_path.uri = std::move(uri);
      const auto slash = [&](std::string& text) {
        if (has_slash && !text.empty() && !text.ends_with("/")) text += "/";
      };
      if (made.route.rewrite) slash(made.route.rewrite->uri);
      if (made.route.redirect) slash(made.route.redirect->prefix_rewrite);
      made.route.match.push_back(std::move(with_path));
      out.push_back(std::move(made));
    };
    if (meta_.kind == "GRPCRoute") {
      auto path = grpc_path(match);
      const std::size_t length = path ? path->value.size() : 0;
      const bool is_exact = path && path->kind == StringMatch::Kind::kExact;
      return add(std::move(path), is_exact ? 3 : 1, length, false);
    }
    const std::string path(get_string(match, {"path", "value"}, "/"));
    const std::string_view type = get_string(match, {"path", "type"}, "PathPrefix");
    if (type == "Exact") {
      add(StringMatch{StringMatch::Kind::kExact, path}, 3, path.size(), false);
    } else if (type == "RegularExpression") {
      add(StringMatch{StringMatch::Kind::kRegex, path}, 2, path.size(), false);
    } else if (path == "/" || path.empty()) {
      add(StringMatch{StringMatch::Kind::kPrefix, "/"}, 1, 1, true);
    } else {
      std::string bare = path;
      while (bare.size() > 1 && bare.ends_with("/")) bare.pop_back();
      add(StringMatch{StringMatch::Kind::kExact, bare}, 1, bare.size(), false);
      add(StringMatch{StringMatch::Kind::kPrefix, bare + "/"}, 1, bare.size(), true);
    }
  }

  const TranslationInput& input_;
  const Json& object_;
  mesh::Meta meta_;
  Problems& problems_;
};

bool labels_fit(const Json& selector, const mesh::Labels& labels) {
  for (const auto& entry : data::get_object(selector, {"matchLabels"})) {
    if (mesh::label_of(labels, std::string_view(entry.key())) != data::as_string(entry.value())) {
      return false;
    }
  }
  return true;
}

bool admits_namespace(const TranslationInput& input, const Listener& listener,
                      const std::string& gateway_ns, const std::string& ns) {
  const std::string_view from =
      get_string(*listener.value, {"allowedRoutes", "namespaces", "from"}, "Same");
  if (from == "All") return true;
  if (from == "Same") return ns == gateway_ns;
  const auto found = input.objects.find({"Namespace", "", ns});
  const Json* selector = data::find(*listener.value, {"allowedRoutes", "namespaces", "selector"});
  return found != input.objects.end() && selector != nullptr &&
         labels_fit(*selector, mesh::read_labels(found->second));
}

bool admits_kind(const Listener& listener, std::string_view kind) {
  const auto& kinds = get_array(*listener.value, {"allowedRoutes", "kinds"});
  if (!kinds.empty()) {
    return std::any_of(kinds.begin(), kinds.end(),
                       [&](const Json& item) { return get_string(item, {"kind"}) == kind; });
  }
  if (kind == "HTTPRoute" || kind == "GRPCRoute") {
    return listener.protocol == "HTTP" || listener.protocol == "HTTPS";
  }
  if (kind == "TLSRoute") return listener.protocol == "TLS";
  return listener.protocol == "TCP" || (listener.protocol == "TLS" && !listener.is_passthrough);
}

// The names that both the listener and the route have.
std::vector<std::string> shared_hosts(const std::string& listener,
                                      const std::vector<std::string>& route) {
  if (route.empty()) return {listener.empty() ? "*" : listener};
  std::vector<std::string> out;
  for (const std::string& host : route) {
    if (listener.empty() || mesh::host_covers(listener, host)) {
      out.push_back(host);
    } else if (mesh::host_covers(host, listener)) {
      out.push_back(listener);
    }
  }
  return out;
}

class Binder {
 public:
  Binder(const TranslationInput& input, std::vector<BoundGateway>& gateways, Translation& out)
      : input_(input), gateways_(gateways), out_(out) {}

  void bind(const Translation::Key& key, const Json& object) {
    kind_ = std::get<0>(key);
    ns_ = std::get<1>(key);
    object_ = &object;
    hosts_.clear();
    for (const Json& host : get_array(object, {"spec", "hostnames"})) {
      hosts_.emplace_back(data::as_string(host));
    }
    Problems references;
    const RouteReader reader(input_, object, references);
    const bool is_http = kind_ == "HTTPRoute" || kind_ == "GRPCRoute";
    std::vector<Rule> rules;
    if (is_http) rules = reader.http_rules();
    std::vector<mesh::RouteDestination> destinations;
    if (!is_http) destinations = reader.l4_destinations();
    JsonArray parents;
    const std::int64_t generation = data::get_int(object, {"metadata", "generation"});
    for (const Json& parent : get_array(object, {"spec", "parentRefs"})) {
      Problems problems;
      if (get_string(parent, {"kind"}, "Gateway") == "Service") {
        attach_to_service(parent, rules, destinations);
      } else if (!attach_to_gateway(parent, rules, destinations, problems)) {
        continue;  // somebody else's gateway
      }
      const bool is_accepted = problems.reason.empty();
      const bool is_resolved = references.reason.empty();
      parents.push_back(JsonObject{
          {"parentRef", parent},
          {"controllerName", kGatewayController},
          {"conditions",
           JsonArray{condition("Accepted", is_accepted, is_accepted ? "Accepted" : problems.reason,
                               is_accepted ? "Route was valid" : problems.message, generation),
                     condition("ResolvedRefs", is_resolved,
                               is_resolved ? "ResolvedRefs" : references.reason,
                               is_resolved ? "All references resolved" : references.message,
                               generation)}}});
    }
    if (!parents.empty()) out_.statuses[key] = JsonObject{{"parents", std::move(parents)}};
  }

  // Rules of all routes for one host at one listener (or in the mesh) are one list.
  void write() {
    for (auto& [key, rules] : http_) {
      const auto& [gateway, host] = key;
      std::stable_sort(rules.begin(), rules.end(), is_before);
      mesh::VirtualService spec;
      spec.hosts = {host};
      spec.gateways = {gateway};
      for (Rule& rule : rules) spec.http.push_back(std::move(rule.route));
      add(rules.front().meta, gateway, host, std::move(spec));
    }
  }

 private:
  void add(mesh::Meta meta, const std::string& gateway, const std::string& host,
           mesh::VirtualService spec) {
    mesh::Config<mesh::VirtualService> config;
    config.meta = std::move(meta);
    config.meta.name += "-" + host + "-" + replace_all(gateway, "/", "-");
    config.meta.kind = "VirtualService";
    config.meta.api_version = "networking.istio.io/v1";
    config.spec = std::move(spec);
    out_.virtual_services.push_back(
        std::make_shared<const mesh::Config<mesh::VirtualService>>(std::move(config)));
  }

  void add_l4(const std::string& gateway, const std::vector<std::string>& hosts, bool is_tls,
              const std::vector<mesh::RouteDestination>& destinations) {
    if (destinations.empty()) return;
    mesh::VirtualService spec;
    spec.hosts = hosts;
    spec.gateways = {gateway};
    mesh::L4Route route;
    route.route = destinations;
    if (is_tls) {
      route.match.emplace_back().sni_hosts = hosts;
      spec.tls.push_back(std::move(route));
    } else {
      spec.tcp.push_back(std::move(route));
    }
    add(mesh::read_meta(*object_), gateway, hosts.front(), std::move(spec));
  }

  // False: no gateway of ours has that name.
  bool attach_to_gateway(const Json& parent, const std::vector<Rule>& rules,
                         const std::vector<mesh::RouteDestination>& destinations,
                         Problems& problems) {
    const std::string ns(get_string(parent, {"namespace"}, ns_));
    const std::string_view name = get_string(parent, {"name"});
    const auto gateway =
        std::find_if(gateways_.begin(), gateways_.end(),
                     [&](const BoundGateway& g) { return g.ns == ns && g.name == name; });
    if (gateway == gateways_.end()) return false;
    const std::string_view section = get_string(parent, {"sectionName"});
    const auto port = data::get_int(parent, {"port"});
    bool is_found = false;
    bool is_allowed = false;
    bool is_attached = false;
    for (Listener& listener : gateway->listeners) {
      if (!section.empty() && listener.name != section) continue;
      if (port != 0 && listener.port != port) continue;
      is_found = true;
      if (!admits_kind(listener, kind_) || !admits_namespace(input_, listener, ns, ns_)) continue;
      is_allowed = true;
      const auto hosts = shared_hosts(listener.hostname, hosts_);
      if (hosts.empty()) continue;
      is_attached = true;
      ++listener.attached;
      for (const std::string& host : hosts) {
        auto& list = http_[{listener.gateway, host}];
        list.insert(list.end(), rules.begin(), rules.end());
        if (list.empty()) http_.erase({listener.gateway, host});
      }
      add_l4(listener.gateway, hosts, kind_ == "TLSRoute" && listener.is_passthrough, destinations);
    }
    if (!is_found) {
      problems.add("NoMatchingParent", "the gateway has no such listener");
    } else if (!is_allowed) {
      problems.add("NotAllowedByListeners", "no listener allows a " + kind_ + " of " + ns_);
    } else if (!is_attached) {
      problems.add("NoMatchingListenerHostname", "no listener has one of the route's hostnames");
    }
    return true;
  }

  // Routes of services are for their clients in the mesh.
  void attach_to_service(const Json& parent, const std::vector<Rule>& rules,
                         const std::vector<mesh::RouteDestination>& destinations) {
    const std::string host = std::string(get_string(parent, {"name"})) + "." +
                             std::string(get_string(parent, {"namespace"}, ns_)) + ".svc." +
                             input_.domain;
    const int port = static_cast<int>(data::get_int(parent, {"port"}));
    for (Rule rule : rules) {
      for (HttpMatch& match : rule.route.match) match.port = port;
      http_[{"mesh", host}].push_back(std::move(rule));
    }
    add_l4("mesh", {host}, kind_ == "TLSRoute", destinations);
  }

  const TranslationInput& input_;
  std::vector<BoundGateway>& gateways_;
  Translation& out_;
  std::string kind_, ns_;
  const Json* object_ = nullptr;
  std::vector<std::string> hosts_;
  std::map<std::pair<std::string, std::string>, std::vector<Rule>> http_;
};

}  // namespace

void bind_routes(const TranslationInput& input, std::vector<BoundGateway>& gateways,
                 Translation& out) {
  Binder binder(input, gateways, out);
  for (const auto& [key, object] : input.objects) {
    const std::string& kind = std::get<0>(key);
    if (kind == "HTTPRoute" || kind == "GRPCRoute" || kind == "TCPRoute" || kind == "TLSRoute") {
      binder.bind(key, object);
    }
  }
  binder.write();
}

}  // namespace lateen::discovery
