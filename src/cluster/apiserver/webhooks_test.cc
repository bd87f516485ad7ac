// Webhooks called for real: an HTTPS server on loopback that mutates, refuses, or is not there.
#include "cluster/apiserver/webhooks.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <thread>

#include "base/strings.h"
#include "cluster/apiserver/server.h"
#include "event/epoll_loop.h"
#include "http/server.h"
#include "tls/x509.h"

namespace lateen::cluster::apiserver {
namespace {

// Answers each AdmissionReview with what `decide` makes of its request.
class Hook final : public http::Service {
 public:
  using Decide = Json (*)(const Json& request);
  explicit Hook(Decide decide) : decide_(decide) {}
  void handle(http::Exchange& exchange, http::Request request, http::Done done) override {
    http::read_all(
        exchange.scope, exchange.loop, std::move(request.body), 1 << 20,
        [this, &exchange, done = std::move(done)](Result<Buffer> body) mutable {
          const Json review = data::parse_json(body->to_string()).value_or(Json());
          const Json* asked = data::find(review, {"request"});
          Json response = decide_(asked != nullptr ? *asked : review);
          data::set(response, {"uid"}, Json(data::get_string(review, {"request", "uid"})));
          const JsonObject answer{{"kind", "AdmissionReview"},
                                  {"apiVersion", "admission.k8s.io/v1"},
                                  {"response", std::move(response)}};
          done(http::Response::text(exchange.arena, 200, data::dump_json(answer),
                                    "application/json"));
        });
  }

 private:
  Decide decide_;
};

class WebhooksTest : public testing::Test {
 protected:
  WebhooksTest() {
    char name[] = "/tmp/lateen-hooks-XXXXXX";
    directory_ = mkdtemp(name);
    ApiServerOptions options;
    options.data_dir = directory_;
    options.resolve_service = [this](std::string_view, std::string_view,
                                     int) -> Result<std::string> { return address_; };
    server_ = std::make_unique<ApiServer>(std::move(options), clock_);
    EXPECT_TRUE(server_->start().ok());
    transport_ = server_->local_transport();
    make_certificates();
  }
  ~WebhooksTest() override {
    if (loop_ != nullptr) loop_->stop();
    if (thread_.joinable()) thread_.join();
    transport_ = nullptr;
    server_ = nullptr;
    std::filesystem::remove_all(directory_);
  }

  void make_certificates() {
    ca_key_ = *tls::generate_key(tls::KeyKind::kEcP256);
    tls::IssueOptions ca;
    ca.names.common_name = "hook-ca";
    ca.not_before = clock_.wall() - hours(1);
    ca.not_after = clock_.wall() + hours(1);
    ca.is_ca = true;
    ca_pem_ = *tls::self_sign(ca, ca_key_);
  }

  void serve(Hook::Decide decide) {
    const std::string key = *tls::generate_key(tls::KeyKind::kEcP256);
    tls::IssueOptions leaf;
    leaf.names.common_name = "hook";
    leaf.names.dns = {"hook.default.svc"};
    leaf.not_before = clock_.wall() - hours(1);
    leaf.not_after = clock_.wall() + hours(1);
    tls::Options options;
    options.certificates = {{*tls::issue(leaf, key, ca_pem_, ca_key_), key}};
    auto context = *tls::Context::make(tls::Context::Role::kServer, options);
    loop_ = *event::make_epoll_loop(clock_, system_random());
    hook_ = std::make_unique<Hook>(decide);
    auto fd = *net::listen_on(*net::Address::parse("127.0.0.1:0"));
    address_ = net::local_address_of(fd.get())->to_string();
    auto* listening = new http::Server(*loop_, std::move(fd), *hook_, {}, context);
    thread_ = std::thread([this, listening] {
      loop_->run();
      delete listening;
    });
  }

  Json call(const std::string& method, const std::string& url, const std::string& body) {
    http::PlainRequest request;
    request.method = method;
    request.url = url;
    request.body = body;
    auto response = transport_->call(request);
    return response.ok() ? *data::parse_json(response->body) : Json();
  }

