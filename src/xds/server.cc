#include "xds/server.h"

#include <algorithm>

#include "base/strings.h"
#include "xds/any.h"
#include "xds/responses.h"

namespace lateen::xds {
namespace {

// CDS and LDS without names mean everything; other types mean nothing then.
bool has_wildcard(std::string_view type_url) {
  return type_url == kClusterType || type_url == kListenerType || type_url == kNameTableType ||
         type_url.starts_with("type.googleapis.com/istio.");
}

bool is_before(const ServedPtr& a, const ServedPtr& b) { return a->name < b->name; }

ResourcesPtr sorted(std::vector<ServedPtr> resources) {
  std::sort(resources.begin(), resources.end(), is_before);
  return std::make_shared<const Resources>(std::move(resources));
}

const Served* find_in(const Resources& held, std::string_view name) {
  const auto at =
      std::lower_bound(held.begin(), held.end(), name,
                       [](const ServedPtr& a, std::string_view b) { return a->name < b; });
  return at != held.end() && (*at)->name == name ? at->get() : nullptr;
}

}  // namespace

std::set<std::string> Watch::all_names() const {
  std::set<std::string> out(names->begin(), names->end());
  out.insert(more.begin(), more.end());
  return out;
}

const Watch* Session::find(std::string_view type_url) const {
  const auto found = watches_.find(type_url);
  return found == watches_.end() ? nullptr : &found->second;
}

Session::Outcome Session::on_request(const ClientRequest& request, WallTime now) {
  auto found = watches_.find(request.type_url);
  const bool is_new = found == watches_.end();
  const std::size_t names = request.names.size() + request.subscribe.size() + request.held.size();
  if ((is_new && watches_.size() >= kMostTypes) || names > kMostNames) {
    return {Kind::kRefused, false, {}};
  }
  if (is_new) {
    found = watches_.emplace(request.type_url, Watch{}).first;
    found->second.type_url = request.type_url;
  }
  Watch& watch = found->second;
  if (request.error && !request.nonce.empty()) {
    watch.nonce_rejected = request.nonce;
    watch.last_error = *request.error;
    // A NACK may carry new names; those are taken with the next request, but a delta NACK
    // subscribes as well.
    if (variant_ == Variant::kStateOfTheWorld || request.subscribe.empty()) {
      return {Kind::kNack, false, {}};
    }
  }
  const bool acks = !request.nonce.empty() && request.nonce == watch.nonce_sent && !request.error;
  if (acks) {
    watch.nonce_acked = request.nonce;
    watch.version_acked = watch.version_sent;
    watch.last_acked = now;
    watch.last_error.clear();
  }
  return variant_ == Variant::kStateOfTheWorld ? on_sotw(watch, is_new, request)
                                               : on_delta(watch, is_new, request);
}

Session::Outcome Session::on_sotw(Watch& watch, bool is_new, const ClientRequest& request) {
  const bool is_first = is_new || request.nonce.empty();
  if (!is_first && request.nonce != watch.nonce_sent) return {Kind::kStale, false, {}};
  const NamesPtr wanted =
      request.same_names != nullptr ? request.same_names : replies_.names().take(request.names);
  if (request.same_names == nullptr) {
    watch.asked_size = request.names_text.size();
    watch.asked_hash = quick_hash(request.names_text);
  }
  if (is_first) {
    // Also a client that starts over on this stream: whatever it was sent does not count.
    watch.is_wildcard =
        (wanted->empty() && has_wildcard(request.type_url)) || wanted->contains("*");
    watch.names = wanted;
    watch.held = no_resources();
    return {Kind::kSubscribe, watch.is_wildcard || !wanted->empty(), {}};
  }
  Outcome outcome{Kind::kAck, false, {}};
  if (wanted == watch.names) return outcome;
  for (const std::string& name : *wanted) {
    if (!watch.names->contains(name)) outcome.names.push_back(name);
  }
  if (!watch.is_wildcard) {
    std::vector<ServedPtr> kept;
    for (const ServedPtr& served : *watch.held) {
      if (wanted->contains(served->name)) kept.push_back(served);
    }
    if (kept.size() != watch.held->size()) {
      watch.held = std::make_shared<const Resources>(std::move(kept));
    }
  }
  watch.names = wanted;
  outcome.must_answer = !outcome.names.empty();
  if (outcome.must_answer) outcome.kind = Kind::kSubscribe;
  // Of listeners and clusters, what a response lacks does not exist: it must hold all of them.
  if (has_wildcard(request.type_url)) outcome.names.clear();
  return outcome;
}

// Those in `more` become part of the shared set.
void Session::settle(Watch& watch) {
  if (watch.more.empty()) return;
  std::vector<std::string_view> all;
  all.reserve(watch.names->size() + watch.more.size());
  std::merge(watch.names->begin(), watch.names->end(), watch.more.begin(), watch.more.end(),
             std::back_inserter(all));
  watch.names = replies_.names().take(all);
  watch.more.clear();
}

NamesPtr Session::names_of(std::string_view type_url) {
  const auto found = watches_.find(type_url);
  if (found == watches_.end()) return no_names();
  settle(found->second);
  return found->second.names;
}

void Session::unsubscribe(Watch& watch, const std::vector<std::string>& names) {
  if (names.empty()) return;
  settle(watch);
  std::set<std::string_view> gone(names.begin(), names.end());
  std::vector<std::string_view> left;
  for (const std::string& name : *watch.names) {
    if (gone.count(name) == 0) left.push_back(name);
  }
  if (left.size() != watch.names->size()) watch.names = replies_.names().take(left);
  if (gone.count("*") > 0) watch.is_wildcard = false;
  if (!watch.is_wildcard) {
    watch.held =
        replies_.without(watch.held, std::make_shared<const std::vector<std::string>>(names));
  }
}

Session::Outcome Session::on_delta(Watch& watch, bool is_new, const ClientRequest& request) {
  if (is_new) {
    watch.is_wildcard = request.subscribe.empty() && has_wildcard(request.type_url);
    std::vector<ServedPtr> held;
    for (const auto& [name, version] : request.held) {
      held.push_back(
          std::make_shared<const Served>(Served{name, parse_uint(version).value_or(0), nullptr}));
    }
    if (!held.empty()) watch.held = sorted(std::move(held));
  }
  unsubscribe(watch, request.unsubscribe);
  Outcome outcome{Kind::kAck, false, {}};
  std::vector<std::string> again;
  for (const std::string& name : request.subscribe) {
    if (name == "*") {
      watch.is_wildcard = true;
      outcome.must_answer = true;
      continue;
    }
    if (watch.names->size() + watch.more.size() >= kMostNames) return {Kind::kRefused, false, {}};
    if (!watch.names->contains(name)) watch.more.insert(name);
    if (find_in(*watch.held, name) != nullptr) again.push_back(name);
    outcome.names.push_back(name);
  }
  // Asked for again is sent again, unless the client said on connecting that it holds it.
  if (!is_new && !again.empty()) {
    watch.held = replies_.without(
        watch.held, std::make_shared<const std::vector<std::string>>(std::move(again)));
  }
  if (is_new) {
    outcome.kind = Kind::kSubscribe;
    outcome.must_answer = true;
    outcome.names.clear();  // all of them
    return outcome;
  }
  outcome.must_answer |= !outcome.names.empty();
  if (outcome.must_answer) {
    outcome.kind = Kind::kSubscribe;
  } else if (!request.nonce.empty() && request.nonce != watch.nonce_sent) {
    outcome.kind = Kind::kStale;
  }
  return outcome;
}

// What a push means for a stream. All sorted by name.
struct Session::Difference {
  Resources wanted, fresh;        // fresh: content that the stream does not have
  std::vector<std::string> gone;  // held, and not wanted or not there any more
};

// One pass over lists that are mostly the same objects in the same order.
Session::Difference Session::compare(const Watch& watch, const Push& push,
                                     const Resources& sorted) const {
  Difference out;
  out.wanted.reserve(sorted.size());
  auto name = watch.names->begin();
  auto held = watch.held->begin();
  for (const ServedPtr& served : sorted) {
    if (!watch.is_wildcard) {
      while (name != watch.names->end() && *name < served->name) ++name;
      if (name == watch.names->end()) break;
      if (*name != served->name) continue;
    }
    out.wanted.push_back(served);
    bool is_held = held != watch.held->end() && *held == served;
    if (!is_held) {
      for (; held != watch.held->end() && is_before(*held, served); ++held) {
        out.gone.push_back((*held)->name);
      }
      if (held != watch.held->end() && (*held)->name == served->name) {
        is_held = (*held)->version == served->version;
      } else {
        out.fresh.push_back(served);
        continue;
      }
    }
    ++held;
    if (!is_held || push.is_forced) out.fresh.push_back(served);
  }
  for (; held != watch.held->end(); ++held) out.gone.push_back((*held)->name);
  return out;
}

// Depends on what is in the ReplyKey of the watch and the push, and on nothing else.
Reply Session::make_reply(const Watch& watch, const Push& push) {
  const bool is_complete = push.extent == Extent::kComplete;
  const ResourcesPtr ordered =
      is_complete ? replies_.in_order(push.resources) : sorted(*push.resources);
  Difference difference = compare(watch, push, *ordered);
  const Resources& fresh = difference.fresh;
  Reply reply;
  std::vector<std::string> removed;
  if (is_complete) {
    // Whatever the stream held before: streams that were sent the same then hold the same object.
    reply.held = difference.wanted.size() == ordered->size()
                     ? ordered
                     : std::make_shared<const Resources>(std::move(difference.wanted));
    removed = std::move(difference.gone);
    if (!watch.is_wildcard && variant_ == Variant::kDelta && !watch.was_answered) {
      // A name that was asked for and is not there is said to be removed, once.
      for (const std::string& name : *watch.names) {
        if (find_in(*reply.held, name) == nullptr && find_in(*watch.held, name) == nullptr) {
          removed.push_back(name);
        }
      }
    }
  } else if (fresh.empty()) {
    reply.held = watch.held;
  } else {
    auto held = std::make_shared<Resources>();
    held->reserve(watch.held->size() + fresh.size());
    std::set_union(fresh.begin(), fresh.end(), watch.held->begin(), watch.held->end(),
                   std::back_inserter(*held), is_before);
    reply.held = std::move(held);
  }
  auto names = std::make_shared<std::vector<std::string>>();
  for (const ServedPtr& served : fresh) names->push_back(served->name);
  names->insert(names->end(), removed.begin(), removed.end());
  reply.changed = std::move(names);
  reply.is_empty = fresh.empty() && removed.empty() && watch.was_answered && !push.is_forced;
  if (reply.is_empty) return reply;
  const ResponseHead head{push.type_url, push.version, push.control_plane};
  // A response of clusters or listeners is the whole state.
  const bool is_whole =
      variant_ == Variant::kStateOfTheWorld && (watch.is_wildcard || has_wildcard(push.type_url));
  std::vector<const Served*> send;
  for (const ServedPtr& served : is_whole ? *push.resources : fresh) send.push_back(served.get());
  reply.bytes.adopt(variant_ == Variant::kDelta ? encode_delta(head, send, removed)
                                                : encode_sotw(head, send));
  return reply;
}

std::optional<Buffer> Session::respond(const Push& push, WallTime now) {
  const auto found = watches_.find(push.type_url);
  if (found == watches_.end()) return std::nullopt;
  Watch& watch = found->second;
  settle(watch);
  const bool is_complete = push.extent == Extent::kComplete;
  if (is_complete && !push.is_forced && watch.done_resources == push.resources &&
      watch.done_names == watch.names && watch.done_held == watch.held &&
      watch.is_done_wildcard == watch.is_wildcard) {
    return std::nullopt;
  }
  ReplyKey key{variant_,    watch.is_wildcard,      watch.was_answered,
               is_complete, fnv1a64(push.type_url), watch.names,
               watch.held,  push.resources};
  Reply own;
  const Reply* reply = push.is_forced ? nullptr : replies_.find(key);
  if (reply == nullptr) {
    own = make_reply(watch, push);
    reply = push.is_forced ? &own : &replies_.keep(std::move(key), std::move(own));
  }
  watch.held = reply->held;
  if (is_complete) {
    watch.is_done_wildcard = watch.is_wildcard;
    watch.done_names = watch.names;
    watch.done_held = watch.held;
    watch.done_resources = push.resources;
  }
  if (reply->is_empty) return std::nullopt;
  last_changed_ = reply->changed;
  watch.was_answered = true;
  watch.nonce_sent = push.nonce;
  watch.version_sent = push.version;
  watch.last_sent = now;
  Buffer bytes(encode_nonce(push.nonce));
  bytes.append(reply->bytes.clone());
  watch.bytes_sent = bytes.size();
  return bytes;
}

void Session::forget(std::string_view type_url,
                     const std::shared_ptr<const std::vector<std::string>>& names) {
  const auto found = watches_.find(type_url);
  if (found == watches_.end()) return;
  found->second.held = replies_.without(found->second.held, names);
}

}  // namespace lateen::xds
