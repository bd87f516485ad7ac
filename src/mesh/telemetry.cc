#include "mesh/telemetry.h"

#include "mesh/check.h"

namespace lateen::mesh {
namespace {

std::string read_mode(Reader& reader) {
  return reader.choice<std::string>(
      "mode",
      {{"CLIENT", "CLIENT"}, {"SERVER", "SERVER"}, {"CLIENT_AND_SERVER", "CLIENT_AND_SERVER"}}, "");
}

std::vector<std::string> read_providers(Reader& reader) {
  std::vector<std::string> out;
  reader.each("providers", [&](Reader& r) { out.push_back(r.text("name")); });
  return out;
}

void read_override(Reader& reader, Telemetry::Override& out) {
  out.metric = "ALL_METRICS";
  reader.object("match", [&](Reader& r) {
    out.metric = r.text("metric", "ALL_METRICS");
    if (r.has("customMetric")) out.metric = r.text("customMetric");
    out.mode = read_mode(r);
  });
  out.is_disabled = reader.maybe_flag("disabled");
  reader.each_entry("tagOverrides", [&](const std::string& name, Reader& r) {
    const bool is_removed =
        r.choice<bool>("operation", {{"UPSERT", false}, {"REMOVE", true}}, false);
    const std::string value = r.text("value");
    out.tags[name] = is_removed ? std::nullopt : std::optional(value);
  });
}

void read_tag(Reader& reader, Telemetry::Tracing::Tag& out) {
  using Kind = Telemetry::Tracing::Tag::Kind;
  reader.object("literal", [&](Reader& r) { out = {Kind::kLiteral, r.text("value"), ""}; });
  reader.object("environment", [&](Reader& r) {
    out = {Kind::kEnvironment, r.text("name"), r.text("defaultValue")};
  });
  reader.object("header", [&](Reader& r) {
    out = {Kind::kHeader, r.text("name"), r.text("defaultValue")};
  });
  reader.object("formatter", [&](Reader& r) { out = {Kind::kFormatter, r.text("value"), ""}; });
}

void read_tracing(Reader& reader, Telemetry::Tracing& out) {
  reader.object("match", [&](Reader& r) { out.mode = read_mode(r); });
  out.providers = read_providers(reader);
  out.sampling_percent = reader.maybe_number("randomSamplingPercentage");
  out.is_reporting_disabled = reader.maybe_flag("disableSpanReporting");
  out.uses_request_id_for_sampling = reader.maybe_flag("useRequestIdForTraceSampling");
  out.has_istio_tags = reader.maybe_flag("enableIstioTags");
  reader.unused("disableContextPropagation", "proxies of this mesh propagate contexts");
  reader.each_entry("customTags",
                    [&](const std::string& name, Reader& r) { read_tag(r, out.tags[name]); });
}

}  // namespace

void read_spec(Reader& reader, Telemetry& spec) {
  reader.object("selector", [&](Reader& r) { spec.selector = r.map("matchLabels"); });
  read_targets(reader, spec.targets);
  reader.each("tracing", [&](Reader& r) { read_tracing(r, spec.tracing.emplace_back()); });
  reader.each("accessLogging", [&](Reader& item) {
    Telemetry::AccessLogging& logging = spec.access_logging.emplace_back();
    item.object("match", [&](Reader& r) { logging.mode = read_mode(r); });
    logging.providers = read_providers(item);
    logging.is_disabled = item.maybe_flag("disabled");
    item.object("filter", [&](Reader& r) { logging.filter = r.text("expression"); });
  });
  reader.each("metrics", [&](Reader& item) {
    Telemetry::Metrics& metrics = spec.metrics.emplace_back();
    metrics.providers = read_providers(item);
    item.each("overrides", [&](Reader& r) { read_override(r, metrics.overrides.emplace_back()); });
    metrics.reporting_interval = item.duration("reportingInterval");
  });
}

void read_spec(Reader& reader, ProxyConfigSpec& spec) {
  reader.object("selector", [&](Reader& r) { spec.selector = r.map("matchLabels"); });
  spec.concurrency = reader.maybe_integer("concurrency");
  spec.environment = reader.map("environmentVariables");
  reader.object("image", [&](Reader& r) { spec.image_type = r.text("imageType"); });
}

void check_spec(const Meta&, const Telemetry& spec, Issues& issues) {
  check_labels("spec.selector.matchLabels", spec.selector, issues);
  for (const Telemetry::Tracing& tracing : spec.tracing) {
    if (tracing.providers.size() > 1) {
      issues.warn(
          "spec.tracing.providers: multiple providers are not supported; the first is used");
    }
    if (tracing.sampling_percent) {
      check_percent("spec.tracing.randomSamplingPercentage", *tracing.sampling_percent, issues);
    }
    for (const auto& [name, tag] : tracing.tags) {
      if (tag.kind != Telemetry::Tracing::Tag::Kind::kLiteral && tag.value.empty()) {
        issues.error("spec.tracing.customTags." + name + ": a name is required");
      }
    }
  }
}

void check_spec(const Meta&, const ProxyConfigSpec& spec, Issues& issues) {
  check_labels("spec.selector.matchLabels", spec.selector, issues);
  if (spec.concurrency && *spec.concurrency < 0) {
    issues.error("spec.concurrency: must not be negative");
  }
}

}  // namespace lateen::mesh
