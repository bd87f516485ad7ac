// Adding and removing headers as routes, virtual hosts and clusters configure it. Immutable,
// thread-safe.
#pragma once

#include <google/protobuf/repeated_ptr_field.h>

#include <string>
#include <vector>

#include "http/message.h"
#include "proxy/stream/formatter.h"

namespace envoy::config::core::v3 {
class HeaderValueOption;
}

namespace lateen::proxy {

class HeaderOps {
 public:
  using Options = google::protobuf::RepeatedPtrField<envoy::config::core::v3::HeaderValueOption>;
  using Names = google::protobuf::RepeatedPtrField<std::string>;
  static Result<HeaderOps> compile(const Options& add, const Names& remove);

  bool empty() const { return add_.empty() && remove_.empty(); }
  // ":authority"/"host", ":path" and ":method" set the request's own fields.
  void apply(http::Request& request, const StreamInfo& info) const;
  void apply(http::Headers& headers, const StreamInfo& info) const;

 private:
  enum class Action : unsigned char { kAppend, kAddIfAbsent, kOverwrite, kOverwriteIfPresent };
  struct Add {
    std::string name;
    Formatter value;
    Action action;
    bool is_empty_kept;
  };
  std::vector<Add> add_;
  std::vector<std::string> remove_;
};

}  // namespace lateen::proxy
