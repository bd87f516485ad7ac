// Values translation and rendering.
#include "install/manifest.h"

#include <set>

#include "install/overlay.h"
#include "install/version.h"

namespace lateen::install {
namespace {

std::string chart_of(Part part) {
  switch (part) {
    case Part::kBase: return "base";
    case Part::kPilot: return "istio-control/istio-discovery";
    case Part::kIngressGateways: return "gateways/istio-ingress";
    case Part::kEgressGateways: return "gateways/istio-egress";
  }
  return "";
}

// The name under which a gateway chart finds its gateway's values, whatever the gateway is called.
std::string_view gateway_key(Part part) {
  return part == Part::kIngressGateways ? "istio-ingressgateway" : "istio-egressgateway";
}

void copy_to(Json& values, const Json& from, std::initializer_list<std::string_view> path,
             std::initializer_list<std::string_view> to) {
  const Json* found = data::find(from, path);
  if (found != nullptr && !found->is_null() && !(found->is_string() && found->if_string()->empty()))
    data::set(values, to, *found);
}

Result<ComponentManifest> render_one(Charts& charts, const Plan& plan,
                                     const PlannedComponent& component) {
  const chart::Chart* chart = TRY(charts.find(chart_of(component.part)));
  chart::RenderOptions options;
  options.release = {"istio", component.ns};
  options.has_crds = data::get_bool(plan.spec, {"values", "base", "enableIstioConfigCRDs"}, true);
  ComponentManifest made{component.part, component.name, {}};
  for (auto& rendered : TRY(chart->render(values_for(plan, component), options)))
    made.objects.push_back(std::move(rendered.object));
  TRY(apply_kubernetes_settings(made, component, plan));
  return made;
}

}  // namespace

Json values_for(const Plan& plan, const PlannedComponent& component) {
  Json values = data::get_object(plan.spec, {"values"});
  chart::merge_values(values, data::get_object(plan.spec, {"unvalidatedValues"}));
  data::set(values, {"revision"}, Json(plan.revision));
  data::set(values, {"ownerName"}, Json(plan.name));
  copy_to(values, plan.spec, {"hub"}, {"global", "hub"});
  copy_to(values, plan.spec, {"tag"}, {"global", "tag"});
  data::set(values, {"global", "istioNamespace"}, Json(plan.ns));
  if (const Json* mesh = data::find(plan.spec, {"meshConfig"});
      mesh != nullptr && mesh->is_object()) {
    Json merged = data::get_object(values, {"meshConfig"});
    chart::merge_values(merged, *mesh);
    data::set(values, {"meshConfig"}, std::move(merged));
  }
  if (component.part == Part::kPilot) {
    copy_to(values, component.settings, {"hub"}, {"pilot", "hub"});
    copy_to(values, component.settings, {"tag"}, {"pilot", "tag"});
  }
  if (!is_gateway(component.part)) return values;

  copy_to(values, component.settings, {"hub"}, {"global", "hub"});
  copy_to(values, component.settings, {"tag"}, {"global", "tag"});
  const auto key = gateway_key(component.part);
  // A gateway's own values may stand under its own name.
  Json gateway = data::get_object(values, {"gateways", key});
  if (component.name != key)
    chart::merge_values(gateway, data::get_object(values, {"gateways", component.name}));
  data::set(gateway, {"name"}, Json(component.name));
  if (const Json* label = data::find(component.settings, {"label"});
      label != nullptr && label->is_object()) {
    Json labels = data::get_object(gateway, {"labels"});
    chart::merge_values(labels, *label);
    data::set(gateway, {"labels"}, std::move(labels));
  }
  data::set(values, {"gateways", key}, std::move(gateway));
  return values;
}

Result<std::vector<ComponentManifest>> render(Charts& charts, const Plan& plan) {
  std::vector<ComponentManifest> out;
  std::set<std::string> seen;
  for (const auto& component : enabled_components(plan)) {
    if (is_gateway(component.part) && !seen.insert(component.ns + "/" + component.name).second) {
      return invalid("spec.components." + std::string(field_of(component.part)) +
                         ": two gateways are called \"" + component.name + "\" in namespace " +
                         component.ns + "; give each its own name",
                     Blame::kConfig);
    }
    const std::string where = "component " + std::string(to_string(component.part)) +
                              (component.name.empty() ? "" : " " + component.name);
    out.push_back(TRY(render_one(charts, plan, component).at(where)));
  }
  return out;
}

void stamp(Json& object, const Plan& plan, Part part) {
  const auto set = [&](std::string_view label, std::string_view value) {
    data::ensure_object(object, {"metadata", "labels"})[label] = value;
  };
  set(kComponentLabel, to_string(part));
  set(kManagedLabel, "Reconcile");
  set(kOwnerLabel, plan.name);
  set(kOwnerNamespaceLabel, plan.owner_ns);
  set(kVersionLabel, kVersion);
  set(kRevisionLabel, plan.revision.empty() ? "default" : plan.revision);
  set("release", "istio");
}

}  // namespace lateen::install
