// Any text as a bootstrap: refused with a reason, or compiled; never a crash. Its resources hold
// every kind of filter, cluster and listener.
#include <cstdint>
#include <string>

#include "base/check.h"
#include "envoy/config/bootstrap/v3/bootstrap.pb.h"
#include "event/sim_loop.h"
#include "net/resolver.h"
#include "proxy/server/bootstrap.h"
#include "proxy/server/server.h"

namespace lateen {
namespace {

class NoNames final : public lateen::net::Resolver {
 public:
  void resolve(lateen::event::Scope&, std::string_view, lateen::net::Family,
               lateen::event::Completion<lateen::net::Resolved>) override {}
};

// A configuration may name files and times; those of the fuzzer are not to wait for.
bool is_harmless(std::string_view text) {
  for (const auto word :
       {"/dev/", "/proc/", "/sys/", "filename", "watched_directory", "path_config_source"})
    if (text.find(word) != std::string_view::npos) return false;
  return true;
}

void run(const std::uint8_t* data, std::size_t size) {
  const std::string text(reinterpret_cast<const char*>(data), size);
  if (size > 64 * 1024 || text.empty() || !is_harmless(text)) return;
  proxy::Options options;
  options.config_yaml = text;
  auto bootstrap = proxy::load_bootstrap(options);
  if (!bootstrap.ok()) {
    CHECK(!bootstrap.error().message().empty());
    return;
  }
  event::SimLoop loop;
  proxy::Server server(loop, options, *std::move(bootstrap), std::make_unique<NoNames>());
  const auto done = server.validate();
  if (!done.ok()) CHECK(!done.error().message().empty());
}

}  // namespace
}  // namespace lateen

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  lateen::run(data, size);
  return 0;
}
