// Reads Prometheus' HTTP API: blocking calls, typed instant vectors, and a pass-through for the
// front end.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "console/server/api.h"
#include "http/blocking_client.h"

namespace lateen::console {

using Labels = std::map<std::string, std::string, std::less<>>;

struct Sample {
  Labels labels;
  double value = 0;
  std::string_view label(std::string_view name) const;  // empty when absent
};

// The body of /api/v1/query with resultType "vector". NaN samples are left out.
Result<std::vector<Sample>> parse_vector(std::string_view body);

// Thread-safe. `client` outlives it.
class Prometheus {
 public:
  Prometheus(http::BlockingClient& client, std::string base_url)
      : client_(client), base_url_(std::move(base_url)) {}

  // The error says where Prometheus was looked for.
  Result<std::vector<Sample>> query(std::string_view expression) const;
  // Hands a read-only API call through: `api_path` is "/api/v1/…" of query, query_range, series,
  // labels, label values, metadata, targets, rules, alerts or status.
  ApiReply pass(const ApiRequest& request, std::string_view api_path) const;
  const std::string& base_url() const { return base_url_; }

 private:
  http::BlockingClient& client_;
  std::string base_url_;
};

}  // namespace lateen::console
