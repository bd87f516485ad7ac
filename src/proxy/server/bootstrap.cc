// YAML covers JSON, but JSON is tried first: its parser is faster and its errors fit.

#include "proxy/server/bootstrap.h"

#include <fstream>
#include <sstream>

#include "data/yaml.h"
#include "envoy/config/bootstrap/v3/bootstrap.pb.h"
#include "xds/json.h"

namespace lateen::proxy {
namespace {

Result<data::Json> parse(const std::string& text) {
  const auto start = text.find_first_not_of(" \t\r\n");
  if (start != std::string::npos && text[start] == '{') return data::parse_json(text);
  return data::parse_yaml(text);
}

// Protobuf's merge: objects join, lists append, scalars are replaced.
void merge(data::Json& into, data::Json from) {
  auto* left = into.if_object();
  auto* right = from.if_object();
  if (left == nullptr || right == nullptr) {
    auto* list = into.if_array();
    auto* more = from.if_array();
    if (list != nullptr && more != nullptr)
      for (auto& value : *more) list->push_back(std::move(value));
    else into = std::move(from);
    return;
  }
  for (auto& [name, value] : *right) {
    auto* present = left->if_contains(name);
    if (present == nullptr) (*left)[name] = std::move(value);
    else merge(*present, std::move(value));
  }
}

}  // namespace

Result<std::unique_ptr<envoy::config::bootstrap::v3::Bootstrap>> load_bootstrap(
    const Options& options) {
  data::Json json = data::JsonObject();
  if (!options.config_path.empty()) {
    std::ifstream file(options.config_path, std::ios::binary);
    if (!file) return errno_error("reading the bootstrap " + options.config_path, errno);
    std::ostringstream text;
    text << file.rdbuf();
    json = TRY(parse(text.str()).at(options.config_path));
  }
  if (!options.config_yaml.empty())
    merge(json, TRY(parse(options.config_yaml).at("--config-yaml")));
  if (options.config_path.empty() && options.config_yaml.empty())
    return invalid("no configuration: give a bootstrap with -c FILE or --config-yaml TEXT");
  auto made = std::make_unique<envoy::config::bootstrap::v3::Bootstrap>();
  TRY(xds::from_json(json, *made)
          .at(options.config_path.empty() ? "--config-yaml" : options.config_path));
  if (made->node().id().empty()) made->mutable_node()->set_id(options.service_node);
  if (made->node().cluster().empty()) made->mutable_node()->set_cluster(options.service_cluster);
  if (!options.service_zone.empty() && made->node().locality().zone().empty())
    made->mutable_node()->mutable_locality()->set_zone(options.service_zone);
  made->mutable_node()->set_user_agent_name("lateen-proxy");
  return made;
}

}  // namespace lateen::proxy
