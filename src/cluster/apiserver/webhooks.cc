// See webhooks.h.
#include "cluster/apiserver/webhooks.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <mutex>

#include "base/log.h"
#include "base/strings.h"
#include "cluster/apiserver/discovery.h"
#include "cluster/apiserver/encode.h"
#include "cluster/apiserver/match_conditions.h"
#include "http/blocking_client.h"
#include "kube/patch.h"
#include "kube/selector.h"
#include "tls/context.h"

namespace lateen::cluster::apiserver {

// One webhook of one configuration.
struct Webhooks::Hook {
  StoredPtr configuration;
  const Json* webhook;
  std::string name;
  std::string_view text(std::initializer_list<std::string_view> path) const {
    return data::get_string(*webhook, path);
  }
  bool is_ignored_on_failure() const { return text({"failurePolicy"}) == "Ignore"; }
};

// The version a rule asks for.
struct Webhooks::Matched {
  std::string version;
};

struct Webhooks::Answer {
  Json patch;  // null: none
};

// One client per CA bundle, so that connections are kept.
struct Webhooks::Clients {
  std::mutex mutex;
  std::map<std::string, std::shared_ptr<http::BlockingClient>> by_ca;
  static constexpr std::size_t kMost = 32;
};

Webhooks::Webhooks(const Store& store, const Catalog& catalog, SharedRandom& random,
                   ServiceResolver resolve)
    : store_(store),
      catalog_(catalog),
      random_(random),
      resolve_(std::move(resolve)),
      clients_(std::make_unique<Clients>()) {}
Webhooks::~Webhooks() = default;

std::vector<Webhooks::Hook> Webhooks::hooks_of(std::string_view bucket) const {
  std::vector<Hook> hooks;
  for (const auto& configuration : store_.list(bucket).items) {
    for (const auto& webhook : data::get_array(configuration->value, {"webhooks"})) {
      hooks.push_back({configuration, &webhook, std::string(data::get_string(webhook, {"name"}))});
    }
  }
  return hooks;
}

namespace {

bool has_word(const JsonArray& words, std::string_view wanted) {
  for (const auto& one : words) {
    const auto word = data::as_string(one);
    if (word == "*" || word == wanted) return true;
  }
  return false;
}

bool matches_resource(const JsonArray& resources, const RequestInfo& info) {
  for (const auto& one : resources) {
    const auto word = data::as_string(one);
    if (word == "*/*") return true;
    if (info.subresource.empty()) {
      if (word == "*" || word == info.resource) return true;
      continue;
    }
    const auto parts = split_once(word, "/");
    if (!parts) continue;
    if ((parts->first == "*" || parts->first == info.resource) &&
        (parts->second == "*" || parts->second == info.subresource)) {
      return true;
    }
  }
  return false;
}

bool matches_scope(std::string_view scope, const ResourceType& type) {
  if (scope == "Namespaced") return type.is_namespaced;
  if (scope == "Cluster") return !type.is_namespaced;
  return true;
}

bool matches_selector(const Json* selector, const JsonObject& labels) {
  if (selector == nullptr || !selector->is_object()) return true;
  auto parsed = kube::LabelSelector::from_object(*selector);
  return parsed.ok() && parsed->matches(labels);
}

Json in_version(const ResourceType& type, std::string_view version, const Json& object) {
  Json made = object;
  if (made.is_object() && needs_conversion(type, version)) to_served(type, version, made);
  return made;
}

Json user_info(const User& user) {
  JsonArray groups;
  for (const auto& group : user.groups) groups.emplace_back(group);
  JsonObject info{{"username", user.name}, {"groups", std::move(groups)}};
  if (!user.uid.empty()) info["uid"] = user.uid;
  if (!user.extra.is_null()) info["extra"] = user.extra;
  return info;
}

Status refusal(const std::string& name, const Json& response) {
  const Json* result = data::find(response, {"status"});
  const Json empty = JsonObject{};
  const Json& given = result != nullptr ? *result : empty;
  Status status;
  status.code = static_cast<int>(data::get_int(given, {"code"}, 403));
  if (status.code < 400) status.code = 400;
  status.reason = data::get_string(given, {"reason"});
  const auto message = data::get_string(given, {"message"});
  if (!message.empty()) {
    status.message = fmt::format("admission webhook \"{}\" denied the request: {}", name, message);
  } else if (!status.reason.empty()) {
    status.message =
        fmt::format("admission webhook \"{}\" denied the request: {}", name, status.reason);
  } else {
    status.message =
        fmt::format("admission webhook \"{}\" denied the request without explanation", name);
  }
  if (const Json* details = data::find(given, {"details"})) status.details = *details;
  return status;
}

}  // namespace

std::optional<Webhooks::Matched> Webhooks::match(const Hook& hook,
                                                 const AdmissionAttributes& attributes,
                                                 const Json& object) const {
  const auto& type = *attributes.call.type;
  const auto& info = attributes.call.info;
  // Registrations of webhooks themselves are never sent to webhooks, or a broken one could not be
  // removed.
  if (type.group == "admissionregistration.k8s.io") return std::nullopt;
  std::optional<Matched> matched;
  const bool is_exact = hook.text({"matchPolicy"}) == "Exact";
  for (const auto& rule : data::get_array(*hook.webhook, {"rules"})) {
    if (!has_word(data::get_array(rule, {"operations"}), to_string(attributes.operation))) continue;
    if (!has_word(data::get_array(rule, {"apiGroups"}), type.group)) continue;
    if (!matches_resource(data::get_array(rule, {"resources"}), info)) continue;
    if (!matches_scope(data::get_string(rule, {"scope"}, "*"), type)) continue;
    const auto& versions = data::get_array(rule, {"apiVersions"});
    if (has_word(versions, info.version)) {
      matched = Matched{info.version};
      break;
    }
    if (is_exact) continue;
    for (const auto& served : type.versions) {
      if (served.is_served && has_word(versions, served.name) && !matched)
        matched = Matched{served.name};
    }
    if (matched) break;
  }
  if (!matched) return std::nullopt;
  const Json& labelled = object.is_object() ? object : *attributes.old_object;
  if (const Json* selector = data::find(*hook.webhook, {"namespaceSelector"})) {
    if (type.bucket == "/namespaces") {
      if (!matches_selector(selector, kube::labels_of(labelled))) return std::nullopt;
    } else if (type.is_namespaced) {
      const auto ns = store_.get("/namespaces", {"", attributes.ns});
      const JsonObject none;
      if (!matches_selector(selector, ns != nullptr ? kube::labels_of(ns->value) : none))
        return std::nullopt;
    }
  }
  if (const Json* selector = data::find(*hook.webhook, {"objectSelector"})) {
    const bool is_match =
        (object.is_object() && matches_selector(selector, kube::labels_of(object))) ||
        (attributes.old_object != nullptr &&
         matches_selector(selector, kube::labels_of(*attributes.old_object)));
    if (!is_match) return std::nullopt;
  }
  return matched;
}

Json Webhooks::review_of(const Hook& hook, const Matched& matched,
                         const AdmissionAttributes& attributes, const Json& object) const {
  const auto& call = attributes.call;
  const auto& type = *call.type;
  const auto kind = [&](const std::string& version) {
    if (!call.info.subresource.empty() && call.info.subresource != "status") {
      const auto shape = shape_of(type, version, call.info.subresource);
      return JsonObject{{"group", shape.group}, {"version", shape.version}, {"kind", shape.kind}};
    }
    return JsonObject{{"group", type.group}, {"version", version}, {"kind", type.kind}};
  };
  const auto resource = [&](const std::string& version) {
    return JsonObject{{"group", type.group}, {"version", version}, {"resource", type.plural}};
  };
  std::string review_version = "v1";
  const auto& accepted = data::get_array(*hook.webhook, {"admissionReviewVersions"});
  for (const auto& one : accepted) {
    const auto version = data::as_string(one);
    if (version == "v1" || version == "v1beta1") {
      review_version = version;
      break;
    }
  }
  std::string_view options_kind = "CreateOptions";
  if (attributes.operation == Operation::kUpdate) options_kind = "UpdateOptions";
  if (attributes.operation == Operation::kDelete) options_kind = "DeleteOptions";
  JsonObject options{{"kind", options_kind}, {"apiVersion", "meta.k8s.io/v1"}};
  if (!call.field_manager.empty()) options["fieldManager"] = call.field_manager;
  if (call.is_dry_run) options["dryRun"] = JsonArray{"All"};

  JsonObject request{{"uid", random_.uuid()},
                     {"kind", kind(matched.version)},
                     {"resource", resource(matched.version)},
                     {"requestKind", kind(call.info.version)},
                     {"requestResource", resource(call.info.version)}};
  if (!call.info.subresource.empty()) {
    request["subResource"] = call.info.subresource;
    request["requestSubResource"] = call.info.subresource;
  }
  request["name"] = attributes.name;
  if (!attributes.ns.empty()) request["namespace"] = attributes.ns;
  request["operation"] = to_string(attributes.operation);
  request["userInfo"] = user_info(call.request.user);
  request["object"] = object.is_object() ? in_version(type, matched.version, object) : Json();
  request["oldObject"] = attributes.old_object != nullptr
                             ? in_version(type, matched.version, *attributes.old_object)
                             : Json();
  request["dryRun"] = call.is_dry_run;
  request["options"] = std::move(options);
  return JsonObject{{"kind", "AdmissionReview"},
                    {"apiVersion", "admission.k8s.io/" + review_version},
                    {"request", std::move(request)}};
}

Result<std::string> Webhooks::endpoint_of(std::string_view ns, std::string_view name,
                                          int port) const {
  const kube::Key key{std::string(ns), std::string(name)};
  const auto service = store_.get("/services", key);
  if (service == nullptr) return not_found(fmt::format("service \"{}\" not found", name));
  const Json* service_port = nullptr;
  for (const auto& one : data::get_array(service->value, {"spec", "ports"})) {
    if (data::get_int(one, {"port"}) == port) service_port = &one;
  }
  if (service_port == nullptr)
    return not_found(fmt::format("no service port {} found for service \"{}\"", port, name));
  const auto port_name = data::get_string(*service_port, {"name"});
  const auto endpoints = store_.get("/endpoints", key);
  std::vector<std::string> ready;
  if (endpoints != nullptr) {
    for (const auto& subset : data::get_array(endpoints->value, {"subsets"})) {
      std::int64_t target = 0;
      for (const auto& one : data::get_array(subset, {"ports"})) {
        if (data::get_string(one, {"name"}) == port_name) target = data::get_int(one, {"port"});
      }
      if (target == 0) continue;
      for (const auto& address : data::get_array(subset, {"addresses"})) {
        ready.push_back(fmt::format("{}:{}", data::get_string(address, {"ip"}), target));
      }
    }
  }
  if (ready.empty())
    return unavailable(fmt::format("no endpoints available for service \"{}\"", name));
  return ready[random_.below(ready.size())];
}

Result<Json> Webhooks::post(const Hook& hook, const Json& review) {
  const auto seconds_limit = data::get_int(*hook.webhook, {"timeoutSeconds"}, 10);
  std::string url(hook.text({"clientConfig", "url"}));
  std::string shown = url;
  http::BlockingClientOptions options;
  if (const Json* service = data::find(*hook.webhook, {"clientConfig", "service"})) {
    const std::string ns(data::get_string(*service, {"namespace"}));
    const std::string name(data::get_string(*service, {"name"}));
    const auto port = static_cast<int>(data::get_int(*service, {"port"}, 443));
    const std::string path(data::get_string(*service, {"path"}));
    const std::string host = fmt::format("{}.{}.svc", name, ns);
    shown = fmt::format("https://{}:{}{}", host, port, path);
    url = shown;
    const std::string where =
        TRY((resolve_ ? resolve_(ns, name, port) : endpoint_of(ns, name, port))
                .at(fmt::format("Post \"{}?timeout={}s\"", shown, seconds_limit)));
    options.overrides = {{fmt::format("{}:{}", host, port), where}};
  }
  const std::string ca =
      base64_decode(hook.text({"clientConfig", "caBundle"})).value_or(std::string());
  std::string client_key = ca;
  for (const auto& [name, where] : options.overrides) client_key += name + ">" + where;
  std::shared_ptr<http::BlockingClient> client;
  {
    std::lock_guard lock(clients_->mutex);
    if (clients_->by_ca.size() > Clients::kMost) clients_->by_ca.clear();
    auto& kept = clients_->by_ca[client_key];
    if (kept == nullptr) {
      if (!ca.empty()) {
        tls::Options tls_options;
        tls_options.trusted_ca_pem = ca;
        auto context = tls::Context::make(tls::Context::Role::kClient, tls_options);
        if (!context.ok()) return std::move(context).error().at("caBundle");
        options.tls = *context;
      }
      kept = std::make_shared<http::BlockingClient>(std::move(options));
    }
    client = kept;
  }
  http::PlainRequest request;
  request.method = "POST";
  request.url = fmt::format("{}?timeout={}s", url, seconds_limit);
  request.headers = {{"content-type", "application/json"}, {"accept", "application/json"}};
  request.body = data::dump_json(review);
  request.timeout = seconds(seconds_limit);
  const auto response =
      TRY(client->call(request).at(fmt::format("Post \"{}?timeout={}s\"", shown, seconds_limit)));
  if (response.status != 200) {
    return unavailable(
        fmt::format("the server answered {} {}", response.status, response.body.substr(0, 200)));
  }
  return data::parse_json(response.body);
}

Outcome<Webhooks::Answer> Webhooks::call(const Hook& hook, const Matched& matched,
                                         AdmissionAttributes& attributes, const Json& object) {
  const Json review = review_of(hook, matched, attributes, object);
  const Json* asked = data::find(review, {"request"});
  auto holds = match_conditions_hold(*hook.webhook, *asked);
  if (!holds.ok()) {
    if (hook.is_ignored_on_failure()) return Answer{};
    return Status::forbidden(
        attributes.call.type->group, attributes.call.type->plural, attributes.name,
        fmt::format("admission webhook \"{}\": {}", hook.name, holds.error().message()));
  }
  if (!*holds) return Answer{};
  const auto effects = hook.text({"sideEffects"});
  if (attributes.call.is_dry_run && effects != "None" && effects != "NoneOnDryRun") {
    return Status::bad_request(
        fmt::format("admission webhook \"{}\" does not support dry run", hook.name));
  }
  auto posted = post(hook, review);
  if (!posted.ok()) {
    const std::string why = fmt::format("failed calling webhook \"{}\": failed to call webhook: {}",
                                        hook.name, posted.error().message());
    if (hook.is_ignored_on_failure()) {
      LOG(kWarn, "webhooks", "{}; ignored because its failurePolicy is Ignore", why);
      return Answer{};
    }
    return Status::internal(why);
  }
  const Json* response = data::find(*posted, {"response"});
  const bool is_answer = response != nullptr && data::get_string(*response, {"uid"}) ==
                                                    data::get_string(review, {"request", "uid"});
  if (!is_answer) {
    if (hook.is_ignored_on_failure()) return Answer{};
    return Status::internal(
        fmt::format("failed calling webhook \"{}\": received invalid webhook response: "
                    "webhook response is absent or has another uid",
                    hook.name));
  }
  for (const auto& warning : data::get_array(*response, {"warnings"})) {
    attributes.call.warnings.emplace_back(data::as_string(warning));
  }
  if (!data::get_bool(*response, {"allowed"})) return refusal(hook.name, *response);
  Answer answer;
  if (const auto encoded = data::get_string(*response, {"patch"}); !encoded.empty()) {
    auto bytes = base64_decode(encoded);
    auto patch = bytes.ok() ? data::parse_json(*bytes) : Result<Json>(bytes.error());
    if (!patch.ok()) {
      return Status::internal(fmt::format("webhook \"{}\" sent a patch that is not JSON: {}",
                                          hook.name, patch.error().message()));
    }
    answer.patch = std::move(*patch);
  }
  return answer;
}

Outcome<> Webhooks::mutate(AdmissionAttributes& attributes, Json& object) {
  const auto hooks = hooks_of("admissionregistration.k8s.io/mutatingwebhookconfigurations");
  std::vector<const Hook*> again;  // called already, ask to be called when others change the object
  bool is_changed_since = false;
  const auto run = [&](const Hook& hook) -> Outcome<> {
    const auto matched = match(hook, attributes, object);
    if (!matched) return {};
    const Answer answer = TRY(call(hook, *matched, attributes, object));
    if (!answer.patch.is_array() || !object.is_object()) return {};
    const auto& type = *attributes.call.type;
    auto patched = kube::json_patch(in_version(type, matched->version, object), answer.patch);
    if (!patched.ok()) {
      return Status::internal(
          fmt::format("webhook \"{}\": {}", hook.name, patched.error().message()));
    }
    if (needs_conversion(type, matched->version)) to_storage(type, matched->version, *patched);
    if (!data::equal(*patched, object)) is_changed_since = true;
    object = std::move(*patched);
    return {};
  };
  for (const auto& hook : hooks) {
    is_changed_since = false;
    TRY(run(hook));
    const bool is_changed = is_changed_since;
    // Reinvocation: one more time each, after all others.
    if (is_changed) {
      for (const auto& earlier : hooks) {
        if (&earlier == &hook) break;
        const bool wants = earlier.text({"reinvocationPolicy"}) == "IfNeeded";
        if (wants && std::find(again.begin(), again.end(), &earlier) == again.end())
          again.push_back(&earlier);
      }
    }
  }
  for (const Hook* hook : again) TRY(run(*hook));
  return {};
}

Outcome<> Webhooks::validate(AdmissionAttributes& attributes, const Json& object) {
  for (const auto& hook :
       hooks_of("admissionregistration.k8s.io/validatingwebhookconfigurations")) {
    const auto matched = match(hook, attributes, object);
    if (!matched) continue;
    TRY(call(hook, *matched, attributes, object));
  }
  return {};
}

}  // namespace lateen::cluster::apiserver
