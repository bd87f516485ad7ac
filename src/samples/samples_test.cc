// The sample services, called without sockets: a simulated loop, and peers played by the test.
#include <gtest/gtest.h>

#include <deque>
#include <map>

#include "base/strings.h"
#include "data/json.h"
#include "event/sim_loop.h"
#include "samples/bookstore.h"

namespace lateen::samples {
namespace {

struct Answer {
  int status = 0;
  std::string body;
  std::map<std::string, std::string> headers;
};

// Plays the peers: answers by "host/path", or fails; keeps what it was sent.
class FakeFetcher final : public Fetcher {
 public:
  struct Seen {
    std::string url;
    HeaderList headers;
    milliseconds limit;
  };
  std::map<std::string, Fetched> answers;
  std::vector<Seen> seen;

  explicit FakeFetcher(event::Loop& loop) : loop_(loop) {}
  void get(event::Scope& scope, const Peer& peer, std::string path, HeaderList headers,
           milliseconds limit, event::Completion<Fetched> done) override {
    const std::string url = peer.host + path;
    seen.push_back({url, headers, limit});
    event::after(scope, loop_, milliseconds(1), [this, url, done = std::move(done)] {
      const auto found = answers.find(url);
      if (found == answers.end()) return done(unavailable("connection refused", Blame::kUpstream));
      done(found->second);
    });
  }

 private:
  event::Loop& loop_;
};

class SamplesTest : public testing::Test {
 protected:
  Settings settings(std::vector<std::string> arguments,
                    std::map<std::string, std::string> environment = {}) {
    environment.emplace("HOSTNAME", "the-pod");
    auto read = read_settings(arguments,
                              [environment](std::string_view name) -> std::optional<std::string> {
                                const auto found = environment.find(std::string(name));
                                if (found == environment.end()) return std::nullopt;
                                return found->second;
                              });
    EXPECT_TRUE(read.ok());
    return std::move(read).value();
  }

  Answer call(http::Service& service, std::string_view method, std::string_view path,
              HeaderList headers = {}, std::string body = "") {
    http::Exchange exchange(loop, connection);
    http::Request request(exchange.arena);
    request.method = method;
    request.scheme = "http";
    request.authority = "test.example";
    request.path = path;
    for (const auto& [name, value] : headers) request.headers.add(name, value);
    if (!body.empty()) request.body = http::Body::of(std::move(body));
    Answer answer;
    service.handle(exchange, std::move(request), [&](Result<http::Response> response) {
      if (!response.ok()) return;
      answer.status = response.value().status;
      for (const auto& field : response.value().headers) {
        answer.headers[to_lower(field.name)] = std::string(field.value);
      }
      while (true) {
        auto chunk = response.value().body.poll({});
        if (!chunk || !chunk->ok()) break;
        answer.body += chunk->value().data.to_string();
        if (chunk->value().is_last) break;
      }
    });
    loop.run_for(seconds(20));
    return answer;
  }

  data::Json json(const Answer& answer) {
    auto parsed = data::parse_json(answer.body);
    EXPECT_TRUE(parsed.ok()) << answer.body;
    return parsed.ok() ? parsed.value() : data::Json();
  }

  event::SimLoop loop;
  http::ConnectionInfo connection;
  FakeFetcher fetcher{loop};
};

TEST_F(SamplesTest, DetailsKnowABookAndRefuseWords) {
  auto details = make_details(settings({"details"}), fetcher);
  const auto book = json(call(*details, "GET", "/details/7"));
  EXPECT_EQ(data::get_int(book, {"id"}), 7);
  EXPECT_EQ(data::get_string(book, {"ISBN-10"}), "1234567890");
  EXPECT_EQ(call(*details, "GET", "/details/seven").status, 400);
  EXPECT_EQ(call(*details, "GET", "/health").body, R"({"status":"Details is healthy"})");
  EXPECT_EQ(call(*details, "GET", "/elsewhere").status, 404);
}

TEST_F(SamplesTest, DetailsV2AsksTheBookService) {
  auto details = make_details(settings({"details", "--version=v2"}), fetcher);
  fetcher.answers["www.googleapis.com/books/v1/volumes?q=isbn:0486424618"] = {
      200, R"({"items":[{"volumeInfo":{"authors":["W. S."],"pageCount":77,"language":"en",
              "industryIdentifiers":[{"type":"ISBN_10","identifier":"0486424618"}]}}]})"};
  const auto book = json(call(*details, "GET", "/details/0"));
  EXPECT_EQ(data::get_string(book, {"author"}), "W. S.");
  EXPECT_EQ(data::get_int(book, {"pages"}), 77);
  EXPECT_EQ(data::get_string(book, {"ISBN-10"}), "0486424618");
}

