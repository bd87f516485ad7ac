// One Stream per gRPC stream; it answers what it can and remembers what it still owes.
#include "agent/sds_service.h"

#include <set>

#include "base/log.h"
#include "base/strings.h"
#include "envoy/extensions/transport_sockets/tls/v3/secret.pb.h"
#include "envoy/service/discovery/v3/discovery.pb.h"
#include "linux/files.h"
#include "xds/any.h"

namespace lateen::agent {
namespace {

using envoy::extensions::transport_sockets::tls::v3::Secret;
constexpr std::size_t kMostNames = 1000;
constexpr std::size_t kMostFileBytes = 1 << 20;

Result<Secret> file_secret(const std::string& name) {
  Secret secret;
  secret.set_name(name);
  if (name.starts_with("file-cert:")) {
    const auto paths = split_once(std::string_view(name).substr(10), "~");
    if (!paths) return invalid("secret name " + name + ": expected file-cert:CHAIN~KEY");
    auto* certificate = secret.mutable_tls_certificate();
    certificate->mutable_certificate_chain()->set_inline_bytes(
        TRY(os::read_file(std::string(paths->first), kMostFileBytes)));
    certificate->mutable_private_key()->set_inline_bytes(
        TRY(os::read_file(std::string(paths->second), kMostFileBytes)));
    return secret;
  }
  std::string path = name.substr(10);
  if (path == "system") path = "/etc/ssl/certs/ca-certificates.crt";
  secret.mutable_validation_context()->mutable_trusted_ca()->set_inline_bytes(
      TRY(os::read_file(path, kMostFileBytes)));
  return secret;
}

// nullopt: not there yet.
std::optional<Secret> make_secret(const Identity& identity, const std::string& crl,
                                  const std::string& name) {
  if (name.starts_with("file-cert:") || name.starts_with("file-root:")) {
    auto secret = file_secret(name);
    if (secret) return *std::move(secret);
    LOG(kWarn, "sds", "{}", secret.error().message());
    return std::nullopt;
  }
  const Credentials* credentials = identity.current();
  if (credentials == nullptr) return std::nullopt;
  Secret secret;
  secret.set_name(name);
  if (name == "default") {
    auto* certificate = secret.mutable_tls_certificate();
    certificate->mutable_certificate_chain()->set_inline_bytes(credentials->chain_pem);
    certificate->mutable_private_key()->set_inline_bytes(credentials->key_pem);
    return secret;
  }
  if (name == "ROOTCA") {
    secret.mutable_validation_context()->mutable_trusted_ca()->set_inline_bytes(
        credentials->root_pem);
    if (!crl.empty()) secret.mutable_validation_context()->mutable_crl()->set_inline_string(crl);
    return secret;
  }
  return std::nullopt;
}

}  // namespace

class SdsService::Stream {
 public:
  Stream(SdsService& owner, grpc::ServerCall& call, bool is_delta)
      : owner_(owner), call_(call), is_delta_(is_delta) {
    owner_.streams_.push_back(this);
  }
  ~Stream() { owner_.streams_.remove(this); }

  void on_message(const std::string& bytes) {
    if (is_delta_) on_delta(bytes);
    else on_sotw(bytes);
  }

  void push_all() {
    for (const auto& name : names_) push(name);
  }

 private:
  void on_sotw(const std::string& bytes) {
    envoy::service::discovery::v3::DiscoveryRequest request;
    if (!request.ParseFromString(bytes))
      return call_.finish(Code::kInvalidArgument, "not a DiscoveryRequest");
    if (request.has_error_detail())
      LOG(kWarn, "sds", "the proxy refused a secret: {}", request.error_detail().message());
    for (const auto& name : request.resource_names()) want(name);
  }
  void on_delta(const std::string& bytes) {
    envoy::service::discovery::v3::DeltaDiscoveryRequest request;
    if (!request.ParseFromString(bytes))
      return call_.finish(Code::kInvalidArgument, "not a DeltaDiscoveryRequest");
    if (request.has_error_detail())
      LOG(kWarn, "sds", "the proxy refused a secret: {}", request.error_detail().message());
    for (const auto& name : request.resource_names_unsubscribe()) names_.erase(name);
    for (const auto& name : request.resource_names_subscribe()) want(name);
  }

  void want(const std::string& name) {
    if (names_.size() >= kMostNames || !names_.insert(name).second) return;
    push(name);
  }

  void push(const std::string& name) {
    auto secret = make_secret(owner_.identity_, owner_.crl_, name);
    if (!secret) return;  // credentials_changed() comes back to it.
    const std::string version = std::to_string(++owner_.version_);
    if (is_delta_) {
      envoy::service::discovery::v3::DeltaDiscoveryResponse response;
      response.set_type_url(std::string(xds::kSecretType));
      response.set_nonce(version);
      auto* resource = response.add_resources();
      resource->set_name(name);
      resource->set_version(version);
      *resource->mutable_resource() = xds::pack(*secret);
      return call_.send(response.SerializeAsString());
    }
    envoy::service::discovery::v3::DiscoveryResponse response;
    response.set_type_url(std::string(xds::kSecretType));
    response.set_version_info(version);
    response.set_nonce(version);
    *response.add_resources() = xds::pack(*secret);
    call_.send(response.SerializeAsString());
  }

  SdsService& owner_;
  grpc::ServerCall& call_;
  bool is_delta_;
  std::set<std::string> names_;
};

// The gRPC server, and with it every stream, is gone before us.
SdsService::~SdsService() { CHECK(streams_.empty()); }

void SdsService::register_on(grpc::Service& service) {
  for (const bool is_delta : {false, true}) {
    const char* method = is_delta ? "DeltaSecrets" : "StreamSecrets";
    service.add(std::string("/envoy.service.secret.v3.SecretDiscoveryService/") + method,
                [this, is_delta](grpc::ServerCall& call) {
                  auto stream = std::make_shared<Stream>(*this, call, is_delta);
                  grpc::CallEvents events;
                  events.on_message = [stream](std::string message) {
                    stream->on_message(message);
                  };
                  events.on_half_close = [&call] { call.finish(Code::kOk, ""); };
                  events.on_end = [] {};
                  return events;
                });
  }
}

void SdsService::check_lists() {
  auto text = os::read_file(crl_file_, kMostFileBytes);
  std::string now = text ? *std::move(text) : std::string();
  // Half a file, or something else: what we have is better.
  if (!now.empty() && now.find("-----BEGIN X509 CRL-----") == std::string::npos) return;
  if (now == crl_) return;
  crl_ = std::move(now);
  LOG(kInfo, "sds", "the revocation lists changed: {} bytes", crl_.size());
  credentials_changed();
}

void SdsService::credentials_changed() {
  for (Stream* stream : streams_) stream->push_all();
}

}  // namespace lateen::agent
