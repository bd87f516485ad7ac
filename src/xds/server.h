// The server side of the aggregated discovery service as a state machine without I/O: what a stream
// subscribed to, what it was sent, what it acknowledged or rejected. Both variants, state of the
// world and delta. One loop's thread.
//
// The owner decodes each message with decode_request(), asks Session::on_request() whether and for
// which names to answer, generates resources and lets Session::respond() encode what the client
// does not have yet. What streams have in common (names, what they hold, encoded responses) is
// shared through Replies: a stream by itself is a few hundred bytes.
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
#include "xds/replies.h"

namespace lateen::xds {

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
  std::optional<std::string> error;     // of a NACK
  std::vector<std::string_view> names;  // state of the world: all that is wanted
  NamesPtr same_names;  // instead of `names`: those that the session knows from the last time
  std::string_view names_text;                      // as they were sent, where they lie together
  std::vector<std::string> subscribe, unsubscribe;  // delta
  std::vector<std::pair<std::string, std::string>> held;  // delta: initial versions
  std::shared_ptr<const std::string> bytes;               // what `names` point into
};
// `session`: the one that the request is for. Most requests repeat the names of the one before, and
// those are then not read again.
class Session;
Result<ClientRequest> decode_request(Variant variant, std::string bytes,
                                     const Session* session = nullptr);

// What a stream wants of one type, and how far it is.
struct Watch {
  std::string type_url;
  bool is_wildcard = false;
  NamesPtr names = no_names();
  std::set<std::string, std::less<>> more;  // delta: subscribed since, not in `names` yet
  ResourcesPtr held = no_resources();       // sorted by name: what was sent last
  bool was_answered = false;
  std::string nonce_sent, nonce_acked, nonce_rejected;
  std::string version_sent, version_acked;
  std::string last_error;
  WallTime last_sent{}, last_acked{};
  std::size_t bytes_sent = 0;  // of the last response
  // State of the world: the names as they were sent last.
  std::size_t asked_size = 0;
  std::uint64_t asked_hash = 0;
  // With these there is nothing to send.
  bool is_done_wildcard = false;
  NamesPtr done_names;
  ResourcesPtr done_held, done_resources;

  bool wants(std::string_view name) const {
    return is_wildcard || names->contains(name) || more.count(name) > 0;
  }
  bool wants_any() const { return is_wildcard || !names->empty() || !more.empty(); }
  std::set<std::string> all_names() const;
  bool is_synced() const { return !nonce_sent.empty() && nonce_sent == nonce_acked; }
};

class Session {
 public:
  // Bounds what one stream may make the server remember.
  static constexpr std::size_t kMostTypes = 32;
  static constexpr std::size_t kMostNames = 200'000;

  // `replies` outlives the session.
  Session(Variant variant, Replies& replies) : variant_(variant), replies_(replies) {}

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
    ResourcesPtr resources;
    Extent extent = Extent::kComplete;  // complete: what is not in it does not exist (any more)
    std::string_view version;           // of the push
    std::string_view nonce;
    std::string_view control_plane;  // identifier; may be empty
    bool is_forced = false;          // send although the client has these versions
  };
  // The encoded response with what is new to the client; nullopt when it has everything already.
  std::optional<Buffer> respond(const Push& push, WallTime now);
  // All names of a watch as one object, to generate resources for.
  NamesPtr names_of(std::string_view type_url);

  // The client lost what it had of these resources (a changed cluster starts without endpoints):
  // sends them again.
  void forget(std::string_view type_url,
              const std::shared_ptr<const std::vector<std::string>>& names);

  Variant variant() const { return variant_; }
  const Watch* find(std::string_view type_url) const;
  const std::map<std::string, Watch, std::less<>>& watches() const { return watches_; }
  // Names of the last response whose content was new or removed.
  const std::shared_ptr<const std::vector<std::string>>& last_changed() const {
    return last_changed_;
  }

 private:
  Outcome on_sotw(Watch& watch, bool is_new, const ClientRequest& request);
  Outcome on_delta(Watch& watch, bool is_new, const ClientRequest& request);
  void unsubscribe(Watch& watch, const std::vector<std::string>& names);
  void settle(Watch& watch);
  struct Difference;
  Difference compare(const Watch& watch, const Push& push, const Resources& sorted) const;
  Reply make_reply(const Watch& watch, const Push& push);

  Variant variant_;
  Replies& replies_;
  std::map<std::string, Watch, std::less<>> watches_;
  std::shared_ptr<const std::vector<std::string>> last_changed_ =
      std::make_shared<const std::vector<std::string>>();
};

}  // namespace lateen::xds
