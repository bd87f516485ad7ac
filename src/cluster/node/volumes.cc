// Volumes.
#include "cluster/node/volumes.h"

#include <fmt/format.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>

#include "base/strings.h"
#include "linux/files.h"

namespace lateen::cluster::node {
namespace {

constexpr seconds kTokenSeconds{3600};

std::optional<unsigned> group_of(const Json& pod) {
  const Json* group = data::find(pod, {"spec", "securityContext", "fsGroup"});
  const auto number = group == nullptr ? std::nullopt : data::as_int(*group);
  return number.has_value() ? std::optional(static_cast<unsigned>(*number)) : std::nullopt;
}

bool is_inside(std::string_view path) {
  if (path.empty() || path.front() == '/') return false;
  for (std::string_view part : split(path, '/'))
    if (part == "..") return false;
  return true;
}

bool is_mount_point(const std::string& path) {
  struct stat own {
  }, parent{};
  return ::stat(path.c_str(), &own) == 0 && ::stat((path + "/..").c_str(), &parent) == 0 &&
         own.st_dev != parent.st_dev;
}

Result<> mount_memory(const std::string& directory, std::string_view limit) {
  std::string options = "mode=1777";
  if (!limit.empty())
    if (auto millis = parse_quantity_millis(limit); millis.ok() && millis.value() >= 1000)
      options += fmt::format(",size={}", millis.value() / 1000);
  if (::mount("tmpfs", directory.c_str(), "tmpfs", MS_NOSUID | MS_NODEV, options.c_str()) != 0)
    return errno_error("mounting memory at " + directory, errno);
  return {};
}

int mode_of(const Json& item, int fallback) {
  return static_cast<int>(data::get_int(item, {"mode"}, fallback)) & 0777;
}

}  // namespace

struct Volumes::Files {
  std::vector<ProjectedFile> list;
  int default_mode = 0644;
};

std::string Volumes::volume_dir(std::string_view name) const {
  return fmt::format("{}/volumes/{}", pod_dir_, name);
}

Result<> Volumes::prepare(const Json& pod, const PodFacts& facts) {
  next_renewal_.reset();
  for (const Json& volume : data::get_array(pod, {"spec", "volumes"}))
    TRY(prepare_volume(pod, volume, facts)
            .at(fmt::format("MountVolume.SetUp failed for volume \"{}\" ",
                            data::get_string(volume, {"name"}))));
  return {};
}

Result<> Volumes::prepare_volume(const Json& pod, const Json& volume, const PodFacts& facts) {
  const std::string name(data::get_string(volume, {"name"}));
  const std::string directory = volume_dir(name);
  if (const Json* source = data::find(volume, {"hostPath"})) {
    const std::string path(data::get_string(*source, {"path"}));
    const std::string_view type = data::get_string(*source, {"type"});
    if (type == "DirectoryOrCreate") TRY(os::make_directories(path));
    if (type == "FileOrCreate" && !os::path_exists(path)) TRY(os::write_file(path, ""));
    if (!os::path_exists(path)) {
      if (!type.empty())
        return not_found(fmt::format("hostPath type check failed: {} is not there", path));
      TRY(os::make_directories(path));
    }
    host_paths_[name] = path;
    return {};
  }
  if (const Json* claim = data::find(volume, {"persistentVolumeClaim"})) {
    host_paths_[name] = TRY(claim_directory(pod, data::get_string(*claim, {"claimName"})));
    return {};
  }
  if (data::find(volume, {"emptyDir"}) != nullptr || data::find(volume, {"ephemeral"}) != nullptr) {
    const bool is_memory = data::get_string(volume, {"emptyDir", "medium"}) == "Memory";
    if (os::path_exists(directory) && (!is_memory || is_mount_point(directory))) return {};
    TRY(os::make_directories(directory));
    if (is_memory)
      TRY(mount_memory(directory, data::get_string(volume, {"emptyDir", "sizeLimit"})));
    ::chmod(directory.c_str(), 0777);
    if (const auto group = group_of(pod)) {
      (void)!::chown(directory.c_str(), static_cast<uid_t>(-1), *group);
      ::chmod(directory.c_str(), 02777);
    }
    return {};
  }
  Files files;
  for (const char* kind : {"configMap", "secret", "projected", "downwardAPI"}) {
    const Json* source = data::find(volume, {kind});
    if (source == nullptr) continue;
    files.default_mode = static_cast<int>(data::get_int(*source, {"defaultMode"}, 0644)) & 0777;
    const std::string_view which = kind;
    if (which == "configMap") {
      TRY(add_object(files, pod, "ConfigMap", *source, data::get_string(*source, {"name"})));
    } else if (which == "secret") {
      TRY(add_object(files, pod, "Secret", *source, data::get_string(*source, {"secretName"})));
    } else if (which == "downwardAPI") {
      TRY(add_downward(files, pod, *source, facts));
    } else {
      for (const Json& part : data::get_array(*source, {"sources"}))
        TRY(add_projection(files, pod, part, facts));
    }
    TRY(os::make_directories(directory));
    return write_projected(directory, files.list, group_of(pod));
  }
  return invalid("this kind of volume is not supported by this cluster");
}

Result<> Volumes::add_projection(Files& files, const Json& pod, const Json& source,
                                 const PodFacts& facts) {
  if (const Json* part = data::find(source, {"serviceAccountToken"}))
    return add_token(files, pod, *part);
  if (const Json* part = data::find(source, {"configMap"}))
    return add_object(files, pod, "ConfigMap", *part, data::get_string(*part, {"name"}));
  if (const Json* part = data::find(source, {"secret"}))
    return add_object(files, pod, "Secret", *part, data::get_string(*part, {"name"}));
  if (const Json* part = data::find(source, {"downwardAPI"}))
    return add_downward(files, pod, *part, facts);
  return invalid("an unknown source of a projected volume");
}

Result<> Volumes::add_object(Files& files, const Json& pod, std::string_view kind,
                             const Json& source, std::string_view name) {
  const auto& resource =
      kind == "Secret" ? kube::resources::secrets() : kube::resources::config_maps();
  const bool is_optional = data::get_bool(source, {"optional"});
  auto object =
      client_.get(resource, kube::Key{std::string(kube::namespace_of(pod)), std::string(name)});
  if (!object.ok()) {
    if (object.error().code() == Code::kNotFound && is_optional) return {};
    return Error(object.error().code(),
                 object.error().code() == Code::kNotFound
                     ? fmt::format("{} \"{}\" not found", to_lower(kind), name)
                     : object.error().message());
  }
  const auto& items = data::get_array(source, {"items"});
  if (items.empty()) {
    for (auto& [key, value] : config_values(*object))
      files.list.push_back({key, std::move(value), files.default_mode});
    return {};
  }
  for (const Json& item : items) {
    const std::string_view key = data::get_string(item, {"key"});
    auto value = config_value(*object, key);
    if (!value.ok()) {
      if (is_optional) continue;
      return not_found(
          fmt::format("{} \"{}\" references non-existent key: {}", to_lower(kind), name, key));
    }
    files.list.push_back({std::string(data::get_string(item, {"path"})), std::move(value).value(),
                          mode_of(item, files.default_mode)});
  }
  return {};
}

Result<> Volumes::add_downward(Files& files, const Json& pod, const Json& source,
                               const PodFacts& facts) {
  for (const Json& item : data::get_array(source, {"items"})) {
    std::string text;
    if (const Json* field = data::find(item, {"fieldRef"})) {
      text = TRY(field_value(pod, data::get_string(*field, {"fieldPath"}), facts));
    } else if (const Json* resource = data::find(item, {"resourceFieldRef"})) {
      const std::string_view wanted = data::get_string(*resource, {"containerName"});
      for (const Json& container : data::get_array(pod, {"spec", "containers"}))
        if (data::get_string(container, {"name"}) == wanted)
          text = TRY(resource_value(container, data::get_string(*resource, {"resource"}),
                                    data::get_string(*resource, {"divisor"}, "1"), facts));
    }
    files.list.push_back({std::string(data::get_string(item, {"path"})), std::move(text),
                          mode_of(item, files.default_mode)});
  }
  return {};
}

Result<> Volumes::add_token(Files& files, const Json& pod, const Json& source) {
  const std::string audience(data::get_string(source, {"audience"}));
  const std::int64_t lifetime = data::get_int(source, {"expirationSeconds"}, kTokenSeconds.count());
  Token& token = tokens_[fmt::format("{}/{}", audience, lifetime)];
  const SteadyTime now = clock_.steady();
  if (token.text.empty() || now >= token.renew_at) {
    data::JsonObject spec{{"expirationSeconds", lifetime},
                          {"boundObjectRef", data::JsonObject{{"kind", "Pod"},
                                                              {"apiVersion", "v1"},
                                                              {"name", kube::name_of(pod)},
                                                              {"uid", kube::uid_of(pod)}}}};
    if (!audience.empty()) spec["audiences"] = data::JsonArray{Json(audience)};
    const data::JsonObject request{
        {"apiVersion", "authentication.k8s.io/v1"}, {"kind", "TokenRequest"}, {"spec", spec}};
    const std::string account(data::get_string(pod, {"spec", "serviceAccountName"}, "default"));
    const Json answer = TRY(client_.create_subresource(
        kube::resources::service_accounts(), {std::string(kube::namespace_of(pod)), account},
        "token", request));
    token.text = data::get_string(answer, {"status", "token"});
    // Renewed at 80 % of its life, as the kubelet does.
    seconds life(lifetime);
    auto expires = parse_rfc3339(data::get_string(answer, {"status", "expirationTimestamp"}));
    if (expires.ok()) life = std::chrono::duration_cast<seconds>(expires.value() - clock_.wall());
    token.renew_at = now + std::max(life, seconds(10)) * 4 / 5;
  }
  if (!next_renewal_.has_value() || token.renew_at < *next_renewal_) next_renewal_ = token.renew_at;
  // Readable for the container's user and nobody else is what the kubelet means by 0600 with
  // fsGroup's 0640; the containers of a pod have users of their own here, so it stays
  // world-readable inside the pod's own mounts.
  files.list.push_back({std::string(data::get_string(source, {"path"})), token.text, 0644});
  return {};
}

Result<std::string> Volumes::claim_directory(const Json& pod, std::string_view claim) {
  const std::string ns(kube::namespace_of(pod));
  auto found = client_.get(kube::resources::persistent_volume_claims(), {ns, std::string(claim)});
  if (!found.ok()) {
    if (found.error().code() != Code::kNotFound) return found.error();
    return not_found(fmt::format("persistentvolumeclaim \"{}\" not found", claim));
  }
  const std::string volume(data::get_string(*found, {"spec", "volumeName"}));
  if (volume.empty() || data::get_string(*found, {"status", "phase"}) != "Bound")
    return unavailable(fmt::format("persistentvolumeclaim \"{}\" is not bound yet", claim));
  const kube::Resource volumes{"", "v1", "persistentvolumes", "PersistentVolume", false};
  const Json bound = TRY(client_.get(volumes, {"", volume}));
  if (const auto path = data::get_string(bound, {"spec", "hostPath", "path"}); !path.empty()) {
    TRY(os::make_directories(std::string(path)));
    return std::string(path);
  }
  if (volume.find('/') != std::string::npos) return invalid("a volume's name has no slash");
  const std::string directory = fmt::format("{}/{}", claims_dir_, volume);
  if (!os::path_exists(directory)) {
    TRY(os::make_directories(directory));
    ::chmod(directory.c_str(), 0777);
  }
  return directory;
}

void Volumes::remove(const Json& pod) {
  for (const Json& volume : data::get_array(pod, {"spec", "volumes"}))
    if (data::get_string(volume, {"emptyDir", "medium"}) == "Memory")
      ::umount2(volume_dir(data::get_string(volume, {"name"})).c_str(), MNT_DETACH);
}

bool Volumes::follows(const Json& pod, std::string_view kind, std::string_view name) const {
  const bool is_secret = kind == "Secret";
  const auto names_it = [&](const Json& source, std::string_view field) {
    return data::get_string(source, {is_secret ? "secret" : "configMap", field}) == name;
  };
  for (const Json& volume : data::get_array(pod, {"spec", "volumes"})) {
    if (names_it(volume, is_secret ? "secretName" : "name")) return true;
    for (const Json& source : data::get_array(volume, {"projected", "sources"}))
      if (names_it(source, "name")) return true;
  }
  return false;
}

Result<std::vector<VolumeMount>> Volumes::mounts_of(const Json& pod, const Json& container,
                                                    const EnvironmentList& environment) const {
  std::vector<VolumeMount> mounts;
  for (const Json& wanted : data::get_array(container, {"volumeMounts"})) {
    const std::string_view name = data::get_string(wanted, {"name"});
    const Json* volume = nullptr;
    for (const Json& candidate : data::get_array(pod, {"spec", "volumes"}))
      if (data::get_string(candidate, {"name"}) == name) volume = &candidate;
    if (volume == nullptr) return not_found(fmt::format("volume \"{}\" is not in the pod", name));
    VolumeMount mount;
    mount.target = data::get_string(wanted, {"mountPath"});
    if (!mount.target.starts_with("/")) mount.target = "/" + mount.target;
    while (mount.target.size() > 1 && mount.target.ends_with("/")) mount.target.pop_back();
    mount.is_read_only = data::get_bool(wanted, {"readOnly"});
    const auto host = host_paths_.find(name);
    mount.source = host == host_paths_.end() ? volume_dir(name) : host->second;
    std::string sub(data::get_string(wanted, {"subPath"}));
    if (const auto expression = data::get_string(wanted, {"subPathExpr"}); !expression.empty())
      sub = expand_variables(expression, environment);
    if (!sub.empty()) {
      if (!is_inside(sub))
        return invalid(fmt::format("subPath \"{}\" must stay inside its volume", sub));
      mount.source += "/" + sub;
      if (!os::path_exists(mount.source)) {
        TRY(os::make_directories(mount.source));
        ::chmod(mount.source.c_str(), 0777);
      }
    }
    // Projected files are links through ..data: a mount needs what they lead to.
    if (char* real = ::realpath(mount.source.c_str(), nullptr)) {
      mount.source = real;
      std::free(real);
    }
    mounts.push_back(std::move(mount));
  }
  return mounts;
}

Result<> write_projected(const std::string& directory, const std::vector<ProjectedFile>& files,
                         std::optional<unsigned> group) {
  const std::string data_link = directory + "/..data";
  std::string contents;
  for (const ProjectedFile& file : files) {
    if (!is_inside(file.path) || file.path.starts_with(".."))
      return invalid(fmt::format("\"{}\" is no path inside a volume", file.path));
    contents += fmt::format("{}\n{}\n{}\n", file.path, file.mode, file.text);
  }
  const std::string version = fmt::format("..{:016x}", fnv1a64(contents));
  char current[256] = {};
  const ssize_t length = ::readlink(data_link.c_str(), current, sizeof current - 1);
  if (length > 0 && version == current) return {};
  const std::string fresh = directory + "/" + version;
  TRY(os::remove_tree(fresh));
  TRY(os::make_directories(fresh));
  for (const ProjectedFile& file : files) {
    const std::string path = fresh + "/" + file.path;
    if (const std::size_t slash = file.path.find_last_of('/'); slash != std::string::npos)
      TRY(os::make_directories(fresh + "/" + file.path.substr(0, slash)));
    const int mode = group.has_value() ? file.mode | 0040 : file.mode;
    TRY(os::write_file(path, file.text));
    ::chmod(path.c_str(), static_cast<mode_t>(mode));
    if (group.has_value()) (void)!::chown(path.c_str(), static_cast<uid_t>(-1), *group);
  }
  const std::string next_link = directory + "/..data_tmp";
  ::unlink(next_link.c_str());
  if (::symlink(version.c_str(), next_link.c_str()) != 0 ||
      ::rename(next_link.c_str(), data_link.c_str()) != 0)
    return errno_error("switching " + data_link, errno);
  // Links for new names; links whose files are gone go too.
  std::vector<std::string> tops;
  for (const ProjectedFile& file : files) tops.push_back(file.path.substr(0, file.path.find('/')));
  for (const std::string& top : tops)
    if (!os::path_exists(directory + "/" + top))
      (void)!::symlink(("..data/" + top).c_str(), (directory + "/" + top).c_str());
  for (const std::string& name : os::list_directory(directory)) {
    if (name == "..data" || name == version) continue;
    if (std::find(tops.begin(), tops.end(), name) == tops.end())
      TRY(os::remove_tree(directory + "/" + name));
  }
  return {};
}

}  // namespace lateen::cluster::node
