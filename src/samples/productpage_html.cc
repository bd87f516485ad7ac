// Renders the bookstore's pages. Scripts and tests around the world look for the title, for
// "glyphicon-star" in a coloured font, for "Reviews served by" and for the error lines: those stay.
#include "samples/productpage_html.h"

#include <fmt/core.h>

#include <algorithm>

#include "samples/replies.h"

namespace lateen::samples {
namespace {

constexpr std::string_view kHead = R"(<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Simple Bookstore App</title>
<link rel="icon" href="data:,">
<link rel="stylesheet" href="/static/bookstore.css">
</head>
<body>
)";

constexpr std::string_view kStylesheet =
    R"(:root{color-scheme:light dark;--ink:#1c2733;--soft:#5b6b7b;--line:#d8e0e8;--page:#fff;--band:#f3f6fa;
--brand:#2f5f9e;--bad:#b3261e}
@media (prefers-color-scheme:dark){:root{--ink:#e6ebf0;--soft:#9fb0c0;--line:#31404f;--page:#151c23;--band:#1b242d;
--brand:#8ab4f0;--bad:#ff8a80}}
*{box-sizing:border-box}
body{margin:0;font:16px/1.55 system-ui,sans-serif;color:var(--ink);background:var(--page)}
header{display:flex;align-items:center;justify-content:space-between;gap:1rem;padding:.7rem 1.5rem;background:#24497a;color:#fff}
header a,header button{color:#fff;text-decoration:none;background:none;border:1px solid #ffffff66;border-radius:6px;
padding:.3rem .8rem;font:inherit;cursor:pointer}
header a.brand{border:0;padding:0;font-weight:700;font-size:1.1rem}
main{max-width:68rem;margin:0 auto;padding:1.5rem}
h1{font-size:2.4rem;line-height:1.15;color:var(--brand);margin:.6rem 0}
h4{font-size:1.4rem;margin:1.6rem 0 .6rem}
.columns{display:grid;grid-template-columns:minmax(16rem,1fr) 2fr;gap:2rem}
@media (max-width:48rem){.columns{grid-template-columns:1fr}}
dl{display:grid;grid-template-columns:auto 1fr;gap:.25rem 1rem;margin:0}
dt{color:var(--soft)}dd{margin:0}
blockquote{margin:0 0 1rem;padding:.9rem 1.1rem;background:var(--band);border-left:4px solid var(--brand);border-radius:4px}
blockquote p{margin:0 0 .3rem;font-size:1.05rem}
small{color:var(--soft)}
font{font-size:1.3rem;letter-spacing:.15rem}
font[color=black]{color:var(--ink)}
.glyphicon-star::before{content:"\2605"}
.glyphicon-star-empty::before{content:"\2606"}
.error{color:var(--bad);font-size:1.2rem}
dialog{border:1px solid var(--line);border-radius:10px;padding:1.5rem;background:var(--page);color:var(--ink)}
dialog label{display:block;margin:.6rem 0 .2rem}
dialog input{width:18rem;max-width:100%;padding:.4rem;font:inherit}
dialog button{margin-top:1rem;padding:.4rem 1rem;font:inherit}
table{border-collapse:collapse;width:100%}td,th{border:1px solid var(--line);padding:.4rem .6rem;text-align:left;vertical-align:top}
)";

std::string header_bar(std::string_view user) {
  std::string bar = R"(<header><a class="brand" href="/productpage">BookInfo Sample</a>)";
  if (user.empty()) {
    bar += R"html(<button type="button" id="sign-in-button" class="btn btn-default navbar-btn"
onclick="document.getElementById('login-modal').showModal()">Sign in</button>)html";
  } else {
    bar += fmt::format(
        R"html(<span>Signed in as <b id="user">{}</b> (<a href="/logout">sign out</a>)</span>)html",
        escape_html(user));
  }
  return bar + "</header>\n";
}

constexpr std::string_view kLoginDialog = R"(<dialog id="login-modal">
<form method="post" action="/login" name="login_form">
<h4>Please sign in</h4>
<label for="username">User name</label><input id="username" name="username" required autofocus>
<label for="password">Password (any)</label><input id="password" name="passwd" type="password">
<div><button type="submit" name="Login">Sign in</button></div>
</form>
</dialog>
)";

std::string text_at(const data::Json& value, std::string_view key) {
  const data::Json* found = data::find(value, {key});
  if (found == nullptr) return "";
  if (const auto* text = found->if_string()) return escape_html(std::string_view(*text));
  return escape_html(data::dump_json(*found));
}

std::string error_block(std::string_view what, const Part& part) {
  return fmt::format("<h4>Error fetching product {}!</h4>\n<p class=\"error\">{}</p>\n", what,
                     text_at(part.value, "error"));
}

std::string render_details(const Part& details) {
  if (details.status != 200) return error_block("details", details);
  std::string html = "<h4>Book Details</h4>\n<dl>\n";
  constexpr std::pair<std::string_view, std::string_view> kRows[] = {
      {"Author", "author"},   {"Type", "type"},           {"Pages", "pages"},
      {"Year", "year"},       {"Publisher", "publisher"}, {"Language", "language"},
      {"ISBN-10", "ISBN-10"}, {"ISBN-13", "ISBN-13"}};
  for (const auto& [label, key] : kRows) {
    html += fmt::format("<dt>{}</dt><dd>{}</dd>\n", label, text_at(details.value, key));
  }
  return html + "</dl>\n";
}

std::string render_stars(const data::Json& rating) {
  if (const auto error = data::get_string(rating, {"error"}); !error.empty()) {
    return fmt::format("<p><i>{}</i></p>\n", escape_html(error));
  }
  constexpr std::int64_t kMost = 5;
  const auto stars = std::clamp<std::int64_t>(data::get_int(rating, {"stars"}), 0, kMost);
  std::string html = fmt::format("<font color=\"{}\">\n<!-- full stars: -->\n",
                                 escape_html(data::get_string(rating, {"color"}, "black")));
  for (std::int64_t i = 0; i < kMost; ++i) {
    html += i < stars ? "<span class=\"glyphicon glyphicon-star\"></span>\n"
                      : "<span class=\"glyphicon glyphicon-star-empty\"></span>\n";
  }
  return html + "</font>\n";
}

std::string render_reviews(const Part& reviews) {
  if (reviews.status != 200) return error_block("reviews", reviews);
  std::string html = "<h4>Book Reviews</h4>\n";
  for (const data::Json& review : data::get_array(reviews.value, {"reviews"})) {
    html += fmt::format("<blockquote>\n<p>{}</p>\n<small>{}</small>\n", text_at(review, "text"),
                        text_at(review, "reviewer"));
    if (const data::Json* rating = data::find(review, {"rating"})) html += render_stars(*rating);
    html += "</blockquote>\n";
  }
  const auto pod = data::get_string(reviews.value, {"podname"});
  const auto cluster = data::get_string(reviews.value, {"clustername"});
  html += fmt::format("<p>Reviews served by:\n<u>{}</u>\n", escape_html(pod));
  if (!cluster.empty() && cluster != "null") {
    html += fmt::format("on cluster <u>{}</u>\n", escape_html(cluster));
  }
  return html + "</p>\n";
}

std::string service_row(const Peer& peer, std::string_view endpoint, std::string_view children) {
  return fmt::format(
      "<table class=\"table table-condensed table-bordered table-hover\">\n"
      "<tr><th>name</th><td>http://{}:{}</td></tr>\n<tr><th>endpoint</th><td>{}</td></tr>\n"
      "<tr><th>children</th><td>{}</td></tr>\n</table>\n",
      escape_html(peer.host), peer.port, endpoint, children);
}

}  // namespace

