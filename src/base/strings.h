// Small pure functions on text.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace lateen {

std::vector<std::string_view> split(std::string_view text, char separator);  // "" gives {""}
// Splits at the first `separator`; nullopt when there is none.
std::optional<std::pair<std::string_view, std::string_view>> split_once(std::string_view text,
                                                                        std::string_view separator);
std::string join(const std::vector<std::string>& parts, std::string_view separator);
std::string_view trim(std::string_view text);  // ASCII white space
std::string to_lower(std::string_view text);   // ASCII
bool iequals(std::string_view a, std::string_view b);
std::string replace_all(std::string_view text, std::string_view from, std::string_view to);

// The whole text must be a number in range.
std::optional<std::int64_t> parse_int(std::string_view text);
std::optional<std::uint64_t> parse_uint(std::string_view text);
std::optional<double> parse_double(std::string_view text);

std::string base64_encode(std::string_view bytes);     // with padding, RFC 4648 §4
std::string base64url_encode(std::string_view bytes);  // without padding, §5
// Accepts both alphabets, padded or not.
Result<std::string> base64_decode(std::string_view text);
std::string hex_encode(std::string_view bytes);
// RFC 3986. decode: '+' is left alone; a bad escape is an error.
std::string percent_encode(std::string_view text);
Result<std::string> percent_decode(std::string_view text);
// application/x-www-form-urlencoded, in order, decoded ('+' is a space). Bad escapes stay as they
// are.
std::vector<std::pair<std::string, std::string>> parse_query(std::string_view query);

// FNV-1a; stable across runs and machines (hash labels such as pod-template-hash use it).
std::uint32_t fnv1a32(std::string_view bytes);
std::uint64_t fnv1a64(std::string_view bytes);

// Heterogeneous lookup for unordered maps keyed by std::string.
struct StringHash {
  using is_transparent = void;
  std::size_t operator()(std::string_view text) const {
    return std::hash<std::string_view>{}(text);
  }
};

}  // namespace lateen
