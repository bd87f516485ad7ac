// Answering questions.
#include "cluster/dns/zone.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/strings.h"
#include "net/address.h"

namespace lateen::cluster::dns {
namespace {

using data::Json;

// A service keeps its cluster IP, pods come and go. (kubeadm's CoreDNS says 30 s for all.)
constexpr std::uint32_t kStableTtlSeconds = 30;
constexpr std::uint32_t kMovingTtlSeconds = 5;

std::optional<std::uint32_t> ipv4_of(std::string_view text) {
  auto ip = net::Ip::parse(text);
  if (!ip.ok() || !ip->is_v4()) return std::nullopt;
  return ip->v4_bits();
}

std::string dashed(std::string_view ip) { return replace_all(ip, ".", "-"); }

bool is_headless(const Json& service) {
  return data::get_string(service, {"spec", "clusterIP"}) == "None";
}

struct Host {
  std::string label;  // its own name under the service
  std::string ip;
};

// Endpoints of a headless service that may be resolved.
std::vector<Host> hosts_of(const Json& service, const Directory& directory) {
  std::vector<Host> hosts;
  const bool is_unready_wanted = data::get_bool(service, {"spec", "publishNotReadyAddresses"});
  for (const auto& slice : directory.slices(kube::key_of(service)))
    for (const Json& endpoint : data::get_array(*slice, {"endpoints"})) {
      if (!data::get_bool(endpoint, {"conditions", "ready"}, true) && !is_unready_wanted) continue;
      for (const Json& address : data::get_array(endpoint, {"addresses"})) {
        const std::string ip(data::as_string(address));
        hosts.push_back({std::string(data::get_string(endpoint, {"hostname"}, dashed(ip))), ip});
      }
    }
  return hosts;
}

class Asked {
 public:
  Asked(const Question& question, const Directory& directory)
      : question_(question), directory_(directory), name_(to_lower(question.name)) {}

  Answer answer() {
    if (name_.ends_with(".in-addr.arpa")) return reverse();
    if (name_ == kZone || name_ == fmt::format("svc.{}", kZone) ||
        name_ == fmt::format("pod.{}", kZone))
      return empty();
    const std::string end = fmt::format(".{}", kZone);
    if (!name_.ends_with(end)) {
      if (name_ == "localhost") return addresses({"127.0.0.1"});
      Answer answer;
      answer.code = ResponseCode::kServerFailure;
      answer.is_authoritative = false;
      return answer;
    }
    std::vector<std::string> labels;
    for (std::string_view label :
         split(std::string_view(name_).substr(0, name_.size() - end.size()), '.'))
      labels.emplace_back(label);
    const std::string kind = labels.back();
    labels.pop_back();
    if (labels.empty()) return nothing();
    if (kind == "pod") return pod(labels);
    if (kind == "svc") return service(labels);
    return nothing();
  }

 private:
  bool wants(Type type) const {
    return question_.type == static_cast<std::uint16_t>(type) ||
           question_.type == static_cast<std::uint16_t>(Type::kAny);
  }

  // The name exists, but not with that type.
  Answer empty() const {
    Answer answer;
    answer.authority.push_back(authority_record(kZone));
    return answer;
  }
  Answer nothing() const {
    Answer answer = empty();
    answer.code = ResponseCode::kNameError;
    return answer;
  }

  Answer addresses(const std::vector<std::string>& ips,
                   std::uint32_t ttl_seconds = kMovingTtlSeconds) const {
    Answer answer;
    if (wants(Type::kA))
      for (const std::string& ip : ips)
        if (const auto bits = ipv4_of(ip)) {
          answer.records.push_back(address_record(question_.name, *bits));
          answer.records.back().ttl_seconds = ttl_seconds;
        }
    return answer.records.empty() ? empty() : answer;
  }

  Answer pod(const std::vector<std::string>& labels) const {
    if (labels.size() == 1) return directory_.has_namespace(labels[0]) ? empty() : nothing();
    if (labels.size() != 2 || !directory_.has_namespace(labels[1])) return nothing();
    const std::string ip = replace_all(labels[0], "-", ".");
    return ipv4_of(ip).has_value() ? addresses({ip}) : nothing();
  }

  Answer service(std::vector<std::string> labels) const {
    const std::string ns = labels.back();
    labels.pop_back();
    if (labels.empty()) return directory_.has_namespace(ns) ? empty() : nothing();
    const std::string name = labels.back();
    labels.pop_back();
    const auto found = directory_.service({ns, name});
    if (found == nullptr) return nothing();
    if (labels.empty()) return whole(*found);
    if (labels.size() == 2 && labels[0].starts_with("_") && labels[1].starts_with("_"))
      return named_port(*found, labels[0].substr(1), labels[1].substr(1));
    if (labels.size() == 1 && is_headless(*found)) return one_host(*found, labels[0]);
    return nothing();
  }

