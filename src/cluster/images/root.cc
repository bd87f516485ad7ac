// Building the skeleton that goes under the machine's /usr: directories, our own /etc, links to our
// programs.
#include "cluster/images/root.h"

#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>

#include "base/log.h"
#include "base/strings.h"
#include "linux/files.h"

namespace lateen::cluster::images {
namespace {

constexpr int kRecipe = 1;  // counted up with every change of what a skeleton has
constexpr std::string_view kPasswd =
    "root:x:0:0:root:/root:/bin/sh\n"
    "daemon:x:1:1:daemon:/usr/sbin:/usr/sbin/nologin\n"
    "bin:x:2:2:bin:/bin:/usr/sbin/nologin\n"
    "www-data:x:33:33:www-data:/var/www:/usr/sbin/nologin\n"
    "istio-proxy:x:1337:1337:Istio proxy:/var/lib/istio:/bin/sh\n"
    "nobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin\n";
constexpr std::string_view kGroup =
    "root:x:0:\ndaemon:x:1:\nbin:x:2:\ntty:x:5:\nwww-data:x:33:\nistio-proxy:x:1337:\nnogroup:x:"
    "65534:\n";
constexpr std::string_view kNsswitch =
    "passwd: files\ngroup: files\nshadow: files\nhosts: files dns\nservices: files\nprotocols: "
    "files\n";

// Debian's root has links into /usr for these; on an older layout they are directories of their
// own.
constexpr std::string_view kMergedDirectories[] = {"/bin",   "/sbin",  "/lib",
                                                   "/lib32", "/lib64", "/libx32"};
// Read by the dynamic linker and by common programs; copied, so that a container may change them.
constexpr std::string_view kCopiedFiles[] = {
    "/etc/ld.so.cache", "/etc/ld.so.conf",     "/etc/services",   "/etc/protocols",
    "/etc/mime.types",  "/etc/debian_version", "/etc/os-release", "/etc/localtime"};
constexpr std::string_view kBoundDirectories[] = {"/etc/alternatives", "/etc/ssl",
                                                  "/etc/ld.so.conf.d", "/etc/ca-certificates",
                                                  "/etc/prometheus"};

Result<> link_to(const std::string& target, const std::string& at) {
  const std::size_t slash = at.find_last_of('/');
  TRY(os::make_directories(at.substr(0, slash)));
  if (::symlink(target.c_str(), at.c_str()) != 0 && errno != EEXIST)
    return errno_error("linking " + at, errno);
  return {};
}

// Also tells of a link whose target the skeleton must show as a link.
std::string link_target(std::string_view path) {
  std::error_code failure;
  return std::filesystem::read_symlink(std::string(path), failure).string();
}

}  // namespace

// Everything a skeleton is made from but the image. The boot counts too: a machine that lost its
// power may have lost what the files said.
std::string Roots::generation() {
  auto boot = os::read_file("/proc/sys/kernel/random/boot_id");
  std::string facts = fmt::format("{};{};", kRecipe, boot.ok() ? boot.value() : std::string());
  for (std::string_view file : kCopiedFiles) {
    struct stat info {};
    if (::stat(std::string(file).c_str(), &info) != 0) continue;
    facts +=
        fmt::format("{}:{}:{}.{};", file, info.st_size, info.st_mtim.tv_sec, info.st_mtim.tv_nsec);
  }
  for (std::string_view directory : kMergedDirectories)
    facts += fmt::format("{}>{};", directory, link_target(directory));
  for (std::string_view directory : kBoundDirectories)
    if (os::is_directory(std::string(directory))) facts += fmt::format("{};", directory);
  return fmt::format("{:016x}", fnv1a64(facts));
}

void Roots::remove_old() {
  for (const std::string& name : os::list_directory(directory_)) {
    const std::string path = fmt::format("{}/{}", directory_, name);
    if (path == current_) continue;
    if (auto removed = os::remove_tree(path); !removed.ok())
      LOG(kWarn, "images", "{}", removed.error().message());
  }
}

Result<Root> Roots::root_of(const Image& image) {
  Root root;
  if (!image.root.empty()) {
    root.lower = image.root;
    return root;
  }
  std::string programs;
  for (const auto& [name, program] : image.programs)
    programs += fmt::format("{}>{};", name, program);
  root.lower = fmt::format("{}/{}-{:016x}", current_, replace_all(image.repository, "/", "_"),
                           fnv1a64(programs));
  {
    const std::lock_guard lock(mutex_);
    if (!os::path_exists(root.lower)) TRY(make_skeleton(image, root.lower));
  }
  root.binds.push_back({"/usr", "/usr"});
  if (os::is_directory("/usr/local"))
    root.binds.push_back({root.lower + "/usr-local", "/usr/local"});
  for (std::string_view directory : kMergedDirectories)
    if (link_target(directory).empty() && os::is_directory(std::string(directory)))
      root.binds.push_back({std::string(directory), std::string(directory)});
  for (std::string_view directory : kBoundDirectories)
    if (os::is_directory(std::string(directory)))
      root.binds.push_back({std::string(directory), std::string(directory)});
  if (!image.programs.empty()) root.binds.push_back({programs_dir_, "/opt/lateen"});
  return root;
}

Result<> Roots::make_skeleton(const Image& image, const std::string& at) {
  // Made beside its place and moved there, so that a half-made root is never used.
  const std::string draft = at + ".new";
  TRY(os::remove_tree(draft));
  for (const char* directory :
       {"/dev", "/proc", "/sys", "/run", "/usr", "/usr-local/bin", "/usr-local/share",
        "/opt/lateen", "/root", "/home", "/mnt", "/srv", "/media", "/etc", "/var/log",
        "/var/lib/istio", "/var/cache", "/var/spool"})
    TRY(os::make_directories(draft + directory));
  for (const char* directory : {"/tmp", "/var/tmp"}) {
    TRY(os::make_directories(draft + directory));
    ::chmod((draft + directory).c_str(), 01777);
  }
  TRY(link_to("/run", draft + "/var/run"));
  for (std::string_view directory : kMergedDirectories) {
    const std::string target = link_target(directory);
    if (!target.empty()) TRY(link_to(target, draft + std::string(directory)));
    else if (os::is_directory(std::string(directory)))
      TRY(os::make_directories(draft + std::string(directory)));
  }
  for (std::string_view directory : kBoundDirectories)
    TRY(os::make_directories(draft + std::string(directory)));
  for (std::string_view file : kCopiedFiles)
    if (auto text = os::read_file(std::string(file)); text.ok())
      TRY(os::write_file(draft + std::string(file), text.value()));
  TRY(os::write_file(draft + "/etc/passwd", kPasswd));
  TRY(os::write_file(draft + "/etc/group", kGroup));
  TRY(os::write_file(draft + "/etc/nsswitch.conf", kNsswitch));
  for (const char* file : {"/etc/hosts", "/etc/resolv.conf", "/etc/hostname"})
    TRY(os::write_file(draft + file, ""));
  for (const auto& [name, program] : image.programs) {
    const std::string where =
        name.starts_with("/") ? draft + name : draft + "/usr-local/bin/" + name;
    TRY(link_to("/opt/lateen/" + program, where));
  }
  if (::rename(draft.c_str(), at.c_str()) != 0)
    return errno_error("making image root " + at, errno);
  return {};
}

}  // namespace lateen::cluster::images
