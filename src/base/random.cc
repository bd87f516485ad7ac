// xoshiro256** (Blackman, Vigna), seeded by splitmix64.
#include "base/random.h"

#include <sys/random.h>

#include <cstring>

#include "base/check.h"
#include "base/eight_bytes.h"

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

namespace {

// The sixteen hexadecimal digits of a word: each nibble spread to a byte of its own, and all turned
// into digits at once.
void write_hex(std::uint64_t word, char* to) {
  const auto digits = [](std::uint64_t half) {
    half = (half | half << 16) & 0x0000ffff0000ffff;
    half = (half | half << 8) & 0x00ff00ff00ff00ff;
    half = (half | half << 4) & 0x0f0f0f0f0f0f0f0f;
    const std::uint64_t letters = ((half + kEightOnes * 6) >> 4) & kEightOnes;
    return __builtin_bswap64(half + kEightOnes * '0' + letters * ('a' - '0' - 10));
  };
  const std::uint64_t high = digits(word >> 32), low = digits(word & 0xffffffff);
  std::memcpy(to, &high, 8);
  std::memcpy(to + 8, &low, 8);
}

}  // namespace

std::string Random::uuid() {
  // Each request without an id gets one.
  const std::uint64_t high = (next() & ~0xf000ull) | 0x4000;
  const std::uint64_t low = (next() & ~(3ull << 62)) | 2ull << 62;
  char digits[32];
  write_hex(high, digits);
  write_hex(low, digits + 16);
  char out[36];
  std::memcpy(out, digits, 8);
  std::memcpy(out + 9, digits + 8, 4);
  std::memcpy(out + 14, digits + 12, 4);
  std::memcpy(out + 19, digits + 16, 4);
  std::memcpy(out + 24, digits + 20, 12);
  out[8] = out[13] = out[18] = out[23] = '-';
  return {out, sizeof out};
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
