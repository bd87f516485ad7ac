// The client side of the aggregated discovery service as a state machine without I/O: protocol
// messages in and out as bytes. Both variants, state of the world and delta. One loop's thread.
//
// The owner connects send(), calls on_stream_open() for each new stream and on_message() for each
// message; the machine re-sends subscriptions after a reconnect (delta: with the versions it
// holds).
#pragma once

#include <google/protobuf/any.pb.h>

#include <map>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "base/function.h"
#include "base/result.h"

namespace envoy::config::core::v3 {
class Node;
}

namespace lateen::xds {

struct Resource {
  std::string name;
  std::string version;  // delta only; of the update otherwise
  google::protobuf::Any body;
};

// What one response says. In state-of-the-world mode of a wildcard type, `resources` is all there
// is: what is not in it was removed, which the machine works out and puts into `removed`.
struct Update {
  std::string type_url;
  std::string version;
  std::vector<Resource> resources;
  std::vector<std::string> removed;
};

class Client {
 public:
  enum class Variant : unsigned char { kStateOfTheWorld, kDelta };

  // An error is the text of the NACK; what could be applied of the update has been.
  using OnUpdate = Function<Result<>(const Update& update)>;
  // Puts one encoded DiscoveryRequest or DeltaDiscoveryRequest on the stream.
  using Send = Function<void(std::string message)>;

  Client(Variant variant, const envoy::config::core::v3::Node& node, bool is_node_sent_once,
         OnUpdate on_update, Send send);
  ~Client();

  // Subscribes to all resources of a type, or to exactly `names` (replacing the earlier set; empty
  // ends it).
  void subscribe_all(std::string_view type_url);
  void subscribe(std::string_view type_url, const std::set<std::string>& names);

  void on_stream_open();
  void on_stream_closed() { is_open_ = false; }
  // An error: the bytes are no such message; the caller resets the stream.
  Result<> on_message(std::string_view message);

  bool is_open() const { return is_open_; }
  // Empty until a response said it.
  const std::string& control_plane() const { return control_plane_; }

 private:
  struct Subscription {
    bool is_wildcard = false;
    std::set<std::string> names;
    std::set<std::string> announced;  // names the server knows of, on this stream
    bool is_announced = false;        // a request went out on this stream
    std::string version;
    std::string nonce;
    std::map<std::string, std::string> held;  // resource name to version
  };

  void announce(const std::string& type_url, Subscription& subscription);
  void answer(const std::string& type_url, Subscription& subscription, const std::string* error);
  Result<> on_sotw(std::string_view message);
  Result<> on_delta(std::string_view message);
  void deliver(Subscription& subscription, const Update& update);
  template <typename Request>
  void send_request(Request& request);

  Variant variant_;
  std::unique_ptr<envoy::config::core::v3::Node> node_;
  bool is_node_sent_once_;
  bool is_node_sent_ = false;
  bool is_open_ = false;
  std::string control_plane_;
  std::vector<std::string> order_;  // of first subscription; kept on reconnect
  std::map<std::string, Subscription, std::less<>> subscriptions_;
  OnUpdate on_update_;
  Send send_;
};

}  // namespace lateen::xds
