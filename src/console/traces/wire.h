// Reads protobuf's wire format without generated code: the two messages that the console takes in
// are small.
#pragma once

#include <cstdint>
#include <cstring>
#include <optional>
#include <string_view>

namespace lateen::console {

// One field at a time; stops with is_bad() at the first malformed byte. Views point into the
// message.
class WireReader {
 public:
  explicit WireReader(std::string_view message) : rest_(message) {}

  // Advances; false at the end or on malformed input.
  bool next() {
    if (rest_.empty() || is_bad_) return false;
    const auto key = varint();
    if (!key) return fail();
    field_ = static_cast<std::uint32_t>(*key >> 3);
    number_ = 0;
    bytes_ = {};
    switch (*key & 7) {
      case 0: {
        const auto value = varint();
        if (!value) return fail();
        number_ = *value;
        return true;
      }
      case 1: return fixed(8);
      case 5: return fixed(4);
      case 2: {
        const auto size = varint();
        if (!size || *size > rest_.size()) return fail();
        bytes_ = rest_.substr(0, static_cast<std::size_t>(*size));
        rest_.remove_prefix(bytes_.size());
        return true;
      }
      default: return fail();
    }
  }

  std::uint32_t field() const { return field_; }
  std::uint64_t number() const { return number_; }
  double real() const {
    double value;
    std::memcpy(&value, &number_, sizeof value);
    return value;
  }
  std::string_view bytes() const { return bytes_; }
  bool is_bad() const { return is_bad_; }

 private:
  bool fail() {
    is_bad_ = true;
    return false;
  }
  bool fixed(std::size_t size) {
    if (rest_.size() < size) return fail();
    std::memcpy(&number_, rest_.data(), size);  // little endian, as are our machines
    rest_.remove_prefix(size);
    return true;
  }
  std::optional<std::uint64_t> varint() {
    std::uint64_t value = 0;
    for (int shift = 0; shift < 64 && !rest_.empty(); shift += 7) {
      const auto byte = static_cast<unsigned char>(rest_.front());
      rest_.remove_prefix(1);
      value |= static_cast<std::uint64_t>(byte & 0x7F) << shift;
      if ((byte & 0x80) == 0) return value;
    }
    return std::nullopt;
  }

  std::string_view rest_;
  std::uint32_t field_ = 0;
  std::uint64_t number_ = 0;
  std::string_view bytes_;
  bool is_bad_ = false;
};

}  // namespace lateen::console
