// Tables from a config dump in Envoy's own spelling.
#include "cli/proxy_tables.h"

#include <gtest/gtest.h>

namespace lateen::cli {
namespace {

const Json& dump() {
  static const Json kDump = data::parse_json(R"({"configs":[
   {"@type":"type.googleapis.com/envoy.admin.v3.BootstrapConfigDump","bootstrap":{"node":{"id":"x","metadata":{"ISTIO_VERSION":"1.24.0"}}}},
   {"@type":"type.googleapis.com/envoy.admin.v3.ClustersConfigDump","dynamic_active_clusters":[
     {"cluster":{"name":"outbound|9080|v1|reviews.default.svc.cluster.local","type":"EDS","metadata":{"filter_metadata":{"istio":{"config":"/apis/networking.istio.io/v1alpha3/namespaces/default/destination-rule/reviews"}}}}},
     {"cluster":{"name":"outbound|9080||reviews.default.svc.cluster.local","type":"EDS"}},
     {"cluster":{"name":"BlackHoleCluster"}}]},
   {"@type":"type.googleapis.com/envoy.admin.v3.ListenersConfigDump","dynamic_listeners":[
     {"name":"virtualOutbound","active_state":{"listener":{"name":"virtualOutbound","address":{"socket_address":{"address":"0.0.0.0","port_value":15001}},
       "filter_chains":[{"filter_chain_match":{"destination_port":15001},"filters":[{"name":"envoy.filters.network.tcp_proxy","typed_config":{"cluster":"BlackHoleCluster"}}]},
                        {"filters":[{"name":"envoy.filters.network.tcp_proxy","typed_config":{"cluster":"PassthroughCluster"}}]}]}}},
     {"name":"0.0.0.0_9080","active_state":{"listener":{"address":{"socket_address":{"address":"0.0.0.0","port_value":9080}},
       "filter_chains":[{"filter_chain_match":{"transport_protocol":"raw_buffer","application_protocols":["http/1.1","h2c"]},"filters":[{"name":"envoy.filters.network.http_connection_manager","typed_config":{"rds":{"route_config_name":"9080"}}}]}]}}}]},
   {"@type":"type.googleapis.com/envoy.admin.v3.RoutesConfigDump","dynamic_route_configs":[
     {"route_config":{"name":"9080","virtual_hosts":[{"name":"reviews.default.svc.cluster.local:9080","domains":["reviews.default.svc.cluster.local","reviews","reviews.default.svc","reviews.default","10.1.2.3"],
       "routes":[{"match":{"prefix":"/"},"route":{"cluster":"x"}}]},{"name":"allow_any","domains":["*"],"routes":[{"match":{"prefix":"/"},"route":{"cluster":"PassthroughCluster"}}]}]}}]}]})")
                                .value();
  return kDump;
}

TEST(ProxyTables, Clusters) {
  EXPECT_EQ(
      cluster_table(dump(), {}),
      R"(SERVICE FQDN                          PORT     SUBSET     DIRECTION     TYPE       DESTINATION RULE
BlackHoleCluster                      -        -          -             STATIC     
reviews.default.svc.cluster.local     9080     -          outbound      EDS        
reviews.default.svc.cluster.local     9080     v1         outbound      EDS        reviews.default
)");
  ClusterFilter filter;
  filter.subset = "v1";
  EXPECT_EQ(cluster_table(dump(), filter).find("BlackHole"), std::string::npos);
}

TEST(ProxyTables, Listeners) {
  EXPECT_EQ(listener_table(dump(), {}),
            "ADDRESSES PORT  MATCH                        DESTINATION\n"
            "0.0.0.0   9080  Trans: raw_buffer; App: HTTP Route: 9080\n"
            "0.0.0.0   15001 ALL                          PassthroughCluster\n"
            "0.0.0.0   15001 Addr: *:15001                Non-HTTP/Non-TCP\n");
}

TEST(ProxyTables, Routes) {
  EXPECT_EQ(
      route_table(dump(), {}),
      R"(NAME     VHOST NAME                                 DOMAINS                                  MATCH     VIRTUAL SERVICE
9080     reviews.default.svc.cluster.local:9080     reviews, reviews.default + 1 more...     /*        
)");
}

TEST(ProxyTables, Endpoints) {
  const Json clusters =
      data::parse_json(
          R"({"cluster_statuses":[{"name":"c","host_statuses":[{"address":{"socket_address":{"address":"10.0.0.1","port_value":80}},"health_status":{"eds_health_status":"HEALTHY"}}]}]})")
          .value();
  EXPECT_EQ(endpoint_table(clusters, {}),
            "ENDPOINT        STATUS      OUTLIER CHECK     CLUSTER\n10.0.0.1:80     HEALTHY     OK "
            "               c\n");
}

TEST(ProxyTables, KeysBecomeCamelCaseButNotTheUsers) {
  EXPECT_EQ(data::dump_json(
                camel_cased(data::parse_json(R"({"a_b":{"filter_metadata":{"x_y":1}}})").value())),
            R"({"aB":{"filterMetadata":{"x_y":1}}})");
}

}  // namespace
}  // namespace lateen::cli
