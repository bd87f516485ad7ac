// See pki.h. The server's certificate is made anew at each start, so that its names always fit.
#include "cluster/apiserver/pki.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <fstream>
#include <sstream>

#include "net/address.h"
#include "tls/jwt.h"
#include "tls/x509.h"

namespace lateen::cluster::apiserver {
namespace {

constexpr auto kCaLifetime = hours(24 * 3650);
constexpr auto kLeafLifetime = hours(24 * 365);
constexpr auto kClockSkew = minutes(5);

Result<std::string> read_file(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) return not_found(fmt::format("reading {}: it cannot be opened", path));
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

// Through a temporary name, so that a crash never leaves half a key.
Result<> write_file(const std::string& path, const std::string& text) {
  const std::string temporary = path + ".new";
  const int fd = ::open(temporary.c_str(), O_CREAT | O_WRONLY | O_TRUNC | O_CLOEXEC, 0600);
  if (fd < 0) return errno_error(fmt::format("writing {}", temporary), errno);
  const ssize_t written = ::write(fd, text.data(), text.size());
  ::fsync(fd);
  ::close(fd);
  if (written != static_cast<ssize_t>(text.size()))
    return errno_error(fmt::format("writing {}", temporary), errno);
  if (::rename(temporary.c_str(), path.c_str()) != 0)
    return errno_error(fmt::format("writing {}", path), errno);
  return {};
}

template <typename Make>
Result<std::string> read_or_make(const std::string& path, Make make) {
  if (::access(path.c_str(), F_OK) == 0) return read_file(path);
  std::string made = TRY(make());
  TRY(write_file(path, made));
  return made;
}

}  // namespace

Result<Pki> Pki::open(const std::string& directory, const std::vector<std::string>& sans,
                      const Clock& clock) {
  if (::mkdir(directory.c_str(), 0700) != 0 && errno != EEXIST) {
    return errno_error(fmt::format("making {}", directory), errno);
  }
  Pki pki;
  const WallTime now = clock.wall();
  pki.ca_key_ = TRY(
      read_or_make(directory + "/ca.key", [] { return tls::generate_key(tls::KeyKind::kEcP256); }));
  pki.ca_pem_ = TRY(read_or_make(directory + "/ca.crt", [&] {
    tls::IssueOptions options;
    options.names.common_name = "lateen-ca";
    options.not_before = now - kClockSkew;
    options.not_after = now + kCaLifetime;
    options.is_ca = true;
    return tls::self_sign(options, pki.ca_key_);
  }));
  TRY(tls::check_key_match(pki.ca_pem_, pki.ca_key_).at(directory));
  pki.token_key_ = TRY(read_or_make(directory + "/sa.key",
                                    [] { return tls::generate_key(tls::KeyKind::kRsa2048); }));
  pki.token_public_ = TRY(tls::public_key_of(pki.token_key_));
  pki.token_key_id_ = TRY(tls::key_id_of(pki.token_public_));

  pki.server_key_ = TRY(tls::generate_key(tls::KeyKind::kEcP256));
  tls::IssueOptions options;
  options.names.common_name = "kube-apiserver";
  for (const auto& name : sans) {
    if (net::Ip::parse(name).ok()) options.names.ips.push_back(name);
    else options.names.dns.push_back(name);
  }
  options.not_before = now - kClockSkew;
  options.not_after = now + kLeafLifetime;
  options.is_client = false;
  pki.server_pem_ = TRY(tls::issue(options, pki.server_key_, pki.ca_pem_, pki.ca_key_));
  return pki;
}

Result<Pki::ClientCertificate> Pki::issue_client(const std::string& user,
                                                 const std::vector<std::string>& groups,
                                                 const Clock& clock) const {
  ClientCertificate made;
  made.key_pem = TRY(tls::generate_key(tls::KeyKind::kEcP256));
  tls::IssueOptions options;
  options.names.common_name = user;
  options.names.organizations = groups;
  options.not_before = clock.wall() - kClockSkew;
  options.not_after = clock.wall() + kLeafLifetime;
  options.is_server = false;
  made.certificate_pem = TRY(tls::issue(options, made.key_pem, ca_pem_, ca_key_));
  return made;
}

}  // namespace lateen::cluster::apiserver
