// experimental explain: who decides what happens to one request, and why.
#include "base/strings.h"
#include "cli/explain/walk.h"
#include "cli/istioctl.h"
#include "cli/proxy_admin.h"

namespace lateen::cli {
namespace {

struct Flags {
  std::string source, destination, method = "GET", path = "/", output = "short";
  std::vector<std::string> headers;
  int admin_port = kProxyAdminPort;
};

Result<> explain_request(Session& session, Flags flags) {
  if (flags.output != "short" && flags.output != "json" && flags.output != "yaml")
    return invalid("unknown output format \"" + flags.output + "\": use short, json or yaml");
  explain::Question question;
  question.source = TRY(find_pod(session, flags.source));
  question.destination = flags.destination;
  // "explain a b /path" and "explain a http://b/path" mean what they say.
  if (flags.method.starts_with("/")) std::swap(flags.method, flags.path);
  if (flags.method.starts_with("/") || flags.method.empty()) flags.method = "GET";
  if (const auto scheme = flags.destination.find("://"); scheme != std::string::npos) {
    const auto slash = flags.destination.find('/', scheme + 3);
    if (slash != std::string::npos && flags.path == "/")
      flags.path = flags.destination.substr(slash);
  }
  question.method = flags.method;
  question.path = flags.path;
  for (const std::string& each : flags.headers) {
    const auto pair = split_once(each, ":");
    if (!pair) return invalid("header \"" + each + "\" has no colon: say -H name:value");
    question.headers[to_lower(trim(pair->first))] = trim(pair->second);
  }
  kube::Client* client = TRY(session.client());
  explain::World world(*client, explain::by_forward(*client, flags.admin_port), session.istio_ns);
  const explain::Report report = TRY(explain::explain(world, question));
  for (const std::string& trouble : world.troubles()) session.err << "Warning: " << trouble << "\n";
  if (flags.output == "short") session.out << explain::format_text(report, session.is_terminal);
  else session.out << TRY(format_as(explain::to_json(report), flags.output));
  if (report.verdict() == explain::Outcome::kStop) session.exit_status = 2;
  return {};
}

}  // namespace

void add_explain_command(CLI::App& app, Session& session) {
  auto* command = app.add_subcommand(
      "explain", "Explain what happens to a request: which configuration decides, and why");
  auto flags = std::make_shared<Flags>();
  command->add_option("source", flags->source, "NAME[.NAMESPACE] of a pod, or deployment/NAME")
      ->required();
  command
      ->add_option("destination", flags->destination,
                   "[http://|https://|tcp://]HOST[:PORT], svc/NAME or pod/NAME")
      ->required();
  command->add_option("method", flags->method, "The request's method")->capture_default_str();
  command->add_option("path", flags->path, "The request's path")->capture_default_str();
  command->add_option("-H,--header", flags->headers, "name:value, may be given several times")
      ->allow_extra_args(false);
  command->add_option("-o,--output", flags->output, "short, json or yaml")->capture_default_str();
  command->add_option("--proxy-admin-port", flags->admin_port, "The proxies' admin port")
      ->capture_default_str();
  on_run(*command, session, [&session, flags] { return explain_request(session, *flags); });
}

}  // namespace lateen::cli
