// helloworld: says which version and pod answered.
#include <fmt/core.h>

#include "samples/bookstore.h"
#include "samples/replies.h"

namespace lateen::samples {
namespace {

class Helloworld final : public http::Service {
 public:
  explicit Helloworld(const Settings& settings)
      : greeting_(fmt::format("Hello version: {}, instance: {}\n", settings.version,
                              settings.pod_name)) {}

  void handle(http::Exchange& exchange, http::Request request, http::Done done) override {
    const std::string_view path = path_of(request);
    if (path == "/hello") return done(http::Response::text(exchange.arena, 200, greeting_));
    if (path == "/health") {
      return done(http::Response::text(exchange.arena, 200, "Helloworld is healthy"));
    }
    done(not_found_reply(exchange));
  }

 private:
  const std::string greeting_;
};

}  // namespace

std::unique_ptr<http::Service> make_helloworld(const Settings& settings) {
  return std::make_unique<Helloworld>(settings);
}

}  // namespace lateen::samples
