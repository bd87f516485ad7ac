// Each action of envoy.config.route.v3.RateLimit is one function.

#include "proxy/filters/ratelimit/descriptors.h"

#include "base/strings.h"
#include "envoy/config/route/v3/route_components.pb.h"
#include "envoy/type/metadata/v3/metadata.pb.h"
#include "envoy/type/v3/ratelimit_unit.pb.h"
#include "proxy/match/header_matcher.h"
#include "proxy/route/route.h"
#include "proxy/stream/formatter.h"
#include "proxy/worker/worker.h"
#include "xds/any.h"

namespace lateen::proxy {
namespace {

namespace route = envoy::config::route::v3;
using Config = route::RateLimit::Action;
using Action = RateLimitRule::Action;

bool put(RateDescriptor& out, const std::string& key, std::string value) {
  out.entries.emplace_back(key, std::move(value));
  return true;
}

// A value that may hold format commands.
Result<std::function<std::string(const StreamInfo&)>> compile_value(const std::string& text) {
  if (text.find('%') == std::string::npos)
    return std::function<std::string(const StreamInfo&)>(
        [text](const StreamInfo&) { return text; });
  auto format = TRY(Formatter::compile(text, true));
  return std::function<std::string(const StreamInfo&)>(
      [format = std::move(format)](const StreamInfo& info) { return format.format(info); });
}

Action header_action(const Config::RequestHeaders& config) {
  return [name = to_lower(config.header_name()), key = config.descriptor_key(),
          is_skipped = config.skip_if_absent()](const StreamInfo&, const http::Request& request,
                                                RateDescriptor& out) {
    const auto value = header_of(request, name);
    if (!value || value->empty()) return is_skipped;
    return put(out, key, std::string(*value));
  };
}

Action query_action(const Config::QueryParameters& config) {
  return [name = config.query_parameter_name(), key = config.descriptor_key(),
          is_skipped = config.skip_if_absent()](const StreamInfo&, const http::Request& request,
                                                RateDescriptor& out) {
    const auto mark = request.path.find('?');
    if (mark != std::string_view::npos)
      for (auto& [field, value] : parse_query(request.path.substr(mark + 1)))
        if (field == name && !value.empty()) return put(out, key, std::move(value));
    return is_skipped;
  };
}

std::optional<net::Ip> remote_ip(const StreamInfo& info) {
  const net::Address& address = info.remote ? *info.remote : info.connection.remote;
  if (address.is_unix()) return std::nullopt;
  return address.ip();
}

Action masked_action(const Config::MaskedRemoteAddress& config) {
  const int v4 =
      config.has_v4_prefix_mask_len() ? static_cast<int>(config.v4_prefix_mask_len().value()) : 32;
  const int v6 =
      config.has_v6_prefix_mask_len() ? static_cast<int>(config.v6_prefix_mask_len().value()) : 128;
  return [v4, v6](const StreamInfo& info, const http::Request&, RateDescriptor& out) {
    const auto ip = remote_ip(info);
    if (!ip) return false;
    return put(out, "masked_remote_address", net::Cidr(*ip, ip->is_v4() ? v4 : v6).to_string());
  };
}

Result<Action> match_action(const Config::HeaderValueMatch& config) {
  std::vector<HeaderMatcher> matchers;
  for (const auto& one : config.headers()) matchers.push_back(TRY(HeaderMatcher::compile(one)));
  auto value = TRY(compile_value(config.descriptor_value()));
  const std::string key =
      config.descriptor_key().empty() ? "header_match" : config.descriptor_key();
  const bool is_wanted = !config.has_expect_match() || config.expect_match().value();
  return Action([matchers = std::move(matchers), value = std::move(value), key, is_wanted](
                    const StreamInfo& info, const http::Request& request, RateDescriptor& out) {
    if (all_match(matchers, request) != is_wanted) return false;
    return put(out, key, value(info));
  });
}

Result<Action> match_action(const Config::QueryParameterValueMatch& config) {
  std::vector<QueryMatcher> matchers;
  for (const auto& one : config.query_parameters())
    matchers.push_back(TRY(QueryMatcher::compile(one)));
  auto value = TRY(compile_value(config.descriptor_value()));
  const std::string key = config.descriptor_key().empty() ? "query_match" : config.descriptor_key();
  const bool is_wanted = !config.has_expect_match() || config.expect_match().value();
  return Action([matchers = std::move(matchers), value = std::move(value), key, is_wanted](
                    const StreamInfo& info, const http::Request& request, RateDescriptor& out) {
    const auto mark = request.path.find('?');
    const auto query = mark == std::string_view::npos
                           ? std::vector<std::pair<std::string, std::string>>()
                           : parse_query(request.path.substr(mark + 1));
    const bool is_match = std::all_of(matchers.begin(), matchers.end(),
                                      [&](const auto& one) { return one.matches(query); });
    if (is_match != is_wanted) return false;
    return put(out, key, value(info));
  });
}

struct MetadataPath {
  std::string filter;
  std::vector<std::string> path;

