// The whole API server through its in-process door: what a client sees for reads, writes, watches
// and refusals.
#include <gtest/gtest.h>

#include <filesystem>
#include <thread>

#include "cluster/apiserver/server.h"

namespace lateen::cluster::apiserver {
namespace {

using data::Json;
using data::JsonObject;

// One server for all tests: each works in a namespace or under names of its own.
class ApiTest : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    char name[] = "/tmp/lateen-api-XXXXXX";
    directory_ = mkdtemp(name);
    ApiServerOptions options;
    options.data_dir = directory_;
    server_ = new ApiServer(std::move(options), clock_);
    const auto started = server_->start();
    ASSERT_TRUE(started.ok()) << started.error().message();
    transport_ = server_->local_transport().release();
  }
  static void TearDownTestSuite() {
    delete transport_;
    delete server_;
    std::filesystem::remove_all(directory_);
  }

  struct Answer {
    int status;
    Json body;
    http::PlainResponse response;
    std::string message() const { return std::string(data::get_string(body, {"message"})); }
  };
  Answer call(const std::string& method, const std::string& url, const std::string& body = {},
              http::PlainHeaders headers = {}) {
    http::PlainRequest request;
    request.method = method;
    request.url = url;
    request.body = body;
    request.headers = std::move(headers);
    auto response = transport_->call(request);
    if (!response.ok()) return {0, Json(), {}};
    auto parsed = data::parse_json(response->body);
    return {response->status, parsed.ok() ? *parsed : Json(response->body), *response};
  }
  Answer post(const std::string& url, const std::string& body) { return call("POST", url, body); }
  Answer get(const std::string& url) { return call("GET", url); }
  static http::PlainHeaders patch_type(const std::string& kind) {
    return {{"content-type", "application/" + kind + "-patch+json"}};
  }
  std::string make_namespace(const std::string& name) {
    EXPECT_EQ(post("/api/v1/namespaces", R"({"metadata":{"name":")" + name + "\"}}").status, 201);
    return "/api/v1/namespaces/" + name;
  }

  static SystemClock clock_;
  static std::string directory_;
  static ApiServer* server_;
  static kube::Transport* transport_;
};
SystemClock ApiTest::clock_;
std::string ApiTest::directory_;
ApiServer* ApiTest::server_ = nullptr;
kube::Transport* ApiTest::transport_ = nullptr;

const char* const kDeployment =
    R"({"metadata":{"name":"web"},"spec":{"selector":{"matchLabels":{"app":"web"}},
  "template":{"metadata":{"labels":{"app":"web"}},"spec":{"containers":[{"name":"c","image":"nginx"}]}}}})";

TEST_F(ApiTest, RefusesInUpstreamsWords) {
  EXPECT_EQ(get("/api/v1/namespaces/default/pods/nope").message(), "pods \"nope\" not found");
  EXPECT_EQ(get("/apis/nope.io/v1/things").message(),
            "the server could not find the requested resource");
  EXPECT_EQ(post("/api/v1/namespaces/missing/configmaps", R"({"metadata":{"name":"x"}})").message(),
            "namespaces \"missing\" not found");
  const auto ns = make_namespace("words");
  EXPECT_EQ(post(ns + "/configmaps", R"({"metadata":{"name":"x"}})").status, 201);
  EXPECT_EQ(post(ns + "/configmaps", R"({"metadata":{"name":"x"}})").message(),
            "configmaps \"x\" already exists");
  EXPECT_EQ(post(ns + "/configmaps", R"({"kind":"Secret","metadata":{"name":"y"}})").status, 400);
  const auto invalid = post(ns + "/services", R"({"metadata":{"name":"s"},"spec":{"ports":[]}})");
  EXPECT_EQ(invalid.status, 422);
  EXPECT_EQ(invalid.message(), "Service \"s\" is invalid: spec.ports: Required value");
  EXPECT_EQ(data::get_string(invalid.body, {"details", "kind"}), "Service");
}

