#include "discovery/jwks.h"

#include "base/log.h"
#include "data/json.h"

namespace lateen::discovery {
namespace {

constexpr minutes kRefresh{20};
constexpr seconds kRetry{10};

}  // namespace

JwksFetcher::JwksFetcher(const Clock& clock, Metrics& metrics, Wanted wanted, Found found)
    : clock_(clock), metrics_(metrics), wanted_(std::move(wanted)), found_(std::move(found)) {
  thread_ = std::thread([this] { run(); });
}

JwksFetcher::~JwksFetcher() {
  {
    const std::lock_guard lock(mutex_);
    is_stopped_ = true;
  }
  changed_.notify_all();
  thread_.join();
}

void JwksFetcher::wake() {
  {
    const std::lock_guard lock(mutex_);
    is_woken_ = true;
  }
  changed_.notify_all();
}

void JwksFetcher::run() {
  while (true) {
    {
      std::unique_lock lock(mutex_);
      changed_.wait_for(lock, seconds(5), [&] { return is_stopped_ || is_woken_; });
      if (is_stopped_) return;
      is_woken_ = false;
    }
    const std::set<std::string> wanted = wanted_();
    std::erase_if(due_, [&](const auto& entry) { return wanted.count(entry.first) == 0; });
    for (const std::string& uri : wanted) {
      if (due_.size() >= kMostUris && due_.count(uri) == 0) continue;
      SteadyTime& due = due_[uri];
      if (due > clock_.steady()) continue;
      auto keys = fetch(uri);
      if (keys.ok()) {
        metrics_.count("pilot_jwks_resolver_network_fetch_success_total");
        due = clock_.steady() + kRefresh;
        found_(uri, *std::move(keys));
      } else {
        metrics_.count("pilot_jwks_resolver_network_fetch_fail_total");
        due = clock_.steady() + kRetry;
        LOG(kWarn, "jwks", "keys of {} are not there: {}; tokens of this issuer are refused", uri,
            keys.error().message());
      }
    }
  }
}

Result<std::string> JwksFetcher::fetch(const std::string& uri) {
  std::string url = uri;
  const auto get = [&](const std::string& from) -> Result<data::Json> {
    http::PlainRequest request;
    request.url = from;
    request.timeout = seconds(5);
    request.max_response_bytes = kMostBytes;
    const auto response = TRY(client_.call(request));
    if (response.status != 200) {
      return unavailable("GET " + from + " answered " + std::to_string(response.status));
    }
    return data::parse_json(response.body);
  };
  // An issuer without jwksUri says where its keys are (OpenID discovery).
  if (uri.find("://") == std::string::npos) return invalid("no jwksUri is given");
  data::Json found = TRY(get(url));
  if (data::find(found, {"keys"}) == nullptr) {
    std::string_view keys = data::get_string(found, {"jwks_uri"});
    if (keys.empty()) return invalid(url + " holds no key set");
    found = TRY(get(std::string(keys)));
  }
  if (data::find(found, {"keys"}) == nullptr) return invalid(url + " holds no key set");
  return data::dump_json(found);
}

}  // namespace lateen::discovery
