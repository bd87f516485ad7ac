// Messages to JSON and back, Any with and without its type linked in, TypedStruct.

#include "xds/json.h"

#include <gtest/gtest.h>

#include "envoy/config/cluster/v3/cluster.pb.h"
#include "envoy/config/core/v3/address.pb.h"
#include "istio/stats.pb.h"
#include "udpa/type/v1/typed_struct.pb.h"
#include "xds/any.h"

namespace lateen::xds {
namespace {

using envoy::config::cluster::v3::Cluster;

TEST(XdsJson, ReadsAndPrintsACluster) {
  auto json = data::parse_json(R"({"name": "a", "type": "STRICT_DNS", "connect_timeout": "0.250s",
    "upstream_connection_options": {"tcp_keepalive": {"keepalive_time": 300}},
    "metadata": {"filter_metadata": {"istio": {"services": [{"host": "h"}]}}}})");
  Cluster cluster;
  ASSERT_TRUE(from_json(*json, cluster).ok());
  EXPECT_EQ(cluster.type(), Cluster::STRICT_DNS);
  EXPECT_EQ(cluster.connect_timeout().nanos(), 250'000'000);
  EXPECT_TRUE(data::equal(to_json(cluster), *json)) << data::dump_json(to_json(cluster));
}

TEST(XdsJson, NamesTheUnknownField) {
  Cluster cluster;
  const auto done = from_json(*data::parse_json(R"({"nom": "a"})"), cluster);
  ASSERT_FALSE(done.ok());
  EXPECT_NE(done.error().message().find("nom"), std::string::npos);
}

TEST(XdsJson, TakesAnyTypeAsATypedStruct) {
  Cluster cluster;
  const auto json = data::parse_json(
      R"({"name": "a", "transport_socket": {"name": "x", "typed_config": {"@type": "type.googleapis.com/no.Such", "a": 1}}})");
  ASSERT_TRUE(from_json(*json, cluster).ok());
  EXPECT_EQ(carried_type(cluster.transport_socket().typed_config()), "no.Such");
}

TEST(XdsJson, KeepsAnAnyOfUnknownType) {
  google::protobuf::Any any;
  any.set_type_url("type.googleapis.com/no.Such");
  any.set_value("\x01\x02");
  EXPECT_EQ(data::dump_json(to_json(any)),
            R"({"@type":"type.googleapis.com/no.Such","value":"AQI="})");
}

TEST(XdsJson, ExpandsAnAny) {
  envoy::config::core::v3::SocketAddress address;
  address.set_address("1.2.3.4");
  address.set_port_value(80);
  EXPECT_EQ(
      data::dump_json(to_json(pack(address))),
      R"({"@type":"type.googleapis.com/envoy.config.core.v3.SocketAddress","address":"1.2.3.4",)"
      R"("port_value":80})");
}

TEST(XdsAny, ReadsATypedStruct) {
  udpa::type::v1::TypedStruct holder;
  holder.set_type_url("type.googleapis.com/stats.PluginConfig");
  *holder.mutable_value() =
      json_to_struct(*data::parse_json(R"({"disable_host_header_fallback": true})")->if_object());
  const auto any = pack(holder);
  EXPECT_EQ(carried_type(any), "stats.PluginConfig");
  const auto config = unpack<stats::PluginConfig>(any);
  ASSERT_TRUE(config.ok()) << config.error().message();
  EXPECT_TRUE(config->disable_host_header_fallback());
  EXPECT_FALSE(unpack<Cluster>(any).ok());
}

}  // namespace
}  // namespace lateen::xds
