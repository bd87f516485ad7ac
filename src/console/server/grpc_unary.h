// gRPC for handlers: unwraps the one message of a unary call, wraps the answer
// (grpc/doc/PROTOCOL-HTTP2.md).
#pragma once

#include <string>
#include <string_view>

#include "console/server/api.h"

namespace lateen::console {

// Answers `request` with what `answer` makes of its message. Errors become grpc-status.
ApiReply grpc_unary(const ApiRequest& request,
                    const Function<Result<std::string>(std::string_view message)>& answer);

}  // namespace lateen::console
