#include <gtest/gtest.h>

#include "event/epoll_loop.h"
#include "event/sim_loop.h"
#include "net/address.h"
#include "net/pipe.h"
#include "net/resolver.h"
#include "net/socket.h"

namespace lateen::net {

TEST(Address, ParsesAndPrints) {
  for (const char* text :
       {"1.2.3.4:80", "[::1]:443", "unix:/run/x", "unix:@abstract", "0.0.0.0:0"}) {
    EXPECT_EQ(Address::parse(text).value().to_string(), text);
  }
  EXPECT_FALSE(Address::parse("1.2.3.4"));
  EXPECT_FALSE(Address::parse("::1:80"));
  EXPECT_FALSE(Address::parse("1.2.3.4:70000"));
  EXPECT_TRUE(Ip::parse("::ffff:127.0.0.1").value().is_loopback());
}

TEST(Cidr, ContainsAndClearsHostBits) {
  const auto range = Cidr::parse("10.1.2.3/20").value();
  EXPECT_EQ(range.to_string(), "10.1.0.0/20");
  EXPECT_TRUE(range.contains(Ip::parse("10.1.15.255").value()));
  EXPECT_FALSE(range.contains(Ip::parse("10.1.16.0").value()));
  EXPECT_FALSE(range.contains(Ip::parse("::1").value()));
  EXPECT_TRUE(Cidr::parse("0.0.0.0/0").value().contains(Ip::parse("8.8.8.8").value()));
  EXPECT_FALSE(Cidr::parse("10.0.0.0/33"));
}

TEST(Pipe, CarriesBytesBothWaysAndEnds) {
  event::SimLoop loop;
  auto [a, b] = make_pipe(loop, 8);
  Buffer out("hello, world");
  EXPECT_EQ(a->write(out).state, IoState::kAgain);
  EXPECT_EQ(out.size(), 4u);
  Buffer in;
  EXPECT_EQ(b->read(in, 100).bytes, 8u);
  EXPECT_EQ(b->read(in, 100).state, IoState::kAgain);
  EXPECT_EQ(a->write(out).state, IoState::kOk);
  a->shutdown_write();
  EXPECT_EQ(b->read(in, 100).bytes, 4u);
  EXPECT_EQ(b->read(in, 100).state, IoState::kEof);
  EXPECT_EQ(in.to_string(), "hello, world");
}

TEST(Socket, DialsAcceptsAndEchoes) {
  SystemClock clock;
  auto loop = event::make_epoll_loop(clock, seeded_random(1)).value();
  std::unique_ptr<Stream> server, client;
  Listener listener(*loop, listen_on(Address::parse("127.0.0.1:0").value()).value(),
                    [&](std::unique_ptr<Stream> s) {
                      server = std::move(s);
                      server->on_ready([&](bool, bool) {
                        Buffer bytes;
                        while (server->read(bytes, 4096).state == IoState::kOk) {
                        }
                        server->write(bytes);
                      });
                    });
  event::Scope scope;
  std::string got;
  dial(scope, *loop, listener.address(), seconds(5), [&](Result<std::unique_ptr<Stream>> stream) {
    ASSERT_TRUE(stream) << stream.error().message();
    client = *std::move(stream);
    Buffer hello("ping");
    client->write(hello);
    client->on_ready([&](bool, bool) {
      Buffer bytes;
      if (client->read(bytes, 4096).state == IoState::kOk) got += bytes.to_string();
      if (got == "ping") loop->stop();
    });
  });
  loop->run();
  EXPECT_EQ(got, "ping");
}

TEST(Socket, RefusedDialSaysWho) {
  SystemClock clock;
  auto loop = event::make_epoll_loop(clock, seeded_random(1)).value();
  Address dead;
  {
    const Fd fd = listen_on(Address::parse("127.0.0.1:0").value()).value();
    dead = local_address_of(fd.get()).value();
  }
  event::Scope scope;
  std::string why;
  dial(scope, *loop, dead, seconds(5), [&](Result<std::unique_ptr<Stream>> stream) {
    ASSERT_FALSE(stream);
    EXPECT_EQ(stream.error().code(), Code::kUnavailable);
    why = stream.error().message();
    loop->stop();
  });
  loop->run();
  EXPECT_NE(why.find(dead.to_string()), std::string::npos) << why;
  EXPECT_NE(why.find("refused"), std::string::npos) << why;
}

TEST(Socket, BusyPortIsNamed) {
  const Fd fd = listen_on(Address::parse("127.0.0.1:0").value()).value();
  const auto second = listen_on(local_address_of(fd.get()).value());
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().code(), Code::kAlreadyExists);
}

TEST(Resolver, LiteralsAndHostsFile) {
  SystemClock clock;
  auto loop = event::make_epoll_loop(clock, seeded_random(1)).value();
  auto resolver = make_resolver(*loop).value();
  event::Scope scope;
  int answers = 0;
  const auto check = [&](Result<Resolved> result) {
    ASSERT_TRUE(result) << result.error().message();
    EXPECT_EQ(result->ips[0].to_string(), "127.0.0.1");
    if (++answers == 2) loop->stop();
  };
  resolver->resolve(scope, "127.0.0.1", Family::kAuto, check);
  resolver->resolve(scope, "localhost", Family::kV4Only, check);
  loop->run();
  EXPECT_EQ(answers, 2);
}

}  // namespace lateen::net
