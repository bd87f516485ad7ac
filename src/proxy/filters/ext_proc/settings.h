// envoy.filters.http.ext_proc's configuration, compiled. Immutable. Private to this folder.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "proxy/filters/ext_proc/mutation.h"
#include "proxy/filters/side_call.h"
#include "proxy/route/route.h"

namespace envoy::extensions::filters::http::ext_proc::v3 {
class ExternalProcessor;
class ExtProcPerRoute;
class ProcessingMode;
}  // namespace envoy::extensions::filters::http::ext_proc::v3

namespace lateen::proxy {

// What of an exchange is shown to the processor.
struct ProcModes {
  enum class Body : unsigned char { kNone, kStreamed, kBuffered, kDuplex };
  bool sends_request_headers = true, sends_response_headers = true;
  bool sends_request_trailers = false, sends_response_trailers = false;
  Body request_body = Body::kNone, response_body = Body::kNone;

  static Result<ProcModes> compile(
      const envoy::extensions::filters::http::ext_proc::v3::ProcessingMode& config);
  bool is_silent() const {
    return !sends_request_headers && !sends_response_headers && !sends_request_trailers &&
           !sends_response_trailers && request_body == Body::kNone && response_body == Body::kNone;
  }
};

struct ProcSettings {
  SideService service;
  ProcModes modes;
  bool is_failure_allowed = false;
  bool is_override_allowed = false;
  bool is_immediate_denied = false;
  bool is_watching = false;  // observability_mode: nobody waits for answers
  enum class Recache : unsigned char { kAsked, kAlways, kNever } recache = Recache::kAsked;
  milliseconds timeout{200};
  milliseconds most_timeout{0};
  int error_status = 500;
  MutationRules rules;
  ForwardRules forward;
  std::vector<std::string> request_attributes, response_attributes;
  std::vector<std::string> sent_metadata, taken_metadata;  // namespaces

  static Result<std::shared_ptr<ProcSettings>> compile(
      const envoy::extensions::filters::http::ext_proc::v3::ExternalProcessor& config);
};

// Of a route: changes a copy of the filter's settings.
struct ProcRoute final : RouteFilterConfig {
  bool is_disabled = false;
  std::optional<ProcModes> modes;
  std::optional<SideService> service;
  std::optional<bool> is_failure_allowed;
  std::vector<std::string> request_attributes, response_attributes;
  std::vector<std::pair<std::string, std::string>> metadata;  // grpc_initial_metadata

  static Result<std::shared_ptr<const ProcRoute>> compile(
      const envoy::extensions::filters::http::ext_proc::v3::ExtProcPerRoute& config);
  std::shared_ptr<const ProcSettings> over(const ProcSettings& base) const;
};

}  // namespace lateen::proxy
