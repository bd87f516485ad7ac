// References of a VirtualService to hosts, subsets and gateways.
#include "console/object_issues.h"

#include <fmt/core.h>
#include <gtest/gtest.h>

#include "data/yaml.h"

namespace lateen::console {
namespace {

data::Json yaml(std::string_view text) {
  auto parsed = data::parse_yaml(text);
  EXPECT_TRUE(parsed.ok());
  return std::move(parsed).value();
}

Neighbours bookinfo() {
  Neighbours known;
  known.add(yaml("{apiVersion: v1, kind: Service, metadata: {name: reviews, namespace: default}}"));
  known.add(
      yaml("{kind: ServiceEntry, metadata: {name: out, namespace: default}, spec: {hosts: "
           "['*.example.com']}}"));
  known.add(yaml("{kind: Gateway, metadata: {name: door, namespace: default}}"));
  known.add(
      yaml("{kind: DestinationRule, metadata: {name: r, namespace: default}, spec: {host: reviews, "
           "subsets: [{name: v1}]}}"));
  return known;
}

data::Json route_to(std::string_view host, std::string_view subset,
                    std::string_view gateway = "door") {
  return yaml(fmt::format(R"(
apiVersion: networking.istio.io/v1beta1
kind: VirtualService
metadata: {{name: v, namespace: default}}
spec:
  hosts: ["shop.example.org"]
  gateways: [{}]
  http:
  - route:
    - destination: {{host: {}, subset: "{}"}}
)",
                          gateway, host, subset));
}

TEST(ObjectIssuesTest, SaysWhichNameLeadsNowhere) {
  EXPECT_TRUE(issues_of(route_to("reviews", "v1"), bookinfo()).empty());
  EXPECT_TRUE(issues_of(route_to("reviews.default.svc.cluster.local", "v1"), bookinfo()).empty());
  EXPECT_TRUE(issues_of(route_to("api.example.com", ""), bookinfo()).empty());

  const auto subset = issues_of(route_to("reviews", "v9"), bookinfo());
  ASSERT_EQ(subset.size(), 1u);
  EXPECT_EQ(data::get_string(subset[0], {"path"}), "spec.http[0].route[0].destination.subset");
  EXPECT_NE(data::get_string(subset[0], {"message"}).find("v9"), std::string_view::npos);

  const auto host = issues_of(route_to("nosuch", "v1"), bookinfo());
  ASSERT_EQ(host.size(), 1u);
  EXPECT_NE(data::get_string(host[0], {"message"}).find("nosuch.default.svc.cluster.local"),
            std::string_view::npos);

  EXPECT_EQ(issues_of(route_to("reviews", "v1", "window"), bookinfo()).size(), 1u);
  EXPECT_TRUE(issues_of(route_to("reviews", "v1", "mesh"), bookinfo()).empty());
}

TEST(ObjectIssuesTest, TheMeshsOwnChecksAreErrors) {
  const auto issues = issues_of(yaml(R"(
apiVersion: networking.istio.io/v1beta1
kind: VirtualService
metadata: {name: v, namespace: default}
spec: {hosts: [], http: 7}
)"),
                                Neighbours::none());
  ASSERT_FALSE(issues.empty());
  EXPECT_EQ(data::get_string(issues[0], {"severity"}), "error");
}

}  // namespace
}  // namespace lateen::console
