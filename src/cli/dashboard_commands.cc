// dashboard: forwards a local port to a web page of the mesh, prints its address, and opens a
// browser.
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>

#include "base/strings.h"
#include "cli/istioctl.h"
#include "cli/proxy_admin.h"
#include "kube/port_forward.h"

extern char** environ;

namespace lateen::cli {
namespace {

struct DashboardFlags {
  std::string pod;
  std::string selector;
  std::string address = "localhost";
  std::string revision;
  int local_port = 0;
  int ui_port = 0;
  bool is_browser_wanted = true;
};

struct Page {
  const char* name;
  const char* help;
  const char* service;                 // whose pods serve it
  std::vector<const char*> selectors;  // where installations put it, tried in order
  int port;
  const char* path;
};

const std::vector<Page>& pages() {
  static const std::vector<Page> kPages = {
      {"kiali",
       "Open Kiali web UI",
       "kiali",
       {"app=kiali", "app.kubernetes.io/name=kiali"},
       20001,
       "/kiali"},
      {"grafana",
       "Open Grafana web UI",
       "grafana",
       {"app.kubernetes.io/name=grafana", "app=grafana"},
       3000,
       ""},
      {"jaeger", "Open Jaeger web UI", "tracing", {"app=jaeger"}, 16686, ""},
      {"prometheus",
       "Open Prometheus web UI",
       "prometheus",
       {"app.kubernetes.io/name=prometheus", "app=prometheus"},
       9090,
       ""},
      {"zipkin", "Open Zipkin web UI", "zipkin", {"app=zipkin", "app=jaeger"}, 9411, ""},
      {"skywalking", "Open SkyWalking UI", "skywalking-ui", {"app=skywalking-ui"}, 8080, ""}};
  return kPages;
}

Result<Json> first_running(kube::Client& client, const std::string& ns,
                           const std::string& selector) {
  kube::ListOptions options;
  options.label_selector = selector;
  const Json list = TRY(client.list(kube::resources::pods(), ns, options));
  for (const Json& pod : data::get_array(list, {"items"})) {
    if (data::get_string(pod, {"status", "phase"}) == "Running" && !kube::is_deleting(pod))
      return pod;
  }
  return not_found("no running pods found with selector " + selector + " in namespace " + ns);
}

Result<Json> pod_of_page(Session& session, const Page& page, const DashboardFlags& flags) {
  kube::Client* client = TRY(session.client());
  const std::string ns = session.ns.empty() ? session.istio_ns : session.ns;
  if (!flags.selector.empty()) return first_running(*client, ns, flags.selector);
  for (const auto selector : page.selectors) {
    if (auto pod = first_running(*client, ns, selector)) return pod;
  }
  return not_found(std::string("no ") + page.name + " pods found in namespace " + ns +
                   ": install the addon first, as in `kubectl apply -f samples/addons/" +
                   page.name + ".yaml`");
}

// Waits for Ctrl-C. Signals are blocked before the forward's threads start, so that only we take
// them.
class Interrupt {
 public:
  Interrupt() {
    sigemptyset(&wanted_);
    sigaddset(&wanted_, SIGINT);
    sigaddset(&wanted_, SIGTERM);
    pthread_sigmask(SIG_BLOCK, &wanted_, &before_);
  }
  ~Interrupt() { pthread_sigmask(SIG_SETMASK, &before_, nullptr); }
  void wait() const {
    int which = 0;
    sigwait(&wanted_, &which);
  }

