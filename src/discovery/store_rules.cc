#include "discovery/store_rules.h"

#include <algorithm>

namespace lateen::discovery {
namespace {

using data::get_string;

// A Kubernetes label selector: matchLabels and matchExpressions.
bool selector_fits(const data::Json& selector, const mesh::Labels& labels) {
  for (const auto& entry : data::get_object(selector, {"matchLabels"})) {
    if (mesh::label_of(labels, std::string_view(entry.key())) != data::as_string(entry.value())) {
      return false;
    }
  }
  for (const data::Json& term : data::get_array(selector, {"matchExpressions"})) {
    const auto found = labels.find(get_string(term, {"key"}));
    const std::string_view op = get_string(term, {"operator"});
    bool is_listed = false;
    for (const data::Json& value : data::get_array(term, {"values"})) {
      is_listed |= found != labels.end() && found->second == data::as_string(value);
    }
    if (op == "In" && !is_listed) return false;
    if (op == "NotIn" && is_listed) return false;
    if (op == "Exists" && found == labels.end()) return false;
    if (op == "DoesNotExist" && found != labels.end()) return false;
  }
  return true;
}

}  // namespace

bool has_gateways(const Translation::Objects& objects) {
  for (const auto& [key, object] : objects) {
    if (std::get<0>(key) == "Gateway") return true;
  }
  return false;
}

bool is_selected(const data::JsonArray& selectors, const std::string& ns,
                 const Translation::Objects& objects) {
  const auto found = objects.find({"Namespace", "", ns});
  if (found == objects.end()) return false;
  const mesh::Labels labels = mesh::read_labels(found->second);
  return std::any_of(selectors.begin(), selectors.end(),
                     [&](const data::Json& selector) { return selector_fits(selector, labels); });
}

TlsSecretPtr read_secret(const data::Json& object) {
  auto secret = std::make_shared<TlsSecret>();
  const auto field = [&](std::initializer_list<std::string_view> keys) {
    for (const std::string_view key : keys) {
      const std::string_view text = get_string(object, {"data", key});
      if (text.empty()) continue;
      auto bytes = base64_decode(text);
      if (bytes.ok()) return *std::move(bytes);
    }
    return std::string();
  };
  secret->certificate_pem = field({"tls.crt", "cert"});
  secret->key_pem = field({"tls.key", "key"});
  secret->ca_pem = field({"ca.crt", "cacert"});
  secret->crl_pem = field({"ca.crl", "crl"});
  if (secret->certificate_pem.empty() && secret->ca_pem.empty()) return nullptr;
  return secret;
}

std::string AutoAddresses::take(std::string_view name) {
  constexpr std::uint32_t kCount = 0xfffe;
  std::uint32_t number = static_cast<std::uint32_t>(fnv1a64(name) % kCount) + 1;
  for (std::uint32_t tries = 0; tries < kCount && !taken_.insert(number).second; ++tries) {
    number = number % kCount + 1;
  }
  return "240.240." + std::to_string(number >> 8) + "." + std::to_string(number & 0xff);
}

bool wants_address(const mesh::Service& service) {
  const auto label = mesh::label_of(service.labels, "networking.istio.io/enable-autoallocate-ip");
  return service.addresses.empty() && label != "false" && !service.host.starts_with("*") &&
         service.resolution != mesh::Service::Resolution::kPassthrough;
}

}  // namespace lateen::discovery
