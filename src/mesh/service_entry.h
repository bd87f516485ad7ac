// networking.istio.io ServiceEntry, WorkloadEntry and WorkloadGroup: services and workloads that
// Kubernetes does not know.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "mesh/config.h"
#include "mesh/protocol.h"

namespace lateen::mesh {

struct WorkloadEntry {
  std::string address;                                      // IP, name, or unix:///path
  std::map<std::string, std::uint32_t, std::less<>> ports;  // by port name
  Labels labels;
  std::string network;
  std::string locality;     // "region/zone/subzone"
  std::int64_t weight = 0;  // 0: one
  std::string service_account;
};

struct ServiceEntry {
  enum class Location : unsigned char { kExternal, kInternal };
  enum class Resolution : unsigned char { kNone, kStatic, kDns, kDnsRoundRobin };
  struct Port {
    std::int64_t number = 0;
    std::string protocol, name;
    std::int64_t target_port = 0;
  };
  std::vector<std::string> hosts;
  std::vector<std::string> addresses;  // IPs or CIDRs
  std::vector<Port> ports;
  Location location = Location::kExternal;
  Resolution resolution = Resolution::kNone;
  std::vector<WorkloadEntry> endpoints;
  Labels workload_selector;
  bool has_workload_selector = false;
  std::vector<std::string> export_to;
  std::vector<std::string> subject_alt_names;
};

struct WorkloadGroup {
  Labels labels;
  Labels annotations;
  WorkloadEntry workload;
};

void read_spec(Reader& reader, ServiceEntry& spec);
void read_spec(Reader& reader, WorkloadEntry& spec);
void read_spec(Reader& reader, WorkloadGroup& spec);
void check_spec(const Meta& meta, const ServiceEntry& spec, Issues& issues);
void check_spec(const Meta& meta, const WorkloadEntry& spec, Issues& issues);
void check_spec(const Meta& meta, const WorkloadGroup& spec, Issues& issues);

}  // namespace lateen::mesh
