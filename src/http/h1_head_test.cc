// Heads are read and written eight bytes at a time: the same answers as byte by byte, wherever a
// byte stands.

#include <gtest/gtest.h>

#include "http/h1_parser.h"
#include "http/h1_writer.h"

namespace lateen::http::h1 {
namespace {

TEST(H1Head, NamesAreWrittenInLowerCase) {
  const std::string_view token =
      "!#$%&'*+-.^_`|~0123456789AZaz@[\x7f\x80\xc1\xda\xffMNabcdefghijklmnopqrstuvwxyz";
  for (std::size_t size = 1; size <= token.size(); ++size)
    for (std::size_t at = 0; at + size <= token.size() && at < 9; ++at) {
      const std::string name(token.substr(at, size));
      std::string wanted;
      for (const char c : name) wanted += c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c;
      Arena arena;
      Headers headers(arena);
      headers.add(name, "V");
      Buffer out;
      HeadWriter writer(out, headers);
      writer.fields(headers, false, false, false);
      writer.end();
      ASSERT_EQ(out.to_string(), wanted + ": V\r\n\r\n");
    }
}

TEST(H1Head, ControlCharactersInValuesAreRefused) {
  for (int c = 0; c < 256; ++c)
    for (std::size_t at = 1; at < 19; ++at) {
      if (c == '\n') continue;  // ends the line
      std::string value(20, '\xe4');
      value[at] = static_cast<char>(c);
      const std::string head = "GET / HTTP/1.1\r\nhost: a\r\nx: " + value + "\r\n\r\n";
      Arena arena;
      Request request(arena);
      HeadFacts facts;
      const auto refusal = parse_request(head, Limits{60 * 1024, 100}, request, facts);
      const bool is_control = (c < 0x20 && c != '\t') || c == 0x7f;
      ASSERT_EQ(refusal.has_value(), is_control) << c << " at " << at;
      if (!is_control) {
        ASSERT_EQ(request.headers.get("x").value_or(""), value);
      }
    }
}

}  // namespace
}  // namespace lateen::http::h1
