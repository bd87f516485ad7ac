// Checking and merging of IstioOperator objects.
#include "install/spec.h"

#include <algorithm>

#include "base/strings.h"
#include "chart/chart.h"
#include "data/yaml.h"
#include "install/fields.h"

namespace lateen::install {
namespace {

constexpr std::string_view kApiVersion = "install.istio.io/v1alpha1";

struct PartNames {
  std::string_view label, field, user;
};
constexpr PartNames kNames[] = {{"Base", "base", "Istio core"},
                                {"Pilot", "pilot", "Istiod"},
                                {"IngressGateways", "ingressGateways", "Ingress gateways"},
                                {"EgressGateways", "egressGateways", "Egress gateways"}};

// Lists whose items are known by name wherever they stand in an IstioOperator.
bool merges_by_name(std::string_view key) {
  return key == "ingressGateways" || key == "egressGateways" || key == "env";
}

void merge(Json& into, const Json& over, std::string_view key);

void merge_named(Json& into, const data::JsonArray& over) {
  if (!into.is_array()) into.emplace_array();
  auto& list = *into.if_array();
  for (const Json& item : over) {
    const auto name = data::get_string(item, {"name"});
    const auto same = std::find_if(list.begin(), list.end(), [&](const Json& each) {
      return !name.empty() && data::get_string(each, {"name"}) == name;
    });
    if (same == list.end()) list.push_back(item);
    else merge(*same, item, "");
  }
}

void merge(Json& into, const Json& over, std::string_view key) {
  if (const auto* object = over.if_object()) {
    if (!into.is_object()) into.emplace_object();
    for (const auto& member : *object)
      merge((*into.if_object())[member.key()], member.value(), member.key());
  } else if (const auto* list = over.if_array(); list != nullptr && merges_by_name(key)) {
    merge_named(into, *list);
  } else {
    into = over;
  }
}

// Helm's --set types: true, false, null and numbers, else text; "…" keeps text.
Json typed(std::string_view text) {
  if (text == "true" || text == "false") return Json(text == "true");
  if (text == "null") return Json(nullptr);
  if (text == "{}") return Json(data::JsonObject());
  if (text == "[]") return Json(data::JsonArray());
  if (const auto number = parse_int(text); number && (text == "0" || text[0] != '0'))
    return Json(*number);
  if (text.size() > 1 && text.front() == '"' && text.back() == '"')
    return Json(text.substr(1, text.size() - 2));
  if (text.find('.') != std::string_view::npos) {
    if (const auto number = parse_double(text);
        number && text.find_first_not_of("0123456789.-") == std::string_view::npos) {
      return Json(*number);
    }
  }
  return Json(text);
}

// "[name:x]" becomes the index it has in `spec`, appended when it is new.
Result<std::string> resolve_names(Json& spec, std::string_view path) {
  std::string out(path);
  for (std::size_t open; (open = out.find("[name:")) != std::string::npos;) {
    const std::size_t close = out.find(']', open);
    if (close == std::string::npos) return invalid("path \"" + out + "\": [name: needs a ]");
    const std::string name = out.substr(open + 6, close - open - 6);
    std::string before = out.substr(0, open);
    if (before.ends_with('.')) before.pop_back();
    const Json* list = data::find_dotted(spec, before);
    std::size_t index = 0;
    if (list != nullptr && list->is_array()) {
      const auto& items = *list->if_array();
      while (index < items.size() && data::get_string(items[index], {"name"}) != name) ++index;
    }
    const std::string at = before + "[" + std::to_string(index) + "]";
    TRY(chart::set_path(spec, at + ".name", Json(name)));
    out = at + out.substr(close + 1);
  }
  return out;
}

}  // namespace

std::string_view to_string(Part part) { return kNames[static_cast<int>(part)].label; }
std::string_view field_of(Part part) { return kNames[static_cast<int>(part)].field; }
std::string_view user_facing(Part part) { return kNames[static_cast<int>(part)].user; }
bool is_gateway(Part part) {
  return part == Part::kIngressGateways || part == Part::kEgressGateways;
}

Result<> check_operator(const Json& iop) {
  if (!iop.is_object())
    return invalid("this is no IstioOperator: a YAML map is expected", Blame::kConfig);
  const auto version = data::get_string(iop, {"apiVersion"});
  const auto kind = data::get_string(iop, {"kind"});
  if (kind != "IstioOperator") {
    return invalid("kind is \"" + std::string(kind) + "\", expected IstioOperator", Blame::kConfig);
  }
  if (version != kApiVersion) {
    return invalid(
        "apiVersion is \"" + std::string(version) + "\", expected " + std::string(kApiVersion),
        Blame::kConfig);
  }
  const Json* spec = data::find(iop, {"spec"});
  if (spec == nullptr || spec->is_null()) return {};
  return check_fields(*spec);
}

Result<Json> parse_operators(std::string_view text) {
  Json merged;
  bool has_any = false;
  for (const auto& document : TRY(data::parse_yaml_stream(text))) {
    if (const auto checked = check_operator(document.value); !checked) {
      return std::move(Error(checked.error())).at("line " + std::to_string(document.line));
    }
    overlay_operator(merged, document.value);
    has_any = true;
  }
  if (!has_any) return invalid("no IstioOperator found", Blame::kConfig);
  return merged;
}

void overlay_operator(Json& into, const Json& over) { merge(into, over, ""); }

Result<> set_flag(Json& iop, std::string_view assignment) {
  const auto cut = split_once(assignment, "=");
  if (!cut || cut->first.empty()) {
    return invalid("--set " + std::string(assignment) + ": write it as PATH=VALUE");
  }
  std::string path(trim(cut->first));
  if (path.starts_with("spec.")) path = path.substr(5);
  data::ensure_object(iop, {"spec"});
  Json& spec = *data::find(iop, {"spec"});
  const std::string resolved = TRY(resolve_names(spec, path).at("--set " + path));
  return chart::set_path(spec, resolved, typed(cut->second)).at("--set " + path);
}

Result<Plan> make_plan(Charts& charts, const Json& iop) {
  TRY(check_operator(iop));
  Plan plan;
  plan.name = data::get_string(iop, {"metadata", "name"}, "unknown");
  plan.owner_ns = data::get_string(iop, {"metadata", "namespace"}, "istio-system");
  const Json own = data::get_object(iop, {"spec"});
  plan.profile = data::get_string(own, {"profile"}, "default");
  if (plan.profile.empty()) plan.profile = "default";

  Json base = TRY(charts.profile("default"));
  if (plan.profile != "default") overlay_operator(base, TRY(charts.profile(plan.profile)));
  plan.spec = data::get_object(base, {"spec"});
  merge(plan.spec, own, "");
  plan.spec.if_object()->insert_or_assign("profile", plan.profile);
  TRY(check_fields(plan.spec).at("profile " + plan.profile));

  plan.revision = data::get_string(plan.spec, {"revision"});
  if (plan.revision == "default") plan.revision.clear();
  plan.ns = data::get_string(plan.spec, {"namespace"});
  if (plan.ns.empty())
    plan.ns = data::get_string(own, {"values", "global", "istioNamespace"}, plan.owner_ns);
  return plan;
}

std::vector<PlannedComponent> enabled_components(const Plan& plan) {
  std::vector<PlannedComponent> out;
  for (const Part part : kParts) {
    const Json* settings = data::find(plan.spec, {"components", field_of(part)});
    if (settings == nullptr) continue;
    const auto add = [&](const Json& one) {
      const std::string name(data::get_string(one, {"name"}));
      // The older switch in values still counts when the component itself says nothing.
      const Json* enabled = data::find(one, {"enabled"});
      const bool is_on = enabled != nullptr
                             ? *enabled == Json(true)
                             : data::get_bool(plan.spec, {"values", "gateways", name, "enabled"});
      if (!is_on) return;
      out.push_back({part, is_gateway(part) ? name : "",
                     std::string(data::get_string(one, {"namespace"}, plan.ns)), one});
    };
    if (!is_gateway(part)) add(*settings);
    else if (const auto* list = settings->if_array())
      std::for_each(list->begin(), list->end(), add);
  }
  return out;
}

}  // namespace lateen::install
