// Reads Thrift's binary protocol field by field (thrift-binary-protocol.md); what nobody asks for
// is skipped.
#pragma once

#include <cstdint>
#include <cstring>
#include <string_view>

namespace lateen::console {

// Reads go wrong once and for all: after the first short read everything is zero and is_bad() true.
class ThriftReader {
 public:
  enum Type : std::uint8_t {
    kStop = 0,
    kBool = 2,
    kByte = 3,
    kDouble = 4,
    kI16 = 6,
    kI32 = 8,
    kI64 = 10,
    kString = 11,
    kStruct = 12,
    kMap = 13,
    kSet = 14,
    kList = 15,
  };

  explicit ThriftReader(std::string_view bytes) : rest_(bytes) {}
  bool is_bad() const { return is_bad_; }

  std::uint64_t integer(int bytes) {
    if (rest_.size() < static_cast<std::size_t>(bytes)) {
      is_bad_ = true;
      rest_ = {};
      return 0;
    }
    std::uint64_t value = 0;
    for (int i = 0; i < bytes; ++i) value = value << 8 | static_cast<unsigned char>(rest_[i]);
    rest_.remove_prefix(bytes);
    return value;
  }
  std::int64_t i64() { return static_cast<std::int64_t>(integer(8)); }
  std::int32_t i32() { return static_cast<std::int32_t>(integer(4)); }
  double real() {
    const std::uint64_t bits = integer(8);
    double value;
    std::memcpy(&value, &bits, sizeof value);
    return value;
  }
  std::string_view text() {
    const std::uint64_t size = integer(4);
    if (size > rest_.size()) {
      is_bad_ = true;
      rest_ = {};
      return {};
    }
    const std::string_view value = rest_.substr(0, size);
    rest_.remove_prefix(size);
    return value;
  }

  // Calls visit(field id, type) for each field; it reads the value and returns true, or returns
  // false for us to skip it.
  template <typename Visit>
  void fields(Visit visit) {
    while (!is_bad_) {
      const auto type = static_cast<Type>(integer(1));
      if (type == kStop || is_bad_) return;
      const auto id = static_cast<int>(integer(2));
      if (!visit(id, type)) skip(type, 0);
    }
  }
  // Calls visit() for each element of a list of structs; other element types are skipped.
  template <typename Visit>
  void structs(Visit visit) {
    const auto type = static_cast<Type>(integer(1));
    const std::uint64_t count = integer(4);
    for (std::uint64_t i = 0; i < count && !is_bad_; ++i) {
      if (type == kStruct) {
        visit();
      } else {
        skip(type, 0);
      }
    }
  }

 private:
  static constexpr int kMaxDepth = 32;

  void skip(Type type, int depth) {
    if (depth > kMaxDepth) is_bad_ = true;
    if (is_bad_) return;
    switch (type) {
      case kBool:
      case kByte: integer(1); return;
      case kI16: integer(2); return;
      case kI32: integer(4); return;
      case kDouble:
      case kI64: integer(8); return;
      case kString: text(); return;
      case kStruct:
        while (!is_bad_) {
          const auto inner = static_cast<Type>(integer(1));
          if (inner == kStop) return;
          integer(2);
          skip(inner, depth + 1);
        }
        return;
      case kMap: {
        const auto key = static_cast<Type>(integer(1));
        const auto value = static_cast<Type>(integer(1));
        const std::uint64_t count = integer(4);
        for (std::uint64_t i = 0; i < count && !is_bad_; ++i) {
          skip(key, depth + 1);
          skip(value, depth + 1);
        }
        return;
      }
      case kSet:
      case kList: {
        const auto element = static_cast<Type>(integer(1));
        const std::uint64_t count = integer(4);
        for (std::uint64_t i = 0; i < count && !is_bad_; ++i) skip(element, depth + 1);
        return;
      }
      default: is_bad_ = true;
    }
  }

  std::string_view rest_;
  bool is_bad_ = false;
};

}  // namespace lateen::console
