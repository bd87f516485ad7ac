// A certificate authority for tests.
#pragma once

#include <string>

#include "tls/context.h"
#include "tls/x509.h"

namespace lateen::tls::testing {

struct Ca {
  std::string key, certificate;
  Ca() {
    key = generate_key(KeyKind::kEcP256).value();
    IssueOptions options;
    options.names.common_name = "root";
    options.not_before = SystemClock().wall() - minutes(1);
    options.not_after = SystemClock().wall() + hours(24);
    options.is_ca = true;
    certificate = self_sign(options, key).value();
  }
  Certificate issue_for(const std::string& uri, const std::string& dns = "") const {
    const std::string leaf_key = generate_key(KeyKind::kEcP256).value();
    IssueOptions options;
    options.names.uris = {uri};
    if (!dns.empty()) options.names.dns = {dns};
    options.not_before = SystemClock().wall() - minutes(1);
    options.not_after = SystemClock().wall() + hours(1);
    return {issue(options, leaf_key, certificate, key).value() + certificate, leaf_key};
  }
};

}  // namespace lateen::tls::testing
