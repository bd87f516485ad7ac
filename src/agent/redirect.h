// Traffic redirection of a pod, as `pilot-agent istio-iptables` sets it up, by one nftables table.
#pragma once

#include <string>
#include <vector>

#include "base/result.h"

namespace lateen::agent {

struct RedirectOptions {
  int outbound_port = 15001;                       // -p
  int inbound_port = 15006;                        // -z
  int tunnel_port = 15008;                         // -e
  std::vector<std::string> proxy_uids = {"1337"};  // -u
  std::vector<std::string> proxy_gids = {"1337"};  // -g
  std::string mode = "REDIRECT";                   // -m; TPROXY is refused by name
  std::string include_outbound = "*";              // -i CIDRs
  std::string exclude_outbound;                    // -x CIDRs
  std::string include_inbound = "*";               // -b ports
  std::string exclude_inbound;                     // -d ports
  std::string include_outbound_ports;              // -q
  std::string exclude_outbound_ports;              // -o
  std::vector<std::string> exclude_interfaces;     // -c
  bool has_dns_capture = false;                    // --redirect-dns
  int dns_port = 15053;
  bool is_dry_run = false;  // --dry-run: print the rules
  bool is_cleanup = false;  // pilot-agent istio-clean-iptables
  bool is_marked = false;   // the proxy is known by its socket mark instead of its user
};

Result<RedirectOptions> parse_redirect_options(const std::vector<std::string>& args);

// nft commands that replace the table as a whole: applying them twice is applying them once. Pure.
Result<std::string> redirect_ruleset(const RedirectOptions& options);
inline constexpr char kRedirectTable[] = "inet istio_redirect";
inline constexpr unsigned kProxyMark = 0x539;

// Applies (or removes) in the calling thread's network namespace, then reads back that it is there.
Result<> apply_redirect(const RedirectOptions& options);

}  // namespace lateen::agent
