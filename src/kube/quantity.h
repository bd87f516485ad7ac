// Resource quantities ("250m", "1.5Gi", "1e3"): exact arithmetic and the canonical form
// (apimachinery/pkg/api/resource).
#pragma once

#include <compare>
#include <string>
#include <string_view>

#include "base/result.h"

namespace lateen::kube {

class Quantity {
 public:
  Quantity() = default;
  static Result<Quantity> parse(std::string_view text);
  static Quantity of(std::int64_t units) {
    return Quantity(static_cast<__int128>(units) * kNano, Form::kDecimal);
  }

  // Rounded up, as upstream's Value() and MilliValue().
  std::int64_t value() const;
  std::int64_t milli_value() const;
  bool is_zero() const { return nanos_ == 0; }
  // "1500m" stays, "1000m" becomes "1", "1024Ki" becomes "1Mi", "0.5" becomes "500m".
  std::string to_string() const;

  Quantity& operator+=(const Quantity& other);
  Quantity& operator-=(const Quantity& other);
  bool operator==(const Quantity& other) const { return nanos_ == other.nanos_; }
  std::strong_ordering operator<=>(const Quantity& other) const {
    return nanos_ < other.nanos_   ? std::strong_ordering::less
           : nanos_ > other.nanos_ ? std::strong_ordering::greater
                                   : std::strong_ordering::equal;
  }

 private:
  enum class Form : unsigned char { kDecimal, kBinary, kExponent };
  static constexpr __int128 kNano = 1'000'000'000;
  Quantity(__int128 nanos, Form form) : nanos_(nanos), form_(form) {}

  __int128 nanos_ = 0;  // in 10^-9 of the unit: the finest step upstream keeps
  Form form_ = Form::kDecimal;
};

}  // namespace lateen::kube
