// Hash policies in their order: each mixes into the hash of those before it, a terminal one ends
// the list once there is a hash.

#include "base/strings.h"
#include "proxy/http/router.h"

namespace lateen::proxy {
namespace {

class Hasher {
 public:
  Hasher(const HttpState& stream, const http::Request& request, std::string& cookie_to_set)
      : stream_(stream), request_(request), cookie_to_set_(cookie_to_set) {}

  std::optional<std::uint64_t> hash;

  void apply(const HashPolicy& policy) {
    switch (policy.kind) {
      case HashPolicy::Kind::kHeader:
        if (const auto value = header_of(request_, policy.name))
          add(policy.regex ? policy.regex->replace_all(*value, policy.substitution)
                           : std::string(*value));
        break;
      case HashPolicy::Kind::kSourceIp:
        if (stream_.info.remote) add(stream_.info.remote->ip().to_string());
        break;
      case HashPolicy::Kind::kQuery:
        if (const auto mark = request_.path.find('?'); mark != std::string_view::npos)
          for (const auto& [name, value] : parse_query(request_.path.substr(mark + 1)))
            if (name == policy.name) add(value);
        break;
      case HashPolicy::Kind::kFilterState:
        if (const auto found = stream_.info.state.find(policy.name);
            found != stream_.info.state.end())
          add(found->second);
        break;
      case HashPolicy::Kind::kCookie: apply_cookie(policy); break;
    }
  }

 private:
  void add(std::string_view text) {
    hash = (hash ? (*hash << 1 | *hash >> 63) : 0) ^ fnv1a64(text);
  }

  void apply_cookie(const HashPolicy& policy) {
    std::string_view found;
    const std::string cookies(request_.headers.joined("cookie"));
    for (const auto part : split(cookies, ';'))
      if (const auto pair = split_once(trim(part), "="); pair && pair->first == policy.name)
        found = pair->second;
    if (found.size() >= 2 && found.front() == '"' && found.back() == '"')
      found = found.substr(1, found.size() - 2);
    if (!found.empty()) return add(found);
    if (!policy.cookie_ttl) return;
    const std::string value = stream_.exchange.loop.random().uuid();
    add(value);
    cookie_to_set_ = policy.name + "=\"" + value + "\"";
    if (policy.cookie_ttl->count() > 0)
      cookie_to_set_ += "; Max-Age=" + std::to_string(policy.cookie_ttl->count());
    if (!policy.cookie_path.empty()) cookie_to_set_ += "; Path=" + policy.cookie_path;
    cookie_to_set_ += "; HttpOnly";
  }

  const HttpState& stream_;
  const http::Request& request_;
  std::string& cookie_to_set_;
};

}  // namespace

std::optional<std::uint64_t> hash_request(const HttpState& stream, const Forward& action,
                                          const http::Request& request,
                                          std::string& cookie_to_set) {
  Hasher hasher(stream, request, cookie_to_set);
  for (const auto& policy : action.hashes) {
    hasher.apply(policy);
    if (policy.is_terminal && hasher.hash) break;
  }
  return hasher.hash;
}

}  // namespace lateen::proxy