TEST_F(SamplesTest, RatingsAreKeptPerProduct) {
  auto ratings = make_ratings(settings({"ratings"}));
  EXPECT_EQ(call(*ratings, "GET", "/ratings/0").body,
            R"({"id":0,"ratings":{"Reviewer1":5,"Reviewer2":4}})");
  EXPECT_EQ(call(*ratings, "POST", "/ratings/3", {}, R"({"Reviewer1":1})").status, 200);
  EXPECT_EQ(call(*ratings, "GET", "/ratings/3").body, R"({"id":3,"ratings":{"Reviewer1":1}})");
  EXPECT_EQ(call(*ratings, "GET", "/ratings/0").body,
            R"({"id":0,"ratings":{"Reviewer1":5,"Reviewer2":4}})");
  EXPECT_EQ(call(*ratings, "POST", "/ratings/3", {}, "{broken").status, 400);
  EXPECT_EQ(call(*ratings, "GET", "/ratings/x").status, 400);
}

TEST_F(SamplesTest, FaultyRatingsFailAboutHalf) {
  auto ratings = make_ratings(settings({"ratings", "--version=v-faulty"}));
  int failed = 0;
  for (int i = 0; i < 200; ++i) failed += call(*ratings, "GET", "/ratings/0").status == 503;
  EXPECT_GT(failed, 60);
  EXPECT_LT(failed, 140);
}

