// Head text is measured first and then written through a bare pointer: a response costs one
// reserve().
#include "http/h1_writer.h"

#include <charconv>
#include <cstring>

#include "base/check.h"
#include "base/eight_bytes.h"
#include "base/strings.h"

namespace lateen::http::h1 {
namespace {

// Copies a field name in lower case, eight bytes at a time: names are half of what a head is. `to`
// has room. Returns the end.
char* write_lower(std::string_view name, char* to) {
  constexpr std::uint64_t kLows = kEightOnes * 0x7f;
  const char* at = name.data();
  std::size_t size = name.size();
  for (; size >= 8; size -= 8, at += 8, to += 8) {
    std::uint64_t word;
    std::memcpy(&word, at, 8);
    // The top bit of each byte of 'A' and more, and of each beyond 'Z', with bytes of 0x80 and more
    // left alone; what has one and not the other is a capital.
    const std::uint64_t from_a = (word & kLows) + kEightOnes * (0x80 - 'A');
    const std::uint64_t past_z = (word & kLows) + kEightOnes * (0x7f - 'Z');
    word |= ((from_a ^ past_z) & ~word & kEightOnes * 0x80) >> 2;
    std::memcpy(to, &word, 8);
  }
  for (; size > 0; --size, ++at, ++to) {
    *to = static_cast<char>(*at >= 'A' && *at <= 'Z' ? *at + 32 : *at);
  }
  return to;
}

// No CR, LF or NUL. Text without any control character, which is nearly all, is told eight bytes at
// a time.
bool is_safe_value(std::string_view value) {
  const char* at = value.data();
  std::size_t size = value.size();
  for (; size >= 8; size -= 8, at += 8) {
    std::uint64_t word;
    std::memcpy(&word, at, 8);
    if (!has_byte_below(word, 0x10)) continue;
    for (int i = 0; i < 8; ++i) {
      if (at[i] == '\n' || at[i] == '\r' || at[i] == '\0') return false;
    }
  }
  for (std::size_t i = 0; i < size; ++i) {
    if (at[i] == '\n' || at[i] == '\r' || at[i] == '\0') return false;
  }
  return true;
}

bool is_safe(const Headers::Field& field) {
  return !field.name.empty() && is_safe_value(field.value) && is_safe_value(field.name);
}

void put_two(char* to, int value) {
  to[0] = static_cast<char>('0' + value / 10);
  to[1] = static_cast<char>('0' + value % 10);
}

}  // namespace

HeadWriter::HeadWriter(Buffer& out, const Headers& headers, std::size_t extra_bytes) : out_(out) {
  std::size_t bytes = 512 + extra_bytes;
  for (const auto& field : headers) bytes += field.name.size() + field.value.size() + 4;
  const auto room = out.reserve(bytes);
  begin_ = at_ = room.data();
  limit_ = begin_ + room.size();
}

void HeadWriter::text(std::string_view text) {
  CHECK(text.size() <= static_cast<std::size_t>(limit_ - at_));
  if (text.empty()) return;
  std::memcpy(at_, text.data(), text.size());
  at_ += text.size();
}

void HeadWriter::number(std::uint64_t value) { at_ = std::to_chars(at_, limit_, value).ptr; }

void HeadWriter::field(std::string_view name, std::string_view value) {
  text(name);
  text(": ");
  text(value);
  text("\r\n");
}

void HeadWriter::fields(const Headers& headers, bool is_case_kept, bool is_length_kept,
                        bool is_upgrade_kept) {
  for (const auto& [name, value] : headers) {
    switch (name.size()) {
      case 4:
        if (iequals(name, "host")) continue;
        if (iequals(name, "date")) has_date_ = true;
        break;
      case 6:
        if (iequals(name, "server")) has_server_ = true;
        break;
      case 7:
        if (!is_upgrade_kept && iequals(name, "upgrade")) continue;
        break;
      case 14:
        if (!is_length_kept && iequals(name, "content-length")) continue;
        break;
      case 10:
      case 16:
      case 17:
        if (is_connection_field(name)) continue;
        break;
      default: break;
    }
    if (!is_safe({name, value}) || name.front() == ':') continue;
    CHECK(name.size() + value.size() + 4 <= static_cast<std::size_t>(limit_ - at_));
    if (is_case_kept) {
      std::memcpy(at_, name.data(), name.size());
      at_ += name.size();
    } else {
      at_ = write_lower(name, at_);
    }
    std::memcpy(at_, ": ", 2);
    at_ += 2;
    if (!value.empty()) std::memcpy(at_, value.data(), value.size());
    at_ += value.size();
    std::memcpy(at_, "\r\n", 2);
    at_ += 2;
  }
}

void HeadWriter::end() {
  text("\r\n");
  out_.commit(static_cast<std::size_t>(at_ - begin_));
}

bool is_connection_field(std::string_view name) {
  switch (name.size()) {
    case 7: return iequals(name, "upgrade");
    case 10: return iequals(name, "connection") || iequals(name, "keep-alive");
    case 16: return iequals(name, "proxy-connection");
    case 17: return iequals(name, "transfer-encoding");
    default: return false;
  }
}

void write_http_date(WallTime time, char* to) {
  static constexpr char kDays[] = "SunMonTueWedThuFriSat";
  static constexpr char kMonths[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
  const auto whole = std::chrono::floor<seconds>(time);
  const auto day = std::chrono::floor<std::chrono::days>(whole);
  const std::chrono::year_month_day date(day);
  const std::chrono::hh_mm_ss clock(whole - day);
  const unsigned weekday = std::chrono::weekday(day).c_encoding();
  const int year = static_cast<int>(date.year());
  std::memcpy(to, "Day, 00 Mon 0000 00:00:00 GMT", 29);
  std::memcpy(to, kDays + 3 * weekday, 3);
  put_two(to + 5, static_cast<int>(static_cast<unsigned>(date.day())));
  std::memcpy(to + 8, kMonths + 3 * (static_cast<unsigned>(date.month()) - 1), 3);
  put_two(to + 12, year / 100);
  put_two(to + 14, year % 100);
  put_two(to + 17, static_cast<int>(clock.hours().count()));
  put_two(to + 20, static_cast<int>(clock.minutes().count()));
  put_two(to + 23, static_cast<int>(clock.seconds().count()));
}

void write_chunk(Buffer& out, Buffer&& data) {
  if (data.empty()) return;
  char line[20];
  char* end = std::to_chars(line, line + 16, data.size(), 16).ptr;
  *end++ = '\r';
  *end++ = '\n';
  out.append(std::string_view(line, static_cast<std::size_t>(end - line)));
  out.append(std::move(data));
  out.append(std::string_view("\r\n"));
}

void write_last_chunk(Buffer& out, const Headers* trailers) {
  if (trailers == nullptr || trailers->empty()) {
    out.append(std::string_view("0\r\n\r\n"));
    return;
  }
  HeadWriter writer(out, *trailers);
  writer.text("0\r\n");
  writer.fields(*trailers, false, false, false);
  writer.end();
}

}  // namespace lateen::http::h1
