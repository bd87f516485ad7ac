// Hands out ClusterIPs and node ports of Services. The truth is in the stored Services; this is the
// index over them.
#pragma once

#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <vector>

#include "cluster/apiserver/call.h"
#include "cluster/apiserver/store.h"
#include "net/address.h"

namespace lateen::cluster::apiserver {

// Thread-safe.
class ServiceAddresses {
 public:
  ServiceAddresses(const std::string& cidr, int first_port, int last_port, SharedRandom& random);
  // Learns what the stored Services hold; once at start.
  void load(const Store& store);

  // Addresses taken for a write that is not stored yet; given back unless kept.
  class Claim {
   public:
    Claim() = default;
    Claim(Claim&& other) noexcept { *this = std::move(other); }
    Claim& operator=(Claim&& other) noexcept;
    ~Claim();
    void keep();  // the write is stored

   private:
    friend class ServiceAddresses;
    ServiceAddresses* owner_ = nullptr;
    std::vector<std::string> ips_;
    std::vector<int> ports_;
    // What the old object held and the new one does not; free once the write is stored.
    std::vector<std::string> dropped_ips_;
    std::vector<int> dropped_ports_;
  };
  // Fill in clusterIP(s), nodePorts and healthCheckNodePort; what is asked for by value must be
  // free.
  Outcome<Claim> claim_for_create(Json& service);
  Outcome<Claim> claim_for_update(const Json& before, Json& service);
  void release(const Json& service);
  // 10.96.0.N
  std::string nth_ip(std::uint32_t n) const;

 private:
  Outcome<> claim_ip(const Json& service, const std::string& ip, Claim& claim);
  Outcome<std::string> pick_ip(Claim& claim);
  Outcome<> claim_ports(const Json* before, Json& service, Claim& claim);
  Outcome<int> pick_port(Claim& claim);

  net::Cidr cidr_;
  int first_port_;
  int last_port_;
  SharedRandom& random_;
  std::mutex mutex_;
  std::set<std::string> ips_;
  std::set<int> ports_;
};

}  // namespace lateen::cluster::apiserver
