// Who gets a certificate, for whom, and who gets none.
#include "ca/certificate_service.h"

#include <gtest/gtest.h>

#include "base/random.h"
#include "event/epoll_loop.h"
#include "istio/certificate.pb.h"
#include "tls/x509.h"

namespace lateen::ca {
namespace {

using data::Json;
using data::JsonObject;

// An API server that knows one good token, and says of others what a real one says.
class Reviews final : public kube::Transport {
 public:
  Result<http::PlainResponse> call(const http::PlainRequest& request) override {
    const auto review = data::parse_json(request.body);
    const std::string token(review ? data::get_string(*review, {"spec", "token"}) : "");
    asked_audience = std::string();
    if (review) {
      for (const Json& each : data::get_array(*review, {"spec", "audiences"}))
        asked_audience += data::as_string(each);
    }
    JsonObject status{{"authenticated", false}, {"error", "invalid bearer token"}};
    if (token == "expired") status["error"] = "token has expired";
    const auto good = [&](const char* user) {
      status = JsonObject{{"authenticated", true}, {"user", JsonObject{{"username", user}}}};
    };
    if (token == "web") good("system:serviceaccount:default:web");
    if (token == "person") good("jane");
    if (token == "down") return unavailable("connection refused");
    http::PlainResponse response;
    response.status = 201;
    response.body = data::dump_json(JsonObject{{"kind", "TokenReview"}, {"status", status}});
    return response;
  }
  Result<http::PlainResponse> stream(const http::PlainRequest&,
                                     const Function<bool(std::string_view)>&,
                                     const Function<bool()>&) override {
    return unavailable("no streams here");
  }
  Result<std::unique_ptr<http::BlockingClient::Tunnel>> upgrade(const http::PlainRequest&,
                                                                std::string_view) override {
    return unavailable("no upgrades here");
  }
  std::string asked_audience;
};

struct FakeCall final : grpc::ServerCall {
  FakeCall(event::Loop& loop, const http::ConnectionInfo& info) : loop(loop), fake(loop, info) {}
  http::Exchange& exchange() override { return fake; }
  std::string_view metadata(std::string_view name) const override {
    return name == "authorization" ? std::string_view(authorization) : std::string_view();
  }
  void send(std::string message) override { sent = std::move(message); }
  void send(Buffer message) override { sent = message.to_string(); }
  std::size_t pending_bytes() const override { return 0; }
  void on_drained(Function<void()>) override {}
  void finish(Code with, std::string text) override {
    code = with;
    message = std::move(text);
    loop.stop();
  }
  event::Loop& loop;
  http::Exchange fake;
  std::string authorization, sent, message;
  Code code = Code::kUnknown;
};

class Certificates : public testing::Test {
 protected:
  struct Answer {
    Code code;
    std::string message;
    std::vector<std::string> uris;  // of the certificate
  };

  Certificates() {
    auto loop = event::make_epoll_loop(clock_, seeded_random(1));
    EXPECT_TRUE(loop.ok());
    loop_ = *std::move(loop);
    auto material = Authority::self_signed("cluster.local", clock_.wall());
    EXPECT_TRUE(material.ok());
    auto made = Authority::make(*std::move(material));
    EXPECT_TRUE(made.ok());
    authority_ = std::make_shared<const Authority>(*std::move(made));
    auto transport = std::make_unique<Reviews>();
    reviews_ = transport.get();
    client_ = std::make_unique<kube::Client>(std::move(transport));
    reviewer_ =
        std::make_unique<TokenReviewer>(*client_, clock_, std::vector<std::string>{"istio-ca"});
    service_ = std::make_unique<CertificateService>(
        *loop_, clock_, *reviewer_, [this] { return authority_; },
        [] { return std::string("cluster.local"); },
        [this](const char* what) { ++counted_[what]; });
  }

