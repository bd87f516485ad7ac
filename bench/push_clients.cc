// Simulated proxies for `./dev bench push`: each holds a discovery stream of its own connection,
// subscribes as Envoy does (CDS, then EDS of its clusters, LDS, then RDS of its listeners) and
// acknowledges everything, without decoding more than it must, so that it is not what is measured.
//
// usage: push_clients HOST:PORT PROXIES NAMESPACES DELTA-SHARE
// Commands on standard input, answers on standard output, one line each:
//   wait TEXT COUNT "arrived T50 T99 LAST" once that many proxies were sent (and acknowledged) a
//                   response that holds TEXT; times are of CLOCK_MONOTONIC, in seconds
//   synced          "synced LAST BYTES" once every proxy has been answered all four types
#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>
#ifdef __SSE2__
#include <emmintrin.h>
#endif

#include <algorithm>
#include <cstdio>
#include <cstring>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <unordered_map>
#include <vector>

#include "base/clock.h"
#include "base/random.h"
#include "base/strings.h"
#include "event/epoll_loop.h"
#include "grpc/client.h"
#include "net/address.h"

namespace lateen::bench {
namespace {

constexpr const char* kCluster = "type.googleapis.com/envoy.config.cluster.v3.Cluster";
constexpr const char* kEndpoint =
    "type.googleapis.com/envoy.config.endpoint.v3.ClusterLoadAssignment";
constexpr const char* kListener = "type.googleapis.com/envoy.config.listener.v3.Listener";
constexpr const char* kRoute = "type.googleapis.com/envoy.config.route.v3.RouteConfiguration";

// Protobuf's wire format, as far as it is needed here.
void put_varint(std::string& out, std::uint64_t value) {
  for (; value >= 0x80; value >>= 7) out += static_cast<char>(value | 0x80);
  out += static_cast<char>(value);
}
void put(std::string& out, int field, std::string_view bytes) {
  put_varint(out, static_cast<std::uint64_t>(field) << 3 | 2);
  put_varint(out, bytes.size());
  out += bytes;
}

struct Field {
  int number = 0;
  std::uint64_t value = 0;
  std::string_view bytes;
};
class Reader {
 public:
  explicit Reader(std::string_view bytes) : rest_(bytes) {}
  std::optional<Field> next() {
    if (rest_.empty()) return std::nullopt;
    Field out;
    const std::uint64_t key = varint();
    out.number = static_cast<int>(key >> 3);
    switch (key & 7) {
      case 0: out.value = varint(); break;
      case 1: skip(8); break;
      case 2: {
        const std::uint64_t length = std::min<std::uint64_t>(varint(), rest_.size());
        out.bytes = rest_.substr(0, length);
        rest_.remove_prefix(length);
        break;
      }
      case 5: skip(4); break;
      default: return std::nullopt;
    }
    return out;
  }

