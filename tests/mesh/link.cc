// Connections of the simulated network: bounded bytes each way, that arrive after a latency, in
// pieces of any size, and that can be cut.
#include <algorithm>
#include <deque>

#include "world.h"

namespace lateen::mesh_test {
namespace {

constexpr std::size_t kCapacityBytes = 64 * 1024;  // on the way, each direction

class End;

class Wire final : public Link, public std::enable_shared_from_this<Wire> {
 public:
  Wire(World& world, Node& from, const Route& route, std::string name, std::uint64_t seed)
      : world_(world),
        latency_(route.latency),
        most_(route.most_bytes),
        name_(std::move(name)),
        nodes_{&from, route.door.node},
        random_(seeded_random(seed)) {}

  void cut() override {
    is_reset_ = true;
    for (auto& way : ways_) way.packets.clear();
    wake(0, nanoseconds(0));
    wake(1, nanoseconds(0));
  }
  bool is_open() const override { return !is_reset_ && ends_[0] != nullptr && ends_[1] != nullptr; }
  const std::string& name() const override { return name_; }

  net::Io read(int side, Buffer& into, std::size_t most_bytes) {
    if (is_reset_) return {net::IoState::kError};
    Way& way = ways_[side];
    if (way.packets.empty() || way.packets.front().due > world_.now())
      return {net::IoState::kAgain};
    Packet& first = way.packets.front();
    if (first.is_end) return {net::IoState::kEof};
    const std::size_t count = piece(std::min(most_bytes, first.bytes.size()));
    into.append(std::string_view(first.bytes).substr(0, count));
    first.bytes.erase(0, count);
    if (first.bytes.empty()) way.packets.pop_front();
    if (way.size >= kCapacityBytes) wake(1 - side, nanoseconds(0));
    way.size -= count;
    return {net::IoState::kOk, count};
  }

  net::Io write(int side, Buffer& from) {
    Way& way = ways_[1 - side];
    if (is_reset_ || way.is_ended || ends_[1 - side] == nullptr) return {net::IoState::kError};
    if (from.empty()) return {net::IoState::kOk};
    const std::size_t room = kCapacityBytes - std::min(kCapacityBytes, way.size);
    const std::size_t count = piece(std::min(room, from.size()));
    if (count > 0) {
      way.packets.push_back({world_.now() + latency_, from.take(count).to_string(), false});
      way.size += count;
      wake(1 - side, latency_);
    }
    if (from.empty()) return {net::IoState::kOk, count};
    if (count < room) wake(side, nanoseconds(0));  // A short write: more may go at once.
    return {net::IoState::kAgain, count};
  }

  void end(int side) {
    Way& way = ways_[1 - side];
    if (way.is_ended) return;
    way.is_ended = true;
    way.packets.push_back({world_.now() + latency_, {}, true});
    wake(1 - side, latency_);
  }

  void attach(int side, End* end) { ends_[side] = end; }
  void detach(int side) {
    ends_[side] = nullptr;
    end(side);
    wake(1 - side, latency_);
  }
  void wake(int side, nanoseconds delay);
  bool is_reset() const { return is_reset_; }

 private:
  struct Packet {
    SteadyTime due;
    std::string bytes;
    bool is_end;
  };
  struct Way {
    std::deque<Packet> packets;
    std::size_t size = 0;
    bool is_ended = false;
  };
  std::size_t piece(std::size_t most) {
    if (most_ == 0 || most <= 1) return most;
    return std::min<std::size_t>(most, 1 + random_->below(most_));
  }

  World& world_;
  const nanoseconds latency_;
  const std::size_t most_;
  const std::string name_;
  Node* nodes_[2];
  std::unique_ptr<Random> random_;
  Way ways_[2];  // ways_[i] is read by ends_[i]
  End* ends_[2] = {nullptr, nullptr};
  bool is_reset_ = false;
  bool is_woken_[2] = {false, false};
};

class End final : public net::Stream, public net::Redirected {
 public:
  End(std::shared_ptr<Wire> wire, int side, net::Address local, net::Address remote,
      net::Address original)
      : wire_(std::move(wire)),
        side_(side),
        local_(std::move(local)),
        remote_(std::move(remote)),
        original_(std::move(original)) {
    wire_->attach(side_, this);
  }
  ~End() override { wire_->detach(side_); }

  net::Io read(Buffer& into, std::size_t most_bytes) override {
    return wire_->read(side_, into, most_bytes);
  }
  net::Io write(Buffer& from) override { return wire_->write(side_, from); }
  void shutdown_write() override { wire_->end(side_); }
  void reset() override { wire_->cut(); }
  void on_ready(Function<void(bool, bool)> callback) override {
    callback_ = std::make_shared<Function<void(bool, bool)>>(std::move(callback));
    wire_->wake(side_, nanoseconds(0));
  }
  const net::Address& local_address() const override { return local_; }
  const net::Address& remote_address() const override { return remote_; }
  const net::Address& original_destination() const override { return original_; }
  std::string last_error() const override { return "connection reset by peer"; }

  void ready() {
    const auto callback = callback_;  // It may replace itself, or destroy us.
    if (callback != nullptr && *callback) (*callback)(true, true);
  }

 private:
  std::shared_ptr<Wire> wire_;
  int side_;
  net::Address local_, remote_, original_;
  std::shared_ptr<Function<void(bool, bool)>> callback_;
};

void Wire::wake(int side, nanoseconds delay) {
  if (delay > nanoseconds(0)) {
    world_.at(delay, [self = shared_from_this(), side] { self->wake(side, nanoseconds(0)); });
    return;
  }
  if (is_woken_[side] || ends_[side] == nullptr) return;
  is_woken_[side] = true;
  nodes_[side]->post([self = shared_from_this(), side] {
    self->is_woken_[side] = false;
    if (self->ends_[side] != nullptr) self->ends_[side]->ready();
  });
}

}  // namespace

LinkEnds make_link(World& world, Node& from, const net::Address& near_local, const net::Address& to,
                   const Route& route, std::uint64_t seed) {
  auto wire =
      std::make_shared<Wire>(world, from, route, from.name() + " > " + to.to_string(), seed);
  LinkEnds ends;
  ends.near = std::make_unique<End>(wire, 0, near_local, to, to);
  ends.far = std::make_unique<End>(wire, 1, route.door.local, near_local, to);
  ends.link = std::move(wire);
  return ends;
}

}  // namespace lateen::mesh_test
