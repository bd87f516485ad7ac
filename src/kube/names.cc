// Character-class checks behind names.h.
#include "kube/names.h"

#include <algorithm>

namespace lateen::kube {
namespace {

bool is_lower(char c) { return c >= 'a' && c <= 'z'; }
bool is_digit(char c) { return c >= '0' && c <= '9'; }
bool is_alnum(char c) { return is_lower(c) || is_digit(c) || (c >= 'A' && c <= 'Z'); }
bool is_lower_alnum(char c) { return is_lower(c) || is_digit(c); }

std::string too_long(int limit) {
  return "must be no more than " + std::to_string(limit) + " bytes";
}
std::string too_long_characters(int limit) {
  return "must be no more than " + std::to_string(limit) + " characters";
}

bool is_dns_label(std::string_view text) {
  return !text.empty() && is_lower_alnum(text.front()) && is_lower_alnum(text.back()) &&
         std::all_of(text.begin(), text.end(),
                     [](char c) { return is_lower_alnum(c) || c == '-'; });
}

// The name part of a label key, or a label's value.
bool is_label_word(std::string_view text) {
  return !text.empty() && is_alnum(text.front()) && is_alnum(text.back()) &&
         std::all_of(text.begin(), text.end(),
                     [](char c) { return is_alnum(c) || c == '-' || c == '_' || c == '.'; });
}

constexpr std::string_view kQualifiedNameText =
    "name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end "
    "with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for "
    "validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')";

}  // namespace

std::string check_dns1123_label(std::string_view value) {
  if (value.size() > 63) return too_long(63);
  if (is_dns_label(value)) return {};
  return "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', "
         "and "
         "must start and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex "
         "used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')";
}

std::string check_dns1123_subdomain(std::string_view value) {
  if (value.size() > 253) return too_long(253);
  std::string_view rest = value;
  while (true) {
    const auto dot = rest.find('.');
    if (!is_dns_label(rest.substr(0, dot))) break;
    if (dot == std::string_view::npos) return {};
    rest.remove_prefix(dot + 1);
  }
  return "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' "
         "or "
         "'.', and must start and end with an alphanumeric character (e.g. 'example.com', regex "
         "used "
         "for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')";
}

std::string check_dns1035_label(std::string_view value) {
  if (value.size() > 63) return too_long(63);
  if (is_dns_label(value) && is_lower(value.front())) return {};
  return "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with "
         "an "
         "alphabetic character, and end with an alphanumeric character (e.g. 'my-name',  or "
         "'abc-123', regex used for validation is '[a-z]([-a-z0-9]*[a-z0-9])?')";
}

std::string check_qualified_name(std::string_view value) {
  std::string_view name = value;
  if (const auto slash = value.find('/'); slash != std::string_view::npos) {
    const auto prefix = value.substr(0, slash);
    name = value.substr(slash + 1);
    if (name.find('/') != std::string_view::npos) {
      return "a qualified name must consist of alphanumeric characters, '-', '_' or '.', and must "
             "start and end with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or "
             "'123-abc', regex used for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]') "
             "with an optional DNS subdomain prefix and '/' (e.g. 'example.com/MyName')";
    }
    if (prefix.empty()) return "prefix part must be non-empty";
    if (auto problem = check_dns1123_subdomain(prefix); !problem.empty()) {
      return "prefix part " + problem;
    }
  }
  if (name.empty()) return "name part must be non-empty";
  if (name.size() > 63) return "name part " + too_long(63);
  return is_label_word(name) ? std::string() : std::string(kQualifiedNameText);
}

std::string check_label_value(std::string_view value) {
  if (value.size() > 63) return too_long(63);
  if (value.empty() || is_label_word(value)) return {};
  return "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or "
         "'.', and must start and end with an alphanumeric character (e.g. 'MyValue',  or "
         "'my_value',  or '12345', regex used for validation is "
         "'(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')";
}

std::string check_config_map_key(std::string_view value) {
  if (value.size() > 253) return too_long(253);
  if (value == ".") return "must not be '.'";
  if (value.starts_with(".."))
    return value == ".." ? "must not be '..'" : "must not start with '..'";
  const bool is_fine = !value.empty() && std::all_of(value.begin(), value.end(), [](char c) {
    return is_alnum(c) || c == '-' || c == '_' || c == '.';
  });
  if (is_fine) return {};
  return "a valid config key must consist of alphanumeric characters, '-', '_' or '.' (e.g. "
         "'key.name',  or 'KEY_NAME',  or 'key-name', regex used for validation is "
         "'[-._a-zA-Z0-9]+')";
}

std::string check_env_name(std::string_view value) {
  const bool is_fine = !value.empty() && std::all_of(value.begin(), value.end(), [](char c) {
    return c >= ' ' && c <= '~' && c != '=';
  });
  return is_fine ? std::string()
                 : "a valid environment variable name must consist only of printable ASCII "
                   "characters other than '='";
}

std::string check_path_segment_name(std::string_view value) {
  if (value == "." || value == "..") return "may not be '" + std::string(value) + "'";
  for (const char bad : {'/', '%'}) {
    if (value.find(bad) != std::string_view::npos)
      return std::string("may not contain '") + bad + "'";
  }
  return {};
}

std::string check_port_name(std::string_view value) {
  if (value.size() > 15) return too_long_characters(15);
  const bool is_word =
      std::all_of(value.begin(), value.end(), [](char c) { return is_lower_alnum(c) || c == '-'; });
  if (!is_word) return "must contain only alpha-numeric characters (a-z, 0-9), and hyphens (-)";
  if (std::none_of(value.begin(), value.end(), is_lower)) {
    return "must contain at least one letter (a-z)";
  }
  if (value.find("--") != std::string_view::npos) return "must not contain consecutive hyphens";
  if (value.front() == '-' || value.back() == '-') return "must not begin or end with a hyphen";
  return {};
}

}  // namespace lateen::kube
