// Kubernetes' own error values: a Status object with HTTP code, reason and details, exactly as
// clients match on them (apimachinery/pkg/api/errors). Outcome<T> is Result<T> with a Status for
// its error; TRY works on both.
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "base/result.h"
#include "data/json.h"

namespace lateen::cluster::apiserver {

using data::Json;
using data::JsonArray;
using data::JsonObject;

// "deployments.apps"; "pods" for the core group.
std::string qualified(std::string_view resource, std::string_view group);

// One field's fault, in apimachinery's words (field.Error).
struct FieldError {
  std::string reason;  // FieldValueRequired, FieldValueInvalid, …
  std::string field;
  std::string message;  // without the field
};

// Collects the faults of one object; paths are "spec.containers[0].name".
class FieldErrors {
 public:
  void required(std::string field, std::string_view detail = {});
  void invalid(std::string field, const Json& value, std::string_view detail);
  // `shown` is the value as Go prints it.
  void invalid_shown(std::string field, std::string_view shown, std::string_view detail);
  void unsupported(std::string field, const Json& value,
                   const std::vector<std::string_view>& supported);
  void duplicate(std::string field, const Json& value);
  void forbidden(std::string field, std::string_view detail);
  void not_found(std::string field, const Json& value);
  void type_invalid(std::string field, const Json& value, std::string_view detail);
  void too_long(std::string field, int most_bytes);
  void add(FieldError error) { errors_.push_back(std::move(error)); }
  bool empty() const { return errors_.empty(); }
  const std::vector<FieldError>& all() const { return errors_; }

 private:
  std::vector<FieldError> errors_;
};

struct Status {
  int code = 500;
  std::string reason;
  std::string message;
  Json details;  // null or an object

  Json to_json() const;

  static Status not_found(std::string_view group, std::string_view resource, std::string_view name);
  static Status no_such_path();  // 'the server could not find the requested resource'
  static Status already_exists(std::string_view group, std::string_view resource,
                               std::string_view name);
  static Status conflict(std::string_view group, std::string_view resource, std::string_view name,
                         std::string_view why);
  static Status invalid(std::string_view group, std::string_view kind, std::string_view name,
                        const FieldErrors& errors);
  static Status bad_request(std::string message);
  static Status forbidden(std::string_view group, std::string_view resource, std::string_view name,
                          std::string_view why);
  static Status unauthorized();
  static Status method_not_supported(std::string_view group, std::string_view resource,
                                     std::string_view verb);
  static Status method_not_allowed();
  static Status expired(std::string message);
  static Status internal(std::string message);
  static Status unavailable(std::string message);
  static Status too_many_requests(std::string message, int retry_seconds);
  static Status unsupported_media_type(std::string_view got,
                                       const std::vector<std::string>& accepted);
  static Status not_acceptable();
  static Status from(const Error& error);
};

template <typename T = void>
class [[nodiscard]] Outcome {
 public:
  Outcome(T value) : state_(std::in_place_index<0>, std::move(value)) {}         // NOLINT: implicit
  Outcome(Status status) : state_(std::in_place_index<1>, std::move(status)) {}  // NOLINT
  Outcome(const Error& error) : state_(std::in_place_index<1>, Status::from(error)) {}  // NOLINT
  bool ok() const { return state_.index() == 0; }
  T& value() & {
    CHECK(ok());
    return *std::get_if<0>(&state_);
  }
  T&& value() && {
    CHECK(ok());
    return std::move(*std::get_if<0>(&state_));
  }
  T& operator*() & { return value(); }
  T* operator->() { return &value(); }
  Status& error() & {
    CHECK(!ok());
    return *std::get_if<1>(&state_);
  }
  Status&& error() && {
    CHECK(!ok());
    return std::move(*std::get_if<1>(&state_));
  }

 private:
  std::variant<T, Status> state_;
};

template <>
class [[nodiscard]] Outcome<void> {
 public:
  Outcome() = default;
  Outcome(Status status) : status_(std::move(status)) {}         // NOLINT: implicit
  Outcome(const Error& error) : status_(Status::from(error)) {}  // NOLINT
  bool ok() const { return !status_.has_value(); }
  Status& error() & {
    CHECK(!ok());
    return *status_;
  }
  Status&& error() && {
    CHECK(!ok());
    return std::move(*status_);
  }

 private:
  std::optional<Status> status_;
};

}  // namespace lateen::cluster::apiserver

namespace lateen::detail {
inline cluster::apiserver::Outcome<void> take_value(cluster::apiserver::Outcome<void>&&) {
  return {};
}
template <typename T>
T take_value(cluster::apiserver::Outcome<T>&& outcome) {
  return std::move(outcome).value();
}
}  // namespace lateen::detail
