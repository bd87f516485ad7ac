// The real loop: epoll, eventfd for posts, one thread.
#pragma once

#include <memory>

#include "event/loop.h"

namespace lateen::event {

// `clock` outlives the loop. Fails only when the process is out of descriptors.
Result<std::unique_ptr<Loop>> make_epoll_loop(const Clock& clock, std::unique_ptr<Random> random);

}  // namespace lateen::event
