#include "event/loop.h"

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <thread>

#include "event/epoll_loop.h"
#include "event/sim_loop.h"

namespace lateen::event {

TEST(SimLoop, TimersFireInOrderOfDueThenArming) {
  SimLoop loop;
  std::string seen;
  Timer a(loop, [&] { seen += 'a'; }), b(loop, [&] { seen += 'b'; }), c(loop, [&] { seen += 'c'; });
  c.arm(seconds(2));
  a.arm(seconds(1));
  b.arm(seconds(1));
  loop.run_for(seconds(3));
  EXPECT_EQ(seen, "abc");
}

TEST(Scope, DestroyingItSilencesPendingWork) {
  SimLoop loop;
  int fired = 0;
  {
    Scope scope;
    after(scope, loop, seconds(1), [&] { ++fired; });
  }
  Scope kept;
  after(kept, loop, seconds(1), [&] { fired += 10; });
  loop.run_for(seconds(2));
  EXPECT_EQ(fired, 10);
}

TEST(EpollLoop, PostsFromAnotherThreadAndWatches) {
  SystemClock clock;
  auto loop = make_epoll_loop(clock, seeded_random(1)).value();
  int pair[2];
  ASSERT_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair), 0);
  std::string got;
  auto watch = loop->watch(pair[0], [&](FdWatch::Ready ready) {
    if (!ready.readable) return;
    char bytes[16];
    const auto count = ::read(pair[0], bytes, sizeof bytes);
    if (count > 0) got.append(bytes, static_cast<std::size_t>(count));
    loop->stop();
  });
  std::thread other(
      [&] { loop->post([&] { [[maybe_unused]] auto n = ::write(pair[1], "hi", 2); }); });
  loop->run();
  other.join();
  EXPECT_EQ(got, "hi");
  watch.reset();
  ::close(pair[0]);
  ::close(pair[1]);
}

TEST(EpollLoop, TimerStopsTheLoop) {
  SystemClock clock;
  auto loop = make_epoll_loop(clock, seeded_random(1)).value();
  Timer timer(*loop, [&] { loop->stop(); });
  timer.arm(milliseconds(5));
  loop->run();
  EXPECT_FALSE(timer.is_armed());
}

}  // namespace lateen::event