  Answer whole(const Json& service) const {
    if (data::get_string(service, {"spec", "type"}) == "ExternalName") {
      Answer answer;
      answer.records.push_back(name_record(question_.name, Type::kCname,
                                           data::get_string(service, {"spec", "externalName"})));
      return answer;
    }
    if (wants(Type::kSrv) && question_.type != static_cast<std::uint16_t>(Type::kAny))
      return named_port(service, "", "");
    if (!is_headless(service))
      return addresses({std::string(data::get_string(service, {"spec", "clusterIP"}))},
                       kStableTtlSeconds);
    std::vector<std::string> ips;
    for (const Host& host : hosts_of(service, directory_)) ips.push_back(host.ip);
    std::sort(ips.begin(), ips.end());
    ips.erase(std::unique(ips.begin(), ips.end()), ips.end());
    return ips.empty() ? nothing() : addresses(ips);
  }

  Answer one_host(const Json& service, std::string_view label) const {
    std::vector<std::string> ips;
    for (const Host& host : hosts_of(service, directory_))
      if (host.label == label) ips.push_back(host.ip);
    return ips.empty() ? nothing() : addresses(ips);
  }

  // SRV records of the port with that name and protocol; empty names: of all ports.
  Answer named_port(const Json& service, std::string_view port_name,
                    std::string_view protocol) const {
    Answer answer;
    const std::string base =
        fmt::format("{}.{}.svc.{}", kube::name_of(service), kube::namespace_of(service), kZone);
    bool is_known = false;
    for (const Json& port : data::get_array(service, {"spec", "ports"})) {
      const auto own_name = data::get_string(port, {"name"});
      if (!port_name.empty() && own_name != port_name) continue;
      if (!protocol.empty() && !iequals(protocol, data::get_string(port, {"protocol"}, "TCP")))
        continue;
      is_known = true;
      if (!wants(Type::kSrv)) continue;
      if (!is_headless(service)) {
        answer.records.push_back(
            service_record(question_.name, static_cast<int>(data::get_int(port, {"port"})), base));
        if (const auto bits = ipv4_of(data::get_string(service, {"spec", "clusterIP"})))
          answer.additional.push_back(address_record(base, *bits));
        continue;
      }
      for (const auto& slice : directory_.slices(kube::key_of(service)))
        for (const Json& slice_port : data::get_array(*slice, {"ports"}))
          if (data::get_string(slice_port, {"name"}) == own_name)
            add_hosts(answer, service, slice_port, base);
    }
    if (!is_known) return nothing();
    return answer.records.empty() ? empty() : answer;
  }

  void add_hosts(Answer& answer, const Json& service, const Json& port,
                 const std::string& base) const {
    for (const Host& host : hosts_of(service, directory_)) {
      const std::string target = fmt::format("{}.{}", host.label, base);
      answer.records.push_back(
          service_record(question_.name, static_cast<int>(data::get_int(port, {"port"})), target));
      if (const auto bits = ipv4_of(host.ip))
        answer.additional.push_back(address_record(target, *bits));
    }
  }

  Answer reverse() const {
    const auto parts = split(std::string_view(name_).substr(0, name_.size() - 13), '.');
    if (parts.size() != 4) return nothing();
    const std::string ip = fmt::format("{}.{}.{}.{}", parts[3], parts[2], parts[1], parts[0]);
    Answer answer;
    for (const auto& service : directory_.services("")) {
      const std::string base =
          fmt::format("{}.{}.svc.{}", kube::name_of(*service), kube::namespace_of(*service), kZone);
      if (data::get_string(*service, {"spec", "clusterIP"}) == ip) {
        answer.records.push_back(name_record(question_.name, Type::kPtr, base));
      } else if (is_headless(*service)) {
        for (const Host& host : hosts_of(*service, directory_))
          if (host.ip == ip)
            answer.records.push_back(
                name_record(question_.name, Type::kPtr, fmt::format("{}.{}", host.label, base)));
      }
    }
    return answer.records.empty() ? nothing() : answer;
  }

  const Question& question_;
  const Directory& directory_;
  const std::string name_;
};

}  // namespace

Answer answer_question(const Question& question, const Directory& directory) {
  return Asked(question, directory).answer();
}

}  // namespace lateen::cluster::dns
