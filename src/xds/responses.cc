#include "xds/responses.h"

#include "xds/wire.h"

namespace lateen::xds {
namespace {

using wire::bytes_size;

// Any{type_url=1, value=2}.
std::size_t any_size(std::string_view type_url, const Served& served) {
  return bytes_size(type_url.size()) + bytes_size(served.body->size());
}

void put_any(std::string& out, int field, std::string_view type_url, const Served& served) {
  wire::put_head(out, field, any_size(type_url, served));
  wire::put_bytes(out, 1, type_url);
  wire::put_bytes(out, 2, *served.body);
}

// ControlPlane{identifier=1}.
void put_control_plane(std::string& out, int field, std::string_view identifier) {
  if (identifier.empty()) return;
  wire::put_head(out, field, bytes_size(identifier.size()));
  wire::put_bytes(out, 1, identifier);
}

std::size_t head_size(const ResponseHead& head) {
  return 64 + head.type_url.size() + head.version.size() + head.control_plane.size();
}

}  // namespace

// {version_info=1, resources=2, type_url=4, nonce=5, control_plane=6}.
std::string encode_sotw(const ResponseHead& head, const std::vector<const Served*>& send) {
  std::size_t size = head_size(head);
  for (const Served* served : send) size += bytes_size(any_size(head.type_url, *served));
  std::string out;
  out.reserve(size);
  if (!head.version.empty()) wire::put_bytes(out, 1, head.version);
  for (const Served* served : send) put_any(out, 2, head.type_url, *served);
  wire::put_bytes(out, 4, head.type_url);
  put_control_plane(out, 6, head.control_plane);
  return out;
}

// {system_version_info=1, resources=2{version=1, resource=2, name=3}, type_url=4, nonce=5,
// removed_resources=6, control_plane=7}.
std::string encode_delta(const ResponseHead& head, const std::vector<const Served*>& send,
                         const std::vector<std::string>& removed) {
  const auto resource_size = [&](const Served& served, std::string_view version) {
    return bytes_size(version.size()) + bytes_size(any_size(head.type_url, served)) +
           bytes_size(served.name.size());
  };
  std::size_t size = head_size(head);
  for (const Served* served : send) size += 24 + bytes_size(resource_size(*served, ""));
  for (const std::string& name : removed) size += bytes_size(name.size());
  std::string out;
  out.reserve(size);
  if (!head.version.empty()) wire::put_bytes(out, 1, head.version);
  for (const Served* served : send) {
    const std::string version = std::to_string(served->version);
    wire::put_head(out, 2, resource_size(*served, version));
    wire::put_bytes(out, 1, version);
    put_any(out, 2, head.type_url, *served);
    wire::put_bytes(out, 3, served->name);
  }
  wire::put_bytes(out, 4, head.type_url);
  for (const std::string& name : removed) wire::put_bytes(out, 6, name);
  put_control_plane(out, 7, head.control_plane);
  return out;
}

std::string encode_nonce(std::string_view nonce) {
  std::string out;
  wire::put_bytes(out, 5, nonce);
  return out;
}

}  // namespace lateen::xds
