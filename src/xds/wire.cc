#include "xds/wire.h"

namespace lateen::xds::wire {

void put_varint(std::string& out, std::uint64_t value) {
  for (; value >= 0x80; value >>= 7) out += static_cast<char>(value | 0x80);
  out += static_cast<char>(value);
}

std::size_t varint_size(std::uint64_t value) {
  std::size_t size = 1;
  for (; value >= 0x80; value >>= 7) ++size;
  return size;
}

void put_head(std::string& out, int field, std::size_t size) {
  put_varint(out, static_cast<std::uint64_t>(field) << 3 | 2);
  put_varint(out, size);
}

void put_bytes(std::string& out, int field, std::string_view bytes) {
  put_head(out, field, bytes.size());
  out += bytes;
}

std::size_t bytes_size(std::size_t size) { return 1 + varint_size(size) + size; }

std::optional<std::uint64_t> Reader::varint() {
  std::uint64_t out = 0;
  for (int shift = 0; shift < 64 && !rest_.empty(); shift += 7) {
    const auto byte = static_cast<unsigned char>(rest_.front());
    rest_.remove_prefix(1);
    out |= static_cast<std::uint64_t>(byte & 0x7f) << shift;
    if (byte < 0x80) return out;
  }
  return std::nullopt;
}

bool Reader::skip(std::size_t count) {
  if (count > rest_.size()) return false;
  rest_.remove_prefix(count);
  return true;
}

std::optional<Field> Reader::next() {
  if (rest_.empty() || is_bad_) return std::nullopt;
  is_bad_ = true;  // until the field is read
  Field out;
  const auto key = varint();
  if (!key || *key >> 3 == 0 || *key >> 3 > 0x1fffffff) return std::nullopt;
  out.number = static_cast<int>(*key >> 3);
  switch (*key & 7) {
    case 0: {
      const auto value = varint();
      if (!value) return std::nullopt;
      out.value = *value;
      break;
    }
    case 1:
      if (!skip(8)) return std::nullopt;
      break;
    case 2: {
      const auto size = varint();
      if (!size || *size > rest_.size()) return std::nullopt;
      out.bytes = rest_.substr(0, *size);
      rest_.remove_prefix(*size);
      break;
    }
    case 5:
      if (!skip(4)) return std::nullopt;
      break;
    default: return std::nullopt;
  }
  is_bad_ = false;
  return out;
}

}  // namespace lateen::xds::wire