  // With a token, or with the SPIFFE id of a verified client certificate.
  Answer ask(const std::string& token, const std::string& certificate_of = {},
             std::string csr = {}) {
    if (csr.empty()) {
      const auto key = tls::generate_key(tls::KeyKind::kEcP256);
      EXPECT_TRUE(key.ok());
      auto made = tls::make_csr(*key, {.uris = {"spiffe://cluster.local/ns/kube-system/sa/admin"}});
      EXPECT_TRUE(made.ok());
      csr = *std::move(made);
    }
    net::TlsInfo tls;
    http::ConnectionInfo info;
    if (!certificate_of.empty()) {
      tls.peer_uri_sans = {certificate_of};
      info.tls = &tls;
    }
    FakeCall call(*loop_, info);
    if (!token.empty()) call.authorization = "Bearer " + token;
    istio::v1::auth::IstioCertificateRequest request;
    request.set_csr(csr);
    auto events = service_->open(call);
    loop_->post([&] { events.on_message(request.SerializeAsString()); });
    loop_->run();
    Answer out{call.code, call.message, {}};
    istio::v1::auth::IstioCertificateResponse response;
    if (!call.sent.empty() && response.ParseFromString(call.sent) &&
        response.cert_chain_size() > 0) {
      const auto leaf = tls::parse_certificate(response.cert_chain(0));
      if (leaf.ok()) out.uris = leaf->names.uris;
    }
    events.on_end();
    return out;
  }

  SystemClock clock_;
  std::unique_ptr<event::Loop> loop_;
  std::shared_ptr<const Authority> authority_;
  Reviews* reviews_ = nullptr;
  std::unique_ptr<kube::Client> client_;
  std::unique_ptr<TokenReviewer> reviewer_;
  std::map<std::string, int> counted_;
  std::unique_ptr<CertificateService> service_;
};

const std::vector<std::string> kWeb = {"spiffe://cluster.local/ns/default/sa/web"};

TEST_F(Certificates, AreForWhomTheTokenProves) {
  // The request asks for an administrator's name; it gets its own.
  const Answer answer = ask("web");
  EXPECT_EQ(answer.code, Code::kOk) << answer.message;
  EXPECT_EQ(answer.uris, kWeb);
  EXPECT_EQ(reviews_->asked_audience, "istio-ca");
  EXPECT_EQ(counted_["success"], 1);
}

TEST_F(Certificates, AreRefusedWithoutAGoodToken) {
  for (const char* token : {"forged", "expired", "person", ""}) {
    const Answer answer = ask(token);
    EXPECT_EQ(answer.code, Code::kUnauthenticated) << token << ": " << answer.message;
    EXPECT_TRUE(answer.uris.empty()) << token;
    EXPECT_EQ(answer.message.find("kube-system"), std::string::npos) << answer.message;
  }
  EXPECT_EQ(counted_["authentication_failure"], 4);
  EXPECT_EQ(counted_["success"], 0);
  // Nobody could be asked: to be tried again, and not the token's fault.
  EXPECT_EQ(ask("down").code, Code::kUnavailable);
}

TEST_F(Certificates, AreRenewedWithTheCertificateOfTheSame) {
  const Answer answer = ask("", kWeb.front());
  EXPECT_EQ(answer.code, Code::kOk) << answer.message;
  EXPECT_EQ(answer.uris, kWeb);
}

TEST_F(Certificates, OfForeignTrustDomainsProveNothingHere) {
  for (const char* id : {"spiffe://elsewhere/ns/default/sa/web", "https://default/web",
                         "spiffe://cluster.local.evil/ns/default/sa/web"}) {
    const Answer answer = ask("", id);
    EXPECT_EQ(answer.code, Code::kUnauthenticated) << id;
    EXPECT_TRUE(answer.uris.empty()) << id;
  }
}

TEST_F(Certificates, NeedARequestThatCanBeSigned) {
  EXPECT_EQ(ask("web", "", "no csr").code, Code::kInvalidArgument);
  EXPECT_EQ(ask("web", "", std::string(70'000, 'x')).code, Code::kInvalidArgument);
  EXPECT_EQ(counted_["sign_error"], 1);
}

}  // namespace
}  // namespace lateen::ca