TEST_F(SamplesTest, ReviewsColourTheStarsByVersion) {
  fetcher.answers["ratings/ratings/0"] = {200, R"({"ratings":{"Reviewer1":5,"Reviewer2":4}})"};
  auto v1 = make_reviews(settings({"reviews", "--version=v1"}), fetcher);
  EXPECT_EQ(call(*v1, "GET", "/reviews/0").body.find("rating"), std::string::npos);
  EXPECT_TRUE(fetcher.seen.empty());

  auto v2 = make_reviews(settings({"reviews", "--version=v2"}), fetcher);
  const auto black = json(call(*v2, "GET", "/reviews/0"));
  const auto& first = data::get_array(black, {"reviews"})[0];
  EXPECT_EQ(data::get_int(first, {"rating", "stars"}), 5);
  EXPECT_EQ(data::get_string(first, {"rating", "color"}), "black");
  EXPECT_EQ(data::get_string(black, {"podname"}), "the-pod");
  EXPECT_EQ(fetcher.seen.back().limit, milliseconds(10'000));

  auto v3 = make_reviews(settings({"reviews", "--version=v3"}), fetcher);
  EXPECT_NE(call(*v3, "GET", "/reviews/0").body.find(R"("color":"red")"), std::string::npos);
  EXPECT_EQ(fetcher.seen.back().limit, milliseconds(2'500));
}

TEST_F(SamplesTest, ReviewsLiveWithoutRatings) {
  auto v2 = make_reviews(settings({"reviews"}, {{"ENABLE_RATINGS", "true"}}), fetcher);
  const auto answer = call(*v2, "GET", "/reviews/0");
  EXPECT_EQ(answer.status, 200);
  EXPECT_NE(answer.body.find("Ratings service is currently unavailable"), std::string::npos);
}

TEST_F(SamplesTest, TraceAndUserHeadersAreHandedOn) {
  auto v2 = make_reviews(settings({"reviews", "--version=v2"}), fetcher);
  call(*v2, "GET", "/reviews/0",
       {{"X-Request-Id", "r1"}, {"x-b3-traceid", "t1"}, {"end-user", "jason"}, {"accept", "*/*"}});
  std::map<std::string, std::string> sent(fetcher.seen.at(0).headers.begin(),
                                          fetcher.seen.at(0).headers.end());
  EXPECT_EQ(sent["x-request-id"], "r1");
  EXPECT_EQ(sent["x-b3-traceid"], "t1");
  EXPECT_EQ(sent["end-user"], "jason");
  EXPECT_FALSE(sent.contains("accept"));
}

TEST_F(SamplesTest, ThePageShowsEverything) {
  fetcher.answers["details/details/0"] = {200, R"({"publisher":"P & Q","pages":200})"};
  fetcher.answers["reviews/reviews/0"] = {
      200, R"({"podname":"reviews-v3-x","clustername":"null","reviews":[{"reviewer":"Reviewer1",
              "text":"<script>","rating":{"stars":4,"color":"red"}}]})"};
  auto page = make_productpage(settings({"productpage"}), fetcher);
  const auto answer = call(*page, "GET", "/productpage?u=normal");
  EXPECT_EQ(answer.status, 200);
  EXPECT_NE(answer.body.find("<title>Simple Bookstore App</title>"), std::string::npos);
  EXPECT_NE(answer.body.find("P &amp; Q"), std::string::npos);
  EXPECT_NE(answer.body.find("&lt;script&gt;"), std::string::npos);
  EXPECT_NE(answer.body.find("<font color=\"red\">"), std::string::npos);
  EXPECT_NE(answer.body.find("<u>reviews-v3-x</u>"), std::string::npos);
  std::size_t full = 0;
  for (std::size_t at = 0; (at = answer.body.find("glyphicon-star\"", at)) != std::string::npos;
       ++at) {
    ++full;
  }
  EXPECT_EQ(full, 4u);
}

TEST_F(SamplesTest, BrokenReviewsAreTriedTwiceAndSaidOnThePage) {
  fetcher.answers["details/details/0"] = {500, ""};
  auto page = make_productpage(settings({"productpage"}), fetcher);
  const auto answer = call(*page, "GET", "/productpage");
  EXPECT_EQ(answer.status, 200);
  EXPECT_NE(answer.body.find("Error fetching product details!"), std::string::npos);
  EXPECT_NE(answer.body.find("Error fetching product reviews!"), std::string::npos);
  EXPECT_NE(answer.body.find("Sorry, product reviews are currently unavailable for this book."),
            std::string::npos);
  int tries = 0;
  for (const auto& seen : fetcher.seen) tries += seen.url == "reviews/reviews/0";
  EXPECT_EQ(tries, 2);
  const auto metrics = call(*page, "GET", "/metrics").body;
  EXPECT_NE(metrics.find(R"(destination_app="details",response_code="500"} 1)"), std::string::npos);
}

TEST_F(SamplesTest, SigningInMakesAnEndUser) {
  auto page = make_productpage(settings({"productpage"}), fetcher);
  const auto login = call(*page, "POST", "/login", {{"referer", "http://localhost/productpage"}},
                          "username=jason&passwd=x");
  EXPECT_EQ(login.status, 302);
  EXPECT_EQ(login.headers.at("location"), "http://localhost/productpage");
  const std::string cookie =
      login.headers.at("set-cookie").substr(0, login.headers.at("set-cookie").find(';'));

  const auto answer = call(*page, "GET", "/productpage", {{"cookie", "a=b; " + cookie}});
  EXPECT_NE(answer.body.find("<b id=\"user\">jason</b>"), std::string::npos);
  bool is_named = false;
  for (const auto& [name, value] : fetcher.seen.at(0).headers) {
    is_named |= name == "end-user" && value == "jason";
  }
  EXPECT_TRUE(is_named);
  EXPECT_NE(call(*page, "GET", "/logout").headers.at("set-cookie").find("Max-Age=0"),
            std::string::npos);
}

TEST_F(SamplesTest, TheApiHandsStatusesOn) {
  fetcher.answers["ratings.shop/ratings/0"] = {200, R"({"id":0})"};
  auto page = make_productpage(settings({"productpage"}, {{"SERVICES_DOMAIN", "shop"}}), fetcher);
  EXPECT_EQ(data::get_array(data::Json{{"x", json(call(*page, "GET", "/api/v1/products"))}}, {"x"})
                .size(),
            1u);
  EXPECT_EQ(call(*page, "GET", "/api/v1/products/0/ratings").body, R"({"id":0})");
  EXPECT_EQ(call(*page, "GET", "/api/v1/products/0").status, 500);
  EXPECT_EQ(call(*page, "GET", "/api/v1/products/0/prices").status, 404);
}

TEST_F(SamplesTest, HelloworldNamesVersionAndPod) {
  auto hello = make_helloworld(settings({"helloworld", "--version=v2"}));
  EXPECT_EQ(call(*hello, "GET", "/hello").body, "Hello version: v2, instance: the-pod\n");
}

TEST_F(SamplesTest, HttpbinEchoesAndDelays) {
  auto bin = make_httpbin();
  const auto get = json(call(*bin, "GET", "/get?a=1&a=2&b=3", {{"x-request-id", "r"}}));
  EXPECT_EQ(data::get_array(get, {"args", "a"}).size(), 2u);
  EXPECT_EQ(data::get_string(get, {"headers", "X-Request-Id"}), "r");
  EXPECT_EQ(data::get_string(get, {"url"}), "http://test.example/get?a=1&a=2&b=3");
  EXPECT_EQ(call(*bin, "GET", "/status/418").status, 418);
  const auto post =
      json(call(*bin, "POST", "/post", {{"content-type", "application/json"}}, R"({"k":1})"));
  EXPECT_EQ(data::get_int(post, {"json", "k"}), 1);
  const auto before = loop.now();
  EXPECT_EQ(call(*bin, "GET", "/delay/2").status, 200);
  EXPECT_GE(loop.now() - before, seconds(2));
  EXPECT_EQ(call(*bin, "GET", "/redirect/2").headers.at("location"), "/redirect/1");
}

TEST(Settings, RefusesWhatMakesNoSense) {
  const Environment none = [](std::string_view) { return std::optional<std::string>(); };
  EXPECT_FALSE(read_settings({}, none).ok());
  EXPECT_FALSE(read_settings({"shop"}, none).ok());
  EXPECT_FALSE(read_settings({"details", "--port=70000"}, none).ok());
  const auto echo = read_settings({"tcp-echo", "9000,9001", "one"}, none);
  ASSERT_TRUE(echo.ok());
  EXPECT_EQ(echo.value().ports, (std::vector<std::uint16_t>{9000, 9001}));
  EXPECT_EQ(echo.value().prefix, "one");
}

}  // namespace
}  // namespace lateen::samples
