// c-ares driven by the loop: its sockets are watched, its time-outs are one timer.
#include "net/resolver.h"

#include <ares.h>
#include <netdb.h>
#include <netinet/in.h>

#include <algorithm>
#include <map>
#include <mutex>

#include "base/strings.h"

namespace lateen::net {
namespace {

constexpr std::size_t kMostCached = 4096;
constexpr seconds kMostTtl{3600};

class CaresResolver;

class Query final : public event::Scope::Operation {
 public:
  Query(event::Scope& scope, CaresResolver& owner, std::string name, Family family,
        event::Completion<Resolved> done)
      : Operation(scope),
        owner_(owner),
        name_(std::move(name)),
        family_(family),
        done_(std::move(done)) {}
  void finish(Result<Resolved> result);
  const std::string& name() const { return name_; }
  Family family() const { return family_; }

 private:
  void cancel() override;
  CaresResolver& owner_;
  std::string name_;
  Family family_;
  event::Completion<Resolved> done_;
};

// c-ares keeps a pointer until it answers; the query may be cancelled before that.
struct Ticket {
  CaresResolver* resolver;
  Query* query;
};

class CaresResolver final : public Resolver {
 public:
  explicit CaresResolver(event::Loop& loop) : loop_(loop), timer_(loop, [this] { tick(); }) {}
  ~CaresResolver() override {
    for (auto& [query, ticket] : tickets_) ticket->query = nullptr;
    if (channel_ != nullptr) ares_destroy(channel_);  // Answers all tickets with ARES_EDESTRUCTION.
  }

  Result<> open(const ResolverOptions& options) {
    ares_options raw{};
    raw.timeout = static_cast<int>(options.timeout.count());
    raw.tries = options.tries;
    raw.sock_state_cb = [](void* data, ares_socket_t fd, int readable, int writable) {
      static_cast<CaresResolver*>(data)->socket_changed(fd, readable != 0, writable != 0);
    };
    raw.sock_state_cb_data = this;
    const int mask = ARES_OPT_TIMEOUTMS | ARES_OPT_TRIES | ARES_OPT_SOCK_STATE_CB;
    if (const int rc = ares_init_options(&channel_, &raw, mask); rc != ARES_SUCCESS) {
      return unavailable(std::string("starting the resolver: ") + ares_strerror(rc));
    }
    if (options.servers.empty()) return {};
    std::string servers;
    for (const auto& server : options.servers)
      servers += (servers.empty() ? "" : ",") + server.to_string();
    if (ares_set_servers_ports_csv(channel_, servers.c_str()) != ARES_SUCCESS) {
      return invalid("DNS servers \"" + servers + "\" are not usable");
    }
    return {};
  }

  void resolve(event::Scope& scope, std::string_view name, Family family,
               event::Completion<Resolved> done) override {
    auto* query = new Query(scope, *this, std::string(name), family, std::move(done));
    if (const auto ip = Ip::parse(name)) return answer_later(query, Resolved{{*ip}, kMostTtl});
    const auto cached = cache_.find({to_lower(name), family});
    if (cached != cache_.end() && cached->second.until > loop_.now())
      return answer_later(query, cached->second.answer);

    auto* ticket = new Ticket{this, query};
    tickets_[query] = ticket;
    ares_addrinfo_hints hints{};
    hints.ai_family = family == Family::kV4Only   ? AF_INET
                      : family == Family::kV6Only ? AF_INET6
                                                  : AF_UNSPEC;
    hints.ai_socktype = SOCK_STREAM;
    ares_getaddrinfo(channel_, query->name().c_str(), nullptr, &hints, &CaresResolver::on_answer,
                     ticket);
    arm();
  }

  void forget(Query* query) {
    const auto at = tickets_.find(query);
    if (at == tickets_.end()) return;
    at->second->query = nullptr;
    tickets_.erase(at);
  }

 private:
  struct Cached {
    Resolved answer;
    SteadyTime until;
  };

  void answer_later(Query* query, Resolved answer) {
    auto* ticket = new Ticket{this, query};
    tickets_[query] = ticket;
    loop_.defer([ticket, answer = std::move(answer)]() mutable {
      Query* waiting = ticket->query;
      if (waiting != nullptr) ticket->resolver->forget(waiting);
      delete ticket;
      if (waiting != nullptr) waiting->finish(std::move(answer));
    });
  }

