// Texts and shapes of apimachinery's Status objects.
#include "cluster/apiserver/status.h"

#include <fmt/format.h>

#include "base/strings.h"

namespace lateen::cluster::apiserver {
namespace {

Status make(int code, std::string_view reason, std::string message) {
  return Status{code, std::string(reason), std::move(message), Json()};
}

Json details_of(std::string_view group, std::string_view resource, std::string_view name) {
  JsonObject details;
  if (!name.empty()) details["name"] = name;
  if (!group.empty()) details["group"] = group;
  if (!resource.empty()) details["kind"] = resource;
  return details;
}

std::string shown(const Json& value) {
  if (const auto* text = value.if_string()) return data::dump_json(*text);
  return data::dump_json(value);
}

}  // namespace

std::string qualified(std::string_view resource, std::string_view group) {
  return group.empty() ? std::string(resource) : fmt::format("{}.{}", resource, group);
}

void FieldErrors::required(std::string field, std::string_view detail) {
  errors_.push_back(
      {"FieldValueRequired", std::move(field),
       detail.empty() ? "Required value" : fmt::format("Required value: {}", detail)});
}
void FieldErrors::invalid(std::string field, const Json& value, std::string_view detail) {
  errors_.push_back({"FieldValueInvalid", std::move(field),
                     fmt::format("Invalid value: {}: {}", shown(value), detail)});
}
void FieldErrors::invalid_shown(std::string field, std::string_view shown,
                                std::string_view detail) {
  errors_.push_back(
      {"FieldValueInvalid", std::move(field), fmt::format("Invalid value: {}: {}", shown, detail)});
}
void FieldErrors::unsupported(std::string field, const Json& value,
                              const std::vector<std::string_view>& supported) {
  std::vector<std::string> quoted;
  for (const auto& one : supported) quoted.push_back(fmt::format("\"{}\"", one));
  errors_.push_back({"FieldValueNotSupported", std::move(field),
                     fmt::format("Unsupported value: {}: supported values: {}", shown(value),
                                 join(quoted, ", "))});
}
void FieldErrors::duplicate(std::string field, const Json& value) {
  errors_.push_back(
      {"FieldValueDuplicate", std::move(field), fmt::format("Duplicate value: {}", shown(value))});
}
void FieldErrors::forbidden(std::string field, std::string_view detail) {
  errors_.push_back(
      {"FieldValueForbidden", std::move(field), fmt::format("Forbidden: {}", detail)});
}
void FieldErrors::not_found(std::string field, const Json& value) {
  errors_.push_back(
      {"FieldValueNotFound", std::move(field), fmt::format("Not found: {}", shown(value))});
}
void FieldErrors::type_invalid(std::string field, const Json& value, std::string_view detail) {
  errors_.push_back({"FieldValueTypeInvalid", std::move(field),
                     fmt::format("Invalid value: {}: {}", shown(value), detail)});
}
void FieldErrors::too_long(std::string field, int most_bytes) {
  errors_.push_back({"FieldValueTooLong", std::move(field),
                     fmt::format("Too long: may not be more than {} bytes", most_bytes)});
}

Json Status::to_json() const {
  JsonObject object{{"kind", "Status"},
                    {"apiVersion", "v1"},
                    {"metadata", JsonObject{}},
                    {"status", "Failure"},
                    {"message", message}};
  if (!reason.empty()) object["reason"] = reason;
  if (!details.is_null()) object["details"] = details;
  object["code"] = code;
  return object;
}

Status Status::not_found(std::string_view group, std::string_view resource, std::string_view name) {
  Status status =
      make(404, "NotFound", fmt::format("{} \"{}\" not found", qualified(resource, group), name));
  status.details = details_of(group, resource, name);
  return status;
}

Status Status::no_such_path() {
  Status status = make(404, "NotFound", "the server could not find the requested resource");
  status.details = JsonObject{};
  return status;
}

Status Status::already_exists(std::string_view group, std::string_view resource,
                              std::string_view name) {
  Status status = make(409, "AlreadyExists",
                       fmt::format("{} \"{}\" already exists", qualified(resource, group), name));
  status.details = details_of(group, resource, name);
  return status;
}

Status Status::conflict(std::string_view group, std::string_view resource, std::string_view name,
                        std::string_view why) {
  Status status = make(409, "Conflict",
                       fmt::format("Operation cannot be fulfilled on {} \"{}\": {}",
                                   qualified(resource, group), name, why));
  status.details = details_of(group, resource, name);
  return status;
}

Status Status::invalid(std::string_view group, std::string_view kind, std::string_view name,
                       const FieldErrors& errors) {
  std::vector<std::string> texts;
  JsonArray causes;
  for (const auto& error : errors.all()) {
    texts.push_back(fmt::format("{}: {}", error.field, error.message));
    causes.push_back(
        JsonObject{{"reason", error.reason}, {"message", error.message}, {"field", error.field}});
  }
  const std::string list = texts.size() == 1 ? texts[0] : fmt::format("[{}]", join(texts, ", "));
  Status status = make(422, "Invalid",
                       fmt::format("{} \"{}\" is invalid: {}", qualified(kind, group), name, list));
  status.details = details_of(group, kind, name);
  if (auto* details = status.details.if_object()) (*details)["causes"] = std::move(causes);
  return status;
}

Status Status::bad_request(std::string message) {
  return make(400, "BadRequest", std::move(message));
}

Status Status::forbidden(std::string_view group, std::string_view resource, std::string_view name,
                         std::string_view why) {
  std::string message;
  if (resource.empty()) {
    message = fmt::format("forbidden: {}", why);
  } else if (name.empty()) {
    message = fmt::format("{} is forbidden: {}", qualified(resource, group), why);
  } else {
    message = fmt::format("{} \"{}\" is forbidden: {}", qualified(resource, group), name, why);
  }
  Status status = make(403, "Forbidden", std::move(message));
  status.details = details_of(group, resource, name);
  return status;
}

Status Status::unauthorized() { return make(401, "Unauthorized", "Unauthorized"); }

Status Status::method_not_supported(std::string_view group, std::string_view resource,
                                    std::string_view verb) {
  Status status = make(405, "MethodNotAllowed",
                       fmt::format("{} is not supported on resources of kind \"{}\"", verb,
                                   qualified(resource, group)));
  status.details = details_of(group, resource, {});
  return status;
}

Status Status::method_not_allowed() {
  Status status = make(405, "MethodNotAllowed",
                       "the server does not allow this method on the requested resource");
  status.details = JsonObject{};
  return status;
}

Status Status::expired(std::string message) { return make(410, "Expired", std::move(message)); }
Status Status::internal(std::string message) {
  Status status = make(500, "InternalError", fmt::format("Internal error occurred: {}", message));
  status.details = JsonObject{{"causes", JsonArray{JsonObject{{"message", message}}}}};
  return status;
}
Status Status::unavailable(std::string message) {
  return make(503, "ServiceUnavailable", std::move(message));
}
Status Status::too_many_requests(std::string message, int retry_seconds) {
  Status status = make(429, "TooManyRequests", std::move(message));
  status.details = JsonObject{{"retryAfterSeconds", retry_seconds}};
  return status;
}

Status Status::unsupported_media_type(std::string_view got,
                                      const std::vector<std::string>& accepted) {
  return make(
      415, "UnsupportedMediaType",
      fmt::format(
          "the body of the request was in an unknown format - accepted media types include: {}{}",
          join(accepted, ", "), got.empty() ? "" : fmt::format("; got {}", got)));
}

Status Status::not_acceptable() {
  return make(406, "NotAcceptable",
              "only the following media types are accepted: application/json, application/yaml");
}

Status Status::from(const Error& error) {
  switch (error.code()) {
    case Code::kInvalidArgument: return bad_request(error.message());
    case Code::kNotFound: return make(404, "NotFound", error.message());
    case Code::kAlreadyExists: return make(409, "AlreadyExists", error.message());
    case Code::kAborted: return make(409, "Conflict", error.message());
    case Code::kUnavailable: return unavailable(error.message());
    // The store's disk is full.
    case Code::kResourceExhausted: return make(507, "InsufficientStorage", error.message());
    case Code::kDeadlineExceeded: return make(504, "Timeout", error.message());
    case Code::kOutOfRange: return expired(error.message());
    default: return internal(error.message());
  }
}

}  // namespace lateen::cluster::apiserver
