// The server side of the aggregated discovery service as a state machine without I/O: what a stream
// subscribed to, what it was sent, what it acknowledged or rejected. Both variants, state of the
// world and delta. One loop's thread.
//
// The owner decodes each message with decode_request(), asks Session::on_request() whether and for
// which names to answer, generates resources and lets Session::respond() encode what the client
// does not have yet.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "data/json.h"

namespace lateen::xds {

enum class Variant : unsigned char { kStateOfTheWorld, kDelta };

// A resource as generated: encoded once, shared by all streams that get it.
struct Served {
  std::string name;
  std::uint64_t version = 0;                // of its content: equal bytes, equal version
  std::shared_ptr<const std::string> body;  // the message's bytes, without the Any around them
};

// One message of a client, either variant.
struct ClientRequest {
  bool has_node = false;
  std::string node_id;
  std::string node_cluster;
  std::string locality;    // "region/zone/subzone"
  std::string user_agent;  // "envoy 1.30.0"
  data::Json metadata = data::JsonObject{};
  std::string type_url;
  std::string nonce;
  std::optional<std::string> error;                       // of a NACK
  std::vector<std::string> names;                         // state of the world: all that is wanted
  std::vector<std::string> subscribe, unsubscribe;        // delta
  std::vector<std::pair<std::string, std::string>> held;  // delta: initial versions
};
Result<ClientRequest> decode_request(Variant variant, std::string_view bytes);

// What a stream wants of one type, and how far it is.
struct Watch {
  std::string type_url;
  bool is_wildcard = false;
  std::set<std::string> names;
  std::map<std::string, std::uint64_t> sent;  // by name: the version the client was sent last
  bool was_answered = false;
  std::string nonce_sent, nonce_acked, nonce_rejected;
  std::string version_sent, version_acked;
  std::string last_error;
  WallTime last_sent{}, last_acked{};
  std::size_t bytes_sent = 0;  // of the last response

  bool wants(const std::string& name) const { return is_wildcard || names.count(name) > 0; }
  bool is_synced() const { return !nonce_sent.empty() && nonce_sent == nonce_acked; }
};

class Session {
 public:
  // Bounds what one stream may make the server remember.
  static constexpr std::size_t kMostTypes = 32;
  static constexpr std::size_t kMostNames = 200'000;

  explicit Session(Variant variant) : variant_(variant) {}

  enum class Kind : unsigned char { kSubscribe, kAck, kNack, kStale, kRefused };
  struct Outcome {
    Kind kind = Kind::kStale;
    bool must_answer = false;
    std::vector<std::string> names;  // to answer for; empty with must_answer: for all of the watch
  };
  Outcome on_request(const ClientRequest& request, WallTime now);

  enum class Extent : unsigned char { kComplete, kPartial };
  struct Push {
    std::string_view type_url;
    const std::vector<Served>* resources;
    Extent extent = Extent::kComplete;  // complete: what is not in it does not exist (any more)
    std::string version;                // of the push
    std::string nonce;
    std::string control_plane;  // identifier; may be empty
    bool is_forced = false;     // send although the client has these versions
  };
  // The encoded response with what is new to the client; nullopt when it has everything already.
  std::optional<std::string> respond(const Push& push, WallTime now);

  // The client lost what it had of these resources (a changed cluster starts without endpoints):
  // sends them again.
  void forget(std::string_view type_url, const std::vector<std::string>& names);

  Variant variant() const { return variant_; }
  const Watch* find(std::string_view type_url) const;
  const std::map<std::string, Watch, std::less<>>& watches() const { return watches_; }
  // Names of the last response whose content was new or removed.
  const std::vector<std::string>& last_changed() const { return last_changed_; }

 private:
  Outcome on_sotw(Watch& watch, bool is_new, const ClientRequest& request);
  Outcome on_delta(Watch& watch, bool is_new, const ClientRequest& request);
  std::string encode_sotw(const Push& push, const std::vector<const Served*>& send);
  std::string encode_delta(const Push& push, const std::vector<const Served*>& send,
                           const std::vector<std::string>& removed);

  Variant variant_;
  std::map<std::string, Watch, std::less<>> watches_;
  std::vector<std::string> last_changed_;
};

}  // namespace lateen::xds
