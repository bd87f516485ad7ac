// Sockets around the zone.
#include "cluster/dns/server.h"

#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <map>

#include "base/log.h"
#include "event/epoll_loop.h"
#include "net/socket.h"

namespace lateen::cluster::dns {

namespace {
using data::Json;
using data::JsonArray;
using data::JsonObject;
constexpr std::size_t kMostPacketBytes = 4096;
constexpr std::size_t kMostTcpClients = 256;
constexpr std::size_t kMostTcpAnswer = 65535;
constexpr seconds kTcpIdle{10};
constexpr int kPacketsPerTurn = 64;
}  // namespace

class DnsServer::InformerDirectory final : public Directory {
 public:
  explicit InformerDirectory(kube::Client& client)
      : services_(client, kube::resources::services()),
        slices_(client, kube::resources::endpoint_slices()),
        namespaces_(client, kube::resources::namespaces()) {
    for (auto* informer : {&services_, &slices_, &namespaces_}) informer->start();
  }
  bool wait_synced(milliseconds limit) {
    return services_.wait_synced(limit) && slices_.wait_synced(limit) &&
           namespaces_.wait_synced(limit);
  }
  kube::ObjectPtr service(const kube::Key& key) const override { return services_.find(key); }
  std::vector<kube::ObjectPtr> services(std::string_view ns) const override {
    return services_.list(ns);
  }
  std::vector<kube::ObjectPtr> slices(const kube::Key& service) const override {
    std::vector<kube::ObjectPtr> own;
    for (auto& slice : slices_.list(service.ns))
      if (kube::label(*slice, "kubernetes.io/service-name") == service.name)
        own.push_back(std::move(slice));
    return own;
  }
  bool has_namespace(std::string_view ns) const override {
    return namespaces_.find({"", std::string(ns)}) != nullptr;
  }

 private:
  kube::Informer services_, slices_, namespaces_;
};

class DnsServer::UdpPort {
 public:
  UdpPort(const DnsServer& server, event::Loop& loop, Fd fd)
      : server_(server), fd_(std::move(fd)), loop_(loop) {
    watch_ = loop.watch(fd_.get(), [this](event::FdWatch::Ready) { read_ready(); });
  }

 private:
  void read_ready() {
    char packet[kMostPacketBytes];
    for (int i = 0; i < kPacketsPerTurn; ++i) {
      sockaddr_storage from{};
      socklen_t length = sizeof from;
      const ssize_t got = ::recvfrom(fd_.get(), packet, sizeof packet, 0,
                                     reinterpret_cast<sockaddr*>(&from), &length);
      if (got < 0) {
        if (errno == EINTR) continue;
        return;
      }
      const std::string answer = server_.respond({packet, static_cast<std::size_t>(got)}, true);
      if (!answer.empty())
        (void)!::sendto(fd_.get(), answer.data(), answer.size(), 0,
                        reinterpret_cast<sockaddr*>(&from), length);
    }
    event::after(scope_, loop_, nanoseconds(0), [this] { read_ready(); });
  }
  const DnsServer& server_;
  Fd fd_;
  event::Loop& loop_;
  std::unique_ptr<event::FdWatch> watch_;
  event::Scope scope_;
};

class DnsServer::TcpPort {
 public:
  TcpPort(const DnsServer& server, event::Loop& loop, Fd fd)
      : server_(server),
        loop_(loop),
        listener_(loop, std::move(fd),
                  [this](std::unique_ptr<net::Stream> stream) { accept(std::move(stream)); }) {}

 private:
  struct Client {
    explicit Client(event::Loop& loop, Function<void()> on_idle) : idle(loop, std::move(on_idle)) {}
    std::unique_ptr<net::Stream> stream;
    Buffer in, out;
    event::Timer idle;
  };

  void accept(std::unique_ptr<net::Stream> stream) {
    if (clients_.size() >= kMostTcpClients) return;
    const std::uint64_t id = next_id_++;
    auto client = std::make_unique<Client>(loop_, [this, id] { clients_.erase(id); });
    client->stream = std::move(stream);
    client->idle.arm(kTcpIdle);
    client->stream->on_ready([this, id](bool, bool) { turn(id); });
    clients_[id] = std::move(client);
    turn(id);
  }

  void turn(std::uint64_t id) {
    const auto found = clients_.find(id);
    if (found == clients_.end()) return;
    Client& client = *found->second;
    bool is_over = false;
    while (true) {
      const net::Io io = client.stream->read(client.in, kMostPacketBytes);
      if (io.state == net::IoState::kOk) {
        client.idle.arm(kTcpIdle);
        if (!answer_all(client)) is_over = true;
        if (!is_over) continue;
      }
      is_over = is_over || io.state == net::IoState::kEof || io.state == net::IoState::kError;
      break;
    }
    if (client.stream->write(client.out).state == net::IoState::kError) is_over = true;
    if (is_over) loop_.defer([this, id] { clients_.erase(id); });
  }

