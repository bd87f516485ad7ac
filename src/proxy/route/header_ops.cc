// Removals run before additions, as in Envoy.

#include "proxy/route/header_ops.h"

#include "base/strings.h"
#include "envoy/config/core/v3/base.pb.h"

namespace lateen::proxy {

namespace core = envoy::config::core::v3;

Result<HeaderOps> HeaderOps::compile(const Options& add, const Names& remove) {
  HeaderOps made;
  for (const auto& option : add) {
    Action action = Action::kAppend;
    if (option.has_append())
      action = option.append().value() ? Action::kAppend : Action::kOverwrite;
    switch (option.append_action()) {
      case core::HeaderValueOption::ADD_IF_ABSENT: action = Action::kAddIfAbsent; break;
      case core::HeaderValueOption::OVERWRITE_IF_EXISTS_OR_ADD: action = Action::kOverwrite; break;
      case core::HeaderValueOption::OVERWRITE_IF_EXISTS:
        action = Action::kOverwriteIfPresent;
        break;
      default: break;
    }
    const auto& header = option.header();
    const std::string& value = header.value().empty() ? header.raw_value() : header.value();
    auto format = TRY(Formatter::compile(value, true).at("header " + header.key()));
    made.add_.push_back(
        {to_lower(header.key()), std::move(format), action, option.keep_empty_value()});
  }
  for (const auto& name : remove) made.remove_.push_back(to_lower(name));
  return made;
}

namespace {
std::string_view* own_field(http::Request& request, std::string_view name) {
  if (name == ":authority" || name == "host") return &request.authority;
  if (name == ":path") return &request.path;
  if (name == ":method") return &request.method;
  if (name == ":scheme") return &request.scheme;
  return nullptr;
}
}  // namespace

void HeaderOps::apply(http::Headers& headers, const StreamInfo& info) const {
  for (const auto& name : remove_) headers.remove(name);
  for (const Add& add : add_) {
    if (add.name.starts_with(':')) continue;
    const bool is_present = headers.has(add.name);
    if (is_present && add.action == Action::kAddIfAbsent) continue;
    if (!is_present && add.action == Action::kOverwriteIfPresent) continue;
    const std::string value = add.value.format(info);
    if (value.empty() && !add.is_empty_kept) continue;
    if (add.action == Action::kAppend) headers.add(add.name, value);
    else headers.set(add.name, value);
  }
}

void HeaderOps::apply(http::Request& request, const StreamInfo& info) const {
  apply(request.headers, info);
  for (const Add& add : add_) {
    std::string_view* field = own_field(request, add.name);
    if (field == nullptr) continue;
    if (add.name == "host") request.headers.remove("host");
    *field = request.headers.arena().copy(add.value.format(info));
  }
}

}  // namespace lateen::proxy
