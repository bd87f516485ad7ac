// A request as the handlers see it, whatever it came in on, and what they answer with.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "cluster/apiserver/registry.h"
#include "cluster/apiserver/status.h"

namespace lateen::cluster::apiserver {

// Who asks, once authenticated.
struct User {
  std::string name;
  std::string uid;
  std::vector<std::string> groups;
  Json extra;  // null or {"key": ["value"]}
  bool in_group(std::string_view group) const;
};

struct ApiRequest {
  std::string method;
  std::string path;                                          // without query
  std::vector<std::pair<std::string, std::string>> query;    // decoded
  std::vector<std::pair<std::string, std::string>> headers;  // names lower case
  std::string body;
  std::string upgrade;  // Upgrade token; empty when none
  User user;
  std::string remote;

  std::string_view header(std::string_view name) const;
  std::string_view param(std::string_view name) const;  // the first; empty when absent
  bool has_param(std::string_view name) const;
  bool is_param_true(std::string_view name) const;
  std::vector<std::string_view> params(std::string_view name) const;
};

// What the path and method mean (apiserver/pkg/endpoints/request.RequestInfo).
struct RequestInfo {
  bool is_resource = false;
  std::string verb;  // get list watch create update patch delete deletecollection; else the method
  std::string group;
  std::string version;
  std::string ns;
  std::string resource;
  std::string name;
  std::string subresource;
};
RequestInfo parse_info(const ApiRequest& request);

// Bytes over time: a watch or a followed log. take() and on_more() are called by one consumer.
class ByteStream {
 public:
  virtual ~ByteStream() = default;  // ends the work behind it
  struct Taken {
    std::string bytes;
    bool is_end = false;
  };
  // What there is now, possibly nothing. After is_end it is not called again.
  virtual Taken take() = 0;
  // `wake` is called from any thread when take() may have more; also for time-outs and bookmarks.
  // Set once.
  virtual void on_more(std::function<void()> wake) = 0;
  // When take() should be called at the latest, whether or not woken.
  virtual milliseconds tick_interval() const { return milliseconds(1000); }
};

// Takes over a connection after a 101. Defined with the streaming protocols.
class Takeover;

// A JSON, YAML or protobuf body as a value.
Result<Json> parse_any_body(std::string_view content_type, std::string_view body);

struct ApiResponse {
  int status = 200;
  std::string content_type = "application/json";
  std::string body;
  std::vector<std::pair<std::string, std::string>> headers;
  std::unique_ptr<ByteStream> stream;  // instead of a body
  std::shared_ptr<Takeover> takeover;  // with status 101

  static ApiResponse json(int status, const Json& value);
  static ApiResponse of(const Status& status);
  static ApiResponse text(int status, std::string body);
};

}  // namespace lateen::cluster::apiserver
