// Host names as Istio compares them: exact, or a wildcard in the leftmost label ("*.example.com",
// "*"); and short names, which mean a service of the config's own namespace.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace lateen::mesh {

inline bool is_wildcard_host(std::string_view host) { return !host.empty() && host[0] == '*'; }

// The sets that the two patterns describe have a name in common.
bool hosts_overlap(std::string_view a, std::string_view b);
// Every name that `inner` describes is described by `outer`.
bool host_covers(std::string_view outer, std::string_view inner);
// A longer (more specific) pattern sorts first; exact before wildcard; then by text.
bool is_more_specific_host(std::string_view a, std::string_view b);
// The most specific pattern of `patterns` that covers `host`; -1 when none does.
int most_specific_match(std::string_view host, const std::vector<std::string>& patterns);

// "reviews" in namespace default is "reviews.default.svc.cluster.local"; names with a dot, "*" and
// IPs stay, but "reviews.default", "reviews.default.svc" of existing convention are left alone as
// upstream does.
std::string resolve_host(std::string_view host, std::string_view ns, std::string_view domain);

// RFC 1123 name, wildcard allowed in the first label; says what is wrong or "" when nothing is.
std::string check_host(std::string_view host);
std::string check_fqdn(std::string_view host);
bool is_ip(std::string_view text);  // v4 or v6 literal
bool is_cidr_or_ip(std::string_view text);
bool is_dns_label(std::string_view text);  // RFC 1123 label, at most 63

}  // namespace lateen::mesh
