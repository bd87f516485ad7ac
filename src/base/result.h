// Errors are values. A Result<T> holds a T or an Error; nothing of ours throws.
// An Error says what failed, where, and what to try, in one sentence a user can act on.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>

#include "base/check.h"

namespace lateen {

// Canonical codes, numbered as gRPC's (grpc/status.md), so that they cross the wire unchanged.
enum class Code : unsigned char {
  kOk = 0,
  kCancelled = 1,
  kUnknown = 2,
  kInvalidArgument = 3,
  kDeadlineExceeded = 4,
  kNotFound = 5,
  kAlreadyExists = 6,
  kPermissionDenied = 7,
  kResourceExhausted = 8,
  kFailedPrecondition = 9,
  kAborted = 10,
  kOutOfRange = 11,
  kUnimplemented = 12,
  kInternal = 13,
  kUnavailable = 14,
  kDataLoss = 15,
  kUnauthenticated = 16,
};

// Whose fault it is. Picks the HTTP status, the response flag and whether a retry is allowed.
enum class Blame : unsigned char { kLocal, kDownstream, kUpstream, kConfig };

std::string_view to_string(Code code);

class [[nodiscard]] Error {
 public:
  Error(Code code, std::string message, Blame blame = Blame::kLocal)
      : code_(code), blame_(blame), message_(std::move(message)) {
    CHECK(code != Code::kOk);
  }

  Code code() const { return code_; }
  Blame blame() const { return blame_; }
  const std::string& message() const { return message_; }

  // Puts "<where>: " before the message: "reading /x/y: permission denied".
  Error at(std::string_view where) &&;

 private:
  Code code_;
  Blame blame_;
  std::string message_;
};

template <typename T = void>
class [[nodiscard]] Result {
 public:
  Result(T value)
      : state_(std::in_place_index<0>, std::move(value)) {}  // NOLINT: implicit by design
  Result(Error error) : state_(std::in_place_index<1>, std::move(error)) {}  // NOLINT
  template <typename U>
  requires(std::is_convertible_v<U&&, T> && !std::is_same_v<std::remove_cvref_t<U>, T> &&
           !std::is_same_v<std::remove_cvref_t<U>, Error> &&
           !std::is_same_v<std::remove_cvref_t<U>, Result<T>>) Result(U&& value)
      : state_(std::in_place_index<0>, std::forward<U>(value)) {}  // NOLINT

  bool ok() const { return state_.index() == 0; }
  explicit operator bool() const { return ok(); }

  T& value() & {
    CHECK(ok());
    return *std::get_if<0>(&state_);
  }
  const T& value() const& {
    CHECK(ok());
    return *std::get_if<0>(&state_);
  }
  T&& value() && {
    CHECK(ok());
    return std::move(*std::get_if<0>(&state_));
  }
  T& operator*() & { return value(); }
  const T& operator*() const& { return value(); }
  T&& operator*() && { return std::move(*this).value(); }
  T* operator->() { return &value(); }
  const T* operator->() const { return &value(); }
  T value_or(T other) && { return ok() ? std::move(*std::get_if<0>(&state_)) : std::move(other); }

  const Error& error() const& {
    CHECK(!ok());
    return *std::get_if<1>(&state_);
  }
  Error&& error() && {
    CHECK(!ok());
    return std::move(*std::get_if<1>(&state_));
  }

  // Same result with "<where>: " before an error's message.
  Result at(std::string_view where) && {
    return ok() ? std::move(*this) : Result(std::move(*std::get_if<1>(&state_)).at(where));
  }

 private:
  std::variant<T, Error> state_;
};

template <>
class [[nodiscard]] Result<void> {
 public:
  Result() = default;
  Result(Error error) : error_(std::move(error)) {}  // NOLINT: implicit by design

  bool ok() const { return !error_.has_value(); }
  explicit operator bool() const { return ok(); }
  const Error& error() const& {
    CHECK(!ok());
    return *error_;
  }
  Error&& error() && {
    CHECK(!ok());
    return std::move(*error_);
  }
  Result at(std::string_view where) && {
    return ok() ? Result() : Result(std::move(*error_).at(where));
  }

 private:
  std::optional<Error> error_;
};

// Shorthands for the codes used most: `return not_found("pod default/x")`.
Error invalid(std::string message, Blame blame = Blame::kLocal);
Error not_found(std::string message, Blame blame = Blame::kLocal);
Error unavailable(std::string message, Blame blame = Blame::kLocal);
Error internal(std::string message, Blame blame = Blame::kLocal);
// "<what>: <strerror(errno_value)>", with the code that fits errno (ENOENT: kNotFound, EACCES:
// kPermissionDenied, …).
Error errno_error(std::string_view what, int errno_value);

namespace detail {
inline Result<void> take_value(Result<void>&&) { return {}; }
template <typename T>
T take_value(Result<T>&& result) {
  return std::move(result).value();
}
}  // namespace detail

}  // namespace lateen

// TRY(expr): the value of a Result, or returns its error from the enclosing function.
// As a statement for Result<void>: TRY(save()); as an expression: auto pod = TRY(find(key));
#define TRY(...)                                                  \
  ({                                                              \
    auto try_result_ = (__VA_ARGS__);                             \
    if (!try_result_.ok()) return std::move(try_result_).error(); \
    ::lateen::detail::take_value(std::move(try_result_));         \
  })