  static void on_answer(void* data, int status, int, ares_addrinfo* info) {
    auto* ticket = static_cast<Ticket*>(data);
    Query* query = ticket->query;
    CaresResolver* self = ticket->resolver;
    if (query != nullptr) self->tickets_.erase(query);
    delete ticket;
    if (query == nullptr || status == ARES_EDESTRUCTION) {
      if (info != nullptr) ares_freeaddrinfo(info);
      return;
    }
    Result<Resolved> result = convert(*query, status, info);
    if (info != nullptr) ares_freeaddrinfo(info);
    if (result) self->remember(*query, *result);
    query->finish(std::move(result));
  }

  static Result<Resolved> convert(const Query& query, int status, const ares_addrinfo* info) {
    if (status == ARES_ENOTFOUND || status == ARES_ENODATA) {
      return not_found("DNS: no such name: " + query.name(), Blame::kUpstream);
    }
    if (status != ARES_SUCCESS) {
      return unavailable("DNS: resolving " + query.name() + ": " + ares_strerror(status),
                         Blame::kUpstream);
    }
    std::vector<Ip> v4, v6;
    int ttl = static_cast<int>(kMostTtl.count());
    for (const auto* node = info->nodes; node != nullptr; node = node->ai_next) {
      const auto address = Address::from_sockaddr(node->ai_addr, node->ai_addrlen);
      if (!address) continue;
      ttl = std::min(ttl, node->ai_ttl);
      (address->ip().is_v4() ? v4 : v6).push_back(address->ip());
    }
    Resolved out;
    out.ttl = seconds(std::max(ttl, 1));
    switch (query.family()) {
      case Family::kV4Only: out.ips = v4; break;
      case Family::kV6Only: out.ips = v6; break;
      case Family::kAuto: out.ips = v6.empty() ? v4 : v6; break;
      case Family::kV4Preferred: out.ips = v4.empty() ? v6 : v4; break;
      case Family::kAll:
        out.ips = v4;
        out.ips.insert(out.ips.end(), v6.begin(), v6.end());
        break;
    }
    if (out.ips.empty()) return not_found("DNS: no address for " + query.name(), Blame::kUpstream);
    return out;
  }

  void remember(const Query& query, const Resolved& answer) {
    if (cache_.size() >= kMostCached) cache_.clear();
    cache_[{to_lower(query.name()), query.family()}] = {answer, loop_.now() + answer.ttl};
  }

  void socket_changed(ares_socket_t fd, bool is_read, bool is_write) {
    if (!is_read && !is_write) {
      watches_.erase(fd);
      return;
    }
    if (watches_.contains(fd)) return;
    watches_[fd] = loop_.watch(fd, [this, fd](event::FdWatch::Ready ready) {
      ares_process_fd(channel_, ready.readable ? fd : ARES_SOCKET_BAD,
                      ready.writable ? fd : ARES_SOCKET_BAD);
      arm();
    });
  }

  void tick() {
    ares_process_fd(channel_, ARES_SOCKET_BAD, ARES_SOCKET_BAD);
    arm();
  }

  void arm() {
    timeval most{1, 0}, left{};
    if (ares_timeout(channel_, tickets_.empty() ? nullptr : &most, &left) == nullptr)
      return timer_.cancel();
    timer_.arm(seconds(left.tv_sec) + microseconds(left.tv_usec));
  }

  event::Loop& loop_;
  ares_channel channel_ = nullptr;
  std::map<Query*, Ticket*> tickets_;
  std::map<std::pair<std::string, Family>, Cached> cache_;
  std::map<ares_socket_t, std::unique_ptr<event::FdWatch>> watches_;
  event::Timer timer_;
};

void Query::finish(Result<Resolved> result) {
  auto done = std::move(done_);
  delete this;
  done(std::move(result));
}

void Query::cancel() {
  owner_.forget(this);
  delete this;
}

}  // namespace

Result<std::unique_ptr<Resolver>> make_resolver(event::Loop& loop, ResolverOptions options) {
  static std::once_flag once;  // c-ares wants its library initialised once per process.
  std::call_once(once, [] { ares_library_init(ARES_LIB_INIT_ALL); });
  auto resolver = std::make_unique<CaresResolver>(loop);
  TRY(resolver->open(options));
  return std::unique_ptr<Resolver>(std::move(resolver));
}

}  // namespace lateen::net
