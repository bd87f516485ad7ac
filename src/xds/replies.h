// Replies: the encoded responses of a moment. What a stream is sent follows from what it asked for,
// what it holds and what there is; streams for which these are the same objects get the same bytes,
// made once. One loop's thread.
#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "base/buffer.h"
#include "xds/names.h"

namespace lateen::xds {

enum class Variant : unsigned char { kStateOfTheWorld, kDelta };

// A resource as generated: encoded once, shared by all streams that get it.
struct Served {
  std::string name;
  std::uint64_t version = 0;                // of its content: equal bytes, equal version
  std::shared_ptr<const std::string> body;  // the message's bytes, without the Any around them
};
using ServedPtr = std::shared_ptr<const Served>;
using Resources = std::vector<ServedPtr>;
using ResourcesPtr = std::shared_ptr<const Resources>;
ResourcesPtr no_resources();  // always the same

// Everything that a response depends on.
struct ReplyKey {
  Variant variant = Variant::kDelta;
  bool is_wildcard = false, was_answered = false, is_complete = false;
  std::uint64_t type = 0;  // hash of the type URL
  NamesPtr names;
  ResourcesPtr held, resources;
  bool operator==(const ReplyKey&) const = default;
};

struct Reply {
  bool is_empty = false;  // the client has everything already
  Buffer bytes;           // the response but for its nonce
  ResourcesPtr held;      // what the client has after it, sorted by name
  std::shared_ptr<const std::vector<std::string>> changed;  // names: new content or removed
};

class Replies {
 public:
  explicit Replies(std::size_t most_bytes = 16u << 20) : most_bytes_(most_bytes) {}
  NamePool& names() { return names_; }
  // nullptr when it is not there (any more). Valid until the next call of keep() or clear().
  const Reply* find(const ReplyKey& key) const;
  const Reply& keep(ReplyKey key, Reply reply);
  // The same resources, sorted by name. The same object whoever asks.
  ResourcesPtr in_order(const ResourcesPtr& resources);
  // `held` without `names`: made once for all streams that lose the same.
  ResourcesPtr without(const ResourcesPtr& held,
                       const std::shared_ptr<const std::vector<std::string>>& names);
  // A new moment: its version is another.
  void clear();

 private:
  struct Hash {
    std::size_t operator()(const ReplyKey& key) const;
  };
  struct Loss {
    ResourcesPtr from;
    std::shared_ptr<const std::vector<std::string>> names;
    ResourcesPtr to;
  };

  NamePool names_;
  std::size_t most_bytes_;
  std::size_t bytes_ = 0;
  std::unordered_map<ReplyKey, Reply, Hash> replies_;
  std::deque<ReplyKey> order_;  // oldest first
  std::deque<Loss> losses_;
  std::unordered_map<const Resources*, std::pair<ResourcesPtr, ResourcesPtr>> ordered_;
};

}  // namespace lateen::xds
