// Randomness comes in from outside: only bin/ and tests make a Random.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>

namespace lateen {

// Not thread-safe: one per thread or per owner.
class Random {
 public:
  virtual ~Random() = default;
  virtual std::uint64_t next() = 0;

  // Uniform in [0, bound); `bound` > 0.
  std::uint64_t below(std::uint64_t bound) { return next() % bound; }
  // Uniform in [0, 1).
  double unit() { return static_cast<double>(next() >> 11) * 0x1.0p-53; }
  // Kubernetes' generateName alphabet (no vowels, no look-alikes).
  std::string suffix(int length = 5);
  // RFC 4122 version 4, lower case.
  std::string uuid();
  void fill(std::span<unsigned char> out);
};

// xoshiro256**; the same seed gives the same sequence. Not for secrets.
std::unique_ptr<Random> seeded_random(std::uint64_t seed);
// A seeded_random whose seed comes from getrandom(2). Keys and tokens use tls/ instead.
std::unique_ptr<Random> system_random();

}  // namespace lateen
