// Modes that are not spoken here (BUFFERED_PARTIAL, GRPC) and services over HTTP are refused.

#include "proxy/filters/ext_proc/settings.h"

#include "base/strings.h"
#include "envoy/extensions/filters/http/ext_proc/v3/ext_proc.pb.h"
#include "envoy/extensions/filters/http/ext_proc/v3/processing_mode.pb.h"
#include "xds/convert.h"

namespace lateen::proxy {
namespace {

namespace api = envoy::extensions::filters::http::ext_proc::v3;
using Mode = api::ProcessingMode;

Error refuse(const std::string& what) {
  return invalid("ext_proc: " + what + " is not supported", Blame::kConfig);
}

Result<ProcModes::Body> body_of_mode(Mode::BodySendMode mode) {
  switch (mode) {
    case Mode::NONE: return ProcModes::Body::kNone;
    case Mode::STREAMED: return ProcModes::Body::kStreamed;
    case Mode::BUFFERED: return ProcModes::Body::kBuffered;
    case Mode::FULL_DUPLEX_STREAMED: return ProcModes::Body::kDuplex;
    default: return refuse("body mode " + Mode::BodySendMode_Name(mode));
  }
}

}  // namespace

Result<ProcModes> ProcModes::compile(const Mode& config) {
  ProcModes made;
  made.sends_request_headers = config.request_header_mode() != Mode::SKIP;
  made.sends_response_headers = config.response_header_mode() != Mode::SKIP;
  made.sends_request_trailers = config.request_trailer_mode() == Mode::SEND;
  made.sends_response_trailers = config.response_trailer_mode() == Mode::SEND;
  made.request_body = TRY(body_of_mode(config.request_body_mode()));
  made.response_body = TRY(body_of_mode(config.response_body_mode()));
  if ((made.request_body == Body::kDuplex && !made.sends_request_trailers) ||
      (made.response_body == Body::kDuplex && !made.sends_response_trailers))
    return invalid(
        "ext_proc: If the ext_proc filter has the body mode set to FULL_DUPLEX_STREAMED, then the "
        "trailer mode has to be set to SEND",
        Blame::kConfig);
  return made;
}

Result<std::shared_ptr<ProcSettings>> ProcSettings::compile(const api::ExternalProcessor& config) {
  auto made = std::make_shared<ProcSettings>();
  if (!config.has_grpc_service()) return refuse("a service that is not gRPC");
  if (config.has_processing_request_modifier())
    return refuse("processing_request_modifier " + config.processing_request_modifier().name());
  if (config.has_on_processing_response())
    return refuse("on_processing_response " + config.on_processing_response().name());
  if (config.metadata_options().has_cluster_metadata_forwarding_namespaces())
    return refuse("cluster_metadata_forwarding_namespaces");
  made->service = TRY(SideService::compile(config.grpc_service(), "ext_proc"));
  made->modes = TRY(ProcModes::compile(config.processing_mode()));
  made->is_failure_allowed = config.failure_mode_allow();
  made->is_override_allowed = config.allow_mode_override();
  made->is_immediate_denied = config.disable_immediate_response();
  made->is_watching = config.observability_mode();
  if (config.disable_clear_route_cache() ||
      config.route_cache_action() == api::ExternalProcessor::RETAIN)
    made->recache = Recache::kNever;
  else if (config.route_cache_action() == api::ExternalProcessor::CLEAR)
    made->recache = Recache::kAlways;
  if (config.has_message_timeout()) made->timeout = xds::to_millis(config.message_timeout());
  if (config.has_max_message_timeout())
    made->most_timeout = xds::to_millis(config.max_message_timeout());
  if (config.has_status_on_error() && config.status_on_error().code() >= 400)
    made->error_status = config.status_on_error().code();
  made->rules = TRY(MutationRules::compile(config.mutation_rules()));
  made->forward.allowed = TRY(compile_list(config.forward_rules().allowed_headers()));
  made->forward.denied = TRY(compile_list(config.forward_rules().disallowed_headers()));
  made->request_attributes.assign(config.request_attributes().begin(),
                                  config.request_attributes().end());
  made->response_attributes.assign(config.response_attributes().begin(),
                                   config.response_attributes().end());
  const auto& sent = config.metadata_options().forwarding_namespaces().untyped();
  made->sent_metadata.assign(sent.begin(), sent.end());
  const auto& taken = config.metadata_options().receiving_namespaces().untyped();
  made->taken_metadata.assign(taken.begin(), taken.end());
  return made;
}

Result<std::shared_ptr<const ProcRoute>> ProcRoute::compile(const api::ExtProcPerRoute& config) {
  auto made = std::make_shared<ProcRoute>();
  made->is_disabled = config.disabled();
  const auto& over = config.overrides();
  if (over.has_processing_request_modifier())
    return refuse("processing_request_modifier " + over.processing_request_modifier().name());
  if (over.has_processing_mode()) made->modes = TRY(ProcModes::compile(over.processing_mode()));
  if (over.has_grpc_service())
    made->service = TRY(SideService::compile(over.grpc_service(), "ext_proc"));
  if (over.has_failure_mode_allow()) made->is_failure_allowed = over.failure_mode_allow().value();
  made->request_attributes.assign(over.request_attributes().begin(),
                                  over.request_attributes().end());
  made->response_attributes.assign(over.response_attributes().begin(),
                                   over.response_attributes().end());
  for (const auto& one : over.grpc_initial_metadata())
    made->metadata.emplace_back(to_lower(one.key()), one.value());
  return std::shared_ptr<const ProcRoute>(std::move(made));
}

std::shared_ptr<const ProcSettings> ProcRoute::over(const ProcSettings& base) const {
  auto made = std::make_shared<ProcSettings>(base);
  if (modes) made->modes = *modes;
  if (service) made->service = *service;
  if (is_failure_allowed) made->is_failure_allowed = *is_failure_allowed;
  if (!request_attributes.empty()) made->request_attributes = request_attributes;
  if (!response_attributes.empty()) made->response_attributes = response_attributes;
  for (const auto& one : metadata) made->service.metadata.push_back(one);
  return made;
}

}  // namespace lateen::proxy