TEST_F(ApiTest, BumpsGenerationAndKeepsStatusApart) {
  make_namespace("gen");
  const std::string url = "/apis/apps/v1/namespaces/gen/deployments";
  const auto made = post(url, kDeployment);
  ASSERT_EQ(made.status, 201) << made.message();
  EXPECT_EQ(data::get_int(made.body, {"spec", "replicas"}), 1);
  const auto scaled =
      call("PATCH", url + "/web", R"({"spec":{"replicas":3},"status":{"replicas":9}})",
           patch_type("merge"));
  EXPECT_EQ(data::get_int(scaled.body, {"metadata", "generation"}), 2);
  EXPECT_EQ(data::find(scaled.body, {"status"}), nullptr);
  const auto status =
      call("PATCH", url + "/web/status", R"({"spec":{"replicas":7},"status":{"replicas":2}})",
           patch_type("merge"));
  EXPECT_EQ(data::get_int(status.body, {"spec", "replicas"}), 3);
  EXPECT_EQ(data::get_int(status.body, {"status", "replicas"}), 2);
  EXPECT_EQ(data::get_int(status.body, {"metadata", "generation"}), 2);
  const auto scale = get(url + "/web/scale");
  EXPECT_EQ(data::get_string(scale.body, {"status", "selector"}), "app=web");
  const auto changed =
      call("PATCH", url + "/web", R"({"spec":{"selector":{"matchLabels":{"app":"other"}}}})",
           patch_type("merge"));
  EXPECT_EQ(changed.status, 422);
  EXPECT_NE(changed.message().find("field is immutable"), std::string::npos);
}

TEST_F(ApiTest, StaleUpdatesConflictAndUnchangedOnesAreNotWritten) {
  const auto ns = make_namespace("conflict");
  auto made = post(ns + "/configmaps", R"({"metadata":{"name":"x"},"data":{"a":"1"}})");
  Json stale = made.body;
  const auto same = call("PUT", ns + "/configmaps/x", data::dump_json(made.body));
  EXPECT_EQ(data::get_string(same.body, {"metadata", "resourceVersion"}),
            data::get_string(made.body, {"metadata", "resourceVersion"}));
  data::set(made.body, {"data", "a"}, "2");
  EXPECT_EQ(call("PUT", ns + "/configmaps/x", data::dump_json(made.body)).status, 200);
  data::set(stale, {"data", "a"}, "3");
  const auto conflict = call("PUT", ns + "/configmaps/x", data::dump_json(stale));
  EXPECT_EQ(conflict.status, 409);
  EXPECT_EQ(conflict.message(),
            "Operation cannot be fulfilled on configmaps \"x\": the object has been modified; "
            "please apply your changes to the latest version and try again");
}

TEST_F(ApiTest, FinalizersHoldADeletionUntilTheyAreGone) {
  const auto ns = make_namespace("final");
  post(ns + "/configmaps", R"({"metadata":{"name":"x","finalizers":["example.com/hold"]}})");
  const auto deleted = call("DELETE", ns + "/configmaps/x");
  EXPECT_EQ(deleted.status, 200);
  EXPECT_FALSE(data::get_string(deleted.body, {"metadata", "deletionTimestamp"}).empty());
  EXPECT_EQ(get(ns + "/configmaps/x").status, 200);
  call("PATCH", ns + "/configmaps/x", R"({"metadata":{"finalizers":null}})", patch_type("merge"));
  EXPECT_EQ(get(ns + "/configmaps/x").status, 404);
}

TEST_F(ApiTest, RunningPodsGetTheirGracePeriod) {
  const auto ns = make_namespace("grace");
  post(ns + "/serviceaccounts", R"({"metadata":{"name":"default"}})");
  const auto made = post(
      ns + "/pods",
      R"({"metadata":{"generateName":"p-"},"spec":{"containers":[{"name":"c","image":"i"}]}})");
  ASSERT_EQ(made.status, 201) << made.message();
  EXPECT_EQ(data::get_array(made.body, {"spec", "volumes"}).size(), 1u);  // the projected token
  const std::string url =
      ns + "/pods/" + std::string(data::get_string(made.body, {"metadata", "name"}));
  EXPECT_EQ(post(url + "/binding", R"({"target":{"kind":"Node","name":"n"}})").status, 201);
  const auto deleting = call("DELETE", url);
  EXPECT_EQ(data::get_int(deleting.body, {"metadata", "deletionGracePeriodSeconds"}), 30);
  EXPECT_EQ(get(url).status, 200);
  EXPECT_EQ(call("DELETE", url, R"({"gracePeriodSeconds":0})").status, 200);
  EXPECT_EQ(get(url).status, 404);
}

