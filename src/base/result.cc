// Text of codes and of errno values.
#include "base/result.h"

#include <cerrno>
#include <cstring>

namespace lateen {

std::string_view to_string(Code code) {
  switch (code) {
    case Code::kOk: return "OK";
    case Code::kCancelled: return "Cancelled";
    case Code::kUnknown: return "Unknown";
    case Code::kInvalidArgument: return "InvalidArgument";
    case Code::kDeadlineExceeded: return "DeadlineExceeded";
    case Code::kNotFound: return "NotFound";
    case Code::kAlreadyExists: return "AlreadyExists";
    case Code::kPermissionDenied: return "PermissionDenied";
    case Code::kResourceExhausted: return "ResourceExhausted";
    case Code::kFailedPrecondition: return "FailedPrecondition";
    case Code::kAborted: return "Aborted";
    case Code::kOutOfRange: return "OutOfRange";
    case Code::kUnimplemented: return "Unimplemented";
    case Code::kInternal: return "Internal";
    case Code::kUnavailable: return "Unavailable";
    case Code::kDataLoss: return "DataLoss";
    case Code::kUnauthenticated: return "Unauthenticated";
  }
  return "Unknown";
}

Error Error::at(std::string_view where) && {
  std::string message(where);
  message += ": ";
  message += message_;
  return Error(code_, std::move(message), blame_);
}

Error invalid(std::string message, Blame blame) {
  return Error(Code::kInvalidArgument, std::move(message), blame);
}
Error not_found(std::string message, Blame blame) {
  return Error(Code::kNotFound, std::move(message), blame);
}
Error unavailable(std::string message, Blame blame) {
  return Error(Code::kUnavailable, std::move(message), blame);
}
Error internal(std::string message, Blame blame) {
  return Error(Code::kInternal, std::move(message), blame);
}

static Code code_of_errno(int value) {
  switch (value) {
    case ENOENT: return Code::kNotFound;
    case EEXIST: return Code::kAlreadyExists;
    case EACCES:
    case EPERM:
    case EROFS: return Code::kPermissionDenied;
    case ENOSPC:
    case EDQUOT:
    case EMFILE:
    case ENFILE:
    case ENOMEM: return Code::kResourceExhausted;
    case EADDRINUSE: return Code::kAlreadyExists;
    case ETIMEDOUT: return Code::kDeadlineExceeded;
    case ECONNREFUSED:
    case ECONNRESET:
    case EHOSTUNREACH:
    case ENETUNREACH:
    case EPIPE: return Code::kUnavailable;
    case EINVAL: return Code::kInvalidArgument;
    default: return Code::kInternal;
  }
}

Error errno_error(std::string_view what, int errno_value) {
  char text[128];
  std::string message(what);
  message += ": ";
  message += strerror_r(errno_value, text, sizeof text);
  return Error(code_of_errno(errno_value), std::move(message));
}

}  // namespace lateen
