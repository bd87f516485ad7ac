// Launching containers.
#include "cluster/node/launch.h"

#include <fmt/format.h>
#include <sys/stat.h>

#include <algorithm>

#include "base/strings.h"
#include "kube/quantity.h"
#include "linux/files.h"

namespace lateen::cluster::node {
namespace {

constexpr std::string_view kPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
// What containerd leaves a container by default.
constexpr std::string_view kDefaultCapabilities[] = {
    "CHOWN",   "DAC_OVERRIDE", "FSETID",           "FOWNER",
    "MKNOD",   "NET_RAW",      "SETGID",           "SETUID",
    "SETFCAP", "SETPCAP",      "NET_BIND_SERVICE", "SYS_CHROOT",
    "KILL",    "AUDIT_WRITE"};

std::vector<std::string> texts(const data::JsonArray& array) {
  std::vector<std::string> list;
  for (const Json& part : array) list.emplace_back(data::as_string(part));
  return list;
}

std::uint64_t capabilities_of(const Json& container) {
  if (data::get_bool(container, {"securityContext", "privileged"})) return ~0ull;
  std::uint64_t bits = 0;
  for (std::string_view name : kDefaultCapabilities) bits |= os::capability_bits(name).value_or(0);
  for (const Json& name : data::get_array(container, {"securityContext", "capabilities", "drop"}))
    bits &= ~os::capability_bits(data::as_string(name)).value_or(0);
  for (const Json& name : data::get_array(container, {"securityContext", "capabilities", "add"}))
    bits |= os::capability_bits(data::as_string(name)).value_or(0);
  return bits;
}

std::optional<std::int64_t> security_number(const Json& pod, const Json& container,
                                            std::string_view field) {
  for (const Json* value : {data::find(container, {"securityContext", field}),
                            data::find(pod, {"spec", "securityContext", field})})
    if (value != nullptr)
      if (const auto number = data::as_int(*value)) return number;
  return std::nullopt;
}

ResourceLimits limits_of(const Json& container) {
  const auto limit = [&](std::string_view name) -> std::optional<kube::Quantity> {
    const Json* value = data::find(container, {"resources", "limits", name});
    if (value == nullptr) return std::nullopt;
    auto quantity = kube::Quantity::parse(data::as_string(*value));
    return quantity.ok() ? std::optional(*quantity) : std::nullopt;
  };
  ResourceLimits limits;
  if (const auto memory = limit("memory")) limits.memory_bytes = memory->value();
  if (const auto cpu = limit("cpu")) limits.cpu_millis = cpu->milli_value();
  return limits;
}

}  // namespace

struct Launcher::Prepared {
  images::Image image;
  ContainerConfig config;
  EnvironmentList environment;
  std::string termination_path;  // inside the container
  std::string termination_log;   // on the node
};

std::string Launcher::hostname_of(const Json& pod) {
  std::string name(data::get_string(pod, {"spec", "hostname"}, kube::name_of(pod)));
  if (name.size() > 63) name.resize(63);
  while (name.ends_with("-") || name.ends_with(".")) name.pop_back();
  return name;
}

std::string Launcher::log_path(std::string_view container, int attempt) const {
  return fmt::format("{}/logs/{}/{}.log", pod_dir_, container, attempt);
}

std::string Launcher::image_id(std::string_view reference) {
  auto image = node_.catalog.find(reference);
  if (!image.ok()) return {};
  return fmt::format("lateen://{}@{:016x}", image->repository,
                     fnv1a64(data::dump_json(to_json(*image))));
}

Result<> Launcher::write_pod_files(const Json& pod, const PodFacts& facts) {
  TRY(os::make_directories(pod_dir_ + "/etc"));
  const std::string hostname = hostname_of(pod);
  std::string hosts =
      "# Kubernetes-managed hosts file.\n127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost "
      "ip6-loopback\n";
  std::string names = hostname;
  const std::string_view subdomain = data::get_string(pod, {"spec", "subdomain"});
  if (!subdomain.empty())
    names = fmt::format("{0}.{1}.{2}.svc.cluster.local\t{0}", hostname, subdomain,
                        kube::namespace_of(pod));
  hosts += fmt::format("{}\t{}\n", facts.pod_ip, names);
  for (const Json& alias : data::get_array(pod, {"spec", "hostAliases"}))
    hosts += fmt::format("{}\t{}\n", data::get_string(alias, {"ip"}),
                         join(texts(data::get_array(alias, {"hostnames"})), "\t"));
  TRY(os::write_file(pod_dir_ + "/etc/hosts", hosts));
  TRY(os::write_file(pod_dir_ + "/etc/hostname", hostname + "\n"));

  const Json* config = data::find(pod, {"spec", "dnsConfig"});
  const Json none = data::JsonObject{};
  if (config == nullptr) config = &none;
  std::vector<std::string> servers = texts(data::get_array(*config, {"nameservers"}));
  std::vector<std::string> searches = texts(data::get_array(*config, {"searches"}));
  std::string options;
  if (data::get_string(pod, {"spec", "dnsPolicy"}, "ClusterFirst") != "None") {
    servers.insert(servers.begin(), os::format_ipv4(kDnsIp));
    const std::string own[] = {fmt::format("{}.svc.cluster.local", kube::namespace_of(pod)),
                               "svc.cluster.local", "cluster.local"};
    searches.insert(searches.begin(), std::begin(own), std::end(own));
    options = " ndots:5";
  }
  for (const Json& option : data::get_array(*config, {"options"})) {
    const auto value = data::get_string(option, {"value"});
    const auto name = data::get_string(option, {"name"});
    if (name == "ndots") options.clear();
    options += fmt::format(" {}{}{}", name, value.empty() ? "" : ":", value);
  }
  std::string resolv;
  if (!searches.empty()) resolv += fmt::format("search {}\n", join(searches, " "));
  for (const std::string& server : servers) resolv += fmt::format("nameserver {}\n", server);
  if (!options.empty()) resolv += fmt::format("options{}\n", options);
  return os::write_file(pod_dir_ + "/etc/resolv.conf", resolv);
}

Result<os::Credentials> Launcher::credentials_of(const Json& pod, const Json& container,
                                                 const images::Image& image) {
  os::Credentials credentials;
  credentials.capabilities = capabilities_of(container);
  const Json* escalation = data::find(container, {"securityContext", "allowPrivilegeEscalation"});
  credentials.is_no_new_privileges =
      escalation != nullptr && escalation->is_bool() && !escalation->get_bool();
  const auto image_ids = split(image.user, ':');
  const auto image_uid = parse_int(image_ids[0]);
  const std::int64_t uid =
      security_number(pod, container, "runAsUser").value_or(image_uid.value_or(0));
  const auto image_gid = image_ids.size() > 1 ? parse_int(image_ids[1]) : std::nullopt;
  const std::int64_t gid = security_number(pod, container, "runAsGroup")
                               .value_or(image_gid.value_or(uid == 1337 ? 1337 : 0));
  bool is_root_forbidden = data::get_bool(pod, {"spec", "securityContext", "runAsNonRoot"});
  is_root_forbidden =
      data::get_bool(container, {"securityContext", "runAsNonRoot"}, is_root_forbidden);
  if (is_root_forbidden && uid == 0) {
    // Root only because the catalog's stand-in has no user of its own: nobody is as good as the
    // image's user.
    if (security_number(pod, container, "runAsUser").has_value())
      return invalid("container's runAsUser breaks non-root policy");
    credentials.uid = credentials.gid = 65534;
  } else {
    credentials.uid = static_cast<uid_t>(uid);
    credentials.gid = static_cast<gid_t>(gid);
  }
  if (const auto group = security_number(pod, Json(), "fsGroup"))
    credentials.groups.push_back(static_cast<gid_t>(*group));
  for (const Json& group : data::get_array(pod, {"spec", "securityContext", "supplementalGroups"}))
    if (const auto number = data::as_int(group))
      credentials.groups.push_back(static_cast<gid_t>(*number));
  if (node_.is_single_user) {
    // Nobody else exists. The mesh's redirection tells its proxy by a socket mark instead of a user
    // id, for which the proxy keeps CAP_NET_ADMIN over its own network namespace.
    credentials.uid = credentials.gid = 0;
    credentials.groups.clear();
    credentials.capabilities |= os::capability_bits("NET_ADMIN").value_or(0);
  }
  return credentials;
}

void Launcher::add_pod_mounts(Prepared& prepared, const Json& container) {
  auto& mounts = prepared.config.mounts;
  const auto has_target = [&](std::string_view target) {
    return std::any_of(mounts.begin(), mounts.end(),
                       [&](const auto& mount) { return mount.target == target; });
  };
  for (const char* file : {"/etc/hosts", "/etc/resolv.conf", "/etc/hostname"})
    if (!has_target(file)) mounts.push_back({pod_dir_ + file, file});
  prepared.termination_path =
      data::get_string(container, {"terminationMessagePath"}, "/dev/termination-log");
  mounts.push_back({prepared.termination_log, prepared.termination_path});
}

Result<> Launcher::prepare(Prepared& prepared, const Json& pod, const Json& container, int attempt,
                           const PodFacts& facts, const Volumes& volumes) {
  const std::string ns(kube::namespace_of(pod));
  const auto lookup = [&](const kube::Resource& resource) {
    return [this, ns, &resource](std::string_view name) {
      return node_.client.get(resource, kube::Key{ns, std::string(name)});
    };
  };
  const Lookups lookups{lookup(kube::resources::config_maps()), lookup(kube::resources::secrets())};
  EnvironmentList base{{"PATH", std::string(kPath)}};
  base.insert(base.end(), prepared.image.environment.begin(), prepared.image.environment.end());
  if (node_.is_single_user) base.emplace_back("LATEEN_SINGLE_UID", "1");
  prepared.environment =
      TRY(container_environment(pod, container, base, node_.services(), facts, lookups));
  ContainerConfig& config = prepared.config;
  config.credentials = TRY(credentials_of(pod, container, prepared.image));
  const bool has_home = std::any_of(prepared.environment.begin(), prepared.environment.end(),
                                    [](const auto& entry) { return entry.first == "HOME"; });
  if (!has_home)
    prepared.environment.emplace_back("HOME", config.credentials.uid == 0      ? "/root"
                                              : config.credentials.uid == 1337 ? "/var/lib/istio"
                                                                               : "/");
  for (const auto& [name, value] : prepared.environment)
    config.environment.push_back(name + "=" + value);

  const auto command = texts(data::get_array(container, {"command"}));
  const auto arguments = texts(data::get_array(container, {"args"}));
  config.arguments = command.empty() ? prepared.image.entrypoint : command;
  const auto& rest = !arguments.empty() ? arguments
                     : command.empty()  ? prepared.image.arguments
                                        : arguments;
  config.arguments.insert(config.arguments.end(), rest.begin(), rest.end());
  for (std::string& argument : config.arguments)
    argument = expand_variables(argument, prepared.environment);
  if (config.arguments.empty()) return invalid("no command specified");

  config.root = TRY(node_.roots.root_of(prepared.image));
  config.work_dir =
      fmt::format("{}/containers/{}", pod_dir_, data::get_string(container, {"name"}));
  TRY(os::remove_tree(config.work_dir));  // a restarted container begins with a fresh layer
  prepared.termination_log =
      fmt::format("{}/termination-{}-{}", pod_dir_, data::get_string(container, {"name"}), attempt);
  TRY(os::write_file(prepared.termination_log, ""));
  ::chmod(prepared.termination_log.c_str(), 0666);
  config.mounts = TRY(volumes.mounts_of(pod, container, prepared.environment));
  add_pod_mounts(prepared, container);
  config.working_directory =
      data::get_string(container, {"workingDir"}, prepared.image.working_directory);
  config.is_root_read_only =
      data::get_bool(container, {"securityContext", "readOnlyRootFilesystem"});
  config.is_privileged = data::get_bool(container, {"securityContext", "privileged"});
  return {};
}

std::shared_ptr<const RunningContainer> Launcher::launch(const Json& pod, const Json& container,
                                                         int attempt, const PodFacts& facts,
                                                         const Sandbox& sandbox,
                                                         const Volumes& volumes,
                                                         LaunchError& error) {
  Prepared prepared;
  auto image = node_.catalog.find(data::get_string(container, {"image"}));
  if (!image.ok()) {
    error = {image.error().code() == Code::kInvalidArgument ? "InvalidImageName" : "ErrImagePull",
             image.error().message()};
    return nullptr;
  }
  prepared.image = std::move(image).value();
  const auto failed = [&](std::string_view reason, const Error& why) {
    error = {std::string(reason), why.message()};
    return nullptr;
  };
  if (auto ready = prepare(prepared, pod, container, attempt, facts, volumes); !ready.ok())
    return failed("CreateContainerConfigError", ready.error());
  auto running = std::make_shared<RunningContainer>();
  running->id =
      fmt::format("{}_{}_{}", kube::uid_of(pod), data::get_string(container, {"name"}), attempt);
  running->log_path = log_path(data::get_string(container, {"name"}), attempt);
  running->is_stdin_once = data::get_bool(container, {"stdinOnce"});
  ContainerConfig& config = prepared.config;
  Fd out, err, child_in, child_out, child_err;
  const auto connected = [&]() -> Result<> {
    TRY(os::make_directories(running->log_path.substr(0, running->log_path.find_last_of('/'))));
    if (data::get_bool(container, {"tty"})) {
      auto terminal = TRY(os::make_pty(80, 24));
      running->terminal_fd = TRY(terminal.first.duplicate());
      if (data::get_bool(container, {"stdin"})) running->stdin_fd = TRY(terminal.first.duplicate());
      out = std::move(terminal.first);
      child_in = std::move(terminal.second);
      config.is_terminal = true;
      config.stdin_fd = config.stdout_fd = config.stderr_fd = child_in.get();
      return {};
    }
    auto out_pipe = TRY(os::make_pipe());
    auto err_pipe = TRY(os::make_pipe());
    if (data::get_bool(container, {"stdin"})) {
      auto in_pipe = TRY(os::make_pipe());
      running->stdin_fd = std::move(in_pipe.second);
      child_in = std::move(in_pipe.first);
    }
    out = std::move(out_pipe.first);
    err = std::move(err_pipe.first);
    child_out = std::move(out_pipe.second);
    child_err = std::move(err_pipe.second);
    config.stdin_fd = child_in.get();
    config.stdout_fd = child_out.get();
    config.stderr_fd = child_err.get();
    return {};
  }();
  if (!connected.ok()) return failed("CreateContainerError", connected.error());
  auto group = node_.cgroups->make(running->id, limits_of(container));
  if (!group.ok()) return failed("CreateContainerError", group.error());
  running->group = std::move(group).value();
  config.group = running->group.get();
  auto child = start_container(config, sandbox, node_.layering);
  if (!child.ok())
    return failed(child.error().message().starts_with("exec:") ? "ContainerCannotRun"
                                                               : "CreateContainerError",
                  child.error());
  running->child = std::move(child).value();
  running->environment = std::move(config.environment);
  running->working_directory = config.working_directory;
  running->credentials = config.credentials;
  running->termination_log = prepared.termination_log;
  node_.pump.add(running->id, running->log_path, std::move(out), std::move(err));
  return running;
}

}  // namespace lateen::cluster::node
