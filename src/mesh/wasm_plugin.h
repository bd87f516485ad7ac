// extensions.istio.io WasmPlugin: WebAssembly modules in the proxies' filter chains.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "mesh/config.h"
#include "mesh/security.h"

namespace lateen::mesh {

struct WasmPlugin {
  enum class Phase : unsigned char { kUnspecified, kAuthn, kAuthz, kStats };
  enum class Type : unsigned char { kHttp, kNetwork };
  struct Match {
    std::string mode;  // "", CLIENT, SERVER, CLIENT_AND_SERVER
    std::vector<std::int64_t> ports;
  };
  Labels selector;
  std::vector<TargetRef> targets;
  std::string url;  // oci://, http://, https://, file://; without a scheme an image
  std::string sha256;
  std::string pull_policy, pull_secret, name;
  data::Json config;  // pluginConfig
  Phase phase = Phase::kUnspecified;
  std::int64_t priority = 0;
  std::string fail_strategy;  // FAIL_CLOSE, FAIL_OPEN, FAIL_RELOAD
  struct Variable {
    std::string name, value;
    bool is_of_host = false;  // taken from the proxy's environment
  };
  std::vector<Variable> environment;
  std::vector<Match> match;
  Type type = Type::kHttp;
};

void read_spec(Reader& reader, WasmPlugin& spec);
void check_spec(const Meta& meta, const WasmPlugin& spec, Issues& issues);

}  // namespace lateen::mesh