  void register_hook(std::string_view kind, std::string_view plural, std::string_view policy,
                     std::string_view selector = "{}") {
    const std::string body =
        R"({"metadata":{"name":"hook"},"webhooks":[{"name":"check.hook.example.com",
      "admissionReviewVersions":["v1"],"sideEffects":"None","timeoutSeconds":2,"failurePolicy":")" +
        std::string(policy) + R"(","objectSelector":)" + std::string(selector) +
        R"(,"clientConfig":{"caBundle":")" + base64_encode(ca_pem_) +
        R"(","service":{"namespace":"default","name":"hook","path":"/check"}},
      "rules":[{"apiGroups":[""],"apiVersions":["v1"],"operations":["CREATE"],"resources":["configmaps"]}]}]})";
    const Json made =
        call("POST", "/apis/admissionregistration.k8s.io/v1/" + std::string(plural), body);
    EXPECT_EQ(data::get_string(made, {"kind"}), kind) << data::dump_json(made);
  }
  Json create(const std::string& metadata) {
    return call("POST", "/api/v1/namespaces/default/configmaps",
                R"({"metadata":)" + metadata + "}");
  }

  SystemClock clock_;
  std::string directory_;
  std::unique_ptr<ApiServer> server_;
  std::unique_ptr<kube::Transport> transport_;
  std::string ca_key_;
  std::string ca_pem_;
  std::string address_ = "127.0.0.1:1";
  std::unique_ptr<event::Loop> loop_;
  std::unique_ptr<Hook> hook_;
  std::thread thread_;
};

TEST_F(WebhooksTest, PatchesWhatItSelects) {
  serve([](const Json& request) -> Json {
    const auto name = data::get_string(request, {"object", "metadata", "name"});
    const std::string patch =
        R"([{"op":"add","path":"/data","value":{"seen":")" + std::string(name) + "\"}}]";
    return JsonObject{
        {"allowed", true}, {"patchType", "JSONPatch"}, {"patch", base64_encode(patch)}};
  });
  register_hook("MutatingWebhookConfiguration", "mutatingwebhookconfigurations", "Fail",
                R"({"matchLabels":{"hook":"yes"}})");
  const Json patched = create(R"({"name":"a","labels":{"hook":"yes"}})");
  EXPECT_EQ(data::get_string(patched, {"data", "seen"}), "a") << data::dump_json(patched);
  EXPECT_EQ(data::find(create(R"({"name":"b"})"), {"data"}), nullptr);
}

TEST_F(WebhooksTest, RefusalsCarryTheHooksWords) {
  serve([](const Json&) -> Json {
    return JsonObject{{"allowed", false},
                      {"status", JsonObject{{"message", "weights sum to 120"}}}};
  });
  register_hook("ValidatingWebhookConfiguration", "validatingwebhookconfigurations", "Fail");
  const Json refused = create(R"({"name":"a"})");
  EXPECT_EQ(data::get_string(refused, {"message"}),
            "admission webhook \"check.hook.example.com\" denied the request: weights sum to 120");
  EXPECT_EQ(data::get_int(refused, {"code"}), 403);
}

TEST_F(WebhooksTest, AbsentHooksFailOrAreIgnoredAsTheyAsk) {
  register_hook("ValidatingWebhookConfiguration", "validatingwebhookconfigurations", "Fail");
  const Json refused = create(R"({"name":"a"})");
  EXPECT_EQ(data::get_int(refused, {"code"}), 500);
  EXPECT_TRUE(
      data::get_string(refused, {"message"})
          .starts_with("Internal error occurred: failed calling webhook "
                       "\"check.hook.example.com\": failed to "
                       "call webhook: Post \"https://hook.default.svc:443/check?timeout=2s\""))
      << data::dump_json(refused);
  call("DELETE", "/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations/hook", "");
  register_hook("ValidatingWebhookConfiguration", "validatingwebhookconfigurations", "Ignore");
  EXPECT_EQ(data::get_string(create(R"({"name":"a"})"), {"kind"}), "ConfigMap");
}

}  // namespace
}  // namespace lateen::cluster::apiserver
