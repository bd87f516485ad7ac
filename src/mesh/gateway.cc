#include "mesh/gateway.h"

#include <set>

#include "base/strings.h"
#include "mesh/check.h"
#include "mesh/hostname.h"

namespace lateen::mesh {

void read_server_tls(Reader& reader, ServerTls& out) {
  out.redirects_to_https = reader.flag("httpsRedirect");
  using Mode = ServerTls::Mode;
  out.has_mode = reader.has("mode") || reader.has("credentialName") ||
                 reader.has("serverCertificate") || reader.has("credentialNames") ||
                 reader.has("tlsCertificates");
  out.mode = reader.choice<Mode>("mode",
                                 {{"PASSTHROUGH", Mode::kPassthrough},
                                  {"SIMPLE", Mode::kSimple},
                                  {"MUTUAL", Mode::kMutual},
                                  {"AUTO_PASSTHROUGH", Mode::kAutoPassthrough},
                                  {"ISTIO_MUTUAL", Mode::kIstioMutual},
                                  {"OPTIONAL_MUTUAL", Mode::kOptionalMutual}},
                                 Mode::kPassthrough);
  out.credential_name = reader.text("credentialName");
  out.credential_names = reader.texts("credentialNames");
  if (out.credential_name.empty() && !out.credential_names.empty()) {
    out.credential_name = out.credential_names.front();
  }
  out.server_certificate = reader.text("serverCertificate");
  out.private_key = reader.text("privateKey");
  out.ca_certificates = reader.text("caCertificates");
  out.ca_crl = reader.text("caCrl");
  out.subject_alt_names = reader.texts("subjectAltNames");
  out.spki_hashes = reader.texts("verifyCertificateSpki");
  out.certificate_hashes = reader.texts("verifyCertificateHash");
  out.cipher_suites = reader.texts("cipherSuites");
  out.min_version = reader.text("minProtocolVersion");
  out.max_version = reader.text("maxProtocolVersion");
  reader.each("tlsCertificates", [&](Reader& item) {
    out.certificates.push_back({item.text("serverCertificate"), item.text("privateKey")});
    item.unused("caCertificates", "clients are verified with the server's own caCertificates");
  });
  out.ecdh_curves = reader.texts("ecdhCurves");
  out.ca_credential_name = reader.text("caCertCredentialName");
  out.skips_verification = reader.flag("insecureSkipVerify");
}

bool Server::is_tls() const { return tls && tls->has_mode && !is_http(protocol()); }

void read_spec(Reader& reader, Gateway& spec) {
  spec.selector = reader.map("selector");
  reader.each("servers", [&](Reader& item) {
    Server& server = spec.servers.emplace_back();
    item.object("port", [&](Reader& port) {
      server.port.number = port.integer("number");
      server.port.protocol = port.text("protocol");
      server.port.name = port.text("name");
      port.unused("targetPort", "the gateway's Service says which port leads where");
    });
    server.bind = item.text("bind");
    server.hosts = item.texts("hosts");
    item.object("tls", [&](Reader& r) { read_server_tls(r, server.tls.emplace()); });
    server.name = item.text("name");
    item.unused("defaultEndpoint", "route with a VirtualService");
  });
}

ServerHost split_server_host(std::string_view text, std::string_view gateway_ns) {
  const auto parts = split_once(text, "/");
  if (!parts) return {"", std::string(text)};
  if (parts->first == ".") return {std::string(gateway_ns), std::string(parts->second)};
  if (parts->first == "*") return {"", std::string(parts->second)};
  return {std::string(parts->first), std::string(parts->second)};
}

namespace {

void check_tls(const std::string& path, const ServerTls& tls, Issues& issues) {
  const auto needs_credentials = tls.mode == ServerTls::Mode::kSimple ||
                                 tls.mode == ServerTls::Mode::kMutual ||
                                 tls.mode == ServerTls::Mode::kOptionalMutual;
  if (!tls.has_mode || !needs_credentials) return;
  const std::string mode = tls.mode == ServerTls::Mode::kSimple ? "SIMPLE" : "MUTUAL";
  if (tls.credential_name.empty()) {
    if (tls.server_certificate.empty() && tls.certificates.empty()) {
      issues.error(path + ": " + mode + " TLS requires credentialName or a server certificate");
    }
    if (tls.private_key.empty() && !tls.server_certificate.empty()) {
      issues.error(path + ": " + mode + " TLS requires a private key");
    }
    if (tls.mode == ServerTls::Mode::kMutual && tls.ca_certificates.empty() &&
        !tls.server_certificate.empty()) {
      issues.error(path + ": MUTUAL TLS requires a client CA bundle");
    }
  } else if (!tls.server_certificate.empty()) {
    issues.warn(path + ": credentialName is set, so serverCertificate is not used");
  }
  static const std::set<std::string_view> kVersions = {"",        "TLS_AUTO", "TLSV1_0",
                                                       "TLSV1_1", "TLSV1_2",  "TLSV1_3"};
  if (kVersions.count(tls.min_version) == 0 || kVersions.count(tls.max_version) == 0) {
    issues.error(path + ": protocol versions must be one of TLS_AUTO, TLSV1_0 … TLSV1_3");
  }
}

void check_server(const std::string& path, const Server& server, Issues& issues) {
  check_port(path + ".port.number", server.port.number, issues);
  if (parse_protocol(server.port.protocol) == Protocol::kUnsupported) {
    issues.error(path + ".port.protocol: invalid protocol \"" + server.port.protocol +
                 "\", supported protocols are HTTP, HTTP2, GRPC, GRPC-WEB, MONGO, REDIS, MYSQL, "
                 "TCP, TLS, HTTPS");
  }
  if (server.port.name.empty()) issues.error(path + ".port.name: is required");
  if (server.hosts.empty()) {
    issues.error(path + ".hosts: server config must contain at least one host");
  }
  for (const std::string& text : server.hosts) {
    const std::string host = split_server_host(text, ".").host;
    if (const std::string wrong = check_host(host); !wrong.empty() && !is_ip(host)) {
      issues.error(path + ".hosts: " + wrong);
    }
  }
  const Protocol protocol = server.protocol();
  if (is_tls(protocol) && !server.tls) {
    issues.error(path + ".tls: server must have TLS settings for HTTPS/TLS protocols");
  }
  if (is_http(protocol) && server.tls && server.tls->has_mode) {
    issues.warn(path + ".tls: TLS settings are ignored for a server of protocol " +
                server.port.protocol + "; use HTTPS");
  }
  if (server.tls) check_tls(path + ".tls", *server.tls, issues);
  if (protocol == Protocol::kHttps && server.tls && server.tls->redirects_to_https) {
    issues.warn(path + ".tls.httpsRedirect: has effect only on servers of protocol HTTP");
  }
}

}  // namespace

void check_spec(const Meta&, const Gateway& spec, Issues& issues) {
  if (spec.servers.empty()) {
    issues.error("spec.servers: gateway must have at least one server");
  }
  std::set<std::string> names;
  for (std::size_t i = 0; i < spec.servers.size(); ++i) {
    const Server& server = spec.servers[i];
    check_server("spec.servers[" + std::to_string(i) + "]", server, issues);
    if (!server.port.name.empty() && !names.insert(server.port.name).second) {
      issues.error("spec.servers[" + std::to_string(i) +
                   "].port.name: port names in servers must be unique: duplicate name \"" +
                   server.port.name + "\"");
    }
  }
  check_labels("spec.selector", spec.selector, issues);
}

}  // namespace lateen::mesh
