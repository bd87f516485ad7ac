// /clusters, /listeners and /certs.

#include <fmt/core.h>

#include "envoy/admin/v3/certs.pb.h"
#include "envoy/extensions/transport_sockets/tls/v3/secret.pb.h"
#include "proxy/admin/admin.h"
#include "proxy/secret/read_secret.h"
#include "tls/x509.h"
#include "xds/raw_resource.h"

namespace lateen::proxy {
namespace {

using data::JsonArray;
using data::JsonObject;

JsonObject address_json(const net::Address& address) {
  if (address.is_unix()) return {{"pipe", JsonObject{{"path", address.path()}}}};
  return {{"socket_address",
           JsonObject{{"address", address.ip().to_string()}, {"port_value", address.port()}}}};
}

JsonObject stat(std::string_view name, std::uint64_t value, bool is_gauge) {
  JsonObject made;
  if (is_gauge) made["type"] = "GAUGE";
  if (value != 0) made["value"] = std::to_string(value);
  made["name"] = name;
  return made;
}

JsonObject host_json(const HostConfig& host) {
  const HostState& state = *host.state;
  JsonObject made;
  made["address"] = address_json(host.address);
  made["stats"] =
      JsonArray{stat("cx_connect_fail", state.cx_connect_fail.value(), false),
                stat("cx_total", state.cx_total.value(), false),
                stat("rq_error", state.rq_error.value(), false),
                stat("rq_success", state.rq_success.value(), false),
                stat("rq_timeout", state.rq_timeout.value(), false),
                stat("rq_total", state.rq_total.value(), false),
                stat("cx_active", static_cast<std::uint64_t>(state.cx_active.value()), true),
                stat("rq_active", static_cast<std::uint64_t>(state.rq_active.value()), true)};
  JsonObject health{{"eds_health_status", host.health_text}};
  if (state.is_ejected) health["failed_outlier_check"] = true;
  made["health_status"] = std::move(health);
  made["weight"] = host.weight;
  if (!host.hostname.empty()) made["hostname"] = host.hostname;
  if (host.priority != 0) made["priority"] = host.priority;
  JsonObject locality;
  if (!host.locality.region.empty()) locality["region"] = host.locality.region;
  if (!host.locality.zone.empty()) locality["zone"] = host.locality.zone;
  if (!host.locality.sub_zone.empty()) locality["sub_zone"] = host.locality.sub_zone;
  made["locality"] = std::move(locality);
  return made;
}

JsonObject breaker_json(std::string_view priority, const CircuitBreaker& breaker) {
  return {{"priority", priority},
          {"max_connections", breaker.max_connections},
          {"max_pending_requests", breaker.max_pending},
          {"max_requests", breaker.max_requests},
          {"max_retries", breaker.max_retries}};
}

template <typename Visit>
void each_host(const ClusterStore::Entry& entry, Visit visit) {
  if (entry.endpoints == nullptr) return;
  for (const auto& priority : entry.endpoints->priorities)
    for (const auto& group : priority)
      for (const auto& host : group.hosts) visit(*host);
}

}  // namespace

std::string clusters_json(Server& server) {
  JsonArray statuses;
  for (const auto& [name, entry] : server.clusters().entries()) {
    JsonObject one;
    one["name"] = name;
    if (entry->config->is_added_via_api) one["added_via_api"] = true;
    JsonArray hosts;
    each_host(*entry, [&](const HostConfig& host) { hosts.push_back(host_json(host)); });
    if (!hosts.empty()) one["host_statuses"] = std::move(hosts);
    one["circuit_breakers"] =
        JsonObject{{"thresholds", JsonArray{breaker_json("DEFAULT", entry->config->breaker),
                                            breaker_json("HIGH", entry->config->high_breaker)}}};
    one["observability_name"] =
        entry->config->alt_stat_name.empty() ? name : entry->config->alt_stat_name;
    if (entry->config->type == ClusterConfig::Type::kEds)
      one["eds_service_name"] = entry->config->eds_service_name;
    statuses.push_back(std::move(one));
  }
  return data::dump_json_pretty(JsonObject{{"cluster_statuses", std::move(statuses)}}, 1) + "\n";
}

std::string clusters_text(Server& server) {
  std::string out;
  for (const auto& [name_of, entry] : server.clusters().entries()) {
    const std::string& name = name_of;  // clang 14 captures no structured bindings
    const auto line = [&](std::string_view key, const auto& value) {
      out += fmt::format("{}::{}::{}\n", name, key, value);
    };
    line("observability_name",
         entry->config->alt_stat_name.empty() ? name : entry->config->alt_stat_name);
    for (const auto& [priority, breaker] :
         {std::pair<std::string, const CircuitBreaker*>("default", &entry->config->breaker),
          {"high", &entry->config->high_breaker}}) {
      line(priority + "_priority::max_connections", breaker->max_connections);
      line(priority + "_priority::max_pending_requests", breaker->max_pending);
      line(priority + "_priority::max_requests", breaker->max_requests);
      line(priority + "_priority::max_retries", breaker->max_retries);
    }
    line("added_via_api", entry->config->is_added_via_api);
    if (entry->config->type == ClusterConfig::Type::kEds)
      line("eds_service_name", entry->config->eds_service_name);
    each_host(*entry, [&](const HostConfig& host) {
      const std::string at = host.address.to_string();
      const auto fact = [&](std::string_view key, const auto& value) {
        out += fmt::format("{}::{}::{}::{}\n", name, at, key, value);
      };
      fact("cx_active", host.state->cx_active.value());
      fact("cx_connect_fail", host.state->cx_connect_fail.value());
      fact("cx_total", host.state->cx_total.value());
      fact("rq_active", host.state->rq_active.value());
      fact("rq_error", host.state->rq_error.value());
      fact("rq_success", host.state->rq_success.value());
      fact("rq_timeout", host.state->rq_timeout.value());
      fact("rq_total", host.state->rq_total.value());
      fact("hostname", host.hostname);
      fact("health_flags", host.state->is_ejected                          ? "/failed_outlier_check"
                           : host.health == HostConfig::Health::kUnhealthy ? "/failed_eds_health"
                                                                           : "healthy");
      fact("weight", host.weight);
      fact("region", host.locality.region);
      fact("zone", host.locality.zone);
      fact("sub_zone", host.locality.sub_zone);
      fact("canary", false);
      fact("priority", host.priority);
    });
  }
  return out;
}

std::string listeners_text(Server& server) {
  std::string out;
  for (const auto& [name, entry] : server.listeners().entries())
    if (entry->active != nullptr)
      out += name +
             "::" + (entry->active->is_bound ? entry->bound : entry->active->address).to_string() +
             "\n";
  return out;
}

std::string listeners_json(Server& server) {
  JsonArray statuses;
  for (const auto& [name, entry] : server.listeners().entries())
    if (entry->active != nullptr)
      statuses.push_back(JsonObject{
          {"name", name},
          {"local_address",
           address_json(entry->active->is_bound ? entry->bound : entry->active->address)}});
  return data::dump_json_pretty(JsonObject{{"listener_statuses", std::move(statuses)}}, 1) + "\n";
}

std::string certs_json(Server& server) {
  const WallTime now = server.loop().clock().wall();
  JsonArray all;
  const auto describe = [&](const tls::CertificateInfo& info) {
    JsonArray names;
    for (const auto& uri : info.names.uris) names.push_back(JsonObject{{"uri", uri}});
    for (const auto& dns : info.names.dns) names.push_back(JsonObject{{"dns", dns}});
    for (const auto& ip : info.names.ips) names.push_back(JsonObject{{"ip_address", ip}});
    JsonObject made;
    made["path"] = "<inline>";
    made["serial_number"] = info.serial_hex;
    made["subject_alt_names"] = std::move(names);
    made["days_until_expiration"] =
        std::to_string(std::max<std::int64_t>(0, (info.not_after - now) / hours(24)));
    made["valid_from"] = format_rfc3339(info.not_before);
    made["expiration_time"] = format_rfc3339(info.not_after);
    return made;
  };
  for (const auto& [name, entry] : server.secrets().entries()) {
    if (entry.secret == nullptr) continue;
    JsonArray roots, chain;
    if (entry.secret->has_tls_certificate()) {
      const auto certificate = read_certificate(entry.secret->tls_certificate());
      if (certificate.ok())
        if (const auto parsed = tls::parse_certificates(certificate->chain_pem); parsed.ok())
          for (const auto& one : *parsed) chain.push_back(describe(one));
    }
    if (entry.secret->has_validation_context()) {
      tls::Options options;
      if (apply_validation(entry.secret->validation_context(), options).ok())
        if (const auto parsed = tls::parse_certificates(options.trusted_ca_pem); parsed.ok())
          for (const auto& one : *parsed) roots.push_back(describe(one));
    }
    all.push_back(JsonObject{{"ca_cert", std::move(roots)}, {"cert_chain", std::move(chain)}});
  }
  return data::dump_json_pretty(JsonObject{{"certificates", std::move(all)}}, 1) + "\n";
}

}  // namespace lateen::proxy