 private:
  std::uint64_t varint() {
    std::uint64_t out = 0;
    for (int shift = 0; shift < 64 && !rest_.empty(); shift += 7) {
      const auto byte = static_cast<unsigned char>(rest_.front());
      rest_.remove_prefix(1);
      out |= static_cast<std::uint64_t>(byte & 0x7f) << shift;
      if (byte < 0x80) break;
    }
    return out;
  }
  void skip(std::size_t count) { rest_.remove_prefix(std::min(count, rest_.size())); }
  std::string_view rest_;
};

std::string_view field_of(std::string_view bytes, int number) {
  Reader reader(bytes);
  while (const auto field = reader.next())
    if (field->number == number) return field->bytes;
  return {};
}

// The value of an Any.
std::string_view inside(std::string_view any) { return field_of(any, 2); }

// Cluster{name=1, type=2 (3: EDS), eds_cluster_config=3{service_name=2}}: what to ask EDS for.
std::string endpoint_name(std::string_view cluster) {
  Reader reader(cluster);
  std::string name;
  bool is_eds = false;
  while (const auto field = reader.next()) {
    if (field->number == 1) name = field->bytes;
    if (field->number == 2) is_eds = field->value == 3;
    if (field->number != 3) continue;
    if (const auto service = field_of(field->bytes, 2); !service.empty()) name = service;
  }
  return is_eds ? name : std::string();
}

// Listener{filter_chains=3, default_filter_chain=25}{filters=3}{typed_config=4} of a connection
// manager {rds=3}{route_config_name=2}.
void collect_routes(std::string_view listener, std::set<std::string>& out) {
  Reader listeners(listener);
  while (const auto chain = listeners.next()) {
    if (chain->number != 3 && chain->number != 25) continue;
    Reader filters(chain->bytes);
    while (const auto filter = filters.next()) {
      if (filter->number != 3) continue;
      const std::string_view any = field_of(filter->bytes, 4);
      if (field_of(any, 1).find("HttpConnectionManager") == std::string_view::npos) continue;
      const std::string_view name = field_of(field_of(inside(any), 3), 2);
      if (!name.empty()) out.emplace(name);
    }
  }
}

// memmem() at the speed of memory: sixteen places at a time, by the first and the last byte.
bool contains(std::string_view text, std::string_view needle) {
#ifdef __SSE2__
  const __m128i first = _mm_set1_epi8(needle.front());
  const __m128i last = _mm_set1_epi8(needle.back());
  std::size_t at = 0;
  for (; at + needle.size() + 15 <= text.size(); at += 16) {
    const auto* from = reinterpret_cast<const __m128i*>(text.data() + at);
    const auto* to = reinterpret_cast<const __m128i*>(text.data() + at + needle.size() - 1);
    auto hits = static_cast<unsigned>(_mm_movemask_epi8(_mm_and_si128(
        _mm_cmpeq_epi8(_mm_loadu_si128(from), first), _mm_cmpeq_epi8(_mm_loadu_si128(to), last))));
    for (; hits != 0; hits &= hits - 1) {
      const std::size_t start = at + static_cast<std::size_t>(__builtin_ctz(hits));
      if (text.compare(start, needle.size(), needle) == 0) return true;
    }
  }
  text.remove_prefix(at);
#endif
  return ::memmem(text.data(), text.size(), needle.data(), needle.size()) != nullptr;
}

double seconds_of(SteadyTime time) {
  return std::chrono::duration<double>(time.time_since_epoch()).count();
}

class Fleet;

class Proxy {
 public:
  Proxy(Fleet& fleet, event::Loop& loop, net::Address to, int number, int namespaces, bool is_delta)
      : fleet_(fleet), is_delta_(is_delta) {
    http::ClientOptions options;
    options.protocol = http::ClientOptions::Protocol::kHttp2;
    options.stream_window_bytes = 8u << 20;
    options.connection_window_bytes = 8u << 20;
    pool_ = http::make_client_pool(loop, http::make_connector(loop, to), options);
    const std::string ns = fmt::format("ns-{}", number % namespaces);
    const std::string ip = fmt::format("10.200.{}.{}", number / 250, number % 250 + 1);
    node_ = make_node(number, ns, ip);
    grpc::ClientEvents events;
    events.on_message = [this](std::string message) { on_message(message); };
    events.on_end = [number](grpc::Status status) {
      fmt::print(stderr, "proxy {}: stream ended: {} {}\n", number, static_cast<int>(status.code),
                 status.message);
    };
    call_ =
        grpc::start_call(loop, *pool_, to.to_string(),
                         std::string("/envoy.service.discovery.v3.AggregatedDiscoveryService/") +
                             (is_delta ? "DeltaAggregatedResources" : "StreamAggregatedResources"),
                         {}, std::move(events));
    request(kCluster, {}, "", "");
    request(kListener, {}, "", "");
  }

  bool is_synced() const { return answered_.size() == 4; }
  bool has_seen = false;

 private:
  static std::string make_node(int number, const std::string& ns, const std::string& ip) {
    std::string node, metadata;
    const auto entry = [&](std::string_view name, std::string_view text) {
      std::string value, pair;
      put(value, 3, text);
      put(pair, 1, name);
      put(pair, 2, value);
      put(metadata, 1, pair);
    };
    entry("NAMESPACE", ns);
    entry("INSTANCE_IPS", ip);
    entry("ISTIO_VERSION", "1.27.0");
    entry("CLUSTER_ID", "Kubernetes");
    entry("SERVICE_ACCOUNT", "default");
    put(node, 1, fmt::format("sidecar~{}~proxy-{}.{}~{}.svc.cluster.local", ip, number, ns, ns));
    put(node, 2, fmt::format("proxy.{}", ns));
    put(node, 3, metadata);
    return node;
  }

