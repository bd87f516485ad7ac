// networking.istio.io Gateway: the servers of a gateway workload at the edge of the mesh.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "mesh/config.h"
#include "mesh/protocol.h"

namespace lateen::mesh {

struct ServerTls {
  enum class Mode : unsigned char {
    kPassthrough,
    kSimple,
    kMutual,
    kAutoPassthrough,
    kIstioMutual,
    kOptionalMutual,
  };
  bool redirects_to_https = false;
  bool has_mode = false;
  Mode mode = Mode::kPassthrough;
  std::string credential_name;
  std::vector<std::string> credential_names;
  std::string server_certificate, private_key, ca_certificates, ca_crl;
  std::string ca_credential_name;
  struct Certificate {
    std::string certificate, private_key;
  };
  std::vector<Certificate> certificates;  // tlsCertificates: several kinds of key
  bool skips_verification = false;
  std::vector<std::string> subject_alt_names, spki_hashes, certificate_hashes, cipher_suites;
  std::vector<std::string> ecdh_curves;
  std::string min_version, max_version;  // "TLSV1_2", …; empty: automatic
  bool terminates() const {
    return has_mode && mode != Mode::kPassthrough && mode != Mode::kAutoPassthrough;
  }
};

struct Server {
  struct Port {
    std::int64_t number = 0;
    std::string protocol;  // as written
    std::string name;
    std::int64_t target_port = 0;
  };
  Port port;
  std::string bind;
  std::vector<std::string> hosts;  // "host", "namespace/host", "./host"
  std::optional<ServerTls> tls;
  std::string name;

  Protocol protocol() const { return parse_protocol(port.protocol); }
  bool is_tls() const;  // terminates or passes TLS
};

struct Gateway {
  Labels selector;
  std::vector<Server> servers;
};

void read_spec(Reader& reader, Gateway& spec);
void check_spec(const Meta& meta, const Gateway& spec, Issues& issues);
void read_server_tls(Reader& reader, ServerTls& out);

// The parts of a server's "namespace/host"; ns is empty (any) when there is none, and "." means the
// gateway's own.
struct ServerHost {
  std::string ns;
  std::string host;
};
ServerHost split_server_host(std::string_view text, std::string_view gateway_ns);

}  // namespace lateen::mesh
