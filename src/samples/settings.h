// What a sample server is told by its command line and by the environment variables of Istio's
// images.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/function.h"
#include "base/result.h"

namespace lateen::samples {

// Reads an environment variable; nullopt when unset. Tests pass a map.
using Environment = Function<std::optional<std::string>(std::string_view name)>;

enum class App : unsigned char {
  kDetails,
  kRatings,
  kReviews,
  kProductpage,
  kHttpbin,
  kHelloworld,
  kTcpEcho,
};

struct Peer {
  std::string host;
  std::uint16_t port = 9080;
};

struct Settings {
  App app = App::kProductpage;
  std::string version;                      // SERVICE_VERSION, --version
  std::vector<std::uint16_t> ports;         // never empty; more than one only for tcp-echo
  std::string pod_name;                     // HOSTNAME
  std::optional<std::string> cluster_name;  // CLUSTER_NAME
  Peer details, ratings, reviews;           // *_HOSTNAME + SERVICES_DOMAIN, *_SERVICE_PORT
  bool has_ratings = false;                 // ENABLE_RATINGS; v2 and v3 of reviews have them
  std::string star_color = "black";         // STAR_COLOR; v3 is red
  int flood_factor = 0;  // FLOOD_FACTOR: useless extra calls per page, to show rate limits
  bool is_external_book_wanted = false;  // ENABLE_EXTERNAL_BOOK_SERVICE
  std::string prefix;                    // tcp-echo: the word before each line
};

// `arguments` without the program's name: APP [--version=V] [--port=N] [PORT[,PORT…]] [PREFIX].
Result<Settings> read_settings(const std::vector<std::string>& arguments,
                               const Environment& environment);

}  // namespace lateen::samples