  bool answer_all(Client& client) {
    while (client.in.size() >= 2) {
      const std::string_view head = client.in.flatten(2);
      const std::size_t length = static_cast<std::size_t>(static_cast<unsigned char>(head[0]))
                                     << 8 |
                                 static_cast<unsigned char>(head[1]);
      if (length > kMostPacketBytes) return false;
      if (client.in.size() < 2 + length) return true;
      client.in.drop(2);
      const std::string packet = client.in.take(length).to_string();
      const std::string answer = server_.respond(packet, false);
      if (answer.empty() || client.out.size() > 4 * kMostTcpAnswer) return false;
      const char size[2] = {static_cast<char>(answer.size() >> 8),
                            static_cast<char>(answer.size())};
      client.out.append(std::string_view(size, 2));
      client.out.append(answer);
    }
    return true;
  }

  const DnsServer& server_;
  event::Loop& loop_;
  std::uint64_t next_id_ = 0;
  std::map<std::uint64_t, std::unique_ptr<Client>> clients_;
  net::Listener listener_;
};

DnsServer::DnsServer(kube::Client& client, const Clock& clock) : client_(client), clock_(clock) {}

DnsServer::~DnsServer() {
  if (thread_.joinable()) {
    loop_->stop();
    thread_.join();
  }
  udp_.clear();
  tcp_.clear();
}

Result<> DnsServer::start(const std::vector<net::Address>& addresses, const net::Ip& cluster_ip) {
  TRY(publish_service(addresses.front(), cluster_ip).at("making the kube-dns service"));
  directory_ = std::make_unique<InformerDirectory>(client_);
  if (!directory_->wait_synced(seconds(30)))
    return unavailable("the API server does not list services");
  loop_ = TRY(event::make_epoll_loop(clock_, system_random()));
  for (const net::Address& address : addresses) {
    Fd udp(::socket(address.family(), SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
    sockaddr_storage raw{};
    const socklen_t length = TRY(address.to_sockaddr(raw));
    if (!udp.is_open() || ::bind(udp.get(), reinterpret_cast<sockaddr*>(&raw), length) != 0)
      return errno_error("binding DNS to " + address.to_string(), errno);
    Fd tcp = TRY(net::listen_on(address));
    udp_.push_back(std::make_unique<UdpPort>(*this, *loop_, std::move(udp)));
    tcp_.push_back(std::make_unique<TcpPort>(*this, *loop_, std::move(tcp)));
  }
  thread_ = std::thread([this] { loop_->run(); });
  return {};
}

std::string DnsServer::respond(std::string_view packet, bool is_udp) const {
  const auto id = id_of(packet);
  if (!id.has_value()) return {};
  auto question = parse_question(packet);
  if (!question.ok()) {
    if ((static_cast<unsigned char>(packet[2]) & 0x80) != 0) return {};  // never answer an answer
    return encode_failure(*id, question.error().code() == Code::kUnimplemented
                                   ? ResponseCode::kNotImplemented
                                   : ResponseCode::kFormat);
  }
  return encode_response(*question, answer_question(*question, *directory_),
                         is_udp ? question->udp_bytes : kMostTcpAnswer);
}

Result<> DnsServer::publish_service(const net::Address& endpoint, const net::Ip& cluster_ip) {
  const JsonObject metadata{{"name", "kube-dns"},
                            {"namespace", "kube-system"},
                            {"labels", JsonObject{{"k8s-app", "kube-dns"},
                                                  {"kubernetes.io/cluster-service", "true"},
                                                  {"kubernetes.io/name", "CoreDNS"}}}};
  const auto port = [&](const char* name, const char* protocol) {
    return JsonObject{{"name", name}, {"protocol", protocol}, {"port", endpoint.port()}};
  };
  const JsonArray ports{port("dns", "UDP"), port("dns-tcp", "TCP")};
  const JsonObject service{
      {"apiVersion", "v1"},
      {"kind", "Service"},
      {"metadata", metadata},
      {"spec", JsonObject{{"clusterIP", cluster_ip.to_string()}, {"ports", ports}}}};
  JsonObject endpoints{
      {"apiVersion", "v1"},
      {"kind", "Endpoints"},
      {"metadata", metadata},
      {"subsets",
       JsonArray{JsonObject{{"addresses", JsonArray{JsonObject{{"ip", endpoint.ip().to_string()}}}},
                            {"ports", ports}}}}};
  Json endpoints_json = endpoints;
  kube::set_label(endpoints_json, "endpointslice.kubernetes.io/skip-mirror", "true");
  Json slice = JsonObject{
      {"apiVersion", "discovery.k8s.io/v1"},
      {"kind", "EndpointSlice"},
      {"metadata", metadata},
      {"addressType", "IPv4"},
      {"ports", ports},
      {"endpoints",
       JsonArray{JsonObject{{"addresses", JsonArray{Json(endpoint.ip().to_string())}},
                            {"conditions", JsonObject{{"ready", true}, {"serving", true}}}}}}};
  kube::set_label(slice, "kubernetes.io/service-name", "kube-dns");
  kube::set_label(slice, "endpointslice.kubernetes.io/managed-by", "lateen-dns");
  const std::pair<const kube::Resource&, Json> objects[] = {
      {kube::resources::services(), service},
      {kube::resources::endpoints(), endpoints_json},
      {kube::resources::endpoint_slices(), slice}};
  for (const auto& [resource, object] : objects) {
    auto created = client_.create(resource, object);
    if (!created.ok() && created.error().code() != Code::kAlreadyExists)
      return std::move(created).error();
  }
  return {};
}

}  // namespace lateen::cluster::dns
