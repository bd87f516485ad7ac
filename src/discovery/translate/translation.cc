#include "discovery/translate/translation.h"

namespace lateen::discovery {

bool Translation::takes(std::string_view kind, std::string_view api_version) {
  const std::string_view group = api_version.substr(0, api_version.find('/'));
  if (group == "gateway.networking.k8s.io") return true;
  if (group == "networking.k8s.io") return kind == "Ingress" || kind == "IngressClass";
  return api_version == "v1" && kind == "Namespace";
}

std::shared_ptr<const Translation> translate(const TranslationInput& input) {
  auto out = std::make_shared<Translation>();
  if (input.objects.empty()) return out;
  translate_ingresses(input, *out);
  translate_gateway_api(input, *out);
  return out;
}

}  // namespace lateen::discovery
