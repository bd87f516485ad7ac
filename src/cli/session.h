// What every istioctl verb works with: the global flags, the streams, and the cluster once somebody
// asks for it.
#pragma once

#include <CLI/CLI.hpp>
#include <functional>
#include <istream>
#include <memory>
#include <ostream>
#include <string>
#include <vector>

#include "install/charts.h"
#include "kube/client.h"

namespace lateen::cli {

using data::Json;

// Lives as long as one command line. Not thread-safe.
class Session {
 public:
  Session(std::istream& in, std::ostream& out, std::ostream& err) : in(in), out(out), err(err) {}

  std::istream& in;
  std::ostream& out;
  std::ostream& err;
  bool is_terminal = false;  // `out` is one: colour and lines that are written over

  // Global flags.
  std::string kubeconfig;
  std::string context;
  std::string ns;  // -n; empty: the context's
  std::string istio_ns = "istio-system";

  int exit_status = 0;

  // Connects on first use. The error says which kubeconfig and what to try.
  Result<kube::Client*> client();
  Result<std::string> effective_namespace();  // -n, else the context's, else "default"
  // For tests: a client that is there already.
  void adopt(std::unique_ptr<kube::Client> client) { client_ = std::move(client); }

  std::string mark_good() const { return is_terminal ? "\033[32m✔\033[0m" : "✔"; }
  std::string mark_bad() const { return is_terminal ? "\033[31m✘\033[0m" : "✘"; }
  // Asks on `out`, reads from `in`; only y and yes are yes.
  bool confirm(std::string_view question);

 private:
  std::unique_ptr<kube::Client> client_;
  std::string context_ns_ = "default";
};

// Runs `action` when `command` was given; its error is printed as "Error: …" and makes the exit
// status 1.
void on_run(CLI::App& command, Session& session, std::function<Result<>()> action);
// The file's text; "-" reads `session.in`.
Result<std::string> read_input(Session& session, const std::string& path);
// A pod by "name", "name.namespace" or "deployment/name", as istioctl takes them.
Result<Json> find_pod(Session& session, const std::string& text);
// That pod, or all that a label selector names (in -n's namespace, or the context's): exactly one
// of both must be given, or the error is about `verb`.
Result<std::vector<Json>> find_pods(Session& session, const std::string& text,
                                    const std::string& selector, const std::string& verb);

// Columns padded to their widest cell, as Go's tabwriter(0, 8, padding 1, ' ') does.
std::string format_table(const std::vector<std::vector<std::string>>& rows,
                         std::size_t padding = 5);
// "json" or "yaml"; anything else is an error that says so.
Result<std::string> format_as(const Json& value, const std::string& format);

}  // namespace lateen::cli
