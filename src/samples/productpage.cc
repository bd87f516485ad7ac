// The productpage service: collects details and reviews into a page, knows who is signed in.
#include <fmt/core.h>

#include <map>

#include "base/strings.h"
#include "samples/bookstore.h"
#include "samples/productpage_html.h"
#include "samples/replies.h"

namespace lateen::samples {
namespace {

constexpr milliseconds kPeerLimit{3'000};
constexpr std::size_t kMaxFormBytes = 16 * 1024;
constexpr std::size_t kMaxCounters = 200;
// The second try, beside reviews' own patience with ratings, is the bug that the delay exercise
// finds.
constexpr int kReviewTries = 2;

data::JsonArray products() {
  return {
      {{"id", 0},
       {"title", "The Comedy of Errors"},
       {"descriptionHtml",
        "<a href=\"https://en.wikipedia.org/wiki/The_Comedy_of_Errors\">Wikipedia</a>: one of "
        "<b>William Shakespeare's</b> first plays and his shortest. Two pairs of identical twins, "
        "parted at birth, meet in Ephesus without knowing it; wrong beatings, a wrong arrest and "
        "a wrong husband at dinner follow."}}};
}

// The session cookie is base64url of {"user": NAME}. It is a label, not a proof: any password signs
// in.
std::string user_in(const http::Headers& headers) {
  for (const auto& field : headers) {
    if (!iequals(field.name, "cookie")) continue;
    for (std::string_view pair : split(field.value, ';')) {
      const auto parts = split_once(trim(pair), "=");
      if (!parts || parts->first != "session") continue;
      const auto decoded = base64_decode(parts->second);
      if (!decoded.ok()) continue;
      const auto session = data::parse_json(decoded.value());
      if (session.ok()) return std::string(data::get_string(session.value(), {"user"}));
    }
  }
  return "";
}

class Productpage final : public http::Service {
 public:
  Productpage(const Settings& settings, Fetcher& fetcher)
      : settings_(settings), fetcher_(fetcher) {}

  void handle(http::Exchange& exchange, http::Request request, http::Done done) override {
    const std::string_view path = path_of(request);
    if (path == "/productpage") return View::start(*this, exchange, request, std::move(done));
    if (path.starts_with("/api/v1/products")) return api(exchange, request, std::move(done));
    if (path == "/health") return done(text(exchange, 200, "Product page is healthy"));
    if (path == "/metrics") return done(text(exchange, 200, metrics()));
    if (path == "/" || path == "/index.html") {
      return done(html(exchange, render_index(settings_)));
    }
    if (path == "/static/bookstore.css") {
      return done(http::Response::text(exchange.arena, 200, std::string(stylesheet()),
                                       "text/css; charset=utf-8"));
    }
    if (path == "/logout") return done(redirect(exchange, request.headers, ""));
    if (path == "/login" && request.method == "POST") {
      return log_in(exchange, std::move(request), std::move(done));
    }
    done(not_found_reply(exchange));
  }

 private:
  // One page under way. Held by the completions of its calls, so it dies with the exchange.
  class View : public std::enable_shared_from_this<View> {
   public:
    static void start(Productpage& owner, http::Exchange& exchange, const http::Request& request,
                      http::Done done) {
      auto view = std::make_shared<View>(owner, exchange, request, std::move(done));
      for (int i = 0; i < owner.settings_.flood_factor; ++i) view->flood();
      owner.get_part(exchange, owner.settings_.details, "details", 0, view->headers_, 1,
                     [view](Part details) { view->on_details(std::move(details)); });
    }

    View(Productpage& owner, http::Exchange& exchange, const http::Request& request,
         http::Done done)
        : owner_(owner),
          exchange_(exchange),
          user_(user_in(request.headers)),
          headers_(owner.headers_for(request.headers)),
          done_(std::move(done)) {}

   private:
    void flood() {
      owner_.fetcher_.get(exchange_.scope, owner_.settings_.reviews, "/reviews/0", headers_,
                          kPeerLimit, [](Result<Fetched>) {});
    }
    void on_details(Part details) {
      details_ = std::move(details);
      owner_.get_part(exchange_, owner_.settings_.reviews, "reviews", 0, headers_, kReviewTries,
                      [view = shared_from_this()](Part reviews) { view->finish(reviews); });
    }
    void finish(const Part& reviews) {
      done_(html(exchange_, render_productpage(products()[0], details_, reviews, user_)));
    }

    Productpage& owner_;
    http::Exchange& exchange_;
    std::string user_;
    HeaderList headers_;
    http::Done done_;
    Part details_;
  };

  static http::Response text(http::Exchange& exchange, int status, std::string body) {
    return http::Response::text(exchange.arena, status, std::move(body));
  }
  static http::Response html(http::Exchange& exchange, std::string body) {
    return http::Response::text(exchange.arena, 200, std::move(body), "text/html; charset=utf-8");
  }

  HeaderList headers_for(const http::Headers& from) const {
    HeaderList list = propagated_headers(from);
    const std::string user = user_in(from);
    if (user.empty()) return list;
    std::erase_if(list, [](const auto& header) { return header.first == "end-user"; });
    list.emplace_back("end-user", user);
    return list;
  }

  // Asks http://peer/KIND/ID up to `tries` times; `then` gets its JSON or {"error": …}.
  void get_part(http::Exchange& exchange, const Peer& peer, std::string_view kind, std::int64_t id,
                const HeaderList& headers, int tries, Function<void(Part)> then) {
    fetcher_.get(exchange.scope, peer, fmt::format("/{}/{}", kind, id), headers, kPeerLimit,
                 [this, &exchange, peer, kind, id, headers, tries,
                  then = std::move(then)](Result<Fetched> fetched) mutable {
                   Part part = part_of(kind, std::move(fetched));
                   if (part.status != 200 && tries > 1) {
                     return get_part(exchange, peer, kind, id, headers, tries - 1, std::move(then));
                   }
                   count(kind, part.status);
                   then(std::move(part));
                 });
  }

  static Part part_of(std::string_view kind, Result<Fetched> fetched) {
    int status = fetched.ok() ? fetched.value().status : 500;
    if (status == 200) {
      auto value = data::parse_json(fetched.value().body);
      if (value.ok()) return {200, std::move(value).value()};
      status = 500;
    }
    return {status,
            {{"error",
              fmt::format("Sorry, product {} are currently unavailable for this book.", kind)}}};
  }

  void api(http::Exchange& exchange, const http::Request& request, http::Done done) {
    const std::string_view rest =
        path_of(request).substr(std::string_view("/api/v1/products").size());
    if (rest.empty()) return done(json_reply(exchange, 200, products()));
    const auto parts = split(rest, '/');
    const auto id = parts.size() > 1 ? parse_uint(parts[1]) : std::nullopt;
    if (!id || parts.size() > 3) return done(not_found_reply(exchange));
    const std::string_view what = parts.size() == 3 ? parts[2] : "details";
    const Peer* peer = what == "details"   ? &settings_.details
                       : what == "reviews" ? &settings_.reviews
                       : what == "ratings" ? &settings_.ratings
                                           : nullptr;
    if (peer == nullptr) return done(not_found_reply(exchange));
    // `what` may view the request's path, which lives in the exchange's arena.
    get_part(exchange, *peer, exchange.arena.copy(what), static_cast<std::int64_t>(*id),
             headers_for(request.headers), what == "reviews" ? kReviewTries : 1,
             [&exchange, done = std::move(done)](Part part) {
               done(json_reply(exchange, part.status, part.value));
             });
  }

  static http::Response redirect(http::Exchange& exchange, const http::Headers& headers,
                                 std::string_view user) {
    http::Response response = text(exchange, 302, "");
    response.headers.set("location", headers.get("referer").value_or("/productpage"));
    const std::string cookie =
        user.empty()
            ? "session=; Path=/; Max-Age=0; HttpOnly; SameSite=Lax"
            : fmt::format("session={}; Path=/; HttpOnly; SameSite=Lax",
                          base64url_encode(data::dump_json({{"user", std::string(user)}})));
    response.headers.set("set-cookie", cookie);
    return response;
  }

  void log_in(http::Exchange& exchange, http::Request request, http::Done done) {
    std::string user;
    for (const auto& [key, value] : parse_query(query_of(request))) {
      if (key == "username") user = value;
    }
    const http::Headers headers = request.headers;
    http::read_all(exchange.scope, exchange.loop, std::move(request.body), kMaxFormBytes,
                   [&exchange, user = std::move(user), headers,
                    done = std::move(done)](Result<Buffer> body) mutable {
                     if (!body.ok()) return done(std::move(body).error());
                     for (const auto& [key, value] : parse_query(body.value().to_string())) {
                       if (key == "username") user = value;
                     }
                     done(redirect(exchange, headers, user));
                   });
  }

  void count(std::string_view kind, int status) {
    const std::pair key{std::string(kind), status};
    if (counters_.size() < kMaxCounters || counters_.contains(key)) ++counters_[key];
  }

  std::string metrics() const {
    std::string out =
        "# HELP request_result_total Results of requests\n# TYPE request_result_total counter\n";
    for (const auto& [key, value] : counters_) {
      out += fmt::format("request_result_total{{destination_app=\"{}\",response_code=\"{}\"}} {}\n",
                         key.first, key.second, value);
    }
    return out;
  }

  const Settings settings_;
  Fetcher& fetcher_;
  std::map<std::pair<std::string, int>, std::uint64_t> counters_;
};

}  // namespace

std::unique_ptr<http::Service> make_productpage(const Settings& settings, Fetcher& fetcher) {
  return std::make_unique<Productpage>(settings, fetcher);
}

}  // namespace lateen::samples
