// See reviews.h.
#include "cluster/apiserver/reviews.h"

#include <fmt/format.h>

namespace lateen::cluster::apiserver {
namespace {

JsonArray to_array(const std::vector<std::string>& words) {
  JsonArray made;
  for (const auto& word : words) made.emplace_back(word);
  return made;
}

std::vector<std::string> strings_at(const Json& object,
                                    std::initializer_list<std::string_view> path) {
  std::vector<std::string> made;
  for (const auto& one : data::get_array(object, path)) made.emplace_back(data::as_string(one));
  return made;
}

Json user_info(const User& user) {
  JsonObject info{{"username", user.name}, {"groups", to_array(user.groups)}};
  if (!user.uid.empty()) info["uid"] = user.uid;
  if (!user.extra.is_null()) info["extra"] = user.extra;
  return info;
}

Json review_token(const Json& review, const Authenticator& authenticator) {
  const auto token = data::get_string(review, {"spec", "token"});
  auto result = authenticator.review(token, strings_at(review, {"spec", "audiences"}));
  if (!result.ok()) {
    return JsonObject{
        {"user", JsonObject{}},
        {"error", fmt::format("[invalid bearer token, {}]", result.error().message())}};
  }
  return JsonObject{{"authenticated", true},
                    {"user", user_info(result->user)},
                    {"audiences", to_array(result->audiences)}};
}

AccessAttributes attributes_of(const Json& review) {
  AccessAttributes wanted;
  if (const Json* path = data::find(review, {"spec", "nonResourceAttributes"})) {
    wanted.is_resource = false;
    wanted.path = data::get_string(*path, {"path"});
    wanted.verb = data::get_string(*path, {"verb"});
    return wanted;
  }
  const auto at = [&](std::string_view field) {
    return std::string(data::get_string(review, {"spec", "resourceAttributes", field}));
  };
  wanted.verb = at("verb");
  wanted.ns = at("namespace");
  wanted.group = at("group");
  wanted.resource = at("resource");
  wanted.subresource = at("subresource");
  wanted.name = at("name");
  return wanted;
}

Json access_status(const AccessDecision& decision) {
  JsonObject status{{"allowed", decision.is_allowed}};
  if (!decision.reason.empty()) status["reason"] = decision.reason;
  return status;
}

}  // namespace

Outcome<ApiResponse> serve_review(Call& call, Authenticator& authenticator, const Rbac& rbac) {
  if (call.request.method != "POST") return Status::method_not_allowed();
  auto parsed = parse_any_body(call.request.header("content-type"), call.request.body);
  if (!parsed.ok()) return Status::bad_request(parsed.error().message());
  Json review = std::move(*parsed);
  if (!review.is_object()) return Status::bad_request("the body is not an object");
  data::set(review, {"kind"}, Json(call.type->kind));
  data::set(review, {"apiVersion"}, Json(call.type->api_version(call.info.version)));
  const auto& kind = call.type->kind;
  const User& asker = call.request.user;
  if (kind == "TokenReview") {
    data::set(review, {"status"}, review_token(review, authenticator));
  } else if (kind == "SelfSubjectAccessReview") {
    data::set(review, {"status"}, access_status(rbac.authorize(asker, attributes_of(review))));
  } else if (kind == "SubjectAccessReview" || kind == "LocalSubjectAccessReview") {
    User subject;
    subject.name = data::get_string(review, {"spec", "user"});
    subject.groups = strings_at(review, {"spec", "groups"});
    data::set(review, {"status"}, access_status(rbac.authorize(subject, attributes_of(review))));
  } else if (kind == "SelfSubjectRulesReview") {
    JsonArray resource_rules;
    JsonArray path_rules;
    for (const auto& rule : rbac.rules_of(asker, data::get_string(review, {"spec", "namespace"}))) {
      const bool is_path = data::find(rule, {"nonResourceURLs"}) != nullptr;
      (is_path ? path_rules : resource_rules).push_back(rule);
    }
    data::set(review, {"status"},
              JsonObject{{"resourceRules", std::move(resource_rules)},
                         {"nonResourceRules", std::move(path_rules)},
                         {"incomplete", false}});
  } else if (kind == "SelfSubjectReview") {
    data::set(review, {"status"}, JsonObject{{"userInfo", user_info(asker)}});
  } else {
    return Status::method_not_allowed();
  }
  return ApiResponse::json(201, review);
}

}  // namespace lateen::cluster::apiserver
