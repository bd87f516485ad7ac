// OpenTelemetry log records: body and attributes with format commands in their texts.

#include "envoy/extensions/access_loggers/open_telemetry/v3/logs_service.pb.h"
#include "opentelemetry/proto/collector/logs/v1/logs_service.pb.h"
#include "proxy/log/service_log.h"
#include "xds/any.h"

namespace lateen::proxy {
namespace {

namespace api = envoy::extensions::access_loggers::open_telemetry::v3;
namespace common = opentelemetry::proto::common::v1;
namespace logs = opentelemetry::proto::logs::v1;

// A value whose texts are compiled.
struct Template {
  std::optional<Formatter> format;
  std::vector<Template> fields;  // their names are in `fixed`
  std::vector<Template> items;
  common::AnyValue fixed;

  static Result<Template> compile(const common::AnyValue& from, int depth) {
    Template made;
    made.fixed = from;
    if (depth > 16) return invalid("OpenTelemetry log: values are nested too deep", Blame::kConfig);
    if (from.value_case() == common::AnyValue::kStringValue) {
      made.format = TRY(Formatter::compile(from.string_value()));
    } else if (from.value_case() == common::AnyValue::kKvlistValue) {
      for (const auto& one : from.kvlist_value().values())
        made.fields.push_back(TRY(compile(one.value(), depth + 1)));
    } else if (from.value_case() == common::AnyValue::kArrayValue) {
      for (const auto& one : from.array_value().values())
        made.items.push_back(TRY(compile(one, depth + 1)));
    }
    return made;
  }
  void render(const StreamInfo& info, common::AnyValue& out) const {
    if (format) {
      out.set_string_value(format->format(info));
      return;
    }
    out = fixed;
    for (std::size_t i = 0; i < fields.size(); ++i)
      fields[i].render(
          info, *out.mutable_kvlist_value()->mutable_values(static_cast<int>(i))->mutable_value());
    for (std::size_t i = 0; i < items.size(); ++i)
      items[i].render(info, *out.mutable_array_value()->mutable_values(static_cast<int>(i)));
  }
};

class OtlpCodec final : public LogCodec {
 public:
  std::optional<Template> body;
  std::vector<std::pair<std::string, Template>> attributes;
  common::KeyValueList resource;
  std::string log_name;
  bool is_labelled = true;

  bool is_streamed() const override { return false; }
  std::string_view method() const override {
    return "/opentelemetry.proto.collector.logs.v1.LogsService/Export";
  }
  std::string entry(const StreamInfo& info) const override {
    logs::LogRecord made;
    made.set_time_unix_nano(static_cast<std::uint64_t>(
        std::chrono::duration_cast<nanoseconds>(info.started_wall.time_since_epoch()).count()));
    if (body) body->render(info, *made.mutable_body());
    for (const auto& [key, value] : attributes) {
      auto& attribute = *made.add_attributes();
      attribute.set_key(key);
      value.render(info, *attribute.mutable_value());
    }
    return made.SerializeAsString();
  }
  std::string batch(const std::vector<std::string>& entries, bool, Worker& worker) const override {
    opentelemetry::proto::collector::logs::v1::ExportLogsServiceRequest made;
    auto& all = *made.add_resource_logs();
    const auto label = [&](const char* key, const std::string& value) {
      auto& attribute = *all.mutable_resource()->add_attributes();
      attribute.set_key(key);
      attribute.mutable_value()->set_string_value(value);
    };
    if (is_labelled) {
      label("log_name", log_name);
      label("zone_name", "");
      label("cluster_name", worker.shared().node_cluster);
      label("node_name", worker.shared().identity.node_id);
    }
    for (const auto& one : resource.values()) *all.mutable_resource()->add_attributes() = one;
    // The pinned API calls ScopeLogs by its first name; the fields' numbers are the same.
    auto& scope = *all.add_instrumentation_library_logs();
    for (const auto& one : entries) scope.add_logs()->ParseFromString(one);
    return made.SerializeAsString();
  }
};

}  // namespace

Result<std::shared_ptr<const LogCodec>> make_otlp_codec(const google::protobuf::Any& config) {
  const auto from = TRY(xds::unpack<api::OpenTelemetryAccessLogConfig>(config));
  auto made = std::make_shared<OtlpCodec>();
  if (from.has_body()) made->body = TRY(Template::compile(from.body(), 0));
  for (const auto& one : from.attributes().values())
    made->attributes.emplace_back(one.key(), TRY(Template::compile(one.value(), 0)));
  made->resource = from.resource_attributes();
  made->log_name = from.common_config().log_name();
  made->is_labelled = !from.disable_builtin_labels();
  return std::shared_ptr<const LogCodec>(std::move(made));
}

}  // namespace lateen::proxy
