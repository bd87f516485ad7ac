// `lateen console prometheus …`: runs Debian's Prometheus on a rewritten copy of its configuration
// and answers its questions for Kubernetes targets. `lateen console configmap-reload …`: tells a
// server that its mounted configuration changed. Wiring only.
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <sstream>
#include <thread>

#include "base/log.h"
#include "base/strings.h"
#include "bin/console_prometheus.h"
#include "console/prometheus/target_source.h"
#include "console/server/api.h"
#include "event/epoll_loop.h"
#include "http/blocking_client.h"
#include "http/server.h"

namespace lateen::bin {
namespace {

constexpr milliseconds kLookInterval{500};
constexpr int kCannotRun = 127;

Result<std::string> read_file(const std::string& path) {
  std::ifstream file(path);
  if (!file) return errno_error("reading " + path, errno);
  std::stringstream text;
  text << file.rdbuf();
  return text.str();
}

// The queries of the configuration in force; shared by the watcher and the server's workers.
class Queries {
 public:
  void set(std::vector<console::TargetQuery> queries) {
    const std::lock_guard lock(mutex_);
    queries_ = std::move(queries);
  }
  std::optional<console::TargetQuery> at(std::size_t number) const {
    const std::lock_guard lock(mutex_);
    if (number >= queries_.size()) return std::nullopt;
    return queries_[number];
  }

 private:
  mutable std::mutex mutex_;
  std::vector<console::TargetQuery> queries_;
};

// Rewrites `from` into `to`. Prometheus reads `to`; rule_files with relative paths are resolved
// beside it, so it lies in a folder of its own and the addon's are absolute.
Result<> rewrite(const std::string& from, const std::string& to, const std::string& base_url,
                 Queries& queries) {
  const std::string yaml = TRY(read_file(from));
  auto rewritten = TRY(console::rewrite_scrape_config(yaml, base_url).at(from));
  queries.set(rewritten.queries);
  const std::string fresh = to + ".new";
  {
    std::ofstream file(fresh, std::ios::trunc);
    file << rewritten.yaml;
    if (!file.flush()) return errno_error("writing " + fresh, errno);
  }
  std::error_code error;
  std::filesystem::rename(fresh, to, error);
  if (error) return errno_error("renaming " + fresh, error.value());
  return {};
}

struct Arguments {
  std::string config = "/etc/prometheus/prometheus.yml";
  std::vector<std::string> rest;
};

Arguments read_arguments(const std::vector<std::string>& arguments) {
  Arguments out;
  for (std::size_t i = 1; i < arguments.size(); ++i) {
    const std::string& one = arguments[i];
    if (one.starts_with("--config.file=")) {
      out.config = one.substr(14);
    } else if (one == "--config.file" && i + 1 < arguments.size()) {
      out.config = arguments[++i];
    } else {
      out.rest.push_back(one);
    }
  }
  return out;
}

pid_t spawn(const std::string& program, const std::vector<std::string>& arguments) {
  std::vector<char*> argv{const_cast<char*>(program.c_str())};
  for (const std::string& one : arguments) argv.push_back(const_cast<char*>(one.c_str()));
  argv.push_back(nullptr);
  sigset_t none;
  sigemptyset(&none);
  const pid_t child = fork();
  if (child != 0) return child;
  sigprocmask(SIG_SETMASK, &none, nullptr);
  execvp(program.c_str(), argv.data());
  _exit(kCannotRun);
}

// Serves the targets on a loopback port in a thread of its own.
class TargetServer {
 public:
  static Result<std::unique_ptr<TargetServer>> start(console::TargetSource& source,
                                                     Queries& queries) {
    auto self = std::unique_ptr<TargetServer>(new TargetServer(source, queries));
    self->loop_ = TRY(event::make_epoll_loop(self->clock_, system_random()));
    auto fd = TRY(net::listen_on(TRY(net::Address::parse("127.0.0.1:0"))));
    self->server_ = std::make_unique<http::Server>(*self->loop_, std::move(fd), *self->dispatcher_);
    self->base_url_ = fmt::format("http://{}/targets", self->server_->address().to_string());
    self->thread_ = std::thread([raw = self.get()] { raw->loop_->run(); });
    return self;
  }
  ~TargetServer() {
    loop_->stop();
    if (thread_.joinable()) thread_.join();
  }
  const std::string& base_url() const { return base_url_; }