  // Delta: `names` are new subscriptions; state of the world: all there are.
  void request(const char* type, const std::vector<std::string>& names, std::string_view version,
               std::string_view nonce) {
    std::string out;
    if (!std::exchange(is_node_sent_, true)) put(out, is_delta_ ? 1 : 2, node_);
    if (is_delta_) {
      put(out, 2, type);
      for (const std::string& name : names) put(out, 3, name);
      if (!nonce.empty()) put(out, 6, nonce);
    } else {
      if (!version.empty()) put(out, 1, version);
      for (const std::string& name : names) put(out, 3, name);
      put(out, 4, type);
      if (!nonce.empty()) put(out, 5, nonce);
    }
    call_->send(std::move(out));
  }

  // State of the world: all names again, encoded once.
  void acknowledge(std::string_view type, std::string_view version, std::string_view nonce) {
    std::string out;
    if (is_delta_) {
      put(out, 2, type);
      put(out, 6, nonce);
      return call_->send(std::move(out));
    }
    const std::string& names = encoded_[std::string(type)];
    out.reserve(names.size() + 256);
    if (!version.empty()) put(out, 1, version);
    out += names;
    put(out, 4, type);
    put(out, 5, nonce);
    call_->send(std::move(out));
  }

  void on_message(const std::string& message);
  void follow(const char* type, std::set<std::string> names);

  Fleet& fleet_;
  const bool is_delta_;
  std::unique_ptr<http::ClientPool> pool_;
  std::string node_;
  bool is_node_sent_ = false;
  std::map<std::string, std::vector<std::string>, std::less<>> subscribed_;
  std::map<std::string, std::string, std::less<>> encoded_;  // the names as fields of a request
  std::map<std::string, std::pair<std::string, std::string>, std::less<>> last_;  // version, nonce
  std::set<std::string, std::less<>> answered_;
  std::unique_ptr<grpc::ClientCall> call_;
};

class Fleet {
 public:
  Fleet(event::Loop& loop, net::Address to, int count, int namespaces, double delta_share)
      : loop_(loop) {
    for (int i = 0; i < count; ++i) {
      const bool is_delta = i % 100 < static_cast<int>(delta_share * 100);
      proxies_.push_back(std::make_unique<Proxy>(*this, loop, to, i, namespaces, is_delta));
    }
  }

  void command(std::string_view line) {
    is_waiting_for_sync_ = line == "synced";
    needle_.clear();
    if (line.starts_with("wait ")) {
      const std::size_t space = line.rfind(' ');
      needle_ = line.substr(5, space - 5);
      wanted_ = parse_uint(line.substr(space + 1)).value_or(proxies_.size());
    }
    arrivals_.clear();
    for (auto& proxy : proxies_) proxy->has_seen = false;
    check_synced();
  }

  void received(Proxy& proxy, std::string_view message) {
    bytes_ += message.size();
    if (is_waiting_for_sync_) return check_synced();
    if (needle_.empty() || proxy.has_seen) return;
    if (!contains(message, needle_)) return;
    proxy.has_seen = true;
    arrivals_.push_back(seconds_of(loop_.now()));
    if (arrivals_.size() < wanted_) return;
    std::sort(arrivals_.begin(), arrivals_.end());
    const auto at = [&](double share) {
      return arrivals_[static_cast<std::size_t>(share * static_cast<double>(arrivals_.size() - 1))];
    };
    fmt::print("arrived {:.6f} {:.6f} {:.6f}\n", at(0.5), at(0.99), arrivals_.back());
    std::fflush(stdout);
    needle_.clear();
  }

  // What a resource of these bytes refers to: the same for all proxies, so read once.
  const std::string& endpoint_of(std::string_view cluster) {
    const std::size_t hash = std::hash<std::string_view>()(cluster);
    const auto found = endpoints_.find(hash);
    if (found != endpoints_.end()) return found->second;
    return endpoints_.emplace(hash, endpoint_name(cluster)).first->second;
  }
  const std::set<std::string>& routes_of(std::string_view listener) {
    const std::size_t hash = std::hash<std::string_view>()(listener);
    const auto found = routes_.find(hash);
    if (found != routes_.end()) return found->second;
    std::set<std::string> names;
    collect_routes(listener, names);
    return routes_.emplace(hash, std::move(names)).first->second;
  }

