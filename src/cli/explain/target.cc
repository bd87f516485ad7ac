#include "cli/explain/target.h"

#include <algorithm>

#include "base/strings.h"
#include "mesh/hostname.h"
#include "mesh/protocol.h"

namespace lateen::cli::explain {
namespace {

struct Words {
  std::string scheme, kind, name, port;
};

Words words_of(std::string text) {
  Words out;
  if (const auto cut = text.find("://"); cut != std::string::npos) {
    out.scheme = to_lower(text.substr(0, cut));
    text = text.substr(cut + 3);
    text = text.substr(0, text.find('/'));
  } else if (const auto slash = split_once(text, "/")) {
    out.kind = slash->first;
    text = std::string(slash->second);
  }
  const auto colon = text.rfind(':');
  if (colon != std::string::npos && text.find(':') == colon) {
    out.port = text.substr(colon + 1);
    text = text.substr(0, colon);
  }
  out.name = text;
  return out;
}

std::string ports_of(const Json& service, std::initializer_list<std::string_view> list,
                     std::string_view number) {
  std::string out;
  for (const Json& port : data::get_array(service, list)) {
    out += (out.empty() ? "" : ", ") + std::to_string(data::get_int(port, {number}));
    const auto name = data::get_string(port, {"name"});
    if (!name.empty()) out += " (" + std::string(name) + ")";
  }
  return out.empty() ? "none" : out;
}

mesh::Protocol protocol_of(const Json& port) {
  if (const auto named = data::get_string(port, {"protocol"});
      mesh::parse_protocol(named) != mesh::Protocol::kUnsupported && named != "TCP" &&
      named != "UDP")
    return mesh::parse_protocol(named);  // a ServiceEntry's
  return mesh::select_protocol(
      static_cast<int>(data::get_int(port, {"port"}, data::get_int(port, {"number"}))),
      data::get_string(port, {"name"}), data::get_string(port, {"protocol"}, "TCP"),
      data::get_string(port, {"appProtocol"}));
}

// Picks the port that was asked for, or the one that is meant.
void choose_port(const Json& from, std::initializer_list<std::string_view> list,
                 std::string_view number, const Words& words, Target& out) {
  const auto& ports = data::get_array(from, list);
  const auto wanted = parse_int(words.port);
  const Json* chosen = nullptr;
  for (const Json& port : ports) {
    if (words.port.empty() ? chosen == nullptr || (mesh::is_http(protocol_of(port)) &&
                                                   !mesh::is_http(protocol_of(*chosen)))
                           : data::get_int(port, {number}) == wanted.value_or(-1) ||
                                 data::get_string(port, {"name"}) == words.port)
      chosen = &port;
  }
  if (chosen == nullptr) {
    out.problem = words.port.empty() ? out.host + " has no ports"
                                     : out.host + " has no port " + words.port + ": it has " +
                                           ports_of(from, list, number);
    out.port = static_cast<int>(wanted.value_or(0));
    return;
  }
  out.port = static_cast<int>(data::get_int(*chosen, {number}));
  out.port_spec = chosen;
  if (words.port.empty() && ports.size() > 1)
    out.notes.push_back("no port was named, port " + std::to_string(out.port) + " is taken of " +
                        ports_of(from, list, number));
  const mesh::Protocol protocol = protocol_of(*chosen);
  out.is_http = !mesh::is_tcp(protocol);
  if (mesh::is_tls(protocol)) out.is_tls = true;
}

void set_service(const Json& service, const Words& words, Target& out) {
  out.service = &service;
  const std::string name(kube::name_of(service)), ns(kube::namespace_of(service));
  out.host = name + "." + ns + ".svc.cluster.local";
  out.objects.push_back({"Service", ns, name});
  const auto ip = data::get_string(service, {"spec", "clusterIP"});
  if (ip != "None") out.ip = ip;
  choose_port(service, {"spec", "ports"}, "port", words, out);
}

const Json* find_service(World& world, const std::string& name, const std::string& ns) {
  const auto& services = kube::resources::services();
  auto parts = split(name, '.');
  const bool is_short = parts.size() == 1;
  if (is_short) return world.find(services, ns, name);
  // name.ns, name.ns.svc, name.ns.svc.DOMAIN
  if (parts.size() > 2 && parts[2] != "svc") return nullptr;
  return world.find(services, parts[1], parts[0]);
}

const Json* find_pod(World& world, const std::string& name, const std::string& ns) {
  if (const Json* pod = world.find(kube::resources::pods(), ns, name)) return pod;
  const auto dot = name.rfind('.');
  if (dot == std::string::npos) return nullptr;
  return world.find(kube::resources::pods(), name.substr(dot + 1), name.substr(0, dot));
}

void set_pod(const Json& pod, const Words& words, Target& out) {
  out.pod = &pod;
  out.host = out.ip = data::get_string(pod, {"status", "podIP"});
  out.objects.push_back(
      {"Pod", std::string(kube::namespace_of(pod)), std::string(kube::name_of(pod))});
  out.port = static_cast<int>(parse_int(words.port).value_or(0));
  for (const Json& container : data::get_array(pod, {"spec", "containers"})) {
    if (data::get_string(container, {"name"}) == "istio-proxy") continue;
    for (const Json& port : data::get_array(container, {"ports"})) {
      if (out.port == 0) out.port = static_cast<int>(data::get_int(port, {"containerPort"}));
    }
  }
  if (out.ip.empty()) out.problem = "pod " + pod_name(pod) + " has no address yet";
  if (out.port == 0) out.problem = "pod " + pod_name(pod) + " names no ports: say NAME:PORT";
}

bool set_entry(World& world, const Words& words, Target& out) {
  for (const Json& entry : world.all(istio_networking("serviceentries", "ServiceEntry"))) {
    for (const Json& host : data::get_array(entry, {"spec", "hosts"})) {
      if (!mesh::host_covers(data::as_string(host), words.name)) continue;
      out.host = words.name;
      out.objects.push_back({"ServiceEntry", std::string(kube::namespace_of(entry)),
                             std::string(kube::name_of(entry))});
      for (const Json& address : data::get_array(entry, {"spec", "addresses"})) {
        if (out.ip.empty() && mesh::is_ip(data::as_string(address)))
          out.ip = data::as_string(address);
      }
      choose_port(entry, {"spec", "ports"}, "number", words, out);
      return true;
    }
  }
  return false;
}

void set_address(World& world, const Words& words, Target& out) {
  for (const Json& service : world.all(kube::resources::services())) {
    if (data::get_string(service, {"spec", "clusterIP"}) == words.name)
      return set_service(service, words, out);
  }
  if (const Json* pod = world.pod_at(words.name)) return set_pod(*pod, words, out);
  out.host = out.ip = words.name;
  out.port = static_cast<int>(parse_int(words.port).value_or(0));
}

}  // namespace

Result<Target> resolve(World& world, const std::string& text, const std::string& ns) {
  const Words words = words_of(text);
  if (words.name.empty()) return invalid("\"" + text + "\" names no destination");
  Target out;
  const bool is_pod = words.kind.starts_with("po");
  if (!words.kind.empty() && !is_pod && !words.kind.starts_with("s"))
    return invalid("\"" + text + "\": name HOST[:PORT], svc/NAME or pod/NAME");
  const Json* service = is_pod ? nullptr : find_service(world, words.name, ns);
  const Json* pod = words.kind.starts_with("s") ? nullptr : find_pod(world, words.name, ns);
  if (mesh::is_ip(words.name)) set_address(world, words, out);
  else if (service != nullptr) set_service(*service, words, out);
  else if (!is_pod && set_entry(world, words, out))
    ;
  else if (pod != nullptr) set_pod(*pod, words, out);
  else if (!words.kind.empty())
    return not_found("there is no " + words.kind + " \"" + words.name + "\"");
  else {
    out.host = words.name;
    out.port = static_cast<int>(parse_int(words.port).value_or(words.scheme == "https" ? 443 : 80));
    out.notes.push_back("no Service and no ServiceEntry has this host");
  }
  if (words.scheme == "https" || words.scheme == "tls") out.is_tls = true;
  if (words.scheme == "tcp" || words.scheme == "tls") out.is_http = false;
  if (words.scheme == "http") out.is_http = true;
  const bool is_usual = out.port == (out.is_tls ? 443 : 80);
  out.authority = words.kind.empty() ? words.name : out.host;
  if (!is_usual) out.authority += ":" + std::to_string(out.port);
  return out;
}

}  // namespace lateen::cli::explain