 private:
  sigset_t wanted_{}, before_{};
};

bool open_browser(const std::string& url) {
  // A browser needs a screen; on a plain terminal the printed address has to do.
  if (std::getenv("DISPLAY") == nullptr && std::getenv("WAYLAND_DISPLAY") == nullptr &&
      std::getenv("BROWSER") == nullptr)
    return false;
  std::string program = "xdg-open", argument = url;
  char* const arguments[] = {program.data(), argument.data(), nullptr};
  pid_t child = 0;
  if (posix_spawnp(&child, "xdg-open", nullptr, nullptr, arguments, environ) != 0) return false;
  int status = 0;
  return waitpid(child, &status, 0) == child && WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

Result<> show(Session& session, const Json& pod, int port, const std::string& path,
              const DashboardFlags& flags) {
  kube::Client* client = TRY(session.client());
  const Interrupt interrupt;
  auto forward = kube::PortForwarder::start(*client, kube::key_of(pod), port,
                                            flags.local_port != 0 ? flags.local_port : port);
  // The usual port is only a wish: when it is taken, any other will do, unless one was asked for.
  if (!forward && flags.local_port == 0)
    forward = kube::PortForwarder::start(*client, kube::key_of(pod), port, 0);
  if (!forward)
    return std::move(forward).error().at("forwarding to pod " + kube::key_of(pod).to_string());
  const std::string url =
      "http://" + flags.address + ":" + std::to_string((*forward)->local_port()) + path;
  session.out << url << "\n" << std::flush;
  if (!flags.is_browser_wanted) session.out << "skipping opening a browser\n" << std::flush;
  else if (!open_browser(url))
    session.out << "Failed to open browser; open " << url << " in your browser.\n" << std::flush;
  interrupt.wait();
  return {};
}

void add_flags(CLI::App& command, DashboardFlags& flags) {
  command
      .add_option("--address", flags.address,
                  "Host in the printed address; only loopback is listened on")
      ->capture_default_str();
  command.add_flag("--browser,!--no-browser", flags.is_browser_wanted,
                   "Open a browser; --browser=false does not");
  command.add_option("-p,--port", flags.local_port,
                     "Local port; by default the page's own, or any when that is taken");
  command.add_option("--ui-port", flags.ui_port, "The page's port in its pod");
  command.add_option("-l,--selector", flags.selector, "Label selector of the pod");
}

Result<Json> chosen_pod(Session& session, const DashboardFlags& flags, const std::string& what) {
  if (!flags.pod.empty() && !flags.selector.empty())
    return invalid("name, namespace, and selector cannot all be specified");
  if (!flags.pod.empty()) return find_pod(session, flags.pod);
  if (flags.selector.empty()) return invalid("specify a pod or --selector for " + what);
  return first_running(*TRY(session.client()), TRY(session.effective_namespace()), flags.selector);
}

}  // namespace

void add_dashboard_commands(CLI::App& app, Session& session) {
  auto* group =
      app.add_subcommand("dashboard", "Access to Istio web UIs")->alias("dash")->alias("d");
  group->require_subcommand(1);
  for (const Page& page : pages()) {
    auto* command = group->add_subcommand(page.name, page.help);
    auto flags = std::make_shared<DashboardFlags>();
    add_flags(*command, *flags);
    on_run(*command, session, [&session, &page, flags]() -> Result<> {
      const Json pod = TRY(pod_of_page(session, page, *flags));
      return show(session, pod, flags->ui_port != 0 ? flags->ui_port : page.port, page.path,
                  *flags);
    });
  }
  for (const char* name : {"envoy", "proxy"}) {
    auto* command = group->add_subcommand(name, "Open admin web UI for a proxy");
    auto flags = std::make_shared<DashboardFlags>();
    add_flags(*command, *flags);
    command->add_option("pod", flags->pod, "NAME[.NAMESPACE] or deployment/NAME");
    on_run(*command, session, [&session, flags]() -> Result<> {
      return show(session, TRY(chosen_pod(session, *flags, "the proxy")),
                  flags->ui_port != 0 ? flags->ui_port : kProxyAdminPort, "", *flags);
    });
  }
  struct Istiod {
    const char* name;
    const char* help;
    int port;
    const char* path;
  };
  static constexpr Istiod kIstiod[] = {
      {"controlz", "Open ControlZ web UI", 9876, ""},
      {"istiod-debug", "Open Istio debug web UI", 15014, "/debug"}};
  for (const auto& each : kIstiod) {
    auto* command = group->add_subcommand(each.name, each.help);
    auto flags = std::make_shared<DashboardFlags>();
    add_flags(*command, *flags);
    command->add_option("pod", flags->pod, "NAME[.NAMESPACE] of an istiod");
    command->add_option("-r,--revision", flags->revision, "The istiod of this revision");
    on_run(*command, session, [&session, &each, flags]() -> Result<> {
      // Without a name any istiod will do: there is mostly one.
      if (session.ns.empty()) session.ns = session.istio_ns;
      if (flags->pod.empty() && flags->selector.empty())
        flags->selector =
            "app=istiod" + (flags->revision.empty() ? "" : ",istio.io/rev=" + flags->revision);
      return show(session, TRY(chosen_pod(session, *flags, "istiod")),
                  flags->ui_port != 0 ? flags->ui_port : each.port, each.path, *flags);
    });
  }
}

}  // namespace lateen::cli
