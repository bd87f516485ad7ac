// DNS for upstream names, over c-ares, on one loop. Caches by TTL, answers /etc/hosts first.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "event/loop.h"
#include "net/address.h"

namespace lateen::net {

struct Resolved {
  std::vector<Ip> ips;  // never empty
  seconds ttl{0};
};
enum class Family : unsigned char { kV4Only, kV6Only, kAuto /* v6, else v4 */, kV4Preferred, kAll };

class Resolver {
 public:
  virtual ~Resolver() = default;
  // A literal IP answers itself. NotFound when the name does not exist, Unavailable when no server
  // answered.
  virtual void resolve(event::Scope& scope, std::string_view name, Family family,
                       event::Completion<Resolved> done) = 0;
};
struct ResolverOptions {
  std::vector<Address> servers;  // empty: /etc/resolv.conf
  milliseconds timeout{2000};
  int tries = 2;
};
Result<std::unique_ptr<Resolver>> make_resolver(event::Loop& loop, ResolverOptions options = {});

}  // namespace lateen::net