TEST_F(ApiTest, PagesShowOneSnapshot) {
  const auto ns = make_namespace("pages");
  for (char name = 'a'; name <= 'e'; ++name)
    post(ns + "/configmaps", std::string(R"({"metadata":{"name":")") + name + "\"}}");
  const auto first = get(ns + "/configmaps?limit=2");
  EXPECT_EQ(data::get_array(first.body, {"items"}).size(), 2u);
  EXPECT_EQ(data::get_int(first.body, {"metadata", "remainingItemCount"}), 3);
  call("DELETE", ns + "/configmaps/c");
  const auto token = std::string(data::get_string(first.body, {"metadata", "continue"}));
  const auto second = get(ns + "/configmaps?limit=10&continue=" + token);
  EXPECT_EQ(data::get_array(second.body, {"items"}).size(), 3u);
  EXPECT_EQ(get(ns + "/configmaps?continue=bm90").status, 400);
}

TEST_F(ApiTest, WatchContinuesFromAListWithoutAGap) {
  const auto ns = make_namespace("watch");
  post(ns + "/configmaps", R"({"metadata":{"name":"a","labels":{"on":"yes"}}})");
  const auto list = get(ns + "/configmaps");
  const std::string revision(data::get_string(list.body, {"metadata", "resourceVersion"}));
  call("PATCH", ns + "/configmaps/a", R"({"metadata":{"labels":{"on":"no"}}})",
       patch_type("merge"));
  post(ns + "/configmaps", R"({"metadata":{"name":"b","labels":{"on":"yes"}}})");
  http::PlainRequest request;
  request.url = ns + "/configmaps?watch=1&labelSelector=on%3Dyes&resourceVersion=" + revision;
  std::string lines;
  auto ended = transport_->stream(
      request,
      [&](std::string_view bytes) {
        lines += bytes;
        return lines.find("\"b\"") == std::string::npos;
      },
      [] { return false; });
  ASSERT_TRUE(ended.ok());
  EXPECT_TRUE(lines.starts_with(R"({"type":"DELETED")")) << lines;  // "a" left the selection
  EXPECT_NE(lines.find(R"({"type":"ADDED")"), std::string::npos);
}

TEST_F(ApiTest, StreamsTheInitialListWhenAsked) {
  const auto ns = make_namespace("stream");
  post(ns + "/configmaps", R"({"metadata":{"name":"a"}})");
  http::PlainRequest request;
  request.url = ns +
                "/configmaps?watch=1&sendInitialEvents=true&allowWatchBookmarks=true&"
                "resourceVersionMatch=NotOlderThan";
  std::string lines;
  (void)transport_->stream(
      request,
      [&](std::string_view bytes) {
        lines += bytes;
        return lines.find("BOOKMARK") == std::string::npos;
      },
      [] { return false; });
  EXPECT_NE(lines.find(R"("k8s.io/initial-events-end":"true")"), std::string::npos);
  EXPECT_LT(lines.find("ADDED"), lines.find("BOOKMARK"));
}

TEST_F(ApiTest, TablesCarryUpstreamsColumns) {
  const auto table =
      call("GET", "/api/v1/namespaces/default/services", {},
           {{"accept", "application/json;as=Table;v=v1;g=meta.k8s.io,application/json"}});
  ASSERT_EQ(data::get_string(table.body, {"kind"}), "Table");
  const auto& row = data::get_array(table.body, {"rows"}).front();
  const auto& cells = data::get_array(row, {"cells"});
  EXPECT_EQ(data::as_string(cells[0]), "kubernetes");
  EXPECT_EQ(data::as_string(cells[2]), "10.96.0.1");
  EXPECT_EQ(data::as_string(cells[4]), "443/TCP");
}

TEST_F(ApiTest, ServicesGetAddressesOnce) {
  const auto ns = make_namespace("addresses");
  const auto made =
      post(ns + "/services",
           R"({"metadata":{"name":"a"},"spec":{"type":"LoadBalancer","ports":[{"port":80}]}})");
  const std::string ip(data::get_string(made.body, {"spec", "clusterIP"}));
  EXPECT_TRUE(ip.starts_with("10.96.")) << made.message();
  EXPECT_GE(data::get_int(data::get_array(made.body, {"spec", "ports"}).front(), {"nodePort"}),
            30000);
  const auto taken = post(ns + "/services", R"({"metadata":{"name":"b"},"spec":{"clusterIP":")" +
                                                ip + R"(","ports":[{"port":80}]}})");
  EXPECT_EQ(taken.status, 422);
  EXPECT_NE(taken.message().find("provided IP is already allocated"), std::string::npos);
  call("DELETE", ns + "/services/a");
  EXPECT_EQ(post(ns + "/services", R"({"metadata":{"name":"b"},"spec":{"clusterIP":")" + ip +
                                       R"(","ports":[{"port":80}]}})")
                .status,
            201);
}

