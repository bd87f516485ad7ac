// Format strings over a stream that is filled by hand; labels of Istio's metrics.

#include "proxy/stream/formatter.h"

#include <gtest/gtest.h>

#include "event/sim_loop.h"
#include "istio/stats.pb.h"
#include "proxy/cluster/cluster.h"
#include "proxy/http/connection_manager.h"
#include "proxy/stats/istio_labels.h"

namespace lateen::proxy {
namespace {

struct Fixture {
  event::SimLoop loop;
  Shared shared;
  Worker worker{loop, shared, 0};
  Connection connection;
  Arena arena;
  StreamInfo info{worker, connection};
  net::TlsInfo tls;

  Fixture() {
    connection.remote = *net::Address::parse("1.2.3.4:55");
    info.request.emplace(arena);
    info.request->method = "GET";
    info.request->path = "/a?b=1";
    info.request->authority = "reviews:9080";
    info.request->headers.add("user-agent", "curl");
    info.status = 503;
    info.flags.set(Flag::kUpstreamConnectFailure);
    info.flags.set(Flag::kRetryLimit);
    info.finished = info.started + milliseconds(12);
    info.metadata["f"] = *data::parse_json(R"({"a": {"b": 7}})");
  }
  std::string text(std::string_view format) {
    const auto made = Formatter::compile(format);
    return made.ok() ? made->format(info) : "error: " + made.error().message();
  }
};

TEST(Formatter, PathsDurationsAndConditions) {
  Fixture f;
  f.info.response_started = f.info.started + microseconds(1500);
  EXPECT_EQ(f.text("%PATH(NQ)% %PATH(WQ:PATH)% %QUERY_PARAM(b)% %QUERY_PARAMS%"),
            "/a /a?b=1 1 b=1");
  EXPECT_EQ(
      f.text("%COMMON_DURATION(DS_RX_BEG:DS_TX_BEG:us)% %COMMON_DURATION(DS_RX_BEG:DS_TX_END:ms)%"),
      "1500 12");
  EXPECT_EQ(f.text("%CEL(request.method + ' ' + request.headers['user-agent'])%"), "GET curl");
  EXPECT_EQ(f.text("%ACCESS_LOG_TYPE%").substr(0, 3), "Tcp");
  EXPECT_EQ(f.text("%COMMON_DURATION(NOW:THEN:ms)%").rfind("error: ", 0), 0u);
}

TEST(Formatter, WritesTheCommands) {
  Fixture f;
  EXPECT_EQ(f.text("%REQ(:METHOD)% %REQ(X-ENVOY-ORIGINAL-PATH?:PATH)% %PROTOCOL%"),
            "GET /a?b=1 HTTP/1.1");
  EXPECT_EQ(f.text("%RESPONSE_CODE% %RESPONSE_FLAGS% %DURATION%"), "503 UF,URX 12");
  EXPECT_EQ(f.text("%REQ(USER-AGENT):2%|%REQ(NONE)%|%REQ_WITHOUT_QUERY(:PATH)%"), "cu|-|/a");
  EXPECT_EQ(f.text("%DOWNSTREAM_REMOTE_ADDRESS% %DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT%"),
            "1.2.3.4:55 1.2.3.4");
  EXPECT_EQ(f.text("%DYNAMIC_METADATA(f:a:b)% 100%%"), "7 100%");
  EXPECT_EQ(f.text("%START_TIME(%Y-%m-%dT%H:%M:%S.%3fZ)%"), "2023-11-14T22:13:20.000Z");
}

TEST(Formatter, NamesWhatItDoesNotKnow) {
  Fixture f;
  EXPECT_NE(f.text("%NO_SUCH%").find("NO_SUCH"), std::string::npos);
  EXPECT_NE(f.text("a % b").find("offset 2"), std::string::npos);
}

TEST(Formatter, KeepsNumbersInJson) {
  Fixture f;
  const auto json = [&](std::string_view format) {
    std::string out;
    Formatter::compile(format)->append_json(f.info, out);
    return out;
  };
  EXPECT_EQ(json("%RESPONSE_CODE%"), "503");
  EXPECT_EQ(json("%REQ(X)%"), "null");
  EXPECT_EQ(json("%REQ(USER-AGENT):2%"), "\"cu\"");
  EXPECT_EQ(json("%BYTES_SENT% of %REQ(USER-AGENT)%"), "\"0 of curl\"");
  EXPECT_EQ(json("%DYNAMIC_METADATA(f)%"), R"({"a":{"b":7}})");
  EXPECT_EQ(json("%DOWNSTREAM_REMOTE_PORT%"), "55");
}

// Whatever the text and wherever a byte stands in it, a parser reads back what was written.
TEST(Formatter, QuotesForJson) {
  for (int c = 1; c < 128; ++c)
    for (std::size_t at = 0; at < 18; ++at) {
      std::string text(18, 'x');
      text[at] = static_cast<char>(c);
      std::string quoted;
      append_quoted(text, quoted);
      const auto read = data::parse_json(quoted);
      ASSERT_TRUE(read.ok()) << quoted;
      ASSERT_EQ(data::as_string(*read), text);
    }
  std::string quoted;
  append_quoted("gr\xc3\xbc\xc3\x9f dich\n", quoted);
  EXPECT_EQ(quoted, "\"gr\xc3\xbc\xc3\x9f dich\\n\"");
}

std::string label(const Tags& tags, std::string_view name) {
  for (const auto& [key, value] : tags)
    if (key == name) return value;
  return "absent";
}

TEST(IstioLabels, OfAClientWithoutKnowledgeOfItsPeer) {
  Fixture f;
  LocalIdentity self = make_local_identity(
      "id", *data::parse_json(R"({"NAMESPACE": "default", "WORKLOAD_NAME": "productpage-v1",
    "CLUSTER_ID": "Kubernetes", "LABELS": {"app": "productpage", "version": "v1"}})"));
  const auto rules = *compile_istio_rules({}, false);
  const Tags tags = istio_labels(rules, f.info, self, false);
  EXPECT_EQ(label(tags, "reporter"), "source");
  EXPECT_EQ(label(tags, "source_workload"), "productpage-v1");
  EXPECT_EQ(label(tags, "source_canonical_service"), "productpage");
  EXPECT_EQ(label(tags, "destination_workload"), "unknown");
  EXPECT_EQ(label(tags, "destination_canonical_revision"), "latest");
  EXPECT_EQ(label(tags, "destination_service"), "reviews:9080");
  EXPECT_EQ(label(tags, "response_code"), "503");
  EXPECT_EQ(label(tags, "response_flags"), "UF,URX");
  EXPECT_EQ(label(tags, "connection_security_policy"), "unknown");
  EXPECT_EQ(tags.front().first, "reporter");
  EXPECT_EQ(tags.back().first, "connection_security_policy");
  EXPECT_EQ(label(istio_labels(rules, f.info, self, true), "response_code"), "absent");
}

TEST(IstioLabels, OfAServerWithMutualTls) {
  Fixture f;
  f.tls.has_peer_certificate = true;
  f.tls.peer_uri_sans = {"spiffe://cluster.local/ns/shop/sa/web"};
  f.tls.local_uri_sans = {"spiffe://cluster.local/ns/default/sa/reviews"};
  f.connection.tls = &f.tls;
  const LocalIdentity peer = make_local_identity(
      "p", *data::parse_json(
               R"({"NAMESPACE": "shop", "WORKLOAD_NAME": "web", "LABELS": {"app": "web"}})"));
  f.info.downstream_peer = parse_peer_header("p", peer.metadata_base64);
  ASSERT_NE(f.info.downstream_peer, nullptr);
  auto cluster = std::make_shared<ClusterConfig>();
  cluster->service_host = "reviews.default.svc.cluster.local";
  cluster->service_name = "reviews";
  cluster->service_namespace = "default";
  f.info.upstream.cluster = cluster;
  ::stats::PluginConfig config;
  auto& metric = *config.add_metrics();
  (*metric.mutable_dimensions())["request_method"] = "request.method";
  metric.add_tags_to_remove("source_app");
  const auto rules = *compile_istio_rules(config, true);
  const Tags tags = istio_labels(rules, f.info, peer, false);
  EXPECT_EQ(label(tags, "reporter"), "destination");
  EXPECT_EQ(label(tags, "source_workload"), "web");
  EXPECT_EQ(label(tags, "source_principal"), "spiffe://cluster.local/ns/shop/sa/web");
  EXPECT_EQ(label(tags, "connection_security_policy"), "mutual_tls");
  EXPECT_EQ(label(tags, "destination_service_name"), "reviews");
  EXPECT_EQ(label(tags, "request_method"), "GET");
  EXPECT_EQ(label(tags, "source_app"), "absent");
}

TEST(Paths, AreNormalizedAsRfc3986Says) {
  EXPECT_EQ(normalize_path("/a/./b/../c", false), "/a/c");
  EXPECT_EQ(normalize_path("/a/%2e%2e/b", false), "/b");
  EXPECT_EQ(normalize_path("/../../x/", false), "/x/");
  EXPECT_EQ(normalize_path("/a//b", false), "/a//b");
  EXPECT_EQ(normalize_path("/a//b", true), "/a/b");
  EXPECT_EQ(normalize_path("\\a\\b", false), "/a/b");
  EXPECT_EQ(normalize_path("/a%2fb", false), "/a%2fb");
  EXPECT_EQ(normalize_path("/%zz", false), std::nullopt);
  EXPECT_EQ(normalize_path("/a%00b", false), std::nullopt);
  EXPECT_EQ(normalize_path("/a/..;x/b", false), "/b");
  EXPECT_EQ(normalize_path("/a/.;/b;c", false), "/a/b;c");
  EXPECT_EQ(normalize_path("/a|b\"<>^`{}", false), "/a%7Cb%22%3C%3E%5E%60%7B%7D");
}

}  // namespace
}  // namespace lateen::proxy
