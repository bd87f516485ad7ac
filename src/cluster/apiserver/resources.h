// The one REST path of all kinds, built-in and custom: reads from the store, writes through
// decoding, defaulting, admission, validation and optimistic concurrency. Thread-safe.
#pragma once

#include <list>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "cluster/apiserver/admission.h"
#include "cluster/apiserver/call.h"
#include "cluster/apiserver/encode.h"
#include "cluster/apiserver/store.h"
#include "cluster/apiserver/watch.h"

namespace lateen::cluster::apiserver {

class ServiceAddresses;

// Which part of the object an update may change.
enum class UpdateTarget : unsigned char { kMain, kStatus, kFinalize };

struct DeleteSpec {
  std::optional<std::int64_t> grace_seconds;
  std::string propagation;  // "", Orphan, Foreground, Background
  std::string uid;          // preconditions; empty: none
  std::string resource_version;
  bool is_dry_run = false;
  static Outcome<DeleteSpec> parse(const ApiRequest& request);
};

// Given the stored object (storage version) returns the wanted one.
using Transform = Function<Outcome<Json>(const Json& existing)>;

class Resources {
 public:
  struct Parts {
    Store& store;
    const Clock& clock;
    SharedRandom& random;
    Admission& admission;
    ServiceAddresses& services;
  };
  explicit Resources(Parts parts) : parts_(parts) {}

  // Main resources and status; other subresources are in subresources.h.
  Outcome<ApiResponse> serve(Call& call);

  // The building blocks, for subresources and bootstrap. Objects are in the storage version.
  Outcome<StoredPtr> create(Call& call, Json object);
  Outcome<StoredPtr> update(Call& call, const kube::Key& key, const Transform& transform,
                            UpdateTarget target);
  struct Removed {
    StoredPtr object;
    bool is_gone = false;
  };
  Outcome<Removed> remove(Call& call, const kube::Key& key, const DeleteSpec& spec);
  // Decodes a body into the storage version; checks kind, apiVersion and unknown fields.
  Outcome<Json> decode(Call& call, std::string_view body);
  const Parts& parts() const { return parts_; }

 private:
  Outcome<ApiResponse> get(Call& call);
  Outcome<ApiResponse> list(Call& call);
  Outcome<ApiResponse> watch(Call& call, Encoder encoder, Filter filter);
  Outcome<ApiResponse> post(Call& call);
  Outcome<ApiResponse> put(Call& call);
  Outcome<ApiResponse> patch(Call& call);
  Outcome<ApiResponse> remove_one(Call& call);
  Outcome<ApiResponse> remove_collection(Call& call);
  Outcome<Filter> filter_of(const Call& call) const;
  Outcome<Encoder> encoder_of(const Call& call) const;
  ApiResponse respond(const Call& call, const Encoder& encoder, int status,
                      const StoredObject& object) const;

  struct Page {
    std::vector<StoredPtr> items;
    Encoder::ListMeta meta;
  };
  Outcome<Page> first_page(const Call& call, const Filter& filter);
  Outcome<Page> next_page(const Call& call, std::string_view token);
  Page cut_page(std::vector<StoredPtr> items, std::int64_t revision, std::size_t at,
                std::int64_t limit, std::string token);

  void fill_system_fields(const Call& call, Json& object) const;
  Outcome<> check_names(Call& call, Json& object) const;
  Outcome<Json> next_state(Call& call, const Json& existing, Json wanted, UpdateTarget target);
  Outcome<Json> patched(Call& call, const Json& existing);
  Outcome<ApiResponse> apply(Call& call);
  Outcome<StoredPtr> store_update(Call& call, const kube::Key& key, const StoredObject& existing,
                                  Json next);
  StoredPtr unstored(const kube::Key& key, std::int64_t revision, Json value) const;

  // Lists under way by continue token: the snapshot they page through. Oldest out first.
  struct Paging {
    std::string token;
    std::vector<StoredPtr> items;
    std::int64_t revision;
  };
  static constexpr std::size_t kMostPagings = 64;

  Parts parts_;
  std::mutex paging_mutex_;
  std::list<Paging> pagings_;
};

}  // namespace lateen::cluster::apiserver
