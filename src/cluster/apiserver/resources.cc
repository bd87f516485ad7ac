// Dispatch and reads: get, list with paging, watch.
#include "cluster/apiserver/resources.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/strings.h"

namespace lateen::cluster::apiserver {

Outcome<ApiResponse> Resources::serve(Call& call) {
  const auto& verb = call.info.verb;
  if (call.type->is_virtual && verb != "create") {
    return Status::method_not_allowed();
  }
  if (verb == "get") return get(call);
  if (verb == "list") return list(call);
  if (verb == "watch") return list(call);
  if (verb == "create") return post(call);
  if (verb == "update") return put(call);
  if (verb == "patch") return patch(call);
  if (verb == "delete") return remove_one(call);
  if (verb == "deletecollection") return remove_collection(call);
  return Status::method_not_allowed();
}

Outcome<Encoder> Resources::encoder_of(const Call& call) const {
  return Encoder::negotiate(call.request, call.type, call.info.version, parts_.clock);
}

ApiResponse Resources::respond(const Call& call, const Encoder& encoder, int status,
                               const StoredObject& object) const {
  (void)call;
  ApiResponse response;
  response.status = status;
  response.content_type = encoder.content_type();
  response.body = encoder.one(object);
  return response;
}

Outcome<ApiResponse> Resources::get(Call& call) {
  const Encoder encoder = TRY(encoder_of(call));
  StoredPtr object = parts_.store.get(call.type->bucket, call.key());
  if (object == nullptr) return call.not_found(call.info.name);
  return respond(call, encoder, 200, *object);
}

namespace {

struct FieldLabels {
  std::string_view bucket;
  std::string_view labels;  // separated by spaces; a trailing '*' stands for anything
};
constexpr FieldLabels kFieldLabels[] = {
    {"/pods",
     "spec.nodeName spec.restartPolicy spec.schedulerName spec.serviceAccountName spec.hostNetwork "
     "status.phase "
     "status.podIP status.podIPs status.nominatedNodeName"},
    {"/events", "involvedObject.* regarding.* reason reportingComponent source type"},
    {"/secrets", "type"},
    {"/namespaces", "status.phase"},
    {"/nodes", "spec.unschedulable"},
    {"/services", "spec.clusterIP spec.type"},
    {"/replicationcontrollers", "status.replicas"},
    {"apps/replicasets", "status.replicas"},
    {"batch/jobs", "status.successful"},
    {"certificates.k8s.io/certificatesigningrequests", "spec.signerName"},
};

// Only some fields can be selected by; asking for another is an error, not an empty list.
Outcome<> check_field_labels(const Call& call, std::string_view text) {
  std::string_view allowed;
  for (const auto& entry : kFieldLabels) {
    if (entry.bucket == call.type->bucket) allowed = entry.labels;
  }
  for (const auto term : split(text, ',')) {
    const auto label = trim(term.substr(0, term.find_first_of("!=")));
    bool is_known = label.empty() || label == "metadata.name" || label == "metadata.namespace";
    for (const auto one : split(allowed, ' ')) {
      is_known = is_known || one == label ||
                 (one.ends_with('*') && label.starts_with(one.substr(0, one.size() - 1)));
    }
    if (is_known) continue;
    return Status::bad_request(
        fmt::format("Unable to find \"{}, Resource={}\" that match label selector \"{}\", field "
                    "selector \"{}\": field label not "
                    "supported: {}",
                    call.type->api_version(call.info.version), call.type->plural,
                    call.request.param("labelSelector"), text, label));
  }
  return {};
}

}  // namespace

Outcome<Filter> Resources::filter_of(const Call& call) const {
  Filter filter;
  filter.ns = call.type->is_namespaced ? call.info.ns : std::string();
  if (const auto text = call.request.param("labelSelector"); !text.empty()) {
    auto parsed = kube::LabelSelector::parse(text);
    if (!parsed.ok()) {
      return Status::bad_request(
          fmt::format("unable to parse requirement: {}", parsed.error().message()));
    }
    filter.labels = std::move(*parsed);
  }
  if (const auto text = call.request.param("fieldSelector"); !text.empty()) {
    auto parsed = kube::FieldSelector::parse(text);
    if (!parsed.ok()) return Status::bad_request(parsed.error().message());
    TRY(check_field_labels(call, text));
    filter.fields = std::move(*parsed);
  }
  return filter;
}

namespace {

Outcome<std::int64_t> parse_revision(std::string_view text) {
  if (text.empty()) return std::int64_t{0};
  const auto number = parse_int(text);
  if (!number || *number < 0) {
    return Status::bad_request(fmt::format(
        "Invalid value: \"{}\": strconv.ParseUint: parsing \"{}\": invalid syntax", text, text));
  }
  return *number;
}

Outcome<> check_match(std::string_view revision, std::string_view match) {
  if (match.empty()) return {};
  FieldErrors errors;
  if (revision.empty()) {
    errors.forbidden("resourceVersionMatch",
                     "resourceVersionMatch is forbidden unless resourceVersion is provided");
  } else if (match != "Exact" && match != "NotOlderThan") {
    errors.unsupported("resourceVersionMatch", Json(match), {"Exact", "NotOlderThan"});
  } else if (match == "Exact" && revision == "0") {
    errors.forbidden("resourceVersionMatch",
                     "resourceVersionMatch \"exact\" is forbidden for resourceVersion \"0\"");
  }
  if (errors.empty()) return {};
  return Status::invalid("meta.k8s.io", "ListOptions", "", errors);
}

Status too_large(std::int64_t wanted, std::int64_t current) {
  Status status{
      504, "Timeout",
      fmt::format("Timeout: Too large resource version: {}, current: {}", wanted, current), Json()};
  status.details =
      JsonObject{{"causes", JsonArray{JsonObject{{"reason", "ResourceVersionTooLarge"},
                                                 {"message", "Too large resource version"}}}},
                 {"retryAfterSeconds", 1}};
  return status;
}

}  // namespace

Outcome<ApiResponse> Resources::list(Call& call) {
  Encoder encoder = TRY(encoder_of(call));
  Filter filter = TRY(filter_of(call));
  if (call.info.verb == "watch" || call.request.is_param_true("watch")) {
    return watch(call, std::move(encoder), std::move(filter));
  }
  const auto token = call.request.param("continue");
  Page page = token.empty() ? TRY(first_page(call, filter)) : TRY(next_page(call, token));
  ApiResponse response;
  response.content_type = encoder.content_type();
  response.body = encoder.list(page.items, page.meta);
  return response;
}

Outcome<Resources::Page> Resources::first_page(const Call& call, const Filter& filter) {
  const auto text = call.request.param("resourceVersion");
  const auto match = call.request.param("resourceVersionMatch");
  TRY(check_match(text, match));
  const std::int64_t wanted = TRY(parse_revision(text));
  const std::int64_t limit = parse_int(call.request.param("limit")).value_or(0);
  auto listing = parts_.store.list(call.type->bucket, filter.ns);
  if (wanted > listing.revision) return too_large(wanted, listing.revision);
  // A page of a version without a rule means exactly that version.
  const bool is_exact = match == "Exact" || (match.empty() && limit > 0);
  if (is_exact && wanted != 0 && wanted < listing.revision) {
    auto former = parts_.store.list_at(call.type->bucket, filter.ns, wanted);
    if (!former.ok() && former.error().code() == Code::kOutOfRange) {
      return Status::expired(
          fmt::format("The resourceVersion for the provided list is too old: {}", wanted));
    }
    listing = TRY(std::move(former));
  }
  if (!filter.is_everything()) {
    std::erase_if(listing.items, [&](const StoredPtr& item) { return !filter.matches(*item); });
  }
  return cut_page(std::move(listing.items), listing.revision, 0, limit, {});
}

Resources::Page Resources::cut_page(std::vector<StoredPtr> items, std::int64_t revision,
                                    std::size_t at, std::int64_t limit, std::string token) {
  Page page;
  page.meta.revision = revision;
  const std::size_t left = items.size() - at;
  if (limit <= 0 || left <= static_cast<std::size_t>(limit)) {
    page.items.assign(items.begin() + static_cast<std::ptrdiff_t>(at), items.end());
    return page;
  }
  const std::size_t end = at + static_cast<std::size_t>(limit);
  page.items.assign(items.begin() + static_cast<std::ptrdiff_t>(at),
                    items.begin() + static_cast<std::ptrdiff_t>(end));
  std::lock_guard lock(paging_mutex_);
  if (token.empty()) {
    token = parts_.random.uuid();
    pagings_.push_back({token, std::move(items), revision});
    if (pagings_.size() > kMostPagings) pagings_.pop_front();
  }
  page.meta.continue_token = base64url_encode(fmt::format("{}/{}", token, end));
  page.meta.remaining = static_cast<std::int64_t>(left) - limit;
  return page;
}

Outcome<Resources::Page> Resources::next_page(const Call& call, std::string_view token) {
  auto decoded = base64_decode(token);
  if (!decoded.ok()) return Status::bad_request("continue key is not valid");
  const auto parts = split_once(*decoded, "/");
  const auto at = parts ? parse_uint(parts->second) : std::nullopt;
  if (!at) return Status::bad_request("continue key is not valid");
  std::vector<StoredPtr> items;
  std::int64_t revision = 0;
  {
    std::lock_guard lock(paging_mutex_);
    const auto found = std::find_if(pagings_.begin(), pagings_.end(),
                                    [&](const Paging& one) { return one.token == parts->first; });
    if (found == pagings_.end() || *at > found->items.size()) {
      return Status::expired(
          "The provided continue parameter is too old to display a consistent list result. "
          "You must start a new list without the continue parameter.");
    }
    items = found->items;
    revision = found->revision;
  }
  const std::int64_t limit = parse_int(call.request.param("limit")).value_or(0);
  return cut_page(std::move(items), revision, *at, limit, std::string(parts->first));
}

Outcome<ApiResponse> Resources::watch(Call& call, Encoder encoder, Filter filter) {
  const auto& request = call.request;
  WatchOptions options;
  options.has_bookmarks = request.is_param_true("allowWatchBookmarks");
  if (!call.info.name.empty()) {
    auto parsed = kube::FieldSelector::parse("metadata.name=" + call.info.name);
    if (parsed.ok()) filter.fields = std::move(*parsed);
  }
  const auto text = request.param("resourceVersion");
  const std::int64_t revision = TRY(parse_revision(text));
  const bool wants_initial = request.is_param_true("sendInitialEvents");
  if (wants_initial && request.param("resourceVersionMatch") != "NotOlderThan") {
    FieldErrors errors;
    errors.forbidden("resourceVersionMatch",
                     "sendInitialEvents requires setting resourceVersionMatch to NotOlderThan");
    return Status::invalid("meta.k8s.io", "ListOptions", "", errors);
  }
  if (revision > parts_.store.revision()) return too_large(revision, parts_.store.revision());
  if (wants_initial) {
    options.wants_initial_end = options.has_bookmarks;
  } else if (request.has_param("sendInitialEvents")) {
    options.skips_initial = revision == 0;
    if (revision != 0) options.from = revision;
  } else if (revision != 0) {
    options.from = revision;
  }
  const std::int64_t wanted = parse_int(request.param("timeoutSeconds")).value_or(0);
  options.limit = seconds(wanted > 0 ? std::min<std::int64_t>(wanted, 86'400)
                                     : 1800 + static_cast<std::int64_t>(parts_.random.below(1800)));
  ApiResponse response;
  response.stream = TRY(WatchStream::open(parts_.store, parts_.clock, call.type, std::move(encoder),
                                          std::move(filter), options));
  return response;
}

}  // namespace lateen::cluster::apiserver
