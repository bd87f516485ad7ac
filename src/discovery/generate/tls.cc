#include "discovery/generate/tls.h"

#include "envoy/config/core/v3/base.pb.h"
#include "envoy/config/core/v3/config_source.pb.h"
#include "envoy/extensions/transport_sockets/raw_buffer/v3/raw_buffer.pb.h"
#include "envoy/extensions/transport_sockets/tls/v3/tls.pb.h"
#include "xds/any.h"

// Envoy marks match_subject_alt_names as deprecated; Istio, its tools and older proxies speak it
// still.
#pragma GCC diagnostic ignored "-Wdeprecated-declarations"

namespace lateen::discovery {
namespace {

namespace core = envoy::config::core::v3;
namespace tlsv3 = envoy::extensions::transport_sockets::tls::v3;

constexpr const char* kTlsSocket = "envoy.transport_sockets.tls";

// Secrets of the workload and of files come from the agent beside the proxy.
void set_agent_secret(const std::string& name, tlsv3::SdsSecretConfig& out) {
  out.set_name(name);
  core::ConfigSource& source = *out.mutable_sds_config();
  source.set_resource_api_version(core::ApiVersion::V3);
  source.mutable_initial_fetch_timeout()->set_seconds(0);
  core::ApiConfigSource& api = *source.mutable_api_config_source();
  api.set_api_type(core::ApiConfigSource::GRPC);
  api.set_transport_api_version(core::ApiVersion::V3);
  api.set_set_node_on_first_message_only(true);
  api.add_grpc_services()->mutable_envoy_grpc()->set_cluster_name("sds-grpc");
}

// Secrets of gateways come from Kubernetes, over ADS.
void set_ads_secret(const std::string& name, tlsv3::SdsSecretConfig& out) {
  out.set_name(name);
  set_ads(*out.mutable_sds_config());
  // A secret that is missing must not hold up a gateway's other servers: the default time-out (15
  // s) applies.
  out.mutable_sds_config()->clear_initial_fetch_timeout();
}

void set_versions(tlsv3::CommonTlsContext& context, std::string_view min, std::string_view max) {
  const auto version = [](std::string_view text, tlsv3::TlsParameters::TlsProtocol fallback) {
    if (text == "TLSV1_0") return tlsv3::TlsParameters::TLSv1_0;
    if (text == "TLSV1_1") return tlsv3::TlsParameters::TLSv1_1;
    if (text == "TLSV1_2") return tlsv3::TlsParameters::TLSv1_2;
    if (text == "TLSV1_3") return tlsv3::TlsParameters::TLSv1_3;
    return fallback;
  };
  context.mutable_tls_params()->set_tls_minimum_protocol_version(
      version(min, tlsv3::TlsParameters::TLSv1_2));
  context.mutable_tls_params()->set_tls_maximum_protocol_version(
      version(max, tlsv3::TlsParameters::TLSv1_3));
}

// What the mesh says of handshakes, where the config itself says nothing.
void set_defaults(const mesh::MeshConfig::TlsDefaults& from, tlsv3::CommonTlsContext& context) {
  for (const std::string& curve : from.ecdh_curves) {
    context.mutable_tls_params()->add_ecdh_curves(curve);
  }
  for (const std::string& suite : from.cipher_suites) {
    context.mutable_tls_params()->add_cipher_suites(suite);
  }
}

void add_workload_identity(tlsv3::CommonTlsContext& context, const std::vector<std::string>& sans,
                           bool is_prefix) {
  set_agent_secret("default", *context.add_tls_certificate_sds_secret_configs());
  auto& combined = *context.mutable_combined_validation_context();
  auto& validation = *combined.mutable_default_validation_context();
  for (const std::string& san : sans) {
    auto& match = *validation.add_match_subject_alt_names();
    if (is_prefix) {
      match.set_prefix(san);
    } else {
      match.set_exact(san);
    }
  }
  set_agent_secret("ROOTCA", *combined.mutable_validation_context_sds_secret_config());
}

void pack_into(const google::protobuf::Message& message, core::TransportSocket& out) {
  out.set_name(kTlsSocket);
  *out.mutable_typed_config() = xds::pack(message);
}

std::vector<std::string> mesh_alpn(bool is_http2) {
  if (is_http2) return {"istio-peer-exchange", "istio", "h2"};
  return {"istio-peer-exchange", "istio"};
}

void set_validation(tlsv3::CommonTlsContext& context, const std::string& root_secret, bool is_ads,
                    const std::vector<std::string>& sans) {
  auto& combined = *context.mutable_combined_validation_context();
  for (const std::string& san : sans) {
    combined.mutable_default_validation_context()->add_match_subject_alt_names()->set_exact(san);
  }
  combined.mutable_default_validation_context();
  auto& secret = *combined.mutable_validation_context_sds_secret_config();
  is_ads ? set_ads_secret(root_secret, secret) : set_agent_secret(root_secret, secret);
}

void set_crl_file(const std::string& path, tlsv3::CommonTlsContext& context) {
  if (path.empty()) return;
  context.mutable_combined_validation_context()
      ->mutable_default_validation_context()
      ->mutable_crl()
      ->set_filename(path);
}

// Certificate and CA that a server's settings name: Secrets, or files of the gateway.
void set_server_credentials(const mesh::ServerTls& tls, bool asks_client,
                            tlsv3::CommonTlsContext& context) {
  if (!tls.credential_name.empty()) {
    std::vector<std::string> names = tls.credential_names;
    if (names.empty()) names.push_back(tls.credential_name);
    for (const std::string& name : names) {
      set_ads_secret("kubernetes://" + name, *context.add_tls_certificate_sds_secret_configs());
    }
    const std::string& ca =
        tls.ca_credential_name.empty() ? tls.credential_name : tls.ca_credential_name;
    if (asks_client) {
      set_validation(context, "kubernetes://" + ca + "-cacert", true, tls.subject_alt_names);
    }
    return;
  }
  std::vector<mesh::ServerTls::Certificate> files = tls.certificates;
  if (files.empty()) files.push_back({tls.server_certificate, tls.private_key});
  for (const auto& file : files) {
    set_agent_secret("file-cert:" + file.certificate + "~" + file.private_key,
                     *context.add_tls_certificate_sds_secret_configs());
  }
  if (!asks_client) return;
  if (!tls.ca_credential_name.empty()) {
    set_validation(context, "kubernetes://" + tls.ca_credential_name + "-cacert", true,
                   tls.subject_alt_names);
  } else {
    set_validation(context, "file-root:" + tls.ca_certificates, false, tls.subject_alt_names);
  }
}

}  // namespace

void set_ads(core::ConfigSource& source) {
  source.mutable_ads();
  source.set_resource_api_version(core::ApiVersion::V3);
  source.mutable_initial_fetch_timeout()->set_seconds(0);
}

void set_istio_mutual(const std::vector<std::string>& sans, const std::string& sni, bool is_http2,
                      core::TransportSocket& out) {
  tlsv3::UpstreamTlsContext tls;
  tlsv3::CommonTlsContext& context = *tls.mutable_common_tls_context();
  set_versions(context, "", "");
  for (const std::string& protocol : mesh_alpn(is_http2)) context.add_alpn_protocols(protocol);
  add_workload_identity(context, sans, /*is_prefix=*/false);
  tls.set_sni(sni);
  pack_into(tls, out);
}

void set_client_tls(const View& view, const mesh::ClientTls& tls, const std::string& default_sni,
                    const std::vector<std::string>& default_sans, bool is_http2,
                    core::TransportSocket& out) {
  using Mode = mesh::ClientTls::Mode;
  const auto& sans = tls.subject_alt_names.empty() ? default_sans : tls.subject_alt_names;
  if (tls.mode == Mode::kIstioMutual) {
    return set_istio_mutual(sans, tls.sni.empty() ? default_sni : tls.sni, is_http2, out);
  }
  tlsv3::UpstreamTlsContext upstream;
  tlsv3::CommonTlsContext& context = *upstream.mutable_common_tls_context();
  set_versions(context, view.mesh.mesh().other_tls.min_version, "");
  set_defaults(view.mesh.mesh().other_tls, context);
  if (is_http2) context.add_alpn_protocols("h2");
  upstream.set_sni(tls.sni);
  const bool skips_verification = tls.insecure_skip_verify.value_or(false);
  if (!tls.credential_name.empty() && view.proxy.is_gateway()) {
    const std::string name = "kubernetes://" + tls.credential_name;
    if (tls.mode == Mode::kMutual) {
      set_ads_secret(name, *context.add_tls_certificate_sds_secret_configs());
    }
    if (!skips_verification) set_validation(context, name + "-cacert", true, tls.subject_alt_names);
  } else {
    if (tls.mode == Mode::kMutual) {
      set_agent_secret("file-cert:" + tls.client_certificate + "~" + tls.private_key,
                       *context.add_tls_certificate_sds_secret_configs());
    }
    const std::string root =
        "file-root:" + (tls.ca_certificates.empty() ? "system" : tls.ca_certificates);
    if (!skips_verification) {
      set_validation(context, root, false, tls.subject_alt_names);
      set_crl_file(tls.ca_crl, context);
    }
  }
  pack_into(upstream, out);
}

void set_inbound_mutual(const View& view, const std::vector<std::string>& alpn,
                        core::TransportSocket& out) {
  tlsv3::DownstreamTlsContext tls;
  tls.mutable_require_client_certificate()->set_value(true);
  tlsv3::CommonTlsContext& context = *tls.mutable_common_tls_context();
  const mesh::MeshConfig::TlsDefaults& mutual = view.mesh.mesh().mutual_tls;
  set_versions(context, mutual.min_version, "");
  set_defaults(mutual, context);
  const bool has_suites = !mutual.cipher_suites.empty();
  for (const char* suite : {"ECDHE-ECDSA-AES256-GCM-SHA384", "ECDHE-RSA-AES256-GCM-SHA384",
                            "ECDHE-ECDSA-AES128-GCM-SHA256", "ECDHE-RSA-AES128-GCM-SHA256",
                            "AES256-GCM-SHA384", "AES128-GCM-SHA256"}) {
    if (!has_suites) context.mutable_tls_params()->add_cipher_suites(suite);
  }
  for (const std::string& protocol : alpn) context.add_alpn_protocols(protocol);
  std::vector<std::string> domains = {"spiffe://" + view.mesh.mesh().trust_domain + "/"};
  for (const std::string& alias : view.mesh.mesh().trust_domain_aliases) {
    domains.push_back("spiffe://" + alias + "/");
  }
  add_workload_identity(context, domains, /*is_prefix=*/true);
  pack_into(tls, out);
}

void set_server_tls(const View& view, const mesh::ServerTls& tls, std::string_view, bool is_http,
                    core::TransportSocket& out) {
  using Mode = mesh::ServerTls::Mode;
  if (tls.mode == Mode::kIstioMutual) {
    return set_inbound_mutual(view,
                              is_http ? std::vector<std::string>{"h2", "http/1.1"}
                                      : std::vector<std::string>{"istio-peer-exchange", "istio"},
                              out);
  }
  tlsv3::DownstreamTlsContext downstream;
  tlsv3::CommonTlsContext& context = *downstream.mutable_common_tls_context();
  mesh::MeshConfig::TlsDefaults defaults = view.mesh.mesh().other_tls;
  if (!tls.min_version.empty()) defaults.min_version = tls.min_version;
  if (!tls.cipher_suites.empty()) defaults.cipher_suites = tls.cipher_suites;
  if (!tls.ecdh_curves.empty()) defaults.ecdh_curves = tls.ecdh_curves;
  set_versions(context, defaults.min_version, tls.max_version);
  set_defaults(defaults, context);
  if (is_http) {
    context.add_alpn_protocols("h2");
    context.add_alpn_protocols("http/1.1");
  }
  const bool is_mutual = tls.mode == Mode::kMutual;
  const bool asks_client = is_mutual || tls.mode == Mode::kOptionalMutual;
  downstream.mutable_require_client_certificate()->set_value(is_mutual);
  set_server_credentials(tls, asks_client, context);
  if (asks_client) {
    set_crl_file(tls.ca_crl, context);
    auto& validation =
        *context.mutable_combined_validation_context()->mutable_default_validation_context();
    for (const std::string& hash : tls.spki_hashes) validation.add_verify_certificate_spki(hash);
    for (const std::string& hash : tls.certificate_hashes) {
      validation.add_verify_certificate_hash(hash);
    }
    if (tls.skips_verification) {
      validation.set_trust_chain_verification(
          tlsv3::CertificateValidationContext::ACCEPT_UNTRUSTED);
    }
  }
  pack_into(downstream, out);
}

void set_raw_buffer(core::TransportSocket& out) {
  out.set_name("envoy.transport_sockets.raw_buffer");
  *out.mutable_typed_config() =
      xds::pack(envoy::extensions::transport_sockets::raw_buffer::v3::RawBuffer());
}

}  // namespace lateen::discovery
