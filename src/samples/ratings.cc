// The ratings service: stars by reviewer, kept in memory, and its deliberately bad versions.
#include <map>

#include "base/strings.h"
#include "samples/bookstore.h"
#include "samples/replies.h"

namespace lateen::samples {
namespace {

constexpr std::size_t kMaxBodyBytes = 64 * 1024;
constexpr std::size_t kMaxRatedProducts = 10'000;
constexpr milliseconds kDelay{7'000};

class Ratings final : public http::Service {
 public:
  explicit Ratings(const Settings& settings) : version_(settings.version) {}

  void handle(http::Exchange& exchange, http::Request request, http::Done done) override {
    if (!started_) started_ = exchange.loop.now();
    const std::string_view path = path_of(request);
    if (path == "/health") return done(health(exchange));
    if (!path.starts_with("/ratings/")) return done(not_found_reply(exchange));
    const auto id = parse_uint(last_segment(path));
    if (!id) {
      return done(json_reply(exchange, 400, {{"error", "please provide numeric product ID"}}));
    }
    if (request.method == "GET") return get(exchange, *id, std::move(done));
    if (request.method == "POST") return post(exchange, *id, std::move(request), std::move(done));
    done(not_found_reply(exchange));
  }

 private:
  // The bad versions turn over after that long since their first request.
  bool is_in_odd_period(const http::Exchange& exchange, seconds period) const {
    return ((exchange.loop.now() - *started_) / period) % 2 == 1;
  }
  bool is_unavailable(const http::Exchange& exchange) const {
    if (version_ == "v-unavailable") return is_in_odd_period(exchange, seconds(60));
    if (version_ == "v-unhealthy") return is_in_odd_period(exchange, seconds(900));
    return version_ == "v-faulty" && exchange.loop.random().unit() < 0.5;
  }

  http::Response health(http::Exchange& exchange) const {
    if (version_ == "v-unhealthy" && is_in_odd_period(exchange, seconds(900))) {
      return json_reply(exchange, 500, {{"status", "Ratings is not healthy"}});
    }
    return json_reply(exchange, 200, {{"status", "Ratings is healthy"}});
  }

  data::Json ratings_of(std::uint64_t id) const {
    const auto found = added_.find(id);
    data::Json stars =
        found == added_.end() ? data::Json{{"Reviewer1", 5}, {"Reviewer2", 4}} : found->second;
    return {{"id", id}, {"ratings", std::move(stars)}};
  }

  void get(http::Exchange& exchange, std::uint64_t id, http::Done done) {
    if (is_unavailable(exchange)) {
      return done(json_reply(exchange, 503, {{"error", "Service unavailable"}}));
    }
    if (version_ == "v-delayed" && exchange.loop.random().unit() < 0.5) {
      return event::after(exchange.scope, exchange.loop, kDelay,
                          [this, &exchange, id, done = std::move(done)] {
                            done(json_reply(exchange, 200, ratings_of(id)));
                          });
    }
    done(json_reply(exchange, 200, ratings_of(id)));
  }

  void post(http::Exchange& exchange, std::uint64_t id, http::Request request, http::Done done) {
    http::read_all(exchange.scope, exchange.loop, std::move(request.body), kMaxBodyBytes,
                   [this, &exchange, id, done = std::move(done)](Result<Buffer> body) {
                     if (!body.ok()) return done(std::move(body).error());
                     done(store(exchange, id, body.value().to_string()));
                   });
  }

  http::Response store(http::Exchange& exchange, std::uint64_t id, const std::string& body) {
    auto stars = data::parse_json(body);
    if (!stars.ok()) {
      return json_reply(exchange, 400, {{"error", "please provide valid ratings JSON"}});
    }
    if (added_.size() >= kMaxRatedProducts && !added_.contains(id)) {
      return json_reply(exchange, 507, {{"error", "too many products have ratings already"}});
    }
    added_[id] = std::move(stars).value();
    return json_reply(exchange, 200, ratings_of(id));
  }

  const std::string version_;
  std::optional<SteadyTime> started_;
  std::map<std::uint64_t, data::Json> added_;
};

}  // namespace

std::unique_ptr<http::Service> make_ratings(const Settings& settings) {
  return std::make_unique<Ratings>(settings);
}

}  // namespace lateen::samples
