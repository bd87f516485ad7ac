// A pair of connected in-memory streams for tests; works on any loop, also a simulated one.
#pragma once

#include <memory>
#include <utility>

#include "event/loop.h"
#include "net/stream.h"

namespace lateen::net {

// `capacity_bytes` bounds what is in flight each way: writes beyond it give kAgain.
std::pair<std::unique_ptr<Stream>, std::unique_ptr<Stream>> make_pipe(
    event::Loop& loop, std::size_t capacity_bytes = 65536, Address a = {}, Address b = {});

}  // namespace lateen::net
