// Protobuf's wire format by hand, for the messages of the discovery protocol: they are large, all
// alike, and made or read for every stream, so their classes cost more than what they carry.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace lateen::xds::wire {

void put_varint(std::string& out, std::uint64_t value);
std::size_t varint_size(std::uint64_t value);
// A length-delimited field: string, bytes or message.
void put_bytes(std::string& out, int field, std::string_view bytes);
// Only its tag and length; `size` bytes follow.
void put_head(std::string& out, int field, std::size_t size);
// What put_bytes() takes, for field numbers below 16.
std::size_t bytes_size(std::size_t size);

struct Field {
  int number = 0;
  std::uint64_t value = 0;  // of a varint
  std::string_view bytes;   // of a length-delimited field
};

// Reads the fields of one message in order.
class Reader {
 public:
  explicit Reader(std::string_view bytes) : rest_(bytes) {}
  // nullopt at the end, or at what is no field: then is_bad().
  std::optional<Field> next();
  bool is_bad() const { return is_bad_; }
  // What was not read yet; skip_to() goes on from a later part of it.
  std::string_view rest() const { return rest_; }
  void skip_to(std::string_view rest) { rest_ = rest; }

 private:
  std::optional<std::uint64_t> varint();
  bool skip(std::size_t count);

  std::string_view rest_;
  bool is_bad_ = false;
};

}  // namespace lateen::xds::wire
