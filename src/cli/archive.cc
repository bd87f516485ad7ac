// tar's headers by hand, compressed by zlib.
#include "cli/archive.h"

#include <fmt/format.h>
#include <zlib.h>

#include <chrono>
#include <cstring>

namespace lateen::cli {
namespace {

constexpr std::size_t kBlock = 512;

struct Field {
  std::size_t at, size;
};
constexpr Field kName{0, 100}, kMode{100, 8}, kOwner{108, 8}, kGroup{116, 8}, kSize{124, 12},
    kTime{136, 12}, kSum{148, 8};
constexpr Field kPrefix{345, 155};

void put(std::string& header, Field field, std::string_view text) {
  header.replace(field.at, std::min(field.size, text.size()), text.substr(0, field.size));
}

void put_octal(std::string& header, Field field, std::uint64_t value) {
  put(header, field, fmt::format("{:0{}o}", value, field.size - 1));
}

}  // namespace

Result<std::unique_ptr<Archive>> Archive::create(const std::string& path) {
  gzFile file = gzopen(path.c_str(), "wb6");
  if (file == nullptr) return invalid("cannot write " + path + ": " + std::strerror(errno));
  return std::unique_ptr<Archive>(new Archive(path, file));
}

Archive::~Archive() {
  if (file_ != nullptr) gzclose(static_cast<gzFile>(file_));
}

Result<> Archive::write(std::string_view bytes) {
  while (!bytes.empty()) {
    const auto now = static_cast<unsigned>(std::min<std::size_t>(bytes.size(), 1u << 30));
    if (gzwrite(static_cast<gzFile>(file_), bytes.data(), now) != static_cast<int>(now))
      return unavailable("cannot write " + path_ + ": is the disk full?");
    bytes.remove_prefix(now);
  }
  return {};
}

Result<> Archive::add(const std::string& name, std::string_view text) {
  std::string header(kBlock, '\0'), file = name, folder;
  if (file.size() > kName.size) {
    const auto cut = name.rfind('/');
    if (cut == std::string::npos || cut > kPrefix.size || name.size() - cut - 1 > kName.size)
      return invalid("the name " + name + " is too long for an archive");
    folder = name.substr(0, cut);
    file = name.substr(cut + 1);
  }
  put(header, kName, file);
  put(header, kPrefix, folder);
  put_octal(header, kMode, 0644);
  put_octal(header, kOwner, 0);
  put_octal(header, kGroup, 0);
  put_octal(header, kSize, text.size());
  const auto now = std::chrono::system_clock::now().time_since_epoch();
  put_octal(
      header, kTime,
      static_cast<std::uint64_t>(std::chrono::duration_cast<std::chrono::seconds>(now).count()));
  header[156] = '0';
  header.replace(257, 8, std::string_view("ustar\00000", 8));
  header.replace(kSum.at, kSum.size, "        ");
  unsigned sum = 0;
  for (const char c : header) sum += static_cast<unsigned char>(c);
  put(header, kSum, fmt::format("{:06o}", sum));
  header[kSum.at + 6] = '\0';
  TRY(write(header));
  TRY(write(text));
  return write(std::string((kBlock - text.size() % kBlock) % kBlock, '\0'));
}

Result<> Archive::finish() {
  TRY(write(std::string(2 * kBlock, '\0')));
  const int closed = gzclose(static_cast<gzFile>(file_));
  file_ = nullptr;
  return closed == Z_OK ? Result<>() : unavailable("cannot write " + path_ + ": is the disk full?");
}

}  // namespace lateen::cli