TEST_F(ApiTest, UnknownFieldsAreWarnedAboutOrRefused) {
  const auto ns = make_namespace("unknown");
  const auto warned = post(ns + "/configmaps", R"({"metadata":{"name":"a"},"dat":{"x":"y"}})");
  EXPECT_EQ(warned.status, 201);
  EXPECT_EQ(warned.response.header("warning"), "299 - \"unknown field \\\"dat\\\"\"");
  const auto refused = post(ns + "/configmaps?fieldValidation=Strict",
                            R"({"metadata":{"name":"b"},"dat":{"x":"y"}})");
  EXPECT_EQ(refused.status, 400);
  EXPECT_NE(refused.message().find("strict decoding error: unknown field \"dat\""),
            std::string::npos);
}

TEST_F(ApiTest, DryRunWritesNothing) {
  const auto ns = make_namespace("dry");
  EXPECT_EQ(post(ns + "/configmaps?dryRun=All", R"({"metadata":{"name":"a"}})").status, 201);
  EXPECT_EQ(get(ns + "/configmaps/a").status, 404);
}

TEST_F(ApiTest, ApplyTellsWhoOwnsWhat) {
  const auto ns = make_namespace("apply");
  const http::PlainHeaders type{{"content-type", "application/apply-patch+yaml"}};
  const std::string body = R"({"apiVersion":"v1","kind":"ConfigMap","data":{"a":"1"}})";
  EXPECT_EQ(call("PATCH", ns + "/configmaps/x?fieldManager=one", body, type).status, 201);
  const auto conflict = call("PATCH", ns + "/configmaps/x?fieldManager=two",
                             R"({"apiVersion":"v1","kind":"ConfigMap","data":{"a":"2"}})", type);
  EXPECT_EQ(conflict.status, 409);
  EXPECT_NE(conflict.message().find("conflict with \"one\""), std::string::npos)
      << conflict.message();
  EXPECT_EQ(call("PATCH", ns + "/configmaps/x?fieldManager=two&force=true",
                 R"({"apiVersion":"v1","kind":"ConfigMap","data":{"a":"2"}})", type)
                .status,
            200);
}

const char* const kCrd =
    R"({"apiVersion":"apiextensions.k8s.io/v1","kind":"CustomResourceDefinition",
 "metadata":{"name":"boats.sea.example.com"},"spec":{"group":"sea.example.com","scope":"Namespaced",
 "names":{"plural":"boats","kind":"Boat"},"versions":[{"name":"v1","served":true,"storage":true,
 "subresources":{"status":{}},"additionalPrinterColumns":[{"name":"Masts","type":"integer","jsonPath":".spec.masts"}],
 "schema":{"openAPIV3Schema":{"type":"object","properties":{"spec":{"type":"object","required":["name"],
 "properties":{"name":{"type":"string"},"masts":{"type":"integer","default":1,"maximum":3}}},
 "status":{"type":"object","x-kubernetes-preserve-unknown-fields":true}}}}}]}})";

TEST_F(ApiTest, DefinitionsAreServedAtOnceAndTakeTheirObjectsWithThem) {
  make_namespace("boats");
  const auto made = post("/apis/apiextensions.k8s.io/v1/customresourcedefinitions", kCrd);
  ASSERT_EQ(made.status, 201) << made.message();
  EXPECT_EQ(get("/apis/sea.example.com/v1").status, 200);
  const std::string url = "/apis/sea.example.com/v1/namespaces/boats/boats";
  const auto boat =
      post(url, R"({"metadata":{"name":"b"},"spec":{"name":"x","sails":2},"status":{"a":1}})");
  ASSERT_EQ(boat.status, 201) << boat.message();
  EXPECT_EQ(data::get_int(boat.body, {"spec", "masts"}), 1);
  EXPECT_EQ(data::find(boat.body, {"spec", "sails"}), nullptr);
  EXPECT_EQ(data::find(boat.body, {"status"}), nullptr);
  const auto bad = post(url, R"({"metadata":{"name":"c"},"spec":{"masts":9}})");
  EXPECT_EQ(bad.status, 422);
  EXPECT_NE(bad.message().find("spec.name: Required value"), std::string::npos) << bad.message();
  const auto table =
      call("GET", url, {}, {{"accept", "application/json;as=Table;v=v1;g=meta.k8s.io"}});
  EXPECT_EQ(data::get_string(data::get_array(table.body, {"columnDefinitions"})[1], {"name"}),
            "Masts");
  EXPECT_EQ(call("DELETE",
                 "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/boats.sea.example.com")
                .status,
            200);
  const auto limit = std::chrono::steady_clock::now() + seconds(10);
  while (get(url).status != 404 && std::chrono::steady_clock::now() < limit)
    std::this_thread::yield();
  EXPECT_EQ(get(url).status, 404);
}