  static MetadataPath of(const envoy::type::metadata::v3::MetadataKey& config) {
    MetadataPath made;
    made.filter = config.key();
    for (const auto& segment : config.path()) made.path.push_back(segment.key());
    return made;
  }
  const data::Json* find(const data::JsonObject& metadata) const {
    const data::Json* at = metadata.if_contains(filter);
    for (const auto& segment : path) {
      if (at == nullptr || at->if_object() == nullptr) return nullptr;
      at = at->if_object()->if_contains(segment);
    }
    return at;
  }
};

Action metadata_action(const std::string& key, MetadataPath path, std::string fallback,
                       bool is_of_route, bool is_skipped) {
  return [=](const StreamInfo& info, const http::Request&, RateDescriptor& out) {
    const data::Json* found = nullptr;
    if (!is_of_route) found = path.find(info.metadata);
    else if (info.route != nullptr) found = path.find(info.route->metadata);
    std::string value =
        found != nullptr && found->is_string() ? std::string(data::as_string(*found)) : "";
    if (value.empty()) value = fallback;
    if (value.empty()) return is_skipped;
    return put(out, key, std::move(value));
  };
}

Result<Action> compile_action(const Config& config) {
  switch (config.action_specifier_case()) {
    case Config::kSourceCluster:
      return Action([](const StreamInfo& info, const http::Request&, RateDescriptor& out) {
        return put(out, "source_cluster", info.worker.shared().node_cluster);
      });
    case Config::kDestinationCluster:
      return Action([](const StreamInfo& info, const http::Request&, RateDescriptor& out) {
        return put(out, "destination_cluster", std::string(info.cluster_choice));
      });
    case Config::kRequestHeaders: return header_action(config.request_headers());
    case Config::kQueryParameters: return query_action(config.query_parameters());
    case Config::kRemoteAddress:
      return Action([](const StreamInfo& info, const http::Request&, RateDescriptor& out) {
        const auto ip = remote_ip(info);
        return ip && put(out, "remote_address", ip->to_string());
      });
    case Config::kMaskedRemoteAddress: return masked_action(config.masked_remote_address());
    case Config::kGenericKey: {
      auto value = TRY(compile_value(config.generic_key().descriptor_value()));
      const std::string key = config.generic_key().descriptor_key().empty()
                                  ? "generic_key"
                                  : config.generic_key().descriptor_key();
      return Action([value = std::move(value), key](const StreamInfo& info, const http::Request&,
                                                    RateDescriptor& out) {
        return put(out, key, value(info));
      });
    }
    case Config::kHeaderValueMatch: return match_action(config.header_value_match());
    case Config::kQueryParameterValueMatch:
      return match_action(config.query_parameter_value_match());
    case Config::kDynamicMetadata:
      return metadata_action(config.dynamic_metadata().descriptor_key(),
                             MetadataPath::of(config.dynamic_metadata().metadata_key()),
                             config.dynamic_metadata().default_value(), false, false);
    case Config::kMetadata:
      return metadata_action(config.metadata().descriptor_key(),
                             MetadataPath::of(config.metadata().metadata_key()),
                             config.metadata().default_value(),
                             config.metadata().source() == Config::MetaData::ROUTE_ENTRY,
                             config.metadata().skip_if_absent());
    default:
      return invalid("rate limit action '" + config.extension().name() + "' is not supported",
                     Blame::kConfig);
  }
}

std::optional<RateDescriptor::Override> read_override(const data::Json* found) {
  if (found == nullptr || found->if_object() == nullptr) return std::nullopt;
  const auto* count = data::find(*found, {"requests_per_unit"});
  const auto* unit = data::find(*found, {"unit"});
  if (count == nullptr || unit == nullptr || !unit->is_string()) return std::nullopt;
  envoy::type::v3::RateLimitUnit parsed;
  if (!envoy::type::v3::RateLimitUnit_Parse(std::string(data::as_string(*unit)), &parsed))
    return std::nullopt;
  const auto number = data::as_number(*count);
  if (!number || *number < 0) return std::nullopt;
  return RateDescriptor::Override{static_cast<std::uint32_t>(*number), static_cast<int>(parsed)};
}

void describe_all(const RateLimitRules& rules, const StreamInfo& info, const http::Request& request,
                  std::uint32_t stage, std::vector<RateDescriptor>& out) {
  constexpr std::size_t kMostDescriptors = 64;
  for (const auto& rule : rules) {
    if (rule->stage() != stage || out.size() >= kMostDescriptors) continue;
    if (auto made = rule->describe(info, request)) out.push_back(*std::move(made));
  }
}

}  // namespace

Result<RateLimitRule::Ref> RateLimitRule::compile(const route::RateLimit& config) {
  auto made = std::make_shared<RateLimitRule>();
  made->stage_ = config.stage().value();
  if (config.apply_on_stream_done())
    return invalid("rate limit: apply_on_stream_done is not supported", Blame::kConfig);
  for (const auto& one : config.actions()) made->actions_.push_back(TRY(compile_action(one)));
  if (config.limit().has_dynamic_metadata())
    made->override_ = [path = MetadataPath::of(config.limit().dynamic_metadata().metadata_key())](
                          const StreamInfo& info) {
      return read_override(path.find(info.metadata));
    };
  if (config.hits_addend().has_number()) {
    made->hits_ = [count = config.hits_addend().number().value()](const StreamInfo&) {
      return std::optional<std::uint64_t>(count);
    };
  } else if (!config.hits_addend().format().empty()) {
    auto format = TRY(Formatter::compile(config.hits_addend().format(), true));
    made->hits_ = [format = std::move(format)](const StreamInfo& info) {
      return parse_uint(format.format(info));
    };
  }
  return Ref(std::move(made));
}

std::optional<RateDescriptor> RateLimitRule::describe(const StreamInfo& info,
                                                      const http::Request& request) const {
  RateDescriptor made;
  for (const auto& action : actions_)
    if (!action(info, request, made)) return std::nullopt;
  if (made.entries.empty()) return std::nullopt;
  if (override_) made.limit = override_(info);
  if (hits_) made.hits = hits_(info);
  return made;
}

std::vector<RateDescriptor> describe_request(const StreamInfo& info, const http::Request& request,
                                             const RateLimitRules& own, std::uint32_t stage,
                                             HostRules host_rules) {
  std::vector<RateDescriptor> made;
  if (!own.empty()) {
    describe_all(own, info, request, stage, made);
    return made;
  }
  if (info.route == nullptr) return made;
  describe_all(info.route->rate_limits, info, request, stage, made);
  if (info.virtual_host == nullptr) return made;
  const bool is_host_asked =
      info.route->is_host_limit_included || host_rules == HostRules::kInclude ||
      (host_rules == HostRules::kOverride && info.route->rate_limits.empty());
  if (is_host_asked) describe_all(info.virtual_host->rate_limits, info, request, stage, made);
  return made;
}

}  // namespace lateen::proxy
