// Header maps of the external processing protocol, and what a processor may change. Private to
// this folder.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "http/message.h"
#include "proxy/match/string_matcher.h"

namespace envoy::config::common::mutation_rules::v3 {
class HeaderMutationRules;
}
namespace envoy::config::core::v3 {
class HeaderMap;
class HeaderValueOption;
}  // namespace envoy::config::core::v3
namespace envoy::service::ext_proc::v3 {
class HeaderMutation;
}

namespace lateen::proxy {

// Which header changes of a side service are taken. Immutable.
class MutationRules {
 public:
  static Result<MutationRules> compile(
      const envoy::config::common::mutation_rules::v3::HeaderMutationRules& config);
  enum class Verdict : unsigned char { kAllow, kIgnore, kFail };
  Verdict check(std::string_view name, bool is_removal) const;

 private:
  bool allows(std::string_view name, bool is_removal) const;
  bool is_routing_allowed_ = false, is_envoy_allowed_ = false, is_system_denied_ = false,
       is_all_denied_ = false, is_denial_error_ = false;
  std::optional<Regex> allowed_, denied_;
};

// Which headers are shown to the processor.
struct ForwardRules {
  std::vector<StringMatcher> allowed, denied;
  bool shows(std::string_view name) const;
};

void write_request(const http::Request& request, const ForwardRules& rules,
                   envoy::config::core::v3::HeaderMap& out);
void write_response(int status, const http::Headers& headers, const ForwardRules& rules,
                    envoy::config::core::v3::HeaderMap& out);
void write_trailers(const http::Headers& trailers, const ForwardRules& rules,
                    envoy::config::core::v3::HeaderMap& out);

// Fails when a change is against the rules and those say that this is an error, or when it is no
// valid header. `request` has the pseudo headers of a request; null: of none.
Result<> apply_mutation(const envoy::service::ext_proc::v3::HeaderMutation& mutation,
                        const MutationRules& rules, http::Headers& headers, http::Request* request,
                        int* status);

}  // namespace lateen::proxy
