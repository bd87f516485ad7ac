// The reviews service: two opinions, with stars from ratings in versions 2 and 3.
#include "base/log.h"
#include "base/strings.h"
#include "samples/bookstore.h"
#include "samples/replies.h"

namespace lateen::samples {
namespace {

constexpr int kNoStars = -1;

class Reviews final : public http::Service {
 public:
  Reviews(const Settings& settings, Fetcher& fetcher) : settings_(settings), fetcher_(fetcher) {}

  void handle(http::Exchange& exchange, http::Request request, http::Done done) override {
    const std::string_view path = path_of(request);
    if (path == "/health") {
      return done(json_reply(exchange, 200, {{"status", "Reviews is healthy"}}));
    }
    const auto id = parse_uint(last_segment(path));
    if (!path.starts_with("/reviews/") || !id) return done(not_found_reply(exchange));
    if (!settings_.has_ratings) {
      return done(json_reply(exchange, 200, reviews_of(*id, kNoStars, kNoStars)));
    }
    // Black stars wait longer than red ones: with ratings 7 s late, v2 answers after its caller
    // gave up and v3 does not. The fault injection exercise lives on that.
    const milliseconds limit{settings_.star_color == "black" ? 10'000 : 2'500};
    fetcher_.get(exchange.scope, settings_.ratings, fmt::format("/ratings/{}", *id),
                 propagated_headers(request.headers), limit,
                 [this, &exchange, id = *id, done = std::move(done)](Result<Fetched> fetched) {
                   const auto [first, second] = stars_in(std::move(fetched));
                   done(json_reply(exchange, 200, reviews_of(id, first, second)));
                 });
  }

 private:
  std::pair<int, int> stars_in(Result<Fetched> fetched) const {
    if (!fetched.ok()) {
      LOG(kWarn, "reviews", "no ratings from {}: {}", settings_.ratings.host,
          fetched.error().message());
      return {kNoStars, kNoStars};
    }
    if (fetched.value().status != 200) {
      LOG(kWarn, "reviews", "no ratings: {} answered {}", settings_.ratings.host,
          fetched.value().status);
      return {kNoStars, kNoStars};
    }
    const auto root = data::parse_json(fetched.value().body);
    if (!root.ok()) return {kNoStars, kNoStars};
    return {static_cast<int>(data::get_int(root.value(), {"ratings", "Reviewer1"}, kNoStars)),
            static_cast<int>(data::get_int(root.value(), {"ratings", "Reviewer2"}, kNoStars))};
  }

  data::Json review(std::string_view reviewer, std::string_view text, int stars) const {
    data::JsonObject one{{"reviewer", reviewer}, {"text", text}};
    if (settings_.has_ratings) {
      one["rating"] = stars == kNoStars
                          ? data::Json{{"error", "Ratings service is currently unavailable"}}
                          : data::Json{{"stars", stars}, {"color", settings_.star_color}};
    }
    return one;
  }

  data::Json reviews_of(std::uint64_t id, int first, int second) const {
    return {
        {"id", std::to_string(id)},
        {"podname", settings_.pod_name},
        {"clustername", settings_.cluster_name.value_or("null")},
        {"reviews",
         {review("Reviewer1", "Two pairs of twins, one town, no explanation: a delight.", first),
          review("Reviewer2",
                 "Good fun for an evening, though it will not change your life like Hamlet.",
                 second)}}};
  }

  const Settings settings_;
  Fetcher& fetcher_;
};

}  // namespace

std::unique_ptr<http::Service> make_reviews(const Settings& settings, Fetcher& fetcher) {
  return std::make_unique<Reviews>(settings, fetcher);
}

}  // namespace lateen::samples
