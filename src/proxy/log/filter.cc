// Filters of access logs: which finished streams are written.

#include "base/strings.h"
#include "envoy/config/accesslog/v3/accesslog.pb.h"
#include "envoy/extensions/access_loggers/filters/cel/v3/cel.pb.h"
#include "proxy/log/access_log.h"
#include "proxy/match/cel.h"
#include "proxy/match/metadata_matcher.h"
#include "proxy/stream/stream_info.h"
#include "xds/any.h"
#include "xds/convert.h"

namespace lateen::proxy {
namespace {

namespace accesslog = envoy::config::accesslog::v3;

std::function<bool(std::int64_t)> comparison(const accesslog::ComparisonFilter& config) {
  const std::int64_t limit = config.value().default_value();
  switch (config.op()) {
    case accesslog::ComparisonFilter::EQ:
      return [limit](std::int64_t value) { return value == limit; };
    case accesslog::ComparisonFilter::GE:
      return [limit](std::int64_t value) { return value >= limit; };
    case accesslog::ComparisonFilter::LE:
      return [limit](std::int64_t value) { return value <= limit; };
    default: return [limit](std::int64_t value) { return value != limit; };
  }
}

Result<std::vector<LogFilter>> compile_all(
    const google::protobuf::RepeatedPtrField<accesslog::AccessLogFilter>& configs) {
  std::vector<LogFilter> made;
  for (const auto& one : configs) made.push_back(TRY(compile_log_filter(one)));
  return made;
}

}  // namespace

Result<LogFilter> compile_log_filter(const accesslog::AccessLogFilter& config) {
  using Filter = accesslog::AccessLogFilter;
  switch (config.filter_specifier_case()) {
    case Filter::kStatusCodeFilter:
      return LogFilter([compare = comparison(config.status_code_filter().comparison())](
                           const StreamInfo& info) { return compare(info.status); });
    case Filter::kDurationFilter:
      return LogFilter(
          [compare = comparison(config.duration_filter().comparison())](const StreamInfo& info) {
            if (!info.finished) return false;
            return compare(
                std::chrono::duration_cast<milliseconds>(*info.finished - info.started).count());
          });
    case Filter::kNotHealthCheckFilter: return LogFilter([](const StreamInfo&) { return true; });
    case Filter::kTraceableFilter:
      return LogFilter([](const StreamInfo& info) { return info.span != nullptr; });
    case Filter::kRuntimeFilter: {
      const std::uint32_t limit = xds::to_millionths(config.runtime_filter().percent_sampled());
      return LogFilter(
          [limit](const StreamInfo& info) { return fnv1a64(info.request_id) % 1'000'000 < limit; });
    }
    case Filter::kAndFilter: {
      auto parts = TRY(compile_all(config.and_filter().filters()));
      return LogFilter([parts = std::move(parts)](const StreamInfo& info) {
        for (const auto& part : parts)
          if (!part(info)) return false;
        return true;
      });
    }
    case Filter::kOrFilter: {
      auto parts = TRY(compile_all(config.or_filter().filters()));
      return LogFilter([parts = std::move(parts)](const StreamInfo& info) {
        for (const auto& part : parts)
          if (part(info)) return true;
        return false;
      });
    }
    case Filter::kHeaderFilter: {
      auto matcher = TRY(HeaderMatcher::compile(config.header_filter().header()));
      return LogFilter([matcher = std::move(matcher)](const StreamInfo& info) {
        return info.request && matcher.matches(*info.request);
      });
    }
    case Filter::kResponseFlagFilter: {
      std::vector<std::string> wanted(config.response_flag_filter().flags().begin(),
                                      config.response_flag_filter().flags().end());
      return LogFilter([wanted = std::move(wanted)](const StreamInfo& info) {
        if (wanted.empty()) return !info.flags.empty();
        const std::string text = info.flags.to_string();
        for (const auto part : split(text, ','))
          for (const auto& one : wanted)
            if (part == one) return true;
        return false;
      });
    }
    case Filter::kGrpcStatusFilter: {
      std::vector<std::int64_t> wanted(config.grpc_status_filter().statuses().begin(),
                                       config.grpc_status_filter().statuses().end());
      return LogFilter(
          [wanted = std::move(wanted),
           is_excluding = config.grpc_status_filter().exclude()](const StreamInfo& info) {
            const auto code = info.grpc_status ? parse_int(*info.grpc_status) : std::nullopt;
            const std::int64_t status = code.value_or(2);
            const bool is_found = std::find(wanted.begin(), wanted.end(), status) != wanted.end();
            return is_found != is_excluding;
          });
    }
    case Filter::kMetadataFilter: {
      auto matcher = TRY(MetadataMatcher::compile(config.metadata_filter().matcher()));
      const bool is_missing_written = !config.metadata_filter().has_match_if_key_not_found() ||
                                      config.metadata_filter().match_if_key_not_found().value();
      return LogFilter([matcher = std::move(matcher), is_missing_written](const StreamInfo& info) {
        return matcher.find(info.metadata) == nullptr ? is_missing_written
                                                      : matcher.matches(info.metadata);
      });
    }
    case Filter::kExtensionFilter: {
      namespace cel = envoy::extensions::access_loggers::filters::cel::v3;
      const auto& any = config.extension_filter().typed_config();
      if (xds::carried_type(any).ends_with("cel.v3.ExpressionFilter")) {
        const auto from = TRY(xds::unpack<cel::ExpressionFilter>(any));
        auto expression = TRY(CelExpression::parse(from.expression()).at("access log filter"));
        return LogFilter([expression = std::move(expression)](const StreamInfo& info) {
          return expression.matches(info, nullptr);
        });
      }
      [[fallthrough]];
    }
    default:
      return invalid("access log filter '" +
                         xds::carried_type(config.extension_filter().typed_config()) +
                         "' is not supported",
                     Blame::kConfig);
  }
}

}  // namespace lateen::proxy
