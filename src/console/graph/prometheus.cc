// Prometheus over HTTP.
#include "console/graph/prometheus.h"

#include <fmt/core.h>

#include <cmath>

#include "base/strings.h"

namespace lateen::console {
namespace {

constexpr milliseconds kLimit{15'000};
constexpr std::size_t kMaxBodyBytes = 64u << 20;

bool is_readable(std::string_view path) {
  constexpr std::string_view kReadable[] = {"query",  "query_range", "series",         "labels",
                                            "label",  "metadata",    "targets",        "rules",
                                            "alerts", "status",      "query_exemplars"};
  if (!path.starts_with("/api/v1/") || path.find("..") != std::string_view::npos) return false;
  std::string_view verb = path.substr(8);
  verb = verb.substr(0, verb.find('/'));
  for (const std::string_view one : kReadable) {
    if (verb == one) return true;
  }
  return false;
}

}  // namespace

std::string_view Sample::label(std::string_view name) const {
  const auto found = labels.find(name);
  return found == labels.end() ? std::string_view() : std::string_view(found->second);
}

Result<std::vector<Sample>> parse_vector(std::string_view body) {
  const data::Json root = TRY(data::parse_json(body));
  if (data::get_string(root, {"status"}) != "success") {
    return unavailable(fmt::format("Prometheus refused the query: {}",
                                   data::get_string(root, {"error"}, "no reason given")));
  }
  if (data::get_string(root, {"data", "resultType"}) != "vector") {
    return invalid("Prometheus answered something else than an instant vector");
  }
  std::vector<Sample> samples;
  for (const data::Json& one : data::get_array(root, {"data", "result"})) {
    const auto& pair = data::get_array(one, {"value"});
    if (pair.size() != 2) continue;
    const auto value = parse_double(data::as_string(pair[1]));
    if (!value || std::isnan(*value)) continue;
    Sample sample;
    sample.value = *value;
    for (const auto& [key, text] : data::get_object(one, {"metric"})) {
      sample.labels.emplace(std::string_view(key), data::as_string(text));
    }
    samples.push_back(std::move(sample));
  }
  return samples;
}

Result<std::vector<Sample>> Prometheus::query(std::string_view expression) const {
  http::PlainRequest request;
  request.method = "POST";
  request.url = base_url_ + "/api/v1/query";
  request.headers = {{"content-type", "application/x-www-form-urlencoded"}};
  request.body = "query=" + percent_encode(expression);
  request.timeout = kLimit;
  request.max_response_bytes = kMaxBodyBytes;
  const auto response = TRY(client_.call(request).at("asking Prometheus at " + base_url_));
  if (response.status == 200) return parse_vector(response.body);
  const auto body = data::parse_json(response.body);
  return unavailable(fmt::format("Prometheus at {} answered {}: {}", base_url_, response.status,
                                 body.ok()
                                     ? data::get_string(body.value(), {"error"}, "no reason given")
                                     : "no reason given"));
}

ApiReply Prometheus::pass(const ApiRequest& request, std::string_view api_path) const {
  if (!is_readable(api_path)) {
    return ApiReply::error(not_found(fmt::format("{} is not handed through", api_path)));
  }
  http::PlainRequest out;
  out.method = request.method == "POST" ? "POST" : "GET";
  out.url = base_url_ + std::string(api_path);
  if (!request.raw_query.empty()) out.url += "?" + request.raw_query;
  if (out.method == "POST") {
    out.headers = {{"content-type", request.content_type}};
    out.body = request.body;
  }
  out.timeout = kLimit;
  out.max_response_bytes = kMaxBodyBytes;
  auto response = client_.call(out).at("asking Prometheus at " + base_url_);
  if (!response.ok()) return ApiReply::error(response.error());
  ApiReply reply;
  reply.status = response.value().status;
  reply.content_type = response.value().header("content-type");
  reply.body = std::move(response.value().body);
  reply.headers = {{"cache-control", "no-store"}};
  return reply;
}

}  // namespace lateen::console
