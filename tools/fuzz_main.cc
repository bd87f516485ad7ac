// Runs a fuzz target without libFuzzer: every file of its corpus, then mutations of them from a fixed seed. So each
// fuzzer is also a plain, deterministic test. usage: NAME_fuzz CORPUS_FOLDER [MUTATIONS]
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include "base/random.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);

static void run(const std::string& bytes) {
  LLVMFuzzerTestOneInput(reinterpret_cast<const std::uint8_t*>(bytes.data()), bytes.size());
}

static std::string mutate(std::string bytes, lateen::Random& random) {
  for (std::uint64_t edits = 1 + random.below(8); edits > 0; --edits) {
    const std::size_t at = bytes.empty() ? 0 : random.below(bytes.size());
    switch (random.below(5)) {
      case 0: bytes.insert(at, 1, static_cast<char>(random.below(256))); break;
      case 1: if (!bytes.empty()) bytes.erase(at, 1 + random.below(8)); break;
      case 2: if (!bytes.empty()) bytes[at] = static_cast<char>(random.below(256)); break;
      case 3: bytes.insert(at, bytes.substr(at, random.below(64))); break;
      case 4: bytes.resize(at); break;
    }
  }
  return bytes;
}

int main(int argc, char** argv) {
  const std::string folder = argc > 1 ? argv[1] : "";
  const int mutations = argc > 2 ? std::atoi(argv[2]) : 2000;
  std::vector<std::string> corpus{""};
  if (std::filesystem::is_directory(folder)) {
    for (const auto& entry : std::filesystem::directory_iterator(folder)) {
      std::ifstream in(entry.path(), std::ios::binary);
      corpus.emplace_back(std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>());
    }
  }
  const auto random = lateen::seeded_random(1);
  for (const auto& bytes : corpus) run(bytes);
  for (int i = 0; i < mutations; ++i) run(mutate(corpus[random->below(corpus.size())], *random));
  std::printf("%zu inputs, %d mutations\n", corpus.size(), mutations);
  return corpus.size() > 1 ? 0 : 1;  // A fuzzer without a corpus tests nothing.
}
