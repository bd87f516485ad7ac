#include "mesh/hostname.h"

#include <arpa/inet.h>

#include "base/strings.h"

namespace lateen::mesh {

bool host_covers(std::string_view outer, std::string_view inner) {
  if (!is_wildcard_host(outer)) return outer == inner;
  if (outer == "*") return true;
  const std::string_view suffix = outer.substr(1);
  const std::string_view rest = is_wildcard_host(inner) ? inner.substr(1) : inner;
  // "*.com" covers "*.com" and "a.com", not ".com" itself.
  if (is_wildcard_host(inner)) return rest.size() >= suffix.size() && rest.ends_with(suffix);
  return rest.size() > suffix.size() && rest.ends_with(suffix);
}

bool hosts_overlap(std::string_view a, std::string_view b) {
  return host_covers(a, b) || host_covers(b, a);
}

bool is_more_specific_host(std::string_view a, std::string_view b) {
  const bool is_wild_a = is_wildcard_host(a);
  const bool is_wild_b = is_wildcard_host(b);
  if (is_wild_a != is_wild_b) return is_wild_b;
  if (a.size() != b.size()) return a.size() > b.size();
  return a < b;
}

int most_specific_match(std::string_view host, const std::vector<std::string>& patterns) {
  int best = -1;
  for (std::size_t i = 0; i < patterns.size(); ++i) {
    if (!host_covers(patterns[i], host)) continue;
    if (best < 0 || is_more_specific_host(patterns[i], patterns[static_cast<std::size_t>(best)])) {
      best = static_cast<int>(i);
    }
  }
  return best;
}

bool is_ip(std::string_view text) {
  const std::string copy(text);
  unsigned char out[16];
  return inet_pton(AF_INET, copy.c_str(), out) == 1 || inet_pton(AF_INET6, copy.c_str(), out) == 1;
}

bool is_cidr_or_ip(std::string_view text) {
  const auto parts = split_once(text, "/");
  if (!parts) return is_ip(text);
  const auto bits = parse_uint(parts->second);
  if (!bits || !is_ip(parts->first)) return false;
  return *bits <= (parts->first.find(':') == std::string_view::npos ? 32u : 128u);
}

std::string resolve_host(std::string_view host, std::string_view ns, std::string_view domain) {
  if (host.empty() || host.find('.') != std::string_view::npos || is_wildcard_host(host) ||
      is_ip(host)) {
    return std::string(host);
  }
  std::string out(host);
  if (!ns.empty()) out.append(".").append(ns);
  return out.append(".svc.").append(domain);
}

bool is_dns_label(std::string_view text) {
  if (text.empty() || text.size() > 63) return false;
  const auto is_alphanumeric = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
  };
  if (!is_alphanumeric(text.front()) || !is_alphanumeric(text.back())) return false;
  for (const char c : text) {
    if (!is_alphanumeric(c) && c != '-') return false;
  }
  return true;
}

std::string check_fqdn(std::string_view host) {
  if (host.empty()) return "empty domain name not allowed";
  if (host.size() > 255) return "domain name \"" + std::string(host) + "\" too long (max 255)";
  if (host.back() == '.') host.remove_suffix(1);
  for (const std::string_view label : split(host, '.')) {
    if (is_dns_label(label)) continue;
    return "domain name \"" + std::string(host) + "\" invalid (label \"" + std::string(label) +
           "\" invalid)";
  }
  const auto labels = split(host, '.');
  if (parse_uint(labels.back()) && labels.size() > 1) {
    return "domain name \"" + std::string(host) + "\" invalid (top level domain is all-numeric)";
  }
  return {};
}

std::string check_host(std::string_view host) {
  if (host.empty()) return "empty domain name not allowed";
  if (host == "*") return {};
  if (!is_wildcard_host(host)) {
    if (host.find('*') != std::string_view::npos) {
      return "wildcard of \"" + std::string(host) + "\" must be the whole leftmost label";
    }
    return check_fqdn(host);
  }
  if (host.size() < 2 || host[1] != '.') {
    return "wildcard of \"" + std::string(host) + "\" must be followed by a dot: *.example.com";
  }
  return check_fqdn(host.substr(2));
}

}  // namespace lateen::mesh
