// DiscoveryResponse and DeltaDiscoveryResponse as bytes, but for the nonce, which is each stream's
// own and is put ahead of them.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "xds/replies.h"

namespace lateen::xds {

struct ResponseHead {
  std::string_view type_url, version, control_plane;
};
std::string encode_sotw(const ResponseHead& head, const std::vector<const Served*>& send);
std::string encode_delta(const ResponseHead& head, const std::vector<const Served*>& send,
                         const std::vector<std::string>& removed);
// The field to put ahead of either.
std::string encode_nonce(std::string_view nonce);

}  // namespace lateen::xds
