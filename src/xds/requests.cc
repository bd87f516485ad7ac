// What clients send. A state-of-the-world client repeats all its names with each acknowledgement,
// so those are only pointed at, not copied.
#include "base/strings.h"
#include "envoy/service/discovery/v3/discovery.pb.h"
#include "xds/json.h"
#include "xds/server.h"
#include "xds/wire.h"

// user_agent_build_version and build_version: read for old clients.
#pragma GCC diagnostic ignored "-Wdeprecated-declarations"

namespace lateen::xds {
namespace {

namespace discovery = envoy::service::discovery::v3;

void read_node(const envoy::config::core::v3::Node& node, ClientRequest& out) {
  out.has_node = !node.id().empty();
  out.node_id = node.id();
  out.node_cluster = node.cluster();
  out.metadata = struct_to_json(node.metadata());
  if (!node.locality().region().empty()) {
    out.locality = node.locality().region();
    if (!node.locality().zone().empty()) out.locality += "/" + node.locality().zone();
    if (!node.locality().sub_zone().empty()) out.locality += "/" + node.locality().sub_zone();
  }
  out.user_agent = node.user_agent_name();
  if (!node.user_agent_version().empty()) out.user_agent += " " + node.user_agent_version();
}

constexpr char kNameTag = 3 << 3 | 2;
constexpr std::size_t kShortNames = 512;  // bytes; less is as soon read as compared

// The text of all names so far, while one follows the other; else empty.
std::string_view lengthened(std::string_view text, std::string_view before, std::string_view after,
                            bool is_first) {
  const std::string_view field = before.substr(0, before.size() - after.size());
  if (is_first) return field;
  if (text.empty() || text.data() + text.size() != field.data()) return {};
  return {text.data(), text.size() + field.size()};
}

template <typename Strings>
std::vector<std::string> copy(const Strings& from) {
  return {from.begin(), from.end()};
}

// The protobuf library refuses strings that are no UTF-8; names are ASCII, or it is asked.
bool is_ascii(std::string_view text) {
  for (const char c : text) {
    if (static_cast<unsigned char>(c) >= 0x80) return false;
  }
  return true;
}

// Where the names begin that one of the session's watches was asked for last: that watch.
const Watch* find_asked(const Session* session, std::string_view rest) {
  if (session == nullptr) return nullptr;
  for (const auto& [type, watch] : session->watches()) {
    if (watch.asked_size < kShortNames || watch.asked_size > rest.size()) continue;
    if (rest.size() > watch.asked_size && rest[watch.asked_size] == kNameTag) continue;
    if (quick_hash(rest.substr(0, watch.asked_size)) == watch.asked_hash) return &watch;
  }
  return nullptr;
}

// DiscoveryRequest{version_info=1, node=2, resource_names=3, type_url=4, response_nonce=5,
// error_detail=6}.
bool read_sotw(ClientRequest& out, const Session* session) {
  wire::Reader reader(*out.bytes);
  bool is_plain = true;
  const Watch* asked = nullptr;
  for (std::string_view rest = reader.rest();; rest = reader.rest()) {
    if (!rest.empty() && rest.front() == kNameTag) {
      if (asked != nullptr) return read_sotw(out = {.bytes = out.bytes}, nullptr);
      asked = out.names.empty() ? find_asked(session, rest) : nullptr;
      if (asked != nullptr) {
        reader.skip_to(rest.substr(asked->asked_size));
        continue;
      }
    }
    const auto field = reader.next();
    if (!field) break;
    switch (field->number) {
      case 2: {
        envoy::config::core::v3::Node node;
        if (!node.ParseFromArray(field->bytes.data(), static_cast<int>(field->bytes.size()))) {
          return false;
        }
        read_node(node, out);
        break;
      }
      case 3:
        is_plain = is_plain && is_ascii(field->bytes);
        out.names.push_back(field->bytes);
        out.names_text = lengthened(out.names_text, rest, reader.rest(), out.names.size() == 1);
        break;
      case 4: out.type_url = field->bytes; break;
      case 5: out.nonce = field->bytes; break;
      case 6: {
        google::rpc::Status status;
        if (!status.ParseFromArray(field->bytes.data(), static_cast<int>(field->bytes.size()))) {
          return false;
        }
        out.error = status.message();
        break;
      }
      default: break;
    }
  }
  if (reader.is_bad()) return false;
  if (asked != nullptr) {
    if (asked->type_url != out.type_url || !out.names.empty())
      return read_sotw(out = {.bytes = out.bytes}, nullptr);
    out.same_names = asked->names;
  }
  if (is_plain && is_ascii(out.type_url) && is_ascii(out.nonce)) return true;
  discovery::DiscoveryRequest whole;
  return whole.ParseFromString(*out.bytes);
}

bool read_delta(ClientRequest& out) {
  discovery::DeltaDiscoveryRequest request;
  if (!request.ParseFromString(*out.bytes)) return false;
  read_node(request.node(), out);
  out.type_url = request.type_url();
  out.nonce = request.response_nonce();
  if (request.has_error_detail()) out.error = request.error_detail().message();
  out.subscribe = copy(request.resource_names_subscribe());
  out.unsubscribe = copy(request.resource_names_unsubscribe());
  for (const auto& [name, version] : request.initial_resource_versions()) {
    out.held.emplace_back(name, version);
  }
  return true;
}

}  // namespace

Result<ClientRequest> decode_request(Variant variant, std::string bytes, const Session* session) {
  ClientRequest out;
  out.bytes = std::make_shared<const std::string>(std::move(bytes));
  const bool is_read =
      variant == Variant::kStateOfTheWorld ? read_sotw(out, session) : read_delta(out);
  if (!is_read) {
    return invalid("discovery request: the bytes are no such message", Blame::kDownstream);
  }
  return out;
}

}  // namespace lateen::xds
