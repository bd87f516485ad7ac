// The rules follow Istio's iptables chains one by one; the comments in the table say which case
// each serves.
#include "agent/redirect.h"

#include <fmt/core.h>

#include <CLI/CLI.hpp>

#include "base/log.h"
#include "base/strings.h"
#include "linux/nft.h"
#include "net/address.h"

namespace lateen::agent {
namespace {

Result<std::string> port_set(const std::string& list, std::string_view flag) {
  std::string out;
  for (const auto part : split(list, ',')) {
    const auto text = trim(part);
    if (text.empty()) continue;
    const auto port = parse_uint(text);
    if (!port || *port > 65535) return invalid(fmt::format("{}: \"{}\" is not a port", flag, text));
    out += (out.empty() ? "" : ", ") + std::string(text);
  }
  return out;
}

struct Ranges {
  std::string v4, v6;
  bool is_all = false;
};
Result<Ranges> ranges_of(const std::string& list, std::string_view flag) {
  Ranges out;
  for (const auto part : split(list, ',')) {
    const auto text = trim(part);
    if (text.empty()) continue;
    if (text == "*") {
      out.is_all = true;
      continue;
    }
    const net::Cidr range = TRY(net::Cidr::parse(text).at(flag));
    std::string& into = range.ip().is_v4() ? out.v4 : out.v6;
    into += (into.empty() ? "" : ", ") + range.to_string();
  }
  return out;
}

// "meta skuid { 1337 }" or the mark; with `is_not` its negation.
std::string proxy_match(const RedirectOptions& options, bool is_not) {
  const char* op = is_not ? "!= " : "";
  if (options.is_marked) return fmt::format("meta mark {}{:#x}", op, kProxyMark);
  return fmt::format("meta skuid {}{{ {} }}", op, join(options.proxy_uids, ", "));
}

Result<std::string> inbound_rules(const RedirectOptions& options) {
  std::string rules;
  for (const auto& name : options.exclude_interfaces)
    rules += fmt::format("    iifname \"{}\" return\n", name);
  rules += fmt::format("    tcp dport {} return\n", options.tunnel_port);
  const std::string to = fmt::format("redirect to :{}", options.inbound_port);
  if (options.include_inbound == "*") {
    const std::string excluded = TRY(port_set(options.exclude_inbound, "-d"));
    if (!excluded.empty()) rules += fmt::format("    tcp dport {{ {} }} return\n", excluded);
    rules += fmt::format("    meta l4proto tcp {}\n", to);
  } else {
    const std::string included = TRY(port_set(options.include_inbound, "-b"));
    if (!included.empty()) rules += fmt::format("    tcp dport {{ {} }} {}\n", included, to);
  }
  return rules;
}

Result<std::string> outbound_rules(const RedirectOptions& options) {
  const std::string is_proxy = proxy_match(options, false), is_app = proxy_match(options, true);
  const std::string to = fmt::format("redirect to :{}", options.outbound_port);
  std::string rules;
  for (const auto& name : options.exclude_interfaces)
    rules += fmt::format("    oifname \"{}\" return\n", name);
  const std::string excluded_ports = TRY(port_set(options.exclude_outbound_ports, "-o"));
  if (!excluded_ports.empty())
    rules += fmt::format("    tcp dport {{ {} }} return\n", excluded_ports);
  // The proxy calls its own application: straight through.
  rules += "    oifname \"lo\" ip saddr 127.0.0.6 return\n";
  rules += "    oifname \"lo\" ip6 saddr ::6 return\n";
  // The application calls itself by its pod or service address, by way of the proxy: in through the
  // inbound port.
  rules +=
      fmt::format("    oifname \"lo\" ip daddr != 127.0.0.1 tcp dport != {} {} redirect to :{}\n",
                  options.tunnel_port, is_proxy, options.inbound_port);
  rules += fmt::format("    oifname \"lo\" ip6 daddr != ::1 tcp dport != {} {} redirect to :{}\n",
                       options.tunnel_port, is_proxy, options.inbound_port);
  if (options.has_dns_capture) {
    rules += fmt::format("    {} tcp dport 53 redirect to :{}\n", is_app, options.dns_port);
  }
  rules += fmt::format("    oifname \"lo\" {} return\n", is_app);
  rules += fmt::format("    {} return\n", is_proxy);
  if (!options.is_marked && !options.proxy_gids.empty()) {
    rules += fmt::format("    meta skgid {{ {} }} return\n", join(options.proxy_gids, ", "));
  }
  rules += "    ip daddr 127.0.0.1 return\n    ip6 daddr ::1 return\n";

  const Ranges excluded = TRY(ranges_of(options.exclude_outbound, "-x"));
  if (!excluded.v4.empty()) rules += fmt::format("    ip daddr {{ {} }} return\n", excluded.v4);
  if (!excluded.v6.empty()) rules += fmt::format("    ip6 daddr {{ {} }} return\n", excluded.v6);
  const std::string included_ports = TRY(port_set(options.include_outbound_ports, "-q"));
  if (!included_ports.empty())
    rules += fmt::format("    tcp dport {{ {} }} {}\n", included_ports, to);
  const Ranges included = TRY(ranges_of(options.include_outbound, "-i"));
  if (included.is_all) {
    rules += fmt::format("    meta l4proto tcp {}\n", to);
  } else {
    if (!included.v4.empty())
      rules += fmt::format("    ip daddr {{ {} }} meta l4proto tcp {}\n", included.v4, to);
    if (!included.v6.empty())
      rules += fmt::format("    ip6 daddr {{ {} }} meta l4proto tcp {}\n", included.v6, to);
  }
  return rules;
}

}  // namespace

Result<RedirectOptions> parse_redirect_options(const std::vector<std::string>& args) {
  RedirectOptions options;
  CLI::App app("istio-iptables");
  std::string uids, gids, interfaces, ignored;
  app.add_option("-p,--envoy-port", options.outbound_port);
  app.add_option("-z,--inbound-capture-port", options.inbound_port);
  app.add_option("-e,--inbound-tunnel-port", options.tunnel_port);
  app.add_option("-u,--proxy-uid", uids);
  app.add_option("-g,--proxy-gid", gids);
  app.add_option("-m,--istio-inbound-interception-mode", options.mode);
  app.add_option("-i,--istio-service-cidr", options.include_outbound)->expected(0, 1);
  app.add_option("-x,--istio-service-exclude-cidr", options.exclude_outbound)->expected(0, 1);
  app.add_option("-b,--istio-inbound-ports", options.include_inbound)->expected(0, 1);
  app.add_option("-d,--istio-local-exclude-ports", options.exclude_inbound)->expected(0, 1);
  app.add_option("-q,--istio-outbound-ports", options.include_outbound_ports)->expected(0, 1);
  app.add_option("-o,--istio-local-outbound-ports-exclude", options.exclude_outbound_ports)
      ->expected(0, 1);
  app.add_option("-c,--istio-exclude-interfaces", interfaces)->expected(0, 1);
  app.add_flag("--redirect-dns", options.has_dns_capture);
  app.add_flag("--dry-run,-n", options.is_dry_run);
  for (const char* name : {"-k,--kube-virt-interfaces", "-t,--istio-inbound-tproxy-mark",
                           "-r,--istio-inbound-tproxy-route-table", "--log_output_level",
                           "--probe-timeout", "--network-namespace", "--iptables-version"}) {
    app.add_option(name, ignored)->expected(0, 1);
  }
  app.allow_extras();
  std::vector<std::string> reversed(args.rbegin(), args.rend());
  try {
    app.parse(reversed);
  } catch (const CLI::Error& error) {
    return invalid(std::string("istio-iptables: ") + error.what());
  }
  const auto list = [](const std::string& text) {
    std::vector<std::string> out;
    for (const auto part : split(text, ',')) {
      if (!trim(part).empty()) out.emplace_back(trim(part));
    }
    return out;
  };
  if (!uids.empty()) options.proxy_uids = list(uids);
  options.proxy_gids = gids.empty() ? options.proxy_uids : list(gids);
  options.exclude_interfaces = list(interfaces);
  for (const auto& id : options.proxy_uids) {
    if (!parse_uint(id)) return invalid("istio-iptables: -u \"" + id + "\" is not a user id");
  }
  for (const auto& id : options.proxy_gids) {
    if (!parse_uint(id)) return invalid("istio-iptables: -g \"" + id + "\" is not a group id");
  }
  for (const auto& name : options.exclude_interfaces) {
    if (name.size() > 15 || name.find_first_of("\" \n;{}") != std::string::npos)
      return invalid("istio-iptables: \"" + name + "\" is not an interface");
  }
  if (options.mode.empty())
    options.mode = "REDIRECT";  // The mesh default, when a template leaves it out.
  if (options.mode != "REDIRECT") {
    return Error(Code::kUnimplemented,
                 "istio-iptables: mode " + options.mode + " is not supported; use REDIRECT");
  }
  return options;
}

Result<std::string> redirect_ruleset(const RedirectOptions& options) {
  // "add" before "delete" makes the delete succeed whether or not the table exists; all of it is
  // one transaction.
  std::string text = fmt::format("add table {0}\ndelete table {0}\n", kRedirectTable);
  text += fmt::format("table {} {{\n", kRedirectTable);
  text += "  chain inbound {\n    type nat hook prerouting priority dstnat; policy accept;\n" +
          TRY(inbound_rules(options)) + "  }\n";
  text += "  chain outbound {\n    type nat hook output priority -100; policy accept;\n";
  if (options.has_dns_capture) {
    text += fmt::format("    {} udp dport 53 redirect to :{}\n", proxy_match(options, true),
                        options.dns_port);
  }
  text += "    meta l4proto != tcp return\n" + TRY(outbound_rules(options)) + "  }\n}\n";
  return text;
}

Result<> apply_redirect(const RedirectOptions& options) {
  if (options.is_cleanup) return os::nft_remove_table(kRedirectTable);
  const std::string rules = TRY(redirect_ruleset(options));
  if (options.is_dry_run) {
    std::fwrite(rules.data(), 1, rules.size(), stdout);
    return {};
  }
  TRY(os::nft_apply(rules).at("redirecting the pod's traffic"));
  // Without redirection traffic would bypass the mesh: better no pod than an open one.
  TRY(os::nft_list(std::string("table ") + kRedirectTable)
          .at("the redirection is not in place after applying it"));
  LOG(kInfo, "redirect", "traffic of this pod goes through ports {} (out) and {} (in)",
      options.outbound_port, options.inbound_port);
  return {};
}

}  // namespace lateen::agent
