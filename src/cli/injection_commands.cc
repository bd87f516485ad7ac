// experimental check-inject and injector list: which webhook injects which pods, and why not.
#include <algorithm>
#include <map>

#include "base/strings.h"
#include "cli/istioctl.h"
#include "kube/names.h"
#include "kube/selector.h"

namespace lateen::cli {
namespace {

constexpr std::string_view kRevisionLabel = "istio.io/rev";
constexpr std::string_view kInjectionLabel = "istio-injection";
constexpr std::string_view kInjectLabel = "sidecar.istio.io/inject";

std::string pair_text(std::string_view key, std::string_view value) {
  return std::string(key) + "=" + std::string(value);
}

std::string_view label_in(const data::JsonObject& labels, std::string_view key) {
  const Json* found = labels.if_contains(key);
  return found == nullptr ? std::string_view() : data::as_string(*found);
}

bool selects(const Json* selector, const data::JsonObject& labels) {
  const auto parsed = kube::LabelSelector::from_object(selector == nullptr ? Json() : *selector);
  return parsed && parsed->matches(labels);
}

// Whether a webhook's selector takes these labels, and the label that says so.
struct Match {
  bool holds = false;
  std::string by;
};

Match match(const Json* selector, const data::JsonObject& labels) {
  if (selector == nullptr) return {true, {}};
  if (!selects(selector, labels)) return {};
  for (const Json& each : data::get_array(*selector, {"matchExpressions"})) {
    const auto op = data::get_string(each, {"operator"}), key = data::get_string(each, {"key"});
    if ((op == "In" || op == "NotIn") && labels.contains(key))
      return {true, pair_text(key, label_in(labels, key))};
  }
  return {true, {}};
}

// The label of a pod that a selector keeps out.
std::string preventing(const Json* selector, const data::JsonObject& labels) {
  if (selector == nullptr) return {};
  for (const Json& each : data::get_array(*selector, {"matchExpressions"})) {
    const auto op = data::get_string(each, {"operator"}), key = data::get_string(each, {"key"});
    if (!labels.contains(key)) continue;
    const auto value = label_in(labels, key);
    bool prevents = op == "DoesNotExist";
    if (op == "NotIn") {
      for (const Json& one : data::get_array(each, {"values"}))
        prevents = prevents || data::as_string(one) == value;
    }
    if (prevents) return pair_text(key, value);
  }
  return {};
}

void add_wanted(const Json* selector, std::vector<std::string>& out) {
  if (selector == nullptr) return;
  for (const Json& each : data::get_array(*selector, {"matchExpressions"})) {
    if (data::get_string(each, {"operator"}) != "In") continue;
    for (const Json& value : data::get_array(each, {"values"}))
      out.push_back(pair_text(data::get_string(each, {"key"}), data::as_string(value)));
  }
}

bool is_deactivated(const Json* selector) {
  return selector != nullptr &&
         data::get_string(*selector, {"matchLabels", "istio.io/deactivated"}) == "never-match";
}

struct Verdict {
  bool injects = false;
  std::string reason;
};

// The first webhook of a configuration that decides.
Verdict decide(const data::JsonArray& webhooks, const data::JsonObject& pod,
               const data::JsonObject& ns) {
  for (const Json& webhook : webhooks) {
    const Json *of_ns = data::find(webhook, {"namespaceSelector"}),
               *of_pod = data::find(webhook, {"objectSelector"});
    const Match by_ns = match(of_ns, ns), by_pod = match(of_pod, pod);
    if (by_ns.holds && by_pod.holds) {
      if (!by_ns.by.empty() && !by_pod.by.empty())
        return {true, "Namespace label " + by_ns.by + " matches, and pod label " + by_pod.by +
                          " matches"};
      if (!by_ns.by.empty()) {
        const bool is_everywhere =
            by_ns.by.find("kubernetes.io/metadata.name") != std::string::npos;
        return {true,
                "Namespace label " + by_ns.by + " matches" +
                    (is_everywhere ? " (Automatic injection is enabled in all namespaces)." : "")};
      }
      if (!by_pod.by.empty()) return {true, "Pod label " + by_pod.by + " matches"};
    } else if (by_ns.holds) {
      if (const auto found = preventing(of_pod, pod); !found.empty())
        return {false, "Pod has " + found + " label, preventing injection"};
    } else if (by_pod.holds && ns.contains(kInjectionLabel) &&
               label_in(ns, kInjectionLabel) != "enabled") {
      return {false, "Namespace has " + pair_text(kInjectionLabel, label_in(ns, kInjectionLabel)) +
                         " label, preventing injection"};
    }
  }
  std::vector<std::string> of_ns, of_pod;
  for (const Json& webhook : webhooks) {
    const Json *a = data::find(webhook, {"namespaceSelector"}),
               *b = data::find(webhook, {"objectSelector"});
    if (is_deactivated(a) && is_deactivated(b))
      return {false, "The injection webhook is deactivated, and will never match labels."};
    add_wanted(a, of_ns);
    add_wanted(b, of_pod);
  }
  return {false, "No matching namespace labels (" + join(of_ns, ", ") + ") or pod labels (" +
                     join(of_pod, ", ") + ")"};
}

Result<data::JsonObject> labels_from(const std::string& text) {
  data::JsonObject out;
  for (const auto each : split(text, ',')) {
    if (trim(each).empty()) continue;
    const auto pair = split_once(trim(each), "=");
    if (!pair) return invalid("\"" + std::string(each) + "\" is not a label: write KEY=VALUE");
    out[pair->first] = Json(pair->second);
  }
  return out;
}

Result<> check_inject(Session& session, const std::string& pod_text, const std::string& labels) {
  if (pod_text.empty() == labels.empty()) {
    return invalid(
        "check-inject requires only [<resource-type>/]<resource-name>[.<namespace>], or specify "
        "labels flag");
  }
  kube::Client* client = TRY(session.client());
  std::string ns_name = TRY(session.effective_namespace());
  data::JsonObject of_pod;
  if (pod_text.empty()) {
    of_pod = TRY(labels_from(labels));
  } else {
    const Json pod = TRY(find_pod(session, pod_text));
    of_pod = kube::labels_of(pod);
    ns_name = kube::namespace_of(pod);
  }
  const Json ns = TRY(client->get(kube::resources::namespaces(), {"", ns_name}));
  const Json hooks = TRY(client->list(kube::resources::mutating_webhooks(), ""));
  std::map<std::string, std::pair<std::string, Verdict>> found;
  for (const Json& each : data::get_array(hooks, {"items"})) {
    const auto& webhooks = data::get_array(each, {"webhooks"});
    const bool is_istio = std::any_of(webhooks.begin(), webhooks.end(), [](const Json& webhook) {
      return data::get_string(webhook, {"name"}).ends_with("istio.io");
    });
    if (is_istio)
      found[std::string(kube::name_of(each))] = {std::string(kube::label(each, kRevisionLabel)),
                                                 decide(webhooks, of_pod, kube::labels_of(ns))};
  }
  if (found.empty()) {
    session.out << "ERROR: no Istio injection hooks present.\n";
    return {};
  }
  std::vector<std::vector<std::string>> rows = {{"WEBHOOK", "REVISION", "INJECTED", "REASON"}};
  int injecting = 0;
  for (const auto& [name, entry] : found) {
    rows.push_back({name, entry.first, entry.second.injects ? "✔" : "✘", entry.second.reason});
    injecting += entry.second.injects;
  }
  session.out << format_table(rows, 2);
  if (injecting > 1)
    session.out << "ERROR: multiple webhooks will inject, which can lead to errors\n";
  return {};
}

// "" where nothing injects; MISSING/… where a namespace asks for a revision that no webhook has.
std::string revision_of(const Json& ns, const std::vector<Json>& hooks) {
  const auto& labels = kube::labels_of(ns);
  for (const Json& hook : hooks) {
    for (const Json& webhook : data::get_array(hook, {"webhooks"})) {
      if (selects(data::find(webhook, {"namespaceSelector"}), labels))
        return std::string(kube::label(hook, kRevisionLabel));
    }
  }
  const auto wanted = label_in(labels, kRevisionLabel);
  if (!wanted.empty()) return "MISSING/" + std::string(wanted);
  const bool is_off =
      !labels.contains(kInjectionLabel) || label_in(labels, kInjectionLabel) == "disabled";
  return is_off ? std::string() : "MISSING/" + std::string(kInjectionLabel);
}

std::string revision_of_pod(const Json& pod) {
  if (const auto direct = kube::annotation(pod, kRevisionLabel); !direct.empty())
    return std::string(direct);
  const auto status = data::parse_json(kube::annotation(pod, "sidecar.istio.io/status"));
  return status ? std::string(data::get_string(*status, {"revision"})) : std::string();
}

bool is_injection_off(const Json& pod) {
  const auto& labels = kube::labels_of(pod);
  return iequals(labels.contains(kInjectLabel) ? label_in(labels, kInjectLabel)
                                               : kube::annotation(pod, kInjectLabel),
                 "false");
}

struct Count {
  int pods = 0, disabled = 0, restart = 0;
  std::string text(const std::string& revision) const {
    if (pods == 0) return "<no pods>";
    return revision + ": " + std::to_string(pods) +
           (disabled > 0 ? " (injection disabled: " + std::to_string(disabled) + ")" : "") +
           (restart > 0 ? " NEEDS RESTART: " + std::to_string(restart) : "");
  }
};

void print_namespaces(Session& session, const std::vector<Json>& namespaces,
                      const std::vector<Json>& hooks, const data::JsonArray& pods) {
  std::vector<std::vector<std::string>> rows = {{"NAMESPACE", "ISTIO-REVISION", "POD-REVISIONS"}};
  for (const Json& ns : namespaces) {
    const std::string wanted = revision_of(ns, hooks);
    std::map<std::string, Count> counts;
    for (const Json& pod : pods) {
      if (kube::namespace_of(pod) != kube::name_of(ns)) continue;
      const std::string has = revision_of_pod(pod);
      Count& count = counts[has.empty() ? "<non-Istio>" : has];
      ++count.pods;
      if (is_injection_off(pod)) {
        ++count.disabled;
      } else if (has != wanted) {
        ++count.restart;
      }
    }
    if (counts.empty() && !wanted.empty()) counts[wanted];
    for (const auto& [revision, count] : counts)
      rows.push_back({std::string(kube::name_of(ns)), wanted, count.text(revision)});
  }
  if (rows.size() == 1) {
    session.out << "No Istio injected namespaces present.\n";
  } else {
    session.out << format_table(rows, 1);
  }
}

std::vector<std::string> namespaces_of(const Json& hook, const std::vector<Json>& namespaces) {
  std::vector<std::string> out;
  for (const Json& webhook : data::get_array(hook, {"webhooks"})) {
    const auto name = data::get_string(webhook, {"name"});
    if (name != "rev.namespace.sidecar-injector.istio.io" &&
        name != "namespace.sidecar-injector.istio.io")
      continue;
    for (const Json& ns : namespaces) {
      const std::string ns_name(kube::name_of(ns));
      if (selects(data::find(webhook, {"namespaceSelector"}), kube::labels_of(ns)) &&
          std::find(out.begin(), out.end(), ns_name) == out.end())
        out.push_back(ns_name);
    }
  }
  return out;
}

std::string image_in(const Json& config_map) {
  const auto values = data::parse_json(data::get_string(config_map, {"data", "values"}));
  if (!values) return {};
  const std::string image(data::get_string(*values, {"global", "proxy", "image"}));
  if (image.find('/') != std::string::npos) return image;
  const Json* tag = data::find(*values, {"global", "tag"});
  std::string tag_text;
  if (tag != nullptr)
    tag_text = tag->is_string() ? std::string(data::as_string(*tag)) : data::dump_json(*tag);
  return std::string(data::get_string(*values, {"global", "hub"})) + "/" + image + ":" + tag_text;
}

Result<> list_injectors(Session& session) {
  kube::Client* client = TRY(session.client());
  const Json all = TRY(client->list(kube::resources::namespaces(), ""));
  std::vector<Json> namespaces, hooks;
  for (const Json& ns : data::get_array(all, {"items"})) {
    const auto name = kube::name_of(ns);
    const bool is_system =
        std::ranges::count(kube::kSystemNamespaces, name) > 0 || name == session.istio_ns;
    if (!is_system && kube::label(ns, "istio.io/dataplane-mode") != "ambient")
      namespaces.push_back(ns);
  }
  const auto by_name = [](const Json& a, const Json& b) {
    return kube::name_of(a) < kube::name_of(b);
  };
  std::sort(namespaces.begin(), namespaces.end(), by_name);
  if (!session.ns.empty()) {
    const auto is_it = [&](const Json& ns) { return kube::name_of(ns) == session.ns; };
    if (std::any_of(namespaces.begin(), namespaces.end(), is_it))
      std::erase_if(namespaces, [&](const Json& ns) { return !is_it(ns); });
  }
  const Json listed =
      TRY(client->list(kube::resources::mutating_webhooks(), "", {"app=sidecar-injector", {}}));
  for (const Json& hook : data::get_array(listed, {"items"})) hooks.push_back(hook);
  std::sort(hooks.begin(), hooks.end(), by_name);
  const Json pods = TRY(client->list(kube::resources::pods(), ""));
  print_namespaces(session, namespaces, hooks, data::get_array(pods, {"items"}));
  session.out << "\n";

  std::map<std::string, std::string> images;
  const Json maps =
      TRY(client->list(kube::resources::config_maps(), "", {std::string(kRevisionLabel), {}}));
  for (const Json& map : data::get_array(maps, {"items"})) {
    if (const std::string image = image_in(map); !image.empty())
      images[std::string(kube::label(map, kRevisionLabel))] = image;
  }
  if (hooks.empty()) {
    session.out << "No Istio injection hooks present.\n";
    return {};
  }
  std::vector<std::vector<std::string>> rows = {
      {"NAMESPACES", "INJECTOR-HOOK", "ISTIO-REVISION", "SIDECAR-IMAGE"}};
  for (const Json& hook : hooks) {
    const std::string revision(kube::label(hook, kRevisionLabel)), name(kube::name_of(hook));
    auto matching = namespaces_of(hook, namespaces);
    if (matching.empty()) matching.push_back("DOES NOT AUTOINJECT");
    for (const std::string& ns : matching) rows.push_back({ns, name, revision, images[revision]});
  }
  session.out << format_table(rows, 1);
  return {};
}

}  // namespace

void add_injection_commands(CLI::App& app, Session& session) {
  auto* check = app.add_subcommand(
      "check-inject",
      "Check the injection status or inject-ability of a given resource, explains why it "
      "is (or will be) injected or not");
  auto pod = std::make_shared<std::string>(), labels = std::make_shared<std::string>();
  check->add_option("pod", *pod, "NAME[.NAMESPACE] or deployment/NAME");
  check->add_option("-l,--labels", *labels, "Labels of a pod that is not there yet: KEY=VALUE,…");
  on_run(*check, session, [&session, pod, labels] { return check_inject(session, *pod, *labels); });

  auto* injector = app.add_subcommand("injector", "List sidecar injector and sidecar versions");
  injector->require_subcommand(1);
  on_run(*injector->add_subcommand("list", "List sidecar injector and sidecar versions"), session,
         [&session] { return list_injectors(session); });
}

}  // namespace lateen::cli