TEST_F(ApiTest, ServiceAccountsMayDoWhatTheirRolesSay) {
  const auto ns = make_namespace("roles");
  post(ns + "/serviceaccounts", R"({"metadata":{"name":"app"}})");
  const http::PlainHeaders as_app{{"impersonate-user", "system:serviceaccount:roles:app"}};
  const auto refused = call("GET", ns + "/pods", {}, as_app);
  EXPECT_EQ(refused.status, 403);
  EXPECT_EQ(refused.message(),
            "pods is forbidden: User \"system:serviceaccount:roles:app\" cannot list resource "
            "\"pods\" in API group \"\" "
            "in the namespace \"roles\"");
  post("/apis/rbac.authorization.k8s.io/v1/namespaces/roles/rolebindings",
       R"({"metadata":{"name":"view"},"roleRef":{"kind":"ClusterRole","name":"view"},
           "subjects":[{"kind":"ServiceAccount","name":"app","namespace":"roles"}]})");
  EXPECT_EQ(call("GET", ns + "/pods", {}, as_app).status, 200);
  EXPECT_EQ(call("GET", ns + "/secrets", {}, as_app).status, 403);
  EXPECT_EQ(call("GET", "/api/v1/pods", {}, as_app).status, 403);
}

TEST_F(ApiTest, TokensAreBoundToTheirAccountAndAudience) {
  const auto ns = make_namespace("tokens");
  post(ns + "/serviceaccounts", R"({"metadata":{"name":"app"}})");
  const auto issued =
      post(ns + "/serviceaccounts/app/token", R"({"spec":{"audiences":["istio-ca"]}})");
  const std::string token(data::get_string(issued.body, {"status", "token"}));
  ASSERT_FALSE(token.empty()) << issued.message();
  const auto review = [&](const std::string& audience) {
    return post("/apis/authentication.k8s.io/v1/tokenreviews",
                R"({"spec":{"token":")" + token + R"(","audiences":[")" + audience + "\"]}}");
  };
  const auto good = review("istio-ca");
  EXPECT_TRUE(data::get_bool(good.body, {"status", "authenticated"})) << data::dump_json(good.body);
  EXPECT_EQ(data::get_string(good.body, {"status", "user", "username"}),
            "system:serviceaccount:tokens:app");
  EXPECT_FALSE(data::get_bool(review("other").body, {"status", "authenticated"}));
  call("DELETE", ns + "/serviceaccounts/app");
  EXPECT_FALSE(data::get_bool(review("istio-ca").body, {"status", "authenticated"}));
}

TEST_F(ApiTest, NamespacesEndWhenFinalized) {
  const auto ns = make_namespace("ending");
  const auto deleting = call("DELETE", ns);
  EXPECT_EQ(data::get_string(deleting.body, {"status", "phase"}), "Terminating");
  const auto refused = post(ns + "/configmaps", R"({"metadata":{"name":"x"}})");
  EXPECT_EQ(refused.status, 403);
  EXPECT_NE(refused.message().find("because it is being terminated"), std::string::npos);
  call("PUT", ns + "/finalize", R"({"metadata":{"name":"ending"},"spec":{"finalizers":[]}})");
  EXPECT_EQ(get(ns).status, 404);
  EXPECT_EQ(call("DELETE", "/api/v1/namespaces/default").status, 403);
}

TEST_F(ApiTest, DocumentsDescribeWhatIsServed) {
  EXPECT_EQ(get("/openapi/v3/apis/apps/v1").status, 200);
  const auto v2 = get("/openapi/v2");
  EXPECT_NE(data::find(v2.body, {"definitions", "io.k8s.api.apps.v1.Deployment"}), nullptr);
  const auto discovery =
      call("GET", "/apis", {},
           {{"accept", "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"}});
  EXPECT_EQ(data::get_string(discovery.body, {"kind"}), "APIGroupDiscoveryList");
  EXPECT_EQ(data::get_string(get("/version").body, {"gitVersion"}).substr(0, 5), "v1.32");
}

}  // namespace
}  // namespace lateen::cluster::apiserver
