// tag: names for revisions, as webhooks that send a tag's namespaces to one revision's istiod.
#include <map>
#include <set>

#include "base/strings.h"
#include "cli/istioctl.h"
#include "data/yaml.h"
#include "install/applier.h"
#include "kube/selector.h"

namespace lateen::cli {
namespace {

constexpr std::string_view kTagLabel = "istio.io/tag";
constexpr std::string_view kRevisionLabel = "istio.io/rev";

struct TagFlags {
  std::string tag;
  std::string revision;
  std::string webhook_name;
  std::string manifests;
  std::string output = "table";
  bool is_overwriting = false;
  bool is_confirmed = false;
  bool is_auto_inject = false;
};

Result<std::vector<Json>> hooks(kube::Client& client, const std::string& selector) {
  kube::ListOptions options;
  options.label_selector = selector;
  const Json list = TRY(client.list(kube::resources::mutating_webhooks(), "", options));
  return std::vector<Json>(data::get_array(list, {"items"}).begin(),
                           data::get_array(list, {"items"}).end());
}

Json expression(std::string_view key, std::string_view operation,
                std::initializer_list<std::string_view> values = {}) {
  Json out = data::JsonObject();
  data::set(out, {"key"}, Json(key));
  data::set(out, {"operator"}, Json(operation));
  data::JsonArray list;
  for (const auto each : values) list.emplace_back(each);
  if (!list.empty()) data::set(out, {"values"}, std::move(list));
  return out;
}

Json hook_like(const Json& model, const std::string& name, std::vector<Json> namespaces,
               std::vector<Json> pods) {
  Json hook = model;
  data::set(hook, {"name"}, Json(name + ".sidecar-injector.istio.io"));
  data::set(hook, {"namespaceSelector"},
            data::JsonObject{
                {"matchExpressions", data::JsonArray(namespaces.begin(), namespaces.end())}});
  data::set(hook, {"objectSelector"},
            data::JsonObject{{"matchExpressions", data::JsonArray(pods.begin(), pods.end())}});
  return hook;
}

// The webhook configuration of a tag: the revision's own first hook, aimed at the tag's labels.
Result<Json> make_tag(kube::Client& client, const TagFlags& flags) {
  std::string selector = "istio.io/rev=" + flags.revision + ",!istio.io/tag";
  const auto found = TRY(hooks(client, selector));
  if (found.empty())
    return not_found("cannot create tag: cannot find MutatingWebhookConfiguration for revision \"" +
                     flags.revision +
                     "\"; see `kubectl get mutatingwebhookconfigurations -L istio.io/rev`");
  if (found.size() > 1)
    return invalid("cannot create tag: found multiple canonical webhooks with revision \"" +
                   flags.revision + "\"");
  const auto& models = data::get_array(found[0], {"webhooks"});
  if (models.empty())
    return invalid("cannot create tag: the webhook configuration of revision \"" + flags.revision +
                   "\" is empty");

  const Json off = expression("sidecar.istio.io/inject", "NotIn", {"false"});
  const Json tagged = expression(kRevisionLabel, "In", {flags.tag}),
             untagged = expression(kRevisionLabel, "DoesNotExist");
  const Json unlabelled = expression("istio-injection", "DoesNotExist");
  data::JsonArray list;
  list.push_back(hook_like(models[0], "rev.namespace", {tagged, unlabelled}, {off}));
  list.push_back(hook_like(models[0], "rev.object", {untagged, unlabelled}, {off, tagged}));
  if (flags.tag == "default") {
    list.push_back(hook_like(models[0], "namespace",
                             {expression("istio-injection", "In", {"enabled"})}, {off}));
    list.push_back(hook_like(models[0], "object", {unlabelled, untagged},
                             {expression("sidecar.istio.io/inject", "In", {"true"}), untagged}));
    if (flags.is_auto_inject) {
      list.push_back(hook_like(
          models[0], "auto",
          {unlabelled, untagged,
           expression("kubernetes.io/metadata.name", "NotIn",
                      {"kube-system", "kube-public", "kube-node-lease", "local-path-storage"})},
          {expression("sidecar.istio.io/inject", "DoesNotExist"), untagged}));
    }
  }
  Json out = data::JsonObject();
  data::set(out, {"apiVersion"}, "admissionregistration.k8s.io/v1");
  data::set(out, {"kind"}, "MutatingWebhookConfiguration");
  data::set(
      out, {"metadata", "name"},
      Json(flags.webhook_name.empty() ? "istio-revision-tag-" + flags.tag : flags.webhook_name));
  kube::set_label(out, kTagLabel, flags.tag);
  kube::set_label(out, kRevisionLabel, flags.revision);
  kube::set_label(out, "app", "sidecar-injector");
  data::set(out, {"webhooks"}, std::move(list));
  return out;
}

Result<> set_tag(Session& session, const TagFlags& flags, bool is_printing) {
  if (flags.revision.empty())
    return invalid("--revision is required: the revision that the tag points to");
  kube::Client* client = TRY(session.client());
  const auto existing = TRY(hooks(*client, "istio.io/tag=" + flags.tag));
  if (!existing.empty() && !flags.is_overwriting && !is_printing) {
    return invalid("revision tag \"" + flags.tag + "\" already exists, and --overwrite is false");
  }
  const Json made = TRY(make_tag(*client, flags));
  if (is_printing) {
    session.out << data::dump_yaml(made);
    return {};
  }
  kube::PatchOptions options;
  options.field_manager = install::kFieldManager;
  options.is_forced = true;
  (void)TRY(client->apply(kube::resources::mutating_webhooks(), made, options)
                .at("failed to apply tag webhook MutatingWebhookConfiguration to cluster"));
  session.out << "Revision tag \"" << flags.tag
              << "\" created, referencing control plane revision \"" << flags.revision
              << "\". To enable injection using this\nrevision tag, use 'kubectl label namespace "
                 "<NAMESPACE> istio.io/rev="
              << flags.tag << "'\n";
  return {};
}

Result<std::vector<std::string>> namespaces_of(kube::Client& client, const std::string& tag) {
  kube::ListOptions options;
  options.label_selector = "istio.io/rev=" + tag;
  const Json list = TRY(client.list(kube::resources::namespaces(), "", options));
  std::vector<std::string> out;
  for (const Json& ns : data::get_array(list, {"items"})) out.emplace_back(kube::name_of(ns));
  return out;
}

Result<> list_tags(Session& session, const TagFlags& flags) {
  kube::Client* client = TRY(session.client());
  std::map<std::pair<std::string, std::string>, std::vector<std::string>> tags;  // (revision, tag)
  for (const Json& hook : TRY(hooks(*client, std::string(kTagLabel)))) {
    const std::string tag(kube::label(hook, kTagLabel));
    tags[{std::string(kube::label(hook, kRevisionLabel)), tag}] = TRY(namespaces_of(*client, tag));
  }
  if (tags.empty()) {
    session.out << "No Istio revision tags found.\n";
    return {};
  }
  std::vector<std::vector<std::string>> rows{{"TAG", "REVISION", "NAMESPACES"}};
  data::JsonArray all;
  for (const auto& [key, namespaces] : tags) {
    rows.push_back({key.second, key.first, join(namespaces, ",")});
    data::JsonArray names;
    for (const auto& each : namespaces) names.emplace_back(each);
    all.push_back(data::JsonObject{
        {"tag", key.second}, {"revision", key.first}, {"namespaces", std::move(names)}});
  }
  session.out << (flags.output == "table" ? format_table(rows, 1)
                                          : TRY(format_as(Json(std::move(all)), flags.output)));
  return {};
}

Result<> remove_tag(Session& session, const TagFlags& flags) {
  kube::Client* client = TRY(session.client());
  const auto found = TRY(hooks(*client, "istio.io/tag=" + flags.tag));
  if (found.empty())
    return not_found("cannot remove tag \"" + flags.tag +
                     "\": cannot find MutatingWebhookConfiguration for tag");
  const auto users = TRY(namespaces_of(*client, flags.tag));
  if (!users.empty() && !flags.is_confirmed &&
      !session.confirm("Caution, found " + std::to_string(users.size()) +
                       " namespace(s) still injected by tag \"" + flags.tag +
                       "\": " + join(users, ", ") + "\nProceed with operation? [y/N]")) {
    session.out << "Aborting operation.\n";
    return {};
  }
  for (const Json& hook : found)
    TRY(client->remove(kube::resources::mutating_webhooks(), kube::key_of(hook)));
  session.out << "Revision tag " << flags.tag << " removed\n";
  return {};
}

}  // namespace

void add_tag_commands(CLI::App& app, Session& session) {
  auto* group = app.add_subcommand("tag", "Command group used to interact with revision tags");
  group->require_subcommand(1);
  for (const char* name : {"set", "generate"}) {
    auto* command =
        group->add_subcommand(name, std::string_view(name) == "set"
                                        ? "Create or modify revision tags"
                                        : "Generate configuration for a revision tag to stdout");
    auto flags = std::make_shared<TagFlags>();
    command->add_option("tag", flags->tag, "The tag")->required();
    command->add_option("-r,--revision", flags->revision,
                        "The control plane revision it points to");
    command->add_option("--webhook-name", flags->webhook_name, "Name of the webhook configuration");
    command->add_option("-d,--manifests", flags->manifests, "Accepted for compatibility");
    command->add_flag("--overwrite", flags->is_overwriting, "Change a tag that exists");
    command->add_flag("-y,--skip-confirmation", flags->is_confirmed, "Do not ask");
    command->add_flag("--auto-inject-namespaces", flags->is_auto_inject,
                      "With the default tag: inject namespaces that say nothing");
    const bool is_printing = std::string_view(name) == "generate";
    on_run(*command, session,
           [&session, flags, is_printing] { return set_tag(session, *flags, is_printing); });
  }
  auto* list = group->add_subcommand("list", "List existing revision tags")->alias("show");
  auto for_list = std::make_shared<TagFlags>();
  list->add_option("-o,--output", for_list->output, "table, json or yaml")->capture_default_str();
  on_run(*list, session, [&session, for_list] { return list_tags(session, *for_list); });
  auto* removal =
      group->add_subcommand("remove", "Remove Istio control plane revision tag")->alias("delete");
  auto for_removal = std::make_shared<TagFlags>();
  removal->add_option("tag", for_removal->tag, "The tag")->required();
  removal->add_flag("-y,--skip-confirmation", for_removal->is_confirmed, "Do not ask");
  on_run(*removal, session, [&session, for_removal] { return remove_tag(session, *for_removal); });
}

}  // namespace lateen::cli
