// The details service: facts about a book.
#include <fmt/core.h>

#include "base/strings.h"
#include "samples/bookstore.h"
#include "samples/replies.h"

namespace lateen::samples {
namespace {

constexpr milliseconds kBookServiceLimit{5'000};

class Details final : public http::Service {
 public:
  Details(const Settings& settings, Fetcher& fetcher) : settings_(settings), fetcher_(fetcher) {}

  void handle(http::Exchange& exchange, http::Request request, http::Done done) override {
    const std::string_view path = path_of(request);
    if (path.starts_with("/health")) {
      return done(json_reply(exchange, 200, {{"status", "Details is healthy"}}));
    }
    if (!path.starts_with("/details")) return done(not_found_reply(exchange));
    const auto id = parse_int(last_segment(path));
    if (!id) {
      return done(json_reply(exchange, 400, {{"error", "please provide numeric product id"}}));
    }
    if (settings_.is_external_book_wanted) {
      return ask_book_service(exchange, *id, propagated_headers(request.headers), std::move(done));
    }
    done(json_reply(exchange, 200, known_book(*id)));
  }

 private:
  static data::Json known_book(std::int64_t id) {
    return {{"id", id},
            {"author", "William Shakespeare"},
            {"year", 1595},
            {"type", "paperback"},
            {"pages", 200},
            {"publisher", "PublisherA"},
            {"language", "English"},
            {"ISBN-10", "1234567890"},
            {"ISBN-13", "123-1234567890"}};
  }

  // Plain HTTP; the mesh originates TLS where configured (networking/egress-rule-google-apis.yaml).
  void ask_book_service(http::Exchange& exchange, std::int64_t id, HeaderList headers,
                        http::Done done) {
    fetcher_.get(exchange.scope, Peer{"www.googleapis.com", 80},
                 "/books/v1/volumes?q=isbn:0486424618", std::move(headers), kBookServiceLimit,
                 [&exchange, id, done = std::move(done)](Result<Fetched> fetched) {
                   auto book = read_book(id, std::move(fetched));
                   if (book.ok()) return done(json_reply(exchange, 200, book.value()));
                   done(json_reply(exchange, 400, {{"error", book.error().message()}}));
                 });
  }

  static Result<data::Json> read_book(std::int64_t id, Result<Fetched> fetched) {
    const Fetched answer = TRY(std::move(fetched));
    if (answer.status != 200) {
      return unavailable(fmt::format("the book service answered {}", answer.status));
    }
    const data::Json root = TRY(data::parse_json(answer.body));
    const auto& items = data::get_array(root, {"items"});
    if (items.empty()) return not_found("the book service does not know the book");
    const data::Json* info = data::find(items[0], {"volumeInfo"});
    if (info == nullptr) return not_found("the book service's answer has no volumeInfo");
    data::Json book = known_book(id);
    const auto& authors = data::get_array(*info, {"authors"});
    if (!authors.empty()) data::set(book, {"author"}, authors[0]);
    data::set(book, {"year"}, data::Json(data::get_string(*info, {"publishedDate"})));
    data::set(book, {"pages"}, data::get_int(*info, {"pageCount"}));
    data::set(book, {"publisher"}, data::Json(data::get_string(*info, {"publisher"})));
    const bool is_english = data::get_string(*info, {"language"}) == "en";
    data::set(book, {"language"}, is_english ? "English" : "unknown");
    for (const data::Json& one : data::get_array(*info, {"industryIdentifiers"})) {
      const auto type = data::get_string(one, {"type"});
      const auto identifier = data::get_string(one, {"identifier"});
      if (type == "ISBN_10") data::set(book, {"ISBN-10"}, data::Json(identifier));
      if (type == "ISBN_13") data::set(book, {"ISBN-13"}, data::Json(identifier));
    }
    return book;
  }

  const Settings settings_;
  Fetcher& fetcher_;
};

}  // namespace

std::unique_ptr<http::Service> make_details(const Settings& settings, Fetcher& fetcher) {
  return std::make_unique<Details>(settings, fetcher);
}

}  // namespace lateen::samples