 private:
  TargetServer(console::TargetSource& source, Queries& queries) {
    dispatcher_ = std::make_unique<console::Dispatcher>(
        workers_, [&source, &queries](const console::ApiRequest& request) {
          const auto number = parse_uint(
              std::string_view(request.path)
                  .substr(std::min(request.path.size(), std::string_view("/targets/").size())));
          const auto query = number ? queries.at(*number) : std::nullopt;
          if (!query) return console::ApiReply::error(not_found("no such target list"));
          const auto targets = source.targets(*query);
          if (!targets.ok()) return console::ApiReply::error(targets.error());
          return console::ApiReply::json(targets.value());
        });
  }
  SystemClock clock_;
  // A job under way uses both, so they outlive the workers.
  std::unique_ptr<console::Dispatcher> dispatcher_;
  std::unique_ptr<event::Loop> loop_;
  console::Workers workers_{2};
  std::unique_ptr<http::Server> server_;
  std::string base_url_;
  std::thread thread_;
};

// Waits for a signal or the child's end, and keeps the rewritten file up to date meanwhile.
int watch_child(pid_t child, const sigset_t& signals, const Function<void()>& look) {
  while (true) {
    const timespec wait{0, 500'000'000};
    const int got = sigtimedwait(&signals, nullptr, &wait);
    if (got == SIGTERM || got == SIGINT || got == SIGHUP) kill(child, got);
    int status = 0;
    if (waitpid(child, &status, WNOHANG) == child) {
      return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
    }
    look();
  }
}

Result<int> run(const std::vector<std::string>& arguments) {
  sigset_t signals;
  sigemptyset(&signals);
  for (const int one : {SIGTERM, SIGINT, SIGHUP, SIGCHLD}) sigaddset(&signals, one);
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  signal(SIGPIPE, SIG_IGN);

  const Arguments wanted = read_arguments(arguments);
  auto config = kube::in_cluster_config();
  if (!config.ok()) config = kube::load_kubeconfig("");
  const auto client = TRY(kube::connect(TRY(std::move(config))));
  console::TargetSource source(*client);
  Queries queries;
  const auto server = TRY(TargetServer::start(source, queries));
  std::string folder =
      (std::filesystem::temp_directory_path() / "lateen-prometheus-XXXXXX").string();
  if (mkdtemp(folder.data()) == nullptr) return errno_error("making " + folder, errno);
  const std::string copy = folder + "/prometheus.yml";
  TRY(rewrite(wanted.config, copy, server->base_url(), queries));
  std::string current = TRY(read_file(wanted.config));

  std::vector<std::string> child_arguments = wanted.rest;
  child_arguments.push_back("--config.file=" + copy);
  const char* program = getenv("LATEEN_PROMETHEUS");
  const pid_t child = spawn(program == nullptr ? "/usr/bin/prometheus" : program, child_arguments);
  if (child < 0) return errno_error("starting prometheus", errno);
  const int status = watch_child(child, signals, [&] {
    auto text = read_file(wanted.config);
    if (!text.ok() || text.value() == current) return;
    current = text.value();
    const auto done = rewrite(wanted.config, copy, server->base_url(), queries);
    if (done.ok()) {
      kill(child, SIGHUP);  // reload
    } else {
      LOG(kError, "prometheus", "the changed configuration is not used: {}",
          done.error().message());
    }
  });
  std::error_code error;
  std::filesystem::remove_all(folder, error);
  return status;
}

// What a person sees change in a mounted ConfigMap: the target of its ..data link, and file times.
std::string fingerprint(const std::vector<std::string>& folders) {
  std::string text;
  for (const std::string& folder : folders) {
    std::error_code error;
    for (const auto& entry : std::filesystem::directory_iterator(folder, error)) {
      if (entry.is_symlink(error))
        text += std::filesystem::read_symlink(entry.path(), error).string();
      const auto time =
          std::filesystem::last_write_time(entry.path(), error).time_since_epoch().count();
      text += fmt::format("{}:{};", entry.path().string(), time);
    }
  }
  return text;
}

}  // namespace

int run_prometheus(const std::vector<std::string>& arguments) {
  const auto status = run(arguments);
  if (status.ok()) return status.value();
  LOG(kError, "prometheus", "{}", status.error().message());
  return 1;
}

Result<> run_configmap_reload(const std::vector<std::string>& arguments) {
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGTERM);
  sigaddset(&signals, SIGINT);
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  std::vector<std::string> folders, urls;
  std::string listen;
  for (const std::string& one : arguments) {
    const auto parts = split_once(one, "=");
    if (!parts) continue;
    const auto name = parts->first;
    if (name == "--volume-dir" || name == "-volume-dir" || name == "--watched-dir") {
      folders.emplace_back(parts->second);
    } else if (name == "--webhook-url" || name == "-webhook-url" || name == "--reload-url") {
      urls.emplace_back(parts->second);
    } else if (name == "--listen-address") {
      listen = parts->second;
    }
  }
  if (folders.empty() || urls.empty()) {
    return invalid("configmap-reload needs --volume-dir=DIR and --webhook-url=URL");
  }
  SystemClock clock;
  auto loop = TRY(event::make_epoll_loop(clock, system_random()));
  std::unique_ptr<console::Dispatcher> health;
  console::Workers workers(1);
  health = std::make_unique<console::Dispatcher>(
      workers, [](const console::ApiRequest&) { return console::ApiReply::text("ok\n"); });
  std::unique_ptr<http::Server> server;
  std::thread serving;
  if (!listen.empty()) {
    if (listen.starts_with(":")) listen = "0.0.0.0" + listen;
    server = std::make_unique<http::Server>(
        *loop, TRY(net::listen_on(TRY(net::Address::parse(listen)))), *health);
    serving = std::thread([&loop] { loop->run(); });
  }
  http::BlockingClient client;
  std::string seen = fingerprint(folders);
  LOG(kInfo, "configmap-reload", "watching {} folders", folders.size());
  const timespec wait{0, std::chrono::duration_cast<nanoseconds>(kLookInterval).count()};
  while (sigtimedwait(&signals, nullptr, &wait) < 0) {
    std::string now = fingerprint(folders);
    if (now == seen) continue;
    seen = std::move(now);
    for (const std::string& url : urls) {
      http::PlainRequest request;
      request.method = "POST";
      request.url = url;
      const auto told = client.call(request);
      LOG(kInfo, "configmap-reload", "told {}: {}", url,
          told.ok() ? std::to_string(told.value().status) : told.error().message());
    }
  }
  loop->stop();
  if (serving.joinable()) serving.join();
  return {};
}

}  // namespace lateen::bin
