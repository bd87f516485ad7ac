// Length-prefixed messages without compression.
#include "console/server/grpc_unary.h"

namespace lateen::console {
namespace {

constexpr std::size_t kPrefixBytes = 5;

Result<std::string_view> unwrap(std::string_view body) {
  if (body.size() < kPrefixBytes) return invalid("no gRPC message");
  if (body[0] != 0) {
    return Error(Code::kUnimplemented, "compressed messages are not read: send them as they are");
  }
  std::size_t size = 0;
  for (int i = 1; i <= 4; ++i) size = size << 8 | static_cast<unsigned char>(body[i]);
  if (body.size() != kPrefixBytes + size) return invalid("one whole gRPC message expected");
  return body.substr(kPrefixBytes);
}

std::string wrap(std::string_view message) {
  std::string framed(1, '\0');
  for (int shift = 24; shift >= 0; shift -= 8) {
    framed += static_cast<char>(message.size() >> shift & 0xFF);
  }
  framed += message;
  return framed;
}

}  // namespace

ApiReply grpc_unary(const ApiRequest& request,
                    const Function<Result<std::string>(std::string_view message)>& answer) {
  ApiReply reply;
  reply.content_type = "application/grpc";
  const auto message = unwrap(request.body);
  const auto made = message.ok() ? answer(message.value()) : Result<std::string>(message.error());
  if (made.ok()) {
    reply.body = wrap(made.value());
    reply.trailers = {{"grpc-status", "0"}};
  } else {
    reply.trailers = {{"grpc-status", std::to_string(static_cast<int>(made.error().code()))},
                      {"grpc-message", made.error().message()}};
  }
  return reply;
}

}  // namespace lateen::console
