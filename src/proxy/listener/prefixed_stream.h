// A stream with bytes put back in front: what inspectors read is read again by whoever comes next.
#pragma once

#include <memory>

#include "event/loop.h"
#include "net/stream.h"

namespace lateen::proxy {

// `inner`'s readiness callback is replaced; the first callback comes by itself, for the bytes that
// are there.
std::unique_ptr<net::Stream> put_back(event::Loop& loop, std::unique_ptr<net::Stream> inner,
                                      Buffer bytes);

}  // namespace lateen::proxy
