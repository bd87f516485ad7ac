#include "proxy_room.h"

#include "base/check.h"
#include "envoy/config/bootstrap/v3/bootstrap.pb.h"
#include "exchange_config.h"
#include "proxy/listener/worker_listener.h"
#include "proxy/server/bootstrap.h"
#include "proxy/server/publisher.h"

namespace lateen::fuzz {
namespace {

using mesh_test::Door;
using mesh_test::Route;

constexpr std::size_t kMostHeardBytes = 128 * 1024;  // then the client hangs up
constexpr milliseconds kExchangeLimit{120'000};      // of virtual time

// Every name is one address.
class Names final : public net::Resolver {
 public:
  explicit Names(event::Loop& loop) : loop_(loop) {}
  void resolve(event::Scope& scope, std::string_view, net::Family,
               event::Completion<net::Resolved> done) override {
    event::after(scope, loop_, nanoseconds(0), [done = std::move(done)] {
      done(net::Resolved{{*net::Ip::parse("10.0.0.9")}, seconds(600)});
    });
  }

 private:
  event::Loop& loop_;
};

}  // namespace

// One end of a connection that says its bytes once the other spoke (or at once) and notes what it
// hears.
class ProxyRoom::Speaker {
 public:
  Speaker(std::unique_ptr<net::Stream> stream, std::string_view text, bool is_first)
      : stream_(std::move(stream)), text_(text), is_first_(is_first) {
    stream_->on_ready([this](bool, bool) { go_on(); });
    go_on();
  }
  bool is_over() const { return is_over_; }
  const std::string& heard() const { return heard_; }
  void hang_up() { stream_.reset(), is_over_ = true; }

 private:
  void go_on() {
    if (stream_ == nullptr || is_over_) return;
    Buffer in;
    for (;;) {
      const auto io = stream_->read(in, 65536);
      if (io.state == net::IoState::kEof || io.state == net::IoState::kError) is_over_ = true;
      if (io.state != net::IoState::kOk) break;
    }
    heard_ += in.to_string();
    if (heard_.size() > kMostHeardBytes && !is_over_) {
      is_over_ = true;
      stream_->reset();
    }
    if (!is_said_ && (is_first_ || !heard_.empty())) {
      is_said_ = true;
      out_ = Buffer(text_);
    }
    if (is_said_ && !is_over_) {
      if (!out_.empty()) (void)stream_->write(out_);
      if (out_.empty() && !is_shut_ && !is_first_) {
        is_shut_ = true;
        stream_->shutdown_write();
      }
    }
  }
  std::unique_ptr<net::Stream> stream_;
  const std::string text_;
  const bool is_first_;
  bool is_said_ = false, is_shut_ = false, is_over_ = false;
  Buffer out_;
  std::string heard_;
};

ProxyRoom::ProxyRoom()
    : world_(1), proxy_node_(world_.add_node("proxy")), outside_node_(world_.add_node("outside")) {
  world_.set_router([this](mesh_test::Node&, const net::Address& to, const net::DialOptions&) {
    Route route;
    route.most_bytes = most_bytes_;
    route.from = *net::Address::parse("10.0.0.1:1");
    // One address refuses.
    if (to.is_unix() || to.port() == 9) return route;
    route.door = {
        &outside_node_, to, [this](std::unique_ptr<net::Stream> stream) {
          if (speakers_.size() < 64)
            speakers_.push_back(std::make_unique<Speaker>(std::move(stream), answer_, false));
        }};
    return route;
  });
  proxy::Options options;
  options.config_yaml = exchange_config();
  auto bootstrap = proxy::load_bootstrap(options);
  if (!bootstrap.ok()) std::fprintf(stderr, "%s\n", bootstrap.error().message().c_str());
  CHECK(bootstrap.ok());
  for (const auto& listener : (*bootstrap)->static_resources().listeners())
    listeners_.push_back(listener.name());
  server_ = std::make_unique<proxy::Server>(proxy_node_, options, *std::move(bootstrap),
                                            std::make_unique<Names>(proxy_node_));
  const auto started = server_->start();
  if (!started.ok()) std::fprintf(stderr, "%s\n", started.error().message().c_str());
  CHECK(started.ok());
  world_.run_for(seconds(1));
}

ProxyRoom::~ProxyRoom() {
  speakers_.clear();
  server_.reset();
}

std::string ProxyRoom::exchange(std::size_t listener, std::string_view client,
                                std::string_view upstream, std::size_t most_bytes) {
  answer_ = upstream;
  most_bytes_ = most_bytes;
  proxy::Worker& worker = *server_->publisher().workers().front();
  auto* door = worker.find_listener(listeners_[listener % listeners_.size()]);
  CHECK(door != nullptr);
  Route route;
  route.door.node = &proxy_node_;
  route.door.local = *net::Address::parse("10.0.0.2:80");
  route.most_bytes = most_bytes;
  auto ends = mesh_test::make_link(world_, outside_node_, *net::Address::parse("10.0.0.3:5000"),
                                   route.door.local, route, 7);
  proxy_node_.post([door, far = std::move(ends.far)]() mutable { door->accept(std::move(far)); });
  Speaker speaker(std::move(ends.near), client, true);
  world_.run_until([&] { return speaker.is_over(); }, seconds(20));
  std::string heard = speaker.heard();
  speaker.hang_up();
  speakers_.clear();
  world_.run_for(kExchangeLimit);
  return heard;
}

bool ProxyRoom::is_empty() const {
  return server_->publisher().workers().front()->connection_count() == 0;
}

}  // namespace lateen::fuzz
