// IstioOperator objects (install.istio.io/v1alpha1): checking them, and filling them up from
// profiles.
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "data/json.h"
#include "install/charts.h"

namespace lateen::install {

// The parts of an installation, in the order they depend on each other.
enum class Part : unsigned char { kBase, kPilot, kIngressGateways, kEgressGateways };
inline constexpr Part kParts[] = {Part::kBase, Part::kPilot, Part::kIngressGateways,
                                  Part::kEgressGateways};
std::string_view to_string(Part part);    // "IngressGateways": labels and status
std::string_view field_of(Part part);     // "ingressGateways": spec.components
std::string_view user_facing(Part part);  // "Ingress gateways": progress lines
bool is_gateway(Part part);

// What is wrong with an IstioOperator as a user wrote it: apiVersion, kind, unknown or mistyped
// fields. The error names the field's path and the likeliest intended name.
Result<> check_operator(const Json& iop);
// The documents of `text` (one IstioOperator each, or bare specs refused), merged in order.
Result<Json> parse_operators(std::string_view text);
// Later wins; maps merge, gateways and environment merge by name, other lists are replaced.
void overlay_operator(Json& into, const Json& over);
// "profile=demo", "values.global.proxy.image=x", "components.ingressGateways[0].enabled=true",
// "components.ingressGateways.[name:x].enabled=true": sets under spec, with Helm's value types.
Result<> set_flag(Json& iop, std::string_view assignment);

// The spec with everything filled in: the default profile, the named one, then the object's own.
struct Plan {
  std::string name;      // of the IstioOperator; "unknown" when it has none
  std::string ns;        // where the control plane goes
  std::string owner_ns;  // the IstioOperator's own namespace
  std::string profile;
  std::string revision;  // empty: the unrevisioned one
  Json spec;
};
Result<Plan> make_plan(Charts& charts, const Json& iop);
// One entry of a plan: gateways have many.
struct PlannedComponent {
  Part part;
  std::string name;  // "istio-ingressgateway"; empty when the part has only one
  std::string ns;
  Json settings;  // of spec.components
};
// The enabled ones, in order of kParts.
std::vector<PlannedComponent> enabled_components(const Plan& plan);

}  // namespace lateen::install
