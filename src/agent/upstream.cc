// Resolve, dial, handshake: three stages of one scoped operation.
#include "agent/upstream.h"

#include "base/strings.h"
#include "linux/files.h"
#include "tls/context.h"

namespace lateen::agent {
namespace {

constexpr std::size_t kMostFileBytes = 1 << 20;

class MeshConnector final : public http::Connector {
 public:
  MeshConnector(event::Loop& loop, net::Resolver& resolver, std::string host, std::uint16_t port,
                std::string root_file)
      : loop_(loop),
        resolver_(resolver),
        host_(std::move(host)),
        port_(port),
        root_file_(std::move(root_file)) {}

  void connect(event::Scope& scope, milliseconds limit,
               event::Completion<std::unique_ptr<net::Stream>> done) override {
    auto shared =
        std::make_shared<event::Completion<std::unique_ptr<net::Stream>>>(std::move(done));
    resolver_.resolve(
        scope, host_, net::Family::kV4Preferred,
        [this, &scope, limit, shared](Result<net::Resolved> found) {
          if (!found) return (*shared)(std::move(found).error());
          const net::Address to(found->ips[loop_.random().below(found->ips.size())], port_);
          net::dial(scope, loop_, to, limit,
                    [this, &scope, limit, shared](Result<std::unique_ptr<net::Stream>> raw) {
                      if (!raw) return (*shared)(std::move(raw).error());
                      secure(scope, limit, *std::move(raw), shared);
                    });
        });
  }

 private:
  using Shared = std::shared_ptr<event::Completion<std::unique_ptr<net::Stream>>>;

  void secure(event::Scope& scope, milliseconds limit, std::unique_ptr<net::Stream> raw,
              const Shared& shared) {
    auto context = make_context();
    if (!context) return (*shared)(std::move(context).error());
    tls::connect(
        scope, loop_, *context, std::move(raw), host_, {"h2"}, limit,
        [shared](Result<std::unique_ptr<net::Stream>> stream) { (*shared)(std::move(stream)); });
  }

  Result<std::shared_ptr<const tls::Context>> make_context() {
    tls::Options options;
    options.trusted_ca_pem =
        TRY(os::read_file(root_file_, kMostFileBytes).at("the mesh's root certificate"));
    if (context_ != nullptr && options.trusted_ca_pem == context_root_) return context_;
    options.peer_sans = {{tls::SanMatch::Kind::kExact, tls::SanMatch::Type::kDns, host_}};
    options.alpn = {"h2"};
    context_root_ = options.trusted_ca_pem;
    context_ = TRY(tls::Context::make(tls::Context::Role::kClient, options));
    return context_;
  }

  event::Loop& loop_;
  net::Resolver& resolver_;
  std::string host_;
  std::uint16_t port_;
  std::string root_file_;
  std::string context_root_;
  std::shared_ptr<const tls::Context> context_;
};

}  // namespace

Upstream::Upstream(event::Loop& loop, net::Resolver& resolver, std::string address,
                   std::string root_file)
    : address_(std::move(address)) {
  const auto colon = address_.rfind(':');
  const std::string host = address_.substr(0, colon);
  const auto port = colon == std::string::npos
                        ? std::nullopt
                        : parse_uint(std::string_view(address_).substr(colon + 1));
  http::ClientOptions options;
  options.protocol = http::ClientOptions::Protocol::kHttp2;
  options.connect_timeout = milliseconds(5'000);
  options.h2_ping_interval = milliseconds(30'000);
  options.h2_ping_timeout = milliseconds(10'000);
  pool_ = http::make_client_pool(
      loop,
      std::make_unique<MeshConnector>(loop, resolver, host,
                                      static_cast<std::uint16_t>(port.value_or(15012)),
                                      std::move(root_file)),
      options);
}

Result<grpc::Metadata> token_metadata(const std::string& token_file,
                                      const std::string& cluster_id) {
  const std::string token =
      TRY(os::read_file(token_file, kMostFileBytes).at("the service account token"));
  grpc::Metadata metadata{{"authorization", "Bearer " + std::string(trim(token))}};
  if (!cluster_id.empty()) metadata.emplace_back("clusterid", cluster_id);
  return metadata;
}

}  // namespace lateen::agent
