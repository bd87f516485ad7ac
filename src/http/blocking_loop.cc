// The loop thread of a BlockingClient: resolves, pools by destination, retries what is safe to send
// again.
#include <netdb.h>

#include <fstream>
#include <sstream>

#include "base/strings.h"
#include "http/blocking_state.h"

namespace lateen::http {
namespace {

constexpr std::size_t kMostPools = 256;
constexpr char kSystemTrust[] = "/etc/ssl/certs/ca-certificates.crt";

Result<std::vector<net::Address>> resolve(const std::string& host, std::uint16_t port) {
  if (auto ip = net::Ip::parse(host); ip.ok()) return std::vector{net::Address(*ip, port)};
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* found = nullptr;
  const int rc = ::getaddrinfo(host.c_str(), nullptr, &hints, &found);
  if (rc != 0) {
    return Error(rc == EAI_NONAME ? Code::kNotFound : Code::kUnavailable,
                 "resolving " + host + ": " + ::gai_strerror(rc), Blame::kUpstream);
  }
  std::vector<net::Address> v4, v6;
  for (const addrinfo* at = found; at != nullptr; at = at->ai_next) {
    const auto address = net::Address::from_sockaddr(at->ai_addr, at->ai_addrlen);
    if (address.ok()) (address->ip().is_v4() ? v4 : v6).emplace_back(address->ip(), port);
  }
  ::freeaddrinfo(found);
  v4.insert(v4.end(), v6.begin(), v6.end());
  if (v4.empty()) return not_found("resolving " + host + ": no address", Blame::kUpstream);
  return v4;
}

Result<std::shared_ptr<const tls::Context>> system_trust() {
  std::ifstream file(kSystemTrust);
  std::stringstream text;
  text << file.rdbuf();
  if (text.str().empty()) {
    return Error(Code::kFailedPrecondition,
                 std::string("no trusted certificates in ") + kSystemTrust +
                     " (install ca-certificates or give the client a CA)");
  }
  tls::Options options;
  options.trusted_ca_pem = text.str();
  return tls::Context::make(tls::Context::Role::kClient, options);
}

bool is_idempotent(std::string_view method) {
  return method == "GET" || method == "HEAD" || method == "PUT" || method == "DELETE" ||
         method == "OPTIONS";
}

}  // namespace

PlainHeaders plain_headers(const Headers& headers) {
  PlainHeaders plain;
  for (const auto& [name, value] : headers) plain.emplace_back(to_lower(name), value);
  return plain;
}

BlockingLoop::BlockingLoop(BlockingClientOptions given) : options(std::move(given)) {
  auto made = event::make_epoll_loop(clock, system_random());
  CHECK(made.ok());
  loop = std::move(*made);
  thread = std::thread([this] { loop->run(); });
}

BlockingLoop::~BlockingLoop() {
  loop->post([this] {
    is_stopping = true;
    while (!jobs.empty()) {
      const auto job = *jobs.begin();
      job->finish(Error(Code::kCancelled, "the HTTP client was closed"));
    }
    pools.clear();
    loop->stop();
  });
  thread.join();
}

Result<Destination> BlockingLoop::locate(const std::string& text) const {
  Destination to;
  to.url = TRY(Url::parse(text));
  if (!to.url.unix_path.empty()) {
    to.addresses = {net::Address::unix_path(to.url.unix_path)};
    return to;
  }
  const std::string name = to.url.host_and_port();
  for (const auto& [from, address] : options.overrides) {
    if (from != name) continue;
    to.addresses = {TRY(net::Address::parse(address))};
    return to;
  }
  to.addresses = TRY(resolve(to.url.host, to.url.port));
  return to;
}

void BlockingLoop::submit(std::shared_ptr<BlockingJob> job) {
  loop->post([this, job = std::move(job)] {
    if (is_stopping) return job->finish(Error(Code::kCancelled, "the HTTP client was closed"));
    job->loop = this;
    jobs.insert(job);
    job->start_attempt();
  });
}

void BlockingLoop::cancel(std::shared_ptr<BlockingJob> job, Error why) {
  loop->post([job = std::move(job), why = std::move(why)] { job->finish(why); });
}

Result<ClientPool*> BlockingLoop::pool_for(const Destination& to, std::size_t address_index,
                                           bool is_h2_allowed) {
  const net::Address& address = to.addresses[address_index];
  const bool is_tls = to.url.scheme == "https";
  const bool is_h2 = is_tls && options.is_http2_wanted && is_h2_allowed;
  std::string key = to.url.scheme + (is_h2 ? "+2 " : " ") + address.to_string();
  if (is_tls) key += " " + to.url.host;
  if (const auto found = pools.find(key); found != pools.end()) return found->second.get();

  if (pools.size() >= kMostPools) {
    std::erase_if(pools, [](const auto& entry) { return entry.second->active_count() == 0; });
  }
  std::shared_ptr<const tls::Context> tls;
  std::string server_name;
  std::vector<std::string> alpn;
  if (is_tls) {
    if (options.tls == nullptr) options.tls = TRY(system_trust());
    tls = options.tls;
    server_name = to.url.host;
    if (is_h2) alpn.push_back("h2");
    alpn.push_back("http/1.1");
  }
  ClientOptions client;
  client.protocol = is_h2 ? ClientOptions::Protocol::kByAlpn : ClientOptions::Protocol::kHttp1;
  client.idle_timeout = milliseconds(90'000);
  client.max_header_bytes = 256 * 1024;
  client.max_header_count = 1000;
  auto pool = make_client_pool(
      *loop,
      make_connector(*loop, address, std::move(tls), std::move(server_name), std::move(alpn)),
      client);
  ClientPool* raw = pool.get();
  pools.emplace(std::move(key), std::move(pool));
  return raw;
}

void BlockingJob::start_attempt() {
  scope = std::make_unique<event::Scope>();
  exchange = std::make_unique<Exchange>(*loop->loop, loop->connection);
  auto pool = loop->pool_for(to, address_index, upgrade().empty());
  if (!pool.ok()) return finish(std::move(pool).error());
  Request sent(exchange->arena);
  sent.method = request.method;
  sent.scheme = to.url.scheme;
  sent.authority = to.url.authority;
  sent.path = to.url.path;
  sent.upgrade = upgrade();
  for (const auto& [name, value] : request.headers) {
    if (iequals(name, "host")) sent.authority = value;
    else sent.headers.add_view(name, value);  // `request` outlives the exchange
  }
  sent.body = make_body();
  (*pool)->call(*scope, *exchange, std::move(sent),
                [this](CallResult result) { on_result(std::move(result)); });
}

void BlockingJob::on_result(CallResult result) {
  if (result.response) return on_response(std::move(*result.response));
  CallError& error = *result.error;
  const auto keep = shared_from_this();
  if (error.is_connect_failure && address_index + 1 < to.addresses.size()) {
    ++address_index;
    return start_attempt();
  }
  const bool is_safe = error.is_refused_stream || (error.is_reset && is_idempotent(request.method));
  if (is_safe && !is_retried && upgrade().empty()) {
    is_retried = true;
    return start_attempt();
  }
  finish(std::move(error.error).at(request.method + " " + request.url));
}

void BlockingJob::finish(Result<PlainResponse> outcome) {
  const auto keep = shared_from_this();
  {
    std::lock_guard lock(mutex);
    if (result) return;
    result.emplace(std::move(outcome));
  }
  on_finished();
  scope.reset();
  // The exchange may be on the stack of whoever completes us.
  if (loop != nullptr) {
    loop->loop->defer([exchange = std::move(exchange), keep] {});
    loop->jobs.erase(keep);
  }
  changed.notify_all();
}

Result<PlainResponse> BlockingJob::wait(BlockingLoop& on, std::optional<SteadyTime> until,
                                        const Function<bool()>* should_stop) {
  constexpr milliseconds kPoll{100};
  std::optional<StopSignal::Listener> stop_listener;
  if (should_stop != nullptr && request.stop != nullptr) {
    stop_listener.emplace(*request.stop, [this] {
      const std::lock_guard lock(mutex);
      changed.notify_all();
    });
  }
  std::unique_lock lock(mutex);
  bool is_cancelled = false;
  while (!result) {
    if (is_cancelled || (!until && should_stop == nullptr)) {
      changed.wait(lock);
      continue;
    }
    const SteadyTime now = on.clock.steady();
    nanoseconds span = until ? *until - now : nanoseconds(hours(1));
    if (until && span <= nanoseconds(0)) {
      is_cancelled = true;
      on.cancel(
          shared_from_this(),
          Error(Code::kDeadlineExceeded, request.method + " " + request.url + ": no answer in time",
                Blame::kUpstream));
      continue;
    }
    if (should_stop != nullptr) {
      if ((*should_stop)()) {
        is_cancelled = true;
        on.cancel(shared_from_this(), Error(Code::kCancelled, "stopped by the caller"));
        continue;
      }
      if (is_polled()) span = std::min<nanoseconds>(span, kPoll);
    }
    changed.wait_for(lock, span);
  }
  return std::move(*result);
}

}  // namespace lateen::http