std::string render_index(const Settings& settings) {
  const std::string ratings = service_row(settings.ratings, "ratings", "");
  const std::string children = service_row(settings.details, "details", "") +
                               service_row(settings.reviews, "reviews", ratings);
  return fmt::format(
      "{}{}<main>\n<h1>A small bookstore of four services</h1>\n{}\n"
      "<p>Ask for the page as one of these:</p>\n"
      "<p><a href=\"/productpage?u=normal\">Normal user</a></p>\n"
      "<p><a href=\"/productpage?u=test\">Test user</a></p>\n</main>\n</body>\n</html>\n",
      kHead, header_bar(""), service_row({"productpage", 9080}, "productpage", children));
}

std::string render_productpage(const data::Json& product, const Part& details, const Part& reviews,
                               std::string_view user) {
  // descriptionHtml is ours, not a visitor's: it goes in as markup.
  return fmt::format(
      "{}{}{}<main>\n<h1>{}</h1>\n<p>Summary: {}</p>\n<div "
      "class=\"columns\">\n<section>\n{}</section>\n"
      "<section>\n{}</section>\n</div>\n</main>\n</body>\n</html>\n",
      kHead, header_bar(user), kLoginDialog, text_at(product, "title"),
      data::get_string(product, {"descriptionHtml"}), render_details(details),
      render_reviews(reviews));
}

std::string_view stylesheet() { return kStylesheet; }

}  // namespace lateen::samples
