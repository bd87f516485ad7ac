// Matcher trees (xds.type.matcher.v3.Matcher): predicates over inputs of a request, and exact and
// prefix maps, that lead to actions. Immutable, thread-safe.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "proxy/stream/stream_info.h"

namespace google::protobuf {
class Any;
}
namespace xds::type::matcher::v3 {
class Matcher;
}

namespace lateen::proxy {

struct MatchSubject {
  const Connection& connection;
  const StreamInfo& info;
  const http::Request* request;  // null for TCP
};

class MatchTree {
 public:
  // Called for each action; its result names the action in find().
  using CompileAction = std::function<Result<std::size_t>(const google::protobuf::Any& config)>;
  static Result<MatchTree> compile(const ::xds::type::matcher::v3::Matcher& config,
                                   const CompileAction& action);
  // nullopt: nothing matched.
  std::optional<std::size_t> find(const MatchSubject& subject) const;

 private:
  struct Node;
  class Compiler;
  std::shared_ptr<const Node> root_;
};

}  // namespace lateen::proxy
