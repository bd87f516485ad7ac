// What is around the mesh's config: injection webhooks and images, control planes, the Gateway API.
#include <fmt/core.h>

#include <algorithm>

#include "base/strings.h"
#include "mesh/analyze/catalog.h"

namespace lateen::mesh {
namespace {

using data::get_array;
using data::get_string;

Labels map_at(const data::Json& object, std::initializer_list<std::string_view> path) {
  Labels out;
  for (const auto& entry : data::get_object(object, path)) {
    out.emplace(std::string(entry.key()), std::string(data::as_string(entry.value())));
  }
  return out;
}

// A Kubernetes label selector on labels: matchLabels and matchExpressions.
bool selector_fits(const data::Json* selector, const Labels& labels) {
  if (selector == nullptr) return true;
  if (!selects(map_at(*selector, {"matchLabels"}), labels)) return false;
  for (const data::Json& term : get_array(*selector, {"matchExpressions"})) {
    const std::string_view key = get_string(term, {"key"});
    const std::string_view op = get_string(term, {"operator"});
    const auto found = labels.find(key);
    bool is_listed = false;
    for (const data::Json& value : get_array(term, {"values"})) {
      is_listed |= found != labels.end() && found->second == data::as_string(value);
    }
    if (op == "In" && !is_listed) return false;
    if (op == "NotIn" && is_listed) return false;
    if (op == "Exists" && found == labels.end()) return false;
    if (op == "DoesNotExist" && found != labels.end()) return false;
  }
  return true;
}

struct Hook {
  const AnalysisObject* source;
  const data::Json* value;
  std::string name;  // of the configuration and the webhook in it
};

std::vector<Hook> injection_hooks(const Catalog& catalog, std::set<std::string>& revisions) {
  std::vector<Hook> out;
  for (const AnalysisObject* object : catalog.mutating_webhooks) {
    const std::string name(get_string(object->value, {"metadata", "name"}));
    const Labels labels = read_labels(object->value);
    const auto revision = label_of(labels, "istio.io/rev");
    bool is_ours = !revision.empty();
    for (const data::Json& hook : get_array(object->value, {"webhooks"})) {
      is_ours |= get_string(hook, {"name"}).ends_with("istio.io");
    }
    if (!is_ours) continue;
    if (!revision.empty()) revisions.emplace(revision);
    for (const data::Json& hook : get_array(object->value, {"webhooks"})) {
      out.push_back({object, &hook, name + "/" + std::string(get_string(hook, {"name"}))});
    }
  }
  return out;
}

// Every combination of labels that decide about injection must be one webhook's, or none's.
void check_webhooks(Catalog& catalog) {
  std::set<std::string> revisions;
  const std::vector<Hook> hooks = injection_hooks(catalog, revisions);
  const auto combinations = [&](const char* key, const char* yes, const char* no) {
    std::vector<Labels> out;
    std::vector<std::string> revs(revisions.begin(), revisions.end());
    revs.emplace_back();
    for (const std::string& revision : revs) {
      for (const char* value : {"", yes, no}) {
        Labels labels;
        if (*value != 0) labels[key] = value;
        if (!revision.empty()) labels["istio.io/rev"] = revision;
        out.push_back(std::move(labels));
      }
    }
    return out;
  };
  for (const Labels& ns : combinations("istio-injection", "enabled", "disabled")) {
    for (const Labels& pod : combinations("sidecar.istio.io/inject", "true", "false")) {
      std::vector<const Hook*> matching;
      for (const Hook& hook : hooks) {
        if (selector_fits(data::find(*hook.value, {"namespaceSelector"}), ns) &&
            selector_fits(data::find(*hook.value, {"objectSelector"}), pod)) {
          matching.push_back(&hook);
        }
      }
      if (matching.size() < 2) continue;
      for (const Hook* hook : matching) {
        std::vector<std::string> others;
        for (const Hook* other : matching) {
          if (other != hook) others.push_back(other->name);
        }
        std::sort(others.begin(), others.end());
        catalog.add(*hook->source, "IST0139",
                    fmt::format("Webhook overlaps with others: [{}]. This may cause injection to "
                                "occur twice.",
                                join(others, " ")));
      }
    }
  }
  if (catalog.services.empty()) return;
  for (const Hook& hook : hooks) {
    const data::Json* service = data::find(*hook.value, {"clientConfig", "service"});
    if (service == nullptr) continue;
    const std::string ns(get_string(*service, {"namespace"}));
    const std::string name(get_string(*service, {"name"}));
    const bool exists = std::any_of(
        catalog.services.begin(), catalog.services.end(),
        [&](const auto& known) { return known.service.ns == ns && known.service.name == name; });
    if (exists) continue;
    catalog.add(*hook.source, "IST0139",
                fmt::format("Injector refers to a control plane service that does not exist: "
                            "{}/{}.",
                            ns, name));
  }
}

// An external control plane's webhook is reached by a URL.
void check_external_control_plane(Catalog& catalog) {
  std::vector<Hook> hooks;
  for (const AnalysisObject& object : catalog.all) {
    const auto kind = get_string(object.value, {"kind"});
    const std::string name(get_string(object.value, {"metadata", "name"}));
    const bool is_validator =
        kind == "ValidatingWebhookConfiguration" &&
        (name == "istiod-default-validator" || name.starts_with("istio-validator"));
    const bool is_injector = kind == "MutatingWebhookConfiguration" &&
                             (name.starts_with("istio-sidecar-injector") ||
                              read_labels(object.value).count("istio.io/rev") > 0);
    if (!is_validator && !is_injector) continue;
    for (const data::Json& hook : get_array(object.value, {"webhooks"}))
      hooks.push_back({&object, &hook, name});
  }
  for (const Hook& hook : hooks) {
    std::string_view url = get_string(*hook.value, {"clientConfig", "url"});
    const std::string name(get_string(*hook.value, {"name"}));
    if (url.empty() && data::find(*hook.value, {"clientConfig", "service"}) != nullptr) continue;
    const std::size_t scheme = url.find("://");
    const std::string_view rest = scheme == std::string_view::npos ? "" : url.substr(scheme + 3);
    const std::string host(rest.substr(0, rest.find_first_of(":/")));
    if (host.empty()) {
      catalog.add(
          *hook.source, "IST0163",
          fmt::format("The hostname ({}) that was provided for the webhook ({}) to reach "
                      "the ingress gateway on the external control plane cluster {}. "
                      "Traffic may not flow properly.",
                      url, name, url.empty() ? "is blank" : "was provided in an invalid format"));
    } else if (host.find_first_not_of("0123456789.") == std::string::npos) {
      catalog.add(*hook.source, "IST0164",
                  fmt::format("The address ({}) that was provided for the webhook ({}) to reach "
                              "the ingress gateway on the external control plane cluster is an IP "
                              "address. This is not recommended for a production environment.",
                              url, name));
    }
  }
}

bool has_auto_image(const data::Json& pod_spec) {
  for (const std::string_view kind : {"containers", "initContainers"}) {
    for (const data::Json& item : get_array(pod_spec, {kind})) {
      if (get_string(item, {"image"}) == "auto") return true;
    }
  }
  return false;
}

void check_auto_images(Catalog& catalog) {
  if (catalog.mutating_webhooks.empty()) return;
  std::set<std::string> revisions;
  const std::vector<Hook> hooks = injection_hooks(catalog, revisions);
  const auto is_injected = [&](std::string_view ns, const Labels& labels) {
    Labels of_namespace;
    for (const AnalysisObject* object : catalog.namespaces) {
      if (get_string(object->value, {"metadata", "name"}) == ns) {
        of_namespace = read_labels(object->value);
      }
    }
    return std::any_of(hooks.begin(), hooks.end(), [&](const Hook& hook) {
      return selector_fits(data::find(*hook.value, {"namespaceSelector"}), of_namespace) &&
             selector_fits(data::find(*hook.value, {"objectSelector"}), labels);
    });
  };
  const auto report = [&](const AnalysisObject& object, const char* kind, const char* code) {
    catalog.add(object, code,
                fmt::format("{} {} contains `image: auto` but does not match any Istio injection "
                            "webhook selectors.",
                            kind, get_string(object.value, {"metadata", "name"})));
  };
  for (const auto& pod : catalog.pods) {
    const data::Json* spec = data::find(pod.source->value, {"spec"});
    if (spec == nullptr || !has_auto_image(*spec)) continue;
    if (!is_injected(pod.workload.ns, pod.workload.labels)) report(*pod.source, "Pod", "IST0147");
  }
  for (const AnalysisObject* deployment : catalog.deployments) {
    const data::Json* spec = data::find(deployment->value, {"spec", "template", "spec"});
    if (spec == nullptr || !has_auto_image(*spec)) continue;
    const Labels labels = map_at(deployment->value, {"spec", "template", "metadata", "labels"});
    if (!is_injected(get_string(deployment->value, {"metadata", "namespace"}), labels)) {
      report(*deployment, "Deployment", "IST0146");
    }
  }
}

// The image that a revision's injector puts into pods now.
std::map<std::string, std::string> injector_images(const Catalog& catalog) {
  constexpr std::string_view kName = "istio-sidecar-injector";
  std::map<std::string, std::string> out;
  for (const AnalysisObject* map : catalog.config_maps) {
    const std::string_view name = get_string(map->value, {"metadata", "name"});
    if (!name.starts_with(kName)) continue;
    const auto values = data::parse_json(get_string(map->value, {"data", "values"}));
    if (!values.ok()) continue;
    const std::string image(get_string(*values, {"global", "proxy", "image"}));
    const data::Json* tag = data::find(*values, {"global", "tag"});
    std::string tag_text(tag != nullptr ? data::as_string(*tag) : "");
    if (tag != nullptr && !tag->is_string()) tag_text = data::dump_json(*tag);
    const std::string revision(name.size() > kName.size() ? name.substr(kName.size() + 1)
                                                          : "default");
    out[revision] =
        image.find('/') != std::string::npos
            ? image
            : std::string(get_string(*values, {"global", "hub"})) + "/" + image + ":" + tag_text;
  }
  return out;
}

void check_proxy_images(Catalog& catalog) {
  const auto images = injector_images(catalog);
  if (images.empty()) return;
  for (const AnalysisObject* ns : catalog.namespaces) {
    const Labels labels = read_labels(ns->value);
    const std::string revision(label_of(labels, "istio.io/rev", "default"));
    const bool is_injected =
        label_of(labels, "istio-injection") == "enabled" || labels.count("istio.io/rev") > 0;
    const auto wanted = images.find(revision);
    if (!is_injected || wanted == images.end()) continue;
    const std::string name(get_string(ns->value, {"metadata", "name"}));
    std::vector<std::string> pods;
    for (const auto& pod : catalog.pods) {
      const data::Json& value = pod.source->value;
      if (pod.workload.ns != name) continue;
      if (!get_string(value, {"metadata", "annotations", "sidecar.istio.io/proxyImage"}).empty()) {
        continue;
      }
      for (const std::string_view kind : {"containers", "initContainers"}) {
        for (const data::Json& item : get_array(value, {"spec", kind})) {
          if (get_string(item, {"name"}) != "istio-proxy") continue;
          const std::string_view image = get_string(item, {"image"});
          const bool is_variant =
              image == wanted->second || image.starts_with(wanted->second + "-");
          if (!is_variant) pods.push_back(pod.workload.name);
        }
      }
    }
    if (pods.empty()) continue;
    std::sort(pods.begin(), pods.end());
    catalog.add(*ns, "IST0158",
                fmt::format("The Istio proxy images of the pods running in the namespace do not "
                            "match the image defined in the injection configuration (pod names: "
                            "[{}]). This often happens after upgrading the Istio control-plane and "
                            "can be fixed by redeploying the pods.",
                            join(pods, " ")));
  }
}

void check_key_set_ranges(Catalog& catalog) {
  std::vector<std::string> names;
  for (const auto& config : catalog.request_authentications) {
    names.push_back(config.config.meta.ns + "/" + config.config.meta.name);
  }
  if (names.empty()) return;
  const std::size_t count = names.size();
  std::string text;
  if (count > 5) {
    names.resize(5);
    text = join(names, ", ") + fmt::format(", and {} more", count - 5);
  } else {
    text = join(names, ", ");
  }
  for (const AnalysisObject* deployment : catalog.deployments) {
    if (label_of(read_labels(deployment->value), "app") != "istiod") continue;
    bool is_set = false;
    for (const data::Json& container :
         get_array(deployment->value, {"spec", "template", "spec", "containers"})) {
      for (const data::Json& variable : get_array(container, {"env"})) {
        is_set |= get_string(variable, {"name"}) == "BLOCKED_CIDRS_IN_JWKS_URIS" &&
                  !get_string(variable, {"value"}).empty();
      }
    }
    if (is_set) continue;
    catalog.add(*deployment, "IST0175",
                fmt::format("BLOCKED_CIDRS_IN_JWKS_URIS is not configured but {} "
                            "RequestAuthentication resource(s) exist ({}). Consider configuring it "
                            "to restrict JWKS URI fetches to trusted networks.",
                            count, text));
  }
}

// Objects of the Gateway API say in their conditions what is wrong with them.
void check_conditions(Catalog& catalog) {
  const auto report = [&](const AnalysisObject& object, const data::JsonArray& conditions) {
    for (const data::Json& condition : conditions) {
      const std::string_view type = get_string(condition, {"type"});
      const bool is_positive_wanted =
          type == "Accepted" || type == "Programmed" || type == "ResolvedRefs";
      if (!is_positive_wanted || get_string(condition, {"status"}) != "False") continue;
      catalog.add(
          object, "IST0171",
          fmt::format("A condition with a negative status is present: type={}, reason={}, "
                      "message={}.",
                      type, get_string(condition, {"reason"}), get_string(condition, {"message"})));
    }
  };
  for (const AnalysisObject& object : catalog.all) {
    if (!get_string(object.value, {"apiVersion"}).starts_with("gateway.networking.k8s.io/")) {
      continue;
    }
    report(object, get_array(object.value, {"status", "conditions"}));
    for (const data::Json& parent : get_array(object.value, {"status", "parents"})) {
      report(object, get_array(parent, {"conditions"}));
    }
  }
}

void check_internal_gateways(Catalog& catalog) {
  for (const auto& config : catalog.virtual_services) {
    int index = -1;
    for (const std::string& gateway : config.config.spec.gateways) {
      ++index;
      if (gateway.find("istio-autogenerated-k8s-gateway") == std::string::npos) continue;
      catalog.add(config, "IST0165",
                  fmt::format("Gateway reference in VirtualService {} is to an "
                              "implementation-generated internal Gateway: {}.",
                              full_name(config.config.meta), gateway),
                  fmt::format("spec.gateways[{}]", index));
    }
  }
}

// Policies that select a Kubernetes Gateway's workload by labels.
template <typename Spec>
void check_gateway_selector(Catalog& catalog, const Analysed<Spec>& config,
                            const Labels& selector) {
  if (selector.empty()) return;
  for (const auto& pod : catalog.pods) {
    const auto gateway = label_of(pod.workload.labels, "gateway.networking.k8s.io/gateway-name");
    if (gateway.empty() || pod.workload.ns != config.config.meta.ns) continue;
    if (!selects(selector, pod.workload.labels)) continue;
    catalog.add(config, "IST0166",
                fmt::format("Ineffective selector on Kubernetes Gateway {}. Use the TargetRef "
                            "field instead.",
                            gateway));
    return;
  }
}

}  // namespace

void analyze_platform(Catalog& catalog) {
  check_webhooks(catalog);
  check_external_control_plane(catalog);
  check_auto_images(catalog);
  check_proxy_images(catalog);
  check_key_set_ranges(catalog);
  check_conditions(catalog);
  check_internal_gateways(catalog);
  for (const auto& config : catalog.authorization_policies) {
    check_gateway_selector(catalog, config, config.config.spec.selector);
  }
  for (const auto& config : catalog.request_authentications) {
    check_gateway_selector(catalog, config, config.config.spec.selector);
  }
  for (const auto& config : catalog.telemetries) {
    check_gateway_selector(catalog, config, config.config.spec.selector);
  }
}

}  // namespace lateen::mesh
