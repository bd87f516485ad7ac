// tcp-echo over real loopback sockets on a simulated-free loop.
#include "samples/tcp_echo.h"

#include <gtest/gtest.h>

#include "event/epoll_loop.h"

namespace lateen::samples {
namespace {

TEST(TcpEchoTest, PrefixesEachLineAcrossReads) {
  SystemClock clock;
  auto loop = event::make_epoll_loop(clock, seeded_random(1));
  ASSERT_TRUE(loop.ok());
  TcpEcho echo(*loop.value(), "one");
  auto listening = net::listen_on(net::Address::parse("127.0.0.1:0").value());
  ASSERT_TRUE(listening.ok());
  const auto address = net::local_address_of(listening.value().get());
  ASSERT_TRUE(address.ok());
  echo.listen(std::move(listening).value());

  std::string received;
  std::unique_ptr<net::Stream> client;
  event::Scope scope;
  net::dial(scope, *loop.value(), address.value(), seconds(5),
            [&](Result<std::unique_ptr<net::Stream>> stream) {
              ASSERT_TRUE(stream.ok());
              client = std::move(stream).value();
              client->on_ready([&](bool, bool) {
                Buffer in;
                while (client->read(in, 4096).state == net::IoState::kOk) continue;
                received += in.to_string();
                if (received.ends_with("three\n")) loop.value()->stop();
              });
              Buffer first("hello\nwor");
              client->write(first);
              event::after(scope, *loop.value(), milliseconds(5), [&] {
                Buffer rest("ld\nthree\n");
                client->write(rest);
              });
            });
  event::after(scope, *loop.value(), seconds(5), [&] { loop.value()->stop(); });
  loop.value()->run();
  EXPECT_EQ(received, "one hello\none world\none three\n");
}

}  // namespace
}  // namespace lateen::samples
