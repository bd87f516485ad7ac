// Dials an address, with TLS on top when asked.
#include "http/client.h"

namespace lateen::http {
namespace {

class DialConnector final : public Connector {
 public:
  DialConnector(event::Loop& loop, net::Address to, std::shared_ptr<const tls::Context> tls,
                std::string server_name, std::vector<std::string> alpn)
      : loop_(loop),
        to_(std::move(to)),
        tls_(std::move(tls)),
        server_name_(std::move(server_name)),
        alpn_(std::move(alpn)) {}

  void connect(event::Scope& scope, milliseconds limit,
               event::Completion<std::unique_ptr<net::Stream>> done) override {
    if (tls_ == nullptr) return net::dial(scope, loop_, to_, limit, std::move(done));
    const SteadyTime until = loop_.now() + limit;
    net::dial(scope, loop_, to_, limit,
              [this, &scope, until,
               done = std::move(done)](Result<std::unique_ptr<net::Stream>> raw) mutable {
                if (!raw.ok()) return done(std::move(raw));
                const auto left = std::chrono::ceil<milliseconds>(until - loop_.now());
                tls::connect(scope, loop_, tls_, std::move(*raw), server_name_, alpn_,
                             std::max(left, milliseconds(1)), std::move(done));
              });
  }

 private:
  event::Loop& loop_;
  const net::Address to_;
  const std::shared_ptr<const tls::Context> tls_;
  const std::string server_name_;
  const std::vector<std::string> alpn_;
};

}  // namespace

std::unique_ptr<Connector> make_connector(event::Loop& loop, net::Address to,
                                          std::shared_ptr<const tls::Context> tls,
                                          std::string server_name, std::vector<std::string> alpn) {
  return std::make_unique<DialConnector>(loop, std::move(to), std::move(tls),
                                         std::move(server_name), std::move(alpn));
}

}  // namespace lateen::http
