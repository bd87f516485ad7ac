// Turns the command line and the environment into Settings, with the defaults of Istio's images.
#include "samples/settings.h"

#include <fmt/core.h>

#include <algorithm>

#include "base/strings.h"

namespace lateen::samples {
namespace {

constexpr int kMaxFloodFactor = 1000;
constexpr std::size_t kMaxPorts = 16;

Result<App> app_named(std::string_view name) {
  if (name == "details") return App::kDetails;
  if (name == "ratings") return App::kRatings;
  if (name == "reviews") return App::kReviews;
  if (name == "productpage") return App::kProductpage;
  if (name == "httpbin") return App::kHttpbin;
  if (name == "helloworld") return App::kHelloworld;
  if (name == "tcp-echo") return App::kTcpEcho;
  return invalid(
      fmt::format("unknown sample '{}': try details, ratings, reviews, productpage, "
                  "httpbin, helloworld or tcp-echo",
                  name));
}

std::uint16_t default_port(App app) {
  switch (app) {
    case App::kHttpbin: return 80;
    case App::kHelloworld: return 5000;
    case App::kTcpEcho: return 9000;
    default: return 9080;
  }
}

Result<std::uint16_t> parse_port(std::string_view text) {
  const auto port = parse_uint(text);
  if (!port || *port > 65535) return invalid(fmt::format("'{}' is not a port (0 to 65535)", text));
  return static_cast<std::uint16_t>(*port);
}

Result<std::vector<std::uint16_t>> parse_ports(std::string_view text) {
  std::vector<std::uint16_t> ports;
  for (std::string_view part : split(text, ',')) {
    if (ports.size() == kMaxPorts) return invalid("at most 16 ports can be served");
    ports.push_back(TRY(parse_port(part)));
  }
  return ports;
}

Result<Peer> peer(const Environment& environment, std::string_view name, std::string_view upper) {
  Peer found{std::string(name), 9080};
  if (auto host = environment(fmt::format("{}_HOSTNAME", upper))) found.host = *host;
  if (auto domain = environment("SERVICES_DOMAIN"); domain && !domain->empty()) {
    found.host += "." + *domain;
  }
  // Kubernetes' service links set NAME_SERVICE_PORT too, and so agree with the Service.
  if (auto port = environment(fmt::format("{}_SERVICE_PORT", upper)); port && !port->empty()) {
    found.port = TRY(parse_port(*port).at(fmt::format("{}_SERVICE_PORT", upper)));
  }
  return found;
}

// What the image of that version sets; the pod's environment may say otherwise.
void apply_version(Settings& settings, const Environment& environment) {
  settings.has_ratings = settings.version == "v2" || settings.version == "v3";
  if (settings.version == "v3") settings.star_color = "red";
  if (auto on = environment("ENABLE_RATINGS")) settings.has_ratings = iequals(*on, "true");
  if (auto color = environment("STAR_COLOR")) settings.star_color = *color;
  settings.is_external_book_wanted = settings.app == App::kDetails && settings.version == "v2";
  if (auto on = environment("ENABLE_EXTERNAL_BOOK_SERVICE")) {
    settings.is_external_book_wanted = *on == "true";
  }
}

}  // namespace

Result<Settings> read_settings(const std::vector<std::string>& arguments,
                               const Environment& environment) {
  if (arguments.empty()) {
    return invalid("which sample? usage: bookinfo APP [--version=V] [--port=N]");
  }
  Settings settings;
  settings.app = TRY(app_named(arguments[0]));
  settings.version = environment("SERVICE_VERSION").value_or("v1");
  settings.pod_name = environment("HOSTNAME").value_or("unknown");
  settings.cluster_name = environment("CLUSTER_NAME");
  if (auto port = environment("PORT"); port && settings.app == App::kHttpbin) {
    settings.ports = TRY(parse_ports(*port).at("PORT"));
  }
  std::vector<std::string_view> plain;
  for (std::size_t i = 1; i < arguments.size(); ++i) {
    const std::string_view argument = arguments[i];
    if (argument.starts_with("--version=")) {
      settings.version = argument.substr(10);
    } else if (argument.starts_with("--port=")) {
      settings.ports = TRY(parse_ports(argument.substr(7)));
    } else if (argument.starts_with("-")) {
      return invalid(fmt::format("unknown flag '{}': --version and --port are known", argument));
    } else {
      plain.push_back(argument);
    }
  }
  if (!plain.empty()) settings.ports = TRY(parse_ports(plain[0]));
  if (plain.size() > 1) settings.prefix = plain[1];
  if (settings.ports.empty()) settings.ports = {default_port(settings.app)};

  settings.details = TRY(peer(environment, "details", "DETAILS"));
  settings.ratings = TRY(peer(environment, "ratings", "RATINGS"));
  settings.reviews = TRY(peer(environment, "reviews", "REVIEWS"));
  apply_version(settings, environment);
  if (auto flood = environment("FLOOD_FACTOR")) {
    settings.flood_factor = static_cast<int>(
        std::clamp<std::int64_t>(parse_int(*flood).value_or(0), 0, kMaxFloodFactor));
  }
  return settings;
}

}  // namespace lateen::samples
