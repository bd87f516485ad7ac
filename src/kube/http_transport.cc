// The Transport of real connections: HTTP(S) with client certificates and bearer tokens.
#include <sys/stat.h>

#include <fstream>
#include <mutex>
#include <sstream>

#include "base/strings.h"
#include "kube/client.h"

namespace lateen::kube {
namespace {

constexpr const char* kSystemTrust = "/etc/ssl/certs/ca-certificates.crt";

std::string file_text(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  std::ostringstream text;
  text << file.rdbuf();
  return std::move(text).str();
}

// "https://[::1]:6443/x": "::1".
std::string host_of(std::string_view server) {
  server.remove_prefix(server.find("://") + 3);
  server = server.substr(0, server.find('/'));
  if (server.starts_with('[')) return std::string(server.substr(1, server.find(']') - 1));
  return std::string(server.substr(0, server.rfind(':')));
}

// A bearer token that may live in a file which is rotated under us.
class Token {
 public:
  Token(std::string token, std::string file) : token_(std::move(token)), file_(std::move(file)) {}

  std::string current() {
    const std::lock_guard lock(mutex_);
    struct stat info {};
    if (!file_.empty() && ::stat(file_.c_str(), &info) == 0) {
      const auto stamp = info.st_mtim.tv_sec * 1'000'000'000 + info.st_mtim.tv_nsec;
      if (stamp != stamp_) {
        const std::string text = file_text(file_);
        if (!trim(text).empty()) {
          token_ = std::string(trim(text));
          stamp_ = stamp;
        }
      }
    }
    return token_;
  }

 private:
  std::mutex mutex_;
  std::string token_;
  std::string file_;
  std::int64_t stamp_ = 0;
};

class HttpTransport final : public Transport {
 public:
  HttpTransport(const ClientConfig& config, std::string server,
                std::shared_ptr<const tls::Context> tls)
      : server_(std::move(server)),
        token_(config.bearer_token, config.bearer_token_file),
        client_(options(tls, true)),
        upgrades_(options(tls, false)) {}

  Result<http::PlainResponse> call(const http::PlainRequest& request) override {
    return client_.call(complete(request)).at(server_);
  }
  Result<http::PlainResponse> stream(const http::PlainRequest& request,
                                     const Function<bool(std::string_view)>& on_chunk,
                                     const Function<bool()>& should_stop) override {
    return client_.stream(complete(request), on_chunk, should_stop).at(server_);
  }
  Result<std::unique_ptr<http::BlockingClient::Tunnel>> upgrade(
      const http::PlainRequest& request, std::string_view protocol) override {
    return upgrades_.upgrade(complete(request), protocol).at(server_);
  }

 private:
  static http::BlockingClientOptions options(std::shared_ptr<const tls::Context> tls,
                                             bool is_http2_wanted) {
    http::BlockingClientOptions out;
    out.tls = std::move(tls);
    out.is_http2_wanted = is_http2_wanted;
    return out;
  }

  http::PlainRequest complete(http::PlainRequest request) {
    request.url.insert(0, server_);
    if (const std::string token = token_.current(); !token.empty()) {
      request.headers.emplace_back("authorization", "Bearer " + token);
    }
    return request;
  }

  std::string server_;
  Token token_;
  http::BlockingClient client_;
  http::BlockingClient upgrades_;  // exec and port-forward need HTTP/1.1
};

}  // namespace

Result<std::unique_ptr<Client>> connect(const ClientConfig& config) {
  std::string server = config.server;
  while (server.ends_with('/')) server.pop_back();
  if (server.find("://") == std::string::npos) server.insert(0, "https://");
  std::shared_ptr<const tls::Context> context;
  if (server.starts_with("https://")) {
    tls::Options options;
    options.trusted_ca_pem = config.ca_pem;
    options.is_untrusted_accepted = config.is_insecure;
    if (!config.is_insecure) {
      if (options.trusted_ca_pem.empty()) options.trusted_ca_pem = file_text(kSystemTrust);
      const std::string name =
          config.tls_server_name.empty() ? host_of(server) : config.tls_server_name;
      options.peer_sans.push_back({tls::SanMatch::Kind::kExact, tls::SanMatch::Type::kAny, name});
    }
    if (!config.client_certificate_pem.empty()) {
      options.certificates.push_back({config.client_certificate_pem, config.client_key_pem});
    }
    context = TRY(
        tls::Context::make(tls::Context::Role::kClient, options).at("credentials for " + server));
  }
  return std::make_unique<Client>(
      std::make_unique<HttpTransport>(config, server, std::move(context)));
}

}  // namespace lateen::kube
