// Values that are honoured, by field.

#include "proxy/api/value_check.h"

#include "envoy/config/bootstrap/v3/bootstrap.pb.h"
#include "envoy/extensions/network/dns_resolver/cares/v3/cares_dns_resolver.pb.h"
#include "proxy/api/field_check.h"

namespace lateen::proxy {
namespace {

namespace core = envoy::config::core::v3;
using envoy::config::bootstrap::v3::Bootstrap;

Error refused(const std::string& what) {
  return invalid(what + " is not supported", Blame::kConfig);
}

Result<> check_extensions(const Bootstrap& bootstrap) {
  for (const auto& one : bootstrap.bootstrap_extensions()) {
    const std::string type = xds::carried_type(one.typed_config());
    // Internal listeners are built in; peers tell their metadata themselves.
    if (type.ends_with("internal_listener.v3.InternalListener") ||
        type == "istio.workload.BootstrapExtension")
      continue;
    return refused("bootstrap extension '" + one.name() + "' of type " + type);
  }
  if (bootstrap.has_default_regex_engine()) {
    const std::string type = xds::carried_type(bootstrap.default_regex_engine().typed_config());
    if (!type.ends_with("regex_engines.v3.GoogleRE2"))
      return refused("default_regex_engine of type " + type);
  }
  return {};
}

}  // namespace

Result<> check_source(const core::ConfigSource& source, std::string_view what) {
  using Source = core::ConfigSource;
  switch (source.config_source_specifier_case()) {
    case Source::kAds:
    case Source::kSelf:
    case Source::CONFIG_SOURCE_SPECIFIER_NOT_SET: return {};
    default:
      return invalid(std::string(what) + ": only the aggregated stream (ads) is supported",
                     Blame::kConfig);
  }
}

Result<> check_dns_resolver(const core::TypedExtensionConfig& config) {
  const std::string type = xds::carried_type(config.typed_config());
  if (type.ends_with("getaddrinfo.v3.GetAddrInfoDnsResolverConfig")) return {};
  if (!type.ends_with("cares.v3.CaresDnsResolverConfig"))
    return refused("DNS resolver '" + config.name() + "' of type " + type);
  const auto cares =
      TRY(xds::unpack<envoy::extensions::network::dns_resolver::cares::v3::CaresDnsResolverConfig>(
          config.typed_config()));
  if (cares.resolvers_size() > 0 && !cares.use_resolvers_as_fallback())
    return refused("typed_dns_resolver_config: resolvers");
  if (cares.dns_resolver_options().use_tcp_for_dns_lookups())
    return refused("typed_dns_resolver_config: use_tcp_for_dns_lookups");
  return {};
}

Result<> check_bootstrap(const Bootstrap& bootstrap) {
  TRY(check_fields(bootstrap).at("bootstrap"));
  TRY(check_extensions(bootstrap));
  if (bootstrap.has_typed_dns_resolver_config())
    TRY(check_dns_resolver(bootstrap.typed_dns_resolver_config()));
  const auto& dynamic = bootstrap.dynamic_resources();
  TRY(check_source(dynamic.cds_config(), "dynamic_resources.cds_config"));
  TRY(check_source(dynamic.lds_config(), "dynamic_resources.lds_config"));
  if ((dynamic.has_cds_config() || dynamic.has_lds_config()) && !dynamic.has_ads_config())
    return invalid("dynamic_resources: cds_config and lds_config need ads_config", Blame::kConfig);
  using Api = core::ApiConfigSource;
  const auto kind = dynamic.ads_config().api_type();
  if (dynamic.has_ads_config() && kind != Api::GRPC && kind != Api::DELTA_GRPC &&
      kind != Api::AGGREGATED_GRPC && kind != Api::AGGREGATED_DELTA_GRPC)
    return refused("dynamic_resources.ads_config.api_type " + Api::ApiType_Name(kind));
  return {};
}

}  // namespace lateen::proxy
