// The rules are Envoy's: routing headers and x-envoy-* stay unless the configuration opens them.

#include "proxy/filters/ext_proc/mutation.h"

#include "base/strings.h"
#include "envoy/config/common/mutation_rules/v3/mutation_rules.pb.h"
#include "envoy/config/core/v3/base.pb.h"
#include "envoy/service/ext_proc/v3/external_processor.pb.h"
#include "http/h1_parser.h"

namespace lateen::proxy {
namespace {

constexpr std::size_t kMostMutations = 200;

void add(envoy::config::core::v3::HeaderMap& out, std::string name, std::string_view value,
         const ForwardRules& rules) {
  if (!rules.shows(name)) return;
  auto& header = *out.add_headers();
  header.set_key(std::move(name));
  header.set_raw_value(std::string(value));
}

bool is_routing(std::string_view name) {
  return name == "host" || name == ":authority" || name == ":scheme" || name == ":method";
}

std::string_view* pseudo_field(http::Request& request, std::string_view name) {
  if (name == ":method") return &request.method;
  if (name == ":path") return &request.path;
  if (name == ":scheme") return &request.scheme;
  if (name == ":authority" || name == "host") return &request.authority;
  return nullptr;
}

Result<> set_one(const envoy::config::core::v3::HeaderValueOption& option,
                 const MutationRules& rules, http::Headers& headers, http::Request* request,
                 int* status) {
  using Option = envoy::config::core::v3::HeaderValueOption;
  const std::string name = to_lower(option.header().key());
  const std::string& value =
      option.header().raw_value().empty() ? option.header().value() : option.header().raw_value();
  const std::string_view plain = name.starts_with(':') ? std::string_view(name).substr(1) : name;
  if (!http::h1::is_token(plain) || !http::h1::is_field_value(value))
    return invalid("Invalid character in set_headers mutation.", Blame::kUpstream);
  const auto verdict = rules.check(name, false);
  if (verdict == MutationRules::Verdict::kFail)
    return invalid("Invalid attempt to modify " + name, Blame::kUpstream);
  if (verdict == MutationRules::Verdict::kIgnore) return {};
  if (name == ":status" && status != nullptr) {
    if (const auto code = parse_uint(value); code && *code >= 200 && *code < 600)
      *status = static_cast<int>(*code);
    return {};
  }
  if (request != nullptr)
    if (std::string_view* field = pseudo_field(*request, name)) {
      *field = headers.arena().copy(value);
      return {};
    }
  // Framing belongs to the codecs.
  if (name.starts_with(':') || name == "transfer-encoding" || name == "content-length") return {};
  const bool is_there = headers.has(name);
  bool is_appended = option.append().value();
  switch (option.append_action()) {
    case Option::ADD_IF_ABSENT:
      if (is_there) return {};
      break;
    case Option::OVERWRITE_IF_EXISTS:
      if (!is_there) return {};
      is_appended = false;
      break;
    case Option::OVERWRITE_IF_EXISTS_OR_ADD: is_appended = false; break;
    default: break;
  }
  if (is_appended) headers.add(name, value);
  else headers.set(name, value);
  return {};
}

}  // namespace

Result<MutationRules> MutationRules::compile(
    const envoy::config::common::mutation_rules::v3::HeaderMutationRules& config) {
  MutationRules made;
  made.is_routing_allowed_ = config.allow_all_routing().value();
  made.is_envoy_allowed_ = config.allow_envoy().value();
  made.is_system_denied_ = config.disallow_system().value();
  made.is_all_denied_ = config.disallow_all().value();
  made.is_denial_error_ = config.disallow_is_error().value();
  if (config.has_allow_expression()) made.allowed_ = TRY(Regex::compile(config.allow_expression()));
  if (config.has_disallow_expression())
    made.denied_ = TRY(Regex::compile(config.disallow_expression()));
  return made;
}

bool MutationRules::allows(std::string_view name, bool is_removal) const {
  // Without them a request is none any more.
  if (is_removal && (name == "host" || name.starts_with(':'))) return false;
  if (denied_ && denied_->matches_all(name)) return false;
  if (allowed_ && allowed_->matches_all(name)) return true;
  if (is_all_denied_) return false;
  if (is_system_denied_ && name.starts_with(':')) return false;
  if (!is_routing_allowed_ && is_routing(name)) return false;
  return is_envoy_allowed_ || !name.starts_with("x-envoy-");
}

MutationRules::Verdict MutationRules::check(std::string_view name, bool is_removal) const {
  if (allows(name, is_removal)) return Verdict::kAllow;
  return is_denial_error_ ? Verdict::kFail : Verdict::kIgnore;
}

bool ForwardRules::shows(std::string_view name) const {
  for (const auto& matcher : denied)
    if (matcher.matches(name)) return false;
  if (allowed.empty()) return true;
  for (const auto& matcher : allowed)
    if (matcher.matches(name)) return true;
  return false;
}

void write_request(const http::Request& request, const ForwardRules& rules,
                   envoy::config::core::v3::HeaderMap& out) {
  add(out, ":authority", request.authority, rules);
  add(out, ":path", request.path, rules);
  add(out, ":method", request.method, rules);
  add(out, ":scheme", request.scheme, rules);
  for (const auto& field : request.headers) add(out, to_lower(field.name), field.value, rules);
}

void write_response(int status, const http::Headers& headers, const ForwardRules& rules,
                    envoy::config::core::v3::HeaderMap& out) {
  add(out, ":status", std::to_string(status), rules);
  write_trailers(headers, rules, out);
}

void write_trailers(const http::Headers& trailers, const ForwardRules& rules,
                    envoy::config::core::v3::HeaderMap& out) {
  for (const auto& field : trailers) add(out, to_lower(field.name), field.value, rules);
}

Result<> apply_mutation(const envoy::service::ext_proc::v3::HeaderMutation& mutation,
                        const MutationRules& rules, http::Headers& headers, http::Request* request,
                        int* status) {
  if (static_cast<std::size_t>(mutation.set_headers_size()) > kMostMutations ||
      static_cast<std::size_t>(mutation.remove_headers_size()) > kMostMutations)
    return invalid("a header mutation exceeds the header count limit", Blame::kUpstream);
  for (const auto& one : mutation.remove_headers()) {
    const std::string name = to_lower(one);
    const auto verdict = rules.check(name, true);
    if (verdict == MutationRules::Verdict::kFail)
      return invalid("Invalid attempt to remove " + name, Blame::kUpstream);
    if (verdict == MutationRules::Verdict::kAllow) headers.remove(name);
  }
  for (const auto& one : mutation.set_headers())
    if (one.has_header()) TRY(set_one(one, rules, headers, request, status));
  return {};
}

}  // namespace lateen::proxy
