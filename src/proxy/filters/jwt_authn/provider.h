// One issuer: where its tokens are in a request, and what makes them valid. Immutable, thread-safe.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "proxy/filters/jwt_authn/jwks.h"
#include "proxy/filters/jwt_authn/remote_jwks.h"
#include "proxy/http/filter.h"

namespace envoy::extensions::filters::http::jwt_authn::v3 {
class JwtProvider;
}

namespace lateen::proxy {

struct CompileContext;

// Why a request has no identity. `is_missing`: it carried no token at all.
struct JwtFailure {
  std::string message;  // Envoy's sentence
  int status = 401;
  bool is_missing = false;
  int code = 0;          // as failed_status_in_metadata tells it
  std::string provider;  // "'NAME' (issuer ISSUER)", for explanations
};

class JwtProvider {
 public:
  static Result<std::shared_ptr<const JwtProvider>> compile(
      std::string_view name,
      const envoy::extensions::filters::http::jwt_authn::v3::JwtProvider& config,
      const CompileContext& context);
  // Verifies the request's token; on success puts the claims where the configuration says
  // (metadata, headers) and takes the token out unless it is to be forwarded. nullopt: fine.
  std::optional<JwtFailure> authenticate(StreamInfo& info, http::Request& request, WallTime now,
                                         const std::vector<std::string>& audiences) const;

  // For people: its name and its issuer.
  const std::string& label() const { return label_; }

  // The keys to fetch before this request's token can be judged; null: none.
  RemoteJwks* wanted_keys(const http::Request& request) const;

 private:
  struct HeaderSource {
    std::string name, prefix;
  };
  struct Found {
    std::string token;
    std::string header;     // it came in this header,
    std::string parameter;  // or in this one of the query
  };
  struct Verified {
    data::Json header, claims;
  };
  std::vector<Found> find_tokens(const http::Request& request) const;
  std::optional<JwtFailure> check(const std::string& token, WallTime now,
                                  const std::vector<std::string>& audiences,
                                  Verified& verified) const;
  std::optional<JwtFailure> check_times(const data::Json& claims, WallTime now) const;
  void publish(StreamInfo& info, http::Request& request, const Found& found,
               Verified verified) const;

  std::string label_;
  std::string issuer_;
  std::vector<std::string> audiences_;
  std::shared_ptr<const Jwks> jwks_;
  std::shared_ptr<RemoteJwks> remote_;
  std::string jwks_error_;  // why there are no keys; every token then fails
  std::vector<HeaderSource> from_headers_;
  std::vector<std::string> from_params_;
  std::vector<std::string> from_cookies_;
  bool is_forwarded_ = false;
  std::string payload_header_;
  bool is_payload_padded_ = false;
  std::string metadata_key_, header_key_, failure_key_;  // in dynamic metadata
  std::vector<StringMatcher> subjects_;
  bool is_expiration_required_ = false;
  std::optional<seconds> most_lifetime_;
  std::vector<std::string> space_delimited_;
  std::vector<std::pair<std::string, std::string>> claim_headers_;  // header, claim path
  seconds skew_{60};
};

}  // namespace lateen::proxy
