// local_reply_config: what answers of our own look like. Mappers change status, body and headers of
// those that pass their filter, formats make the body. Immutable, thread-safe.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "proxy/log/access_log.h"
#include "proxy/route/header_ops.h"
#include "proxy/stream/json_format.h"

namespace envoy::config::core::v3 {
class SubstitutionFormatString;
}
namespace envoy::extensions::filters::network::http_connection_manager::v3 {
class LocalReplyConfig;
}

namespace lateen::proxy {

// A body from a format, in text or JSON.
class BodyFormat {
 public:
  static Result<std::shared_ptr<const BodyFormat>> compile(
      const envoy::config::core::v3::SubstitutionFormatString& config);
  // `info.local_body` is what %LOCAL_REPLY_BODY% says.
  std::string body(const StreamInfo& info) const;
  const std::string& content_type() const { return content_type_; }

 private:
  std::optional<Formatter> text_;
  std::optional<JsonFormat> json_;
  std::string content_type_;
};

class LocalReplies {
 public:
  struct Reply {
    int status = 0;
    std::string body;
    std::string content_type = "text/plain";
    const HeaderOps* headers = nullptr;
  };
  static Result<std::shared_ptr<const LocalReplies>> compile(
      const envoy::extensions::filters::network::http_connection_manager::v3::LocalReplyConfig&
          config);
  void apply(StreamInfo& info, Reply& reply) const;

 private:
  struct Mapper {
    LogFilter filter;
    std::optional<int> status;
    std::optional<std::string> body;
    std::shared_ptr<const BodyFormat> format;
    HeaderOps headers;
  };
  std::vector<Mapper> mappers_;
  std::shared_ptr<const BodyFormat> format_;
};

}  // namespace lateen::proxy
