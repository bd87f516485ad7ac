// Secrets by name, and the TLS contexts made of them. Main thread.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/clock.h"
#include "proxy/secret/tls_source.h"

namespace google::protobuf {
class Any;
}
namespace envoy::extensions::transport_sockets::tls::v3 {
class Secret;
}

namespace lateen::proxy {

class SecretStore {
 public:
  // `want` asks for a secret once: from the SDS service of a cluster, or from ADS when `source` is
  // "".
  SecretStore(std::function<void(const std::string& source, const std::string& name)> want,
              std::function<void()> on_ready);
  ~SecretStore();

  // Compiles the source's context when all its secrets are there, and again whenever one rotates.
  // An error: what is configured cannot work, whatever the secrets.
  Result<> bind(const std::shared_ptr<TlsSource>& source);
  // A delivered secret; replaces the one of that name. The error tells what is wrong with it.
  Result<> put(const envoy::extensions::transport_sockets::tls::v3::Secret& secret,
               const std::string& version, WallTime now);
  void remove(const std::string& name);

  struct Entry {
    std::unique_ptr<envoy::extensions::transport_sockets::tls::v3::Secret>
        secret;  // null: wanted, not delivered
    std::string version;
    WallTime updated{};
    bool is_static = false;
  };
  const std::map<std::string, Entry>& entries() const { return entries_; }
  void put_static(const envoy::extensions::transport_sockets::tls::v3::Secret& secret,
                  WallTime now);

 private:
  // Null: a secret is missing.
  Result<std::shared_ptr<const tls::Context>> make_context(const TlsSpec& spec);

  std::function<void(const std::string&, const std::string&)> want_;
  std::function<void()> on_ready_;
  std::map<std::string, Entry> entries_;
  std::vector<std::weak_ptr<TlsSource>> sources_;
  std::map<std::string, std::weak_ptr<const tls::Context>> contexts_;  // by what they are made of
};

}  // namespace lateen::proxy
