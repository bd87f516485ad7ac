// Each UI is a label selector and a port; pods are found, not services, as upstream does.
#include "cli/dashboard.h"

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <CLI/CLI.hpp>

#include "cli/pods.h"
#include "kube/port_forward.h"

namespace lateen::cli {
namespace {

struct Page {
  const char* name;
  const char* selector;  // null: the pod is an argument
  int port;
  const char* path;
  const char* help;
};
constexpr Page kPages[] = {
    {"kiali", "app=kiali", 20001, "/kiali", "Open Kiali web UI"},
    {"jaeger", "app=jaeger", 16686, "", "Open Jaeger web UI"},
    {"grafana", "app.kubernetes.io/name=grafana", 3000, "", "Open Grafana web UI"},
    {"prometheus", "app.kubernetes.io/name=prometheus", 9090, "", "Open Prometheus web UI"},
    {"zipkin", "app=zipkin", 9411, "/zipkin", "Open Zipkin web UI"},
    {"envoy", nullptr, 15000, "", "Open Envoy admin web UI of a pod"},
    {"proxy", nullptr, 15000, "", "Open the proxy's admin web UI of a pod"},
    {"controlz", nullptr, 15014, "/debug", "Open the debug UI of a pod of the control plane"},
    {"istiod-debug", nullptr, 15014, "/debug", "Open the debug UI of istiod"},
};

struct Flags {
  std::string pod, address = "localhost", ns;
  int port = -1, ui_port = 0;
  bool is_browser_wanted = true;
};

Result<kube::Key> find_page(Context& context, const Page& page, const Flags& flags) {
  const std::string ns = !context.ns.empty() ? context.ns : context.istio_namespace;
  if (page.selector == nullptr) {
    if (!flags.pod.empty()) return resolve_pod(context, flags.pod);
    if (std::string_view(page.name) == "envoy" || std::string_view(page.name) == "proxy")
      return invalid("name the pod: istioctl dashboard envoy <pod>[.<namespace>]");
    return TRY(istiod_pods(context)).front();
  }
  kube::Client* client = TRY(context.client());
  // Zipkin's API is served by the tracing pod when there is no Zipkin of its own.
  for (const std::string& selector :
       {std::string(page.selector), std::string_view(page.name) == "zipkin"
                                        ? std::string("app=jaeger")
                                        : std::string(page.selector)}) {
    const kube::Json list = TRY(client->list(kube::resources::pods(), ns, {selector, ""}));
    for (const kube::Json& pod : data::get_array(list, {"items"})) {
      if (data::get_string(pod, {"status", "phase"}) == "Running" && !kube::is_deleting(pod))
        return kube::key_of(pod);
    }
  }
  return not_found(std::string("no ") + page.name + " pods found in namespace " + ns +
                   "; apply samples/addons/" + page.name + ".yaml");
}

void open_browser(Context& context, const std::string& url) {
  const pid_t child = fork();
  if (child == 0) {
    execlp("xdg-open", "xdg-open", url.c_str(), nullptr);
    _exit(127);
  }
  int status = 0;
  waitpid(child, &status, 0);
  if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
    context.out << "Failed to open browser; open " << url << " in your browser.\n";
}

Result<int> open_page(Context& context, const Page& page, const Flags& flags) {
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGINT);
  sigaddset(&signals, SIGTERM);
  pthread_sigmask(SIG_BLOCK, &signals,
                  nullptr);  // Before threads start, so that all of them leave it to us.

  const kube::Key pod = TRY(find_page(context, page, flags));
  const int remote = flags.ui_port != 0 ? flags.ui_port : page.port;
  kube::Client* client = TRY(context.client());
  // The usual port when it is free, so that bookmarks work; any other otherwise.
  auto forward =
      kube::PortForwarder::start(*client, pod, remote, flags.port >= 0 ? flags.port : remote);
  if (!forward && flags.port < 0) forward = kube::PortForwarder::start(*client, pod, remote, 0);
  if (!forward) return std::move(forward).error();
  const std::string url =
      "http://" + flags.address + ":" + std::to_string((*forward)->local_port()) + page.path;
  context.out << url << std::endl;
  if (flags.is_browser_wanted) open_browser(context, url);
  int received = 0;
  sigwait(&signals, &received);
  return 0;
}

}  // namespace

void add_dashboard(CLI::App& root, Context& context) {
  auto* app =
      root.add_subcommand("dashboard", "Access to Istio web UIs")->alias("dash")->alias("d");
  app->require_subcommand(1);
  for (const Page& page : kPages) {
    auto flags = std::make_shared<Flags>();
    auto* sub = app->add_subcommand(page.name, page.help);
    if (page.selector == nullptr)
      sub->add_option("pod", flags->pod, "[<type>/]<name>[.<namespace>]");
    sub->add_option("--address", flags->address, "address to listen on");
    sub->add_option("-p,--port", flags->port, "local port to listen to");
    sub->add_option("--ui-port", flags->ui_port, "port of the UI in the pod");
    sub->add_option("--browser", flags->is_browser_wanted, "open a browser (true or false)");
    sub->callback([&context, &page, flags] {
      context.run = [&context, &page, flags] { return open_page(context, page, *flags); };
    });
  }
}

}  // namespace lateen::cli
