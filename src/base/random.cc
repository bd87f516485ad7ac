// xoshiro256** (Blackman, Vigna), seeded by splitmix64.
#include "base/random.h"

#include <sys/random.h>

#include "base/check.h"

namespace lateen {
namespace {

class Xoshiro final : public Random {
 public:
  explicit Xoshiro(std::uint64_t seed) {
    for (auto& word : state_) {
      seed += 0x9e3779b97f4a7c15;
      std::uint64_t z = seed;
      z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
      z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
      word = z ^ (z >> 31);
    }
  }
  std::uint64_t next() override {
    const std::uint64_t result = rotate(state_[1] * 5, 7) * 9;
    const std::uint64_t t = state_[1] << 17;
    state_[2] ^= state_[0];
    state_[3] ^= state_[1];
    state_[1] ^= state_[2];
    state_[0] ^= state_[3];
    state_[2] ^= t;
    state_[3] = rotate(state_[3], 45);
    return result;
  }

 private:
  static std::uint64_t rotate(std::uint64_t x, int k) { return x << k | x >> (64 - k); }
  std::uint64_t state_[4];
};

}  // namespace

std::string Random::suffix(int length) {
  static constexpr char kAlphabet[] = "bcdfghjklmnpqrstvwxz2456789";
  std::string out;
  for (int i = 0; i < length; ++i) out += kAlphabet[below(sizeof kAlphabet - 1)];
  return out;
}

void Random::fill(std::span<unsigned char> out) {
  for (std::size_t i = 0; i < out.size();) {
    std::uint64_t bits = next();
    for (int k = 0; k < 8 && i < out.size(); ++k, ++i, bits >>= 8)
      out[i] = static_cast<unsigned char>(bits);
  }
}

std::string Random::uuid() {
  // Each request without an id gets one: straight from two words into a string of known length.
  static constexpr char kHex[] = "0123456789abcdef";
  std::uint64_t words[2] = {next(), next()};
  words[0] = (words[0] & ~0xf000ull) | 0x4000;
  words[1] = (words[1] & ~(3ull << 62)) | 2ull << 62;
  std::string out(36, '-');
  std::size_t at = 0;
  for (int digit = 0; digit < 32; ++digit) {
    if (digit == 8 || digit == 12 || digit == 16 || digit == 20) ++at;
    out[at++] = kHex[words[digit / 16] >> (60 - 4 * (digit % 16)) & 15];
  }
  return out;
}

std::unique_ptr<Random> seeded_random(std::uint64_t seed) {
  return std::make_unique<Xoshiro>(seed);
}

std::unique_ptr<Random> system_random() {
  std::uint64_t seed = 0;
  CHECK(getrandom(&seed, sizeof seed, 0) == sizeof seed);
  return seeded_random(seed);
}

}  // namespace lateen