 private:
  void check_synced() {
    if (!is_waiting_for_sync_) return;
    for (const auto& proxy : proxies_)
      if (!proxy->is_synced()) return;
    is_waiting_for_sync_ = false;
    fmt::print("synced {:.6f} {}\n", seconds_of(loop_.now()), bytes_);
    std::fflush(stdout);
  }

  event::Loop& loop_;
  std::string needle_;
  std::size_t wanted_ = 0;
  bool is_waiting_for_sync_ = false;
  std::uint64_t bytes_ = 0;
  std::vector<double> arrivals_;
  std::unordered_map<std::size_t, std::string> endpoints_;
  std::unordered_map<std::size_t, std::set<std::string>> routes_;
  std::vector<std::unique_ptr<Proxy>> proxies_;
};

void Proxy::on_message(const std::string& message) {
  // DiscoveryResponse{version=1, resources=2, type=4, nonce=5}; the delta one {resources=2, type=4,
  // nonce=5} with Resource{name=3, body=2}.
  std::string_view version, type, nonce;
  Reader header(message);
  while (const auto field = header.next()) {
    if (field->number == 1) version = field->bytes;
    if (field->number == 4) type = field->bytes;
    if (field->number == 5) nonce = field->bytes;
  }
  const std::string type_url(type);
  last_[type_url] = {std::string(version), std::string(nonce)};
  acknowledge(type, version, nonce);
  answered_.insert(type_url);
  if (type_url == kCluster || type_url == kListener) {
    std::set<std::string> names;
    Reader resources(message);
    while (const auto field = resources.next()) {
      if (field->number != 2) continue;
      const std::string_view body =
          is_delta_ ? inside(field_of(field->bytes, 2)) : inside(field->bytes);
      if (type_url == kCluster) {
        if (const auto& name = fleet_.endpoint_of(body); !name.empty()) names.insert(name);
      } else {
        const auto& routes = fleet_.routes_of(body);
        names.insert(routes.begin(), routes.end());
      }
    }
    follow(type_url == kCluster ? kEndpoint : kRoute, std::move(names));
  }
  fleet_.received(*this, message);
}

void Proxy::follow(const char* type, std::set<std::string> names) {
  std::vector<std::string>& known = subscribed_[type];
  const std::set<std::string> before(known.begin(), known.end());
  if (is_delta_) {
    std::vector<std::string> fresh;
    for (const std::string& name : names)
      if (before.count(name) == 0) fresh.push_back(name);
    if (fresh.empty()) return;
    known.insert(known.end(), fresh.begin(), fresh.end());
    return request(type, fresh, "", "");
  }
  if (names == before) return;
  known.assign(names.begin(), names.end());
  std::string& encoded = encoded_[type];
  encoded.clear();
  for (const std::string& name : known) put(encoded, 3, name);
  const auto& last = last_[type];
  request(type, known, last.first, last.second);
}

int run(int argc, char** argv) {
  const auto to = argc == 5 ? net::Address::parse(argv[1]) : Result<net::Address>(invalid("usage"));
  if (!to.ok()) {
    fmt::print(stderr, "usage: push_clients HOST:PORT PROXIES NAMESPACES DELTA-SHARE\n");
    return 2;
  }
  SystemClock clock;
  auto loop = event::make_epoll_loop(clock, system_random());
  if (!loop.ok()) return 1;
  Fleet fleet(**loop, *to, static_cast<int>(parse_int(argv[2]).value_or(1)),
              static_cast<int>(parse_int(argv[3]).value_or(1)),
              parse_double(argv[4]).value_or(0.5));
  ::fcntl(STDIN_FILENO, F_SETFL, O_NONBLOCK);
  std::string input;
  const auto watch = (*loop)->watch(STDIN_FILENO, [&](event::FdWatch::Ready) {
    char chunk[4096];
    ssize_t got = 0;
    while ((got = ::read(STDIN_FILENO, chunk, sizeof chunk)) > 0)
      input.append(chunk, static_cast<std::size_t>(got));
    if (got == 0) (*loop)->stop();
    for (std::size_t end = input.find('\n'); end != std::string::npos; end = input.find('\n')) {
      fleet.command(input.substr(0, end));
      input.erase(0, end + 1);
    }
  });
  (*loop)->run();
  // As the process ends with the streams open, nothing is to be told of their end.
  std::fflush(stdout);
  std::_Exit(0);
}

}  // namespace
}  // namespace lateen::bench

int main(int argc, char** argv) { return lateen::bench::run(argc, argv); }
