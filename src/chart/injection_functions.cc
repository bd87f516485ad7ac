// Istio's template functions on JSON. Pods and mesh settings arrive as JSON with their API's field
// names.
#include "chart/injection_functions.h"

#include <set>

#include "base/strings.h"

namespace lateen::chart {
namespace {

using data::Json;
using Arguments = std::vector<Json>;

std::string text_of(const Json& value) {
  if (const auto* text = value.if_string()) return std::string(*text);
  return value.is_null() ? "" : data::dump_json(value);
}

bool is_zero(const Json& value) {
  if (const auto* text = value.if_string()) return text->empty();
  if (const auto number = data::as_number(value)) return *number == 0;
  return value.is_null() || (value.is_bool() && !*value.if_bool());
}

Error wants(std::string_view what) { return invalid("wrong arguments: want " + std::string(what)); }

// annotation META NAME DEFAULT: the annotation when it is set, else the default as text.
Result<Json> annotation(const Arguments& a) {
  if (a.size() != 3) return wants("the metadata, a name and a default");
  const Json* found = data::find(a[0], {"annotations", data::as_string(a[1])});
  return found != nullptr ? *found : Json(text_of(a[2]));
}

Result<Json> value_or_default(const Arguments& a) {
  if (a.size() != 2) return wants("a value and a default");
  return is_zero(a[0]) ? a[1] : a[0];
}

// Adds the status port to a list of excluded ports, once.
Result<Json> exclude_inbound_port(const Arguments& a) {
  if (a.size() != 2) return wants("a port and a list of ports");
  const std::string port = text_of(a[0]), list = text_of(a[1]);
  if (port.empty() || port == "0") return Json(list);
  if (list.empty()) return Json(port);
  for (const auto each : split(list, ',')) {
    if (trim(each) == port) return Json(list);
  }
  return Json(list + "," + port);
}

// The ports that containers other than the proxy declare.
Result<Json> application_ports(const Arguments& a) {
  if (a.size() != 1) return wants("the containers");
  std::set<std::int64_t> ports;
  const data::JsonArray* containers = a[0].if_array();
  for (const Json& container : containers != nullptr ? *containers : data::JsonArray()) {
    if (data::get_string(container, {"name"}) == "istio-proxy") continue;
    for (const Json& port : data::get_array(container, {"ports"})) {
      const auto protocol = data::get_string(port, {"protocol"}, "TCP");
      if (protocol == "TCP") ports.insert(data::get_int(port, {"containerPort"}));
    }
  }
  std::string out;
  for (const auto port : ports) out += (out.empty() ? "" : ",") + std::to_string(port);
  return Json(out);
}

Result<Json> to_json(const Arguments& a) {
  if (a.size() != 1) return wants("one value");
  return a[0].is_null() ? Json("{}") : Json(data::dump_json(a[0]));
}

Result<Json> from_json(const Arguments& a) {
  if (a.size() != 1) return wants("one text");
  const std::string text = text_of(a[0]);
  if (text.empty()) return Json(data::JsonObject());
  return data::parse_json(text);
}

Result<Json> merge_maps(const Arguments& a) {
  data::JsonObject made;
  for (const Json& each : a) {
    if (const auto* object = each.if_object()) {
      for (const auto& member : *object) made[member.key()] = member.value();
    }
  }
  return Json(std::move(made));
}

Result<Json> to_json_map(const Arguments& a) {
  const Json merged = TRY(merge_maps(a));
  return Json(data::dump_json(merged));
}

Result<Json> omit_nil(const Arguments& a) {
  if (a.size() != 1) return wants("a map");
  data::JsonObject made;
  if (const auto* object = a[0].if_object()) {
    for (const auto& member : *object) {
      if (!member.value().is_null()) made[member.key()] = member.value();
    }
  }
  return Json(std::move(made));
}

Result<Json> string_dict(const Arguments& a) {
  data::JsonObject made;
  for (std::size_t i = 0; i + 1 < a.size(); i += 2) made[text_of(a[i])] = text_of(a[i + 1]);
  return Json(std::move(made));
}

Result<Json> directory(const Arguments& a) {
  if (a.size() != 1) return wants("a path");
  const std::string path = text_of(a[0]);
  const auto slash = path.rfind('/');
  return Json(slash == std::string::npos ? "" : path.substr(0, slash + 1));
}

// The control plane's environment is none of a template's business: always the default.
Result<Json> env(const Arguments& a) {
  if (a.size() != 2) return wants("a name and a default");
  return a[1];
}

// Adds a network to Multus' annotation, which is a comma list or a JSON array.
Result<Json> append_multus_network(const Arguments& a) {
  if (a.size() != 2) return wants("the networks and the one to add");
  const std::string networks(trim(text_of(a[0]))), added = text_of(a[1]);
  if (networks.empty()) return Json(added);
  if (networks.find(added) != std::string::npos) return Json(networks);
  if (!networks.ends_with(']')) return Json(networks + "," + added);
  return Json(networks.substr(0, networks.size() - 1) + ",{\"name\": \"" + added + "\"}]");
}

}  // namespace

void add_injection_functions(TemplateSet& set) {
  set.add_function("annotation", annotation);
  set.add_function("valueOrDefault", value_or_default);
  set.add_function("excludeInboundPort", exclude_inbound_port);
  set.add_function("applicationPorts", application_ports);
  set.add_function("includeInboundPorts", application_ports);
  set.add_function("toJSON", to_json);
  set.add_function("structToJSON", to_json);
  set.add_function("protoToJSON", to_json);
  set.add_function("fromJSON", from_json);
  set.add_function("toJsonMap", to_json_map);
  set.add_function("mergeMaps", merge_maps);
  set.add_function("omitNil", omit_nil);
  set.add_function("strdict", string_dict);
  set.add_function("directory", directory);
  set.add_function("env", env);
  set.add_function("appendMultusNetwork", append_multus_network);
  set.add_function("otelResourceAttributes",
                   [](const Arguments&) -> Result<Json> { return Json(""); });
}

}  // namespace lateen::chart
