// Choosing a filter chain, and looking at first bytes.

#include <gtest/gtest.h>

#include "proxy/listener/config.h"
#include "proxy/listener/inspect.h"

namespace lateen::proxy {
namespace {

std::shared_ptr<const FilterChain> chain(const std::string& name, ChainMatch match) {
  auto made = std::make_shared<FilterChain>();
  made->name = name;
  made->match = std::move(match);
  return made;
}

std::string choose(const ListenerConfig& listener, const ChainFacts& facts) {
  const auto found = listener.find_chain(facts);
  return found == nullptr ? "none" : found->name;
}

ChainFacts facts(const std::string& local, const std::string& transport,
                 std::vector<std::string> alpn, const std::string& sni = "") {
  return {*net::Address::parse(local),
          *net::Address::parse("10.9.9.9:5555"),
          *net::Address::parse("10.9.9.9:5555"),
          sni,
          transport,
          std::move(alpn)};
}

// The chains of Istio's virtualInbound, in short.
ListenerConfig inbound() {
  ListenerConfig made;
  ChainMatch blackhole, mtls, plain, tcp, port;
  blackhole.destination_port = 15006;
  mtls.transport_protocol = "tls";
  mtls.application_protocols = {"istio", "istio-peer-exchange", "istio-http/1.1", "istio-h2"};
  plain.transport_protocol = "raw_buffer";
  plain.application_protocols = {"http/1.1", "h2c"};
  tcp.transport_protocol = "raw_buffer";
  port.destination_port = 9080;
  port.transport_protocol = "tls";
  made.chains = {chain("blackhole", blackhole), chain("mtls", mtls), chain("http", plain),
                 chain("tcp", tcp), chain("9080-tls", port)};
  return made;
}

TEST(ChainMatch, FollowsEnvoysOrder) {
  const auto listener = inbound();
  EXPECT_EQ(choose(listener, facts("10.0.0.1:15006", "raw_buffer", {})), "blackhole");
  EXPECT_EQ(choose(listener, facts("10.0.0.1:80", "tls", {"istio-http/1.1", "http/1.1"})), "mtls");
  EXPECT_EQ(choose(listener, facts("10.0.0.1:80", "raw_buffer", {"http/1.1"})), "http");
  EXPECT_EQ(choose(listener, facts("10.0.0.1:80", "raw_buffer", {})), "tcp");
  EXPECT_EQ(choose(listener, facts("10.0.0.1:80", "tls", {"h2"})), "none");
  EXPECT_EQ(choose(listener, facts("10.0.0.1:9080", "tls", {"istio"})), "9080-tls");
  // The port narrows first and nothing goes back: plain text on 9080 has no chain.
  EXPECT_EQ(choose(listener, facts("10.0.0.1:9080", "raw_buffer", {"http/1.1"})), "none");
}

TEST(ChainMatch, PrefersTheLongestNameAndPrefix) {
  ListenerConfig listener;
  ChainMatch exact, wild, wide, narrow;
  exact.server_names = {"a.example.com"};
  wild.server_names = {"*.example.com"};
  wide.destinations = {*net::Cidr::parse("10.0.0.0/8")};
  narrow.destinations = {*net::Cidr::parse("10.1.0.0/16")};
  listener.chains = {chain("wild", wild), chain("exact", exact)};
  EXPECT_EQ(choose(listener, facts("1.1.1.1:443", "tls", {}, "a.example.com")), "exact");
  EXPECT_EQ(choose(listener, facts("1.1.1.1:443", "tls", {}, "b.example.com")), "wild");
  EXPECT_EQ(choose(listener, facts("1.1.1.1:443", "tls", {}, "example.com")), "none");
  listener.chains = {chain("wide", wide), chain("narrow", narrow)};
  EXPECT_EQ(choose(listener, facts("10.1.2.3:1", "raw_buffer", {})), "narrow");
  EXPECT_EQ(choose(listener, facts("10.2.2.3:1", "raw_buffer", {})), "wide");
  listener.fallback = chain("default", {});
  EXPECT_EQ(choose(listener, facts("11.2.2.3:1", "raw_buffer", {})), "default");
}

std::string be(std::size_t value, int bytes) {
  std::string out;
  for (int i = bytes - 1; i >= 0; --i) out += static_cast<char>(value >> (8 * i));
  return out;
}

std::string client_hello(const std::string& name, const std::vector<std::string>& alpn) {
  std::string list, sni = be(0, 1) + be(name.size(), 2) + name;
  for (const auto& one : alpn) list += be(one.size(), 1) + one;
  const std::string server_name = be(sni.size(), 2) + sni, protocols = be(list.size(), 2) + list;
  const std::string extensions = be(0, 2) + be(server_name.size(), 2) + server_name + be(16, 2) +
                                 be(protocols.size(), 2) + protocols;
  const std::string body = "\x03\x03" + std::string(32, 'r') + be(0, 1) + be(2, 2) +
                           std::string("\x13\x01") + be(1, 1) + be(0, 1) +
                           be(extensions.size(), 2) + extensions;
  const std::string message = be(1, 1) + be(body.size(), 3) + body;
  return "\x16\x03\x01" + be(message.size(), 2) + message;
}

TEST(Inspect, ReadsServerNameAndAlpnHoweverBytesArrive) {
  const std::string bytes = client_hello("Reviews.Default", {"istio", "h2"});
  for (std::size_t size = 0; size < bytes.size(); ++size) {
    ClientHello partial;
    ASSERT_EQ(inspect_tls(std::string_view(bytes).substr(0, size), partial), Seen::kNeedMore)
        << size;
  }
  ClientHello hello;
  ASSERT_EQ(inspect_tls(bytes, hello), Seen::kYes);
  EXPECT_EQ(hello.server_name, "reviews.default");
  EXPECT_EQ(hello.alpn, (std::vector<std::string>{"istio", "h2"}));
  EXPECT_EQ(inspect_tls("GET / HTTP/1.1", hello), Seen::kNo);
  std::string broken = bytes;
  broken[5] = 2;  // a ServerHello
  EXPECT_EQ(inspect_tls(broken, hello), Seen::kNo);
}

TEST(Inspect, TellsHttpFromOtherBytes) {
  std::string protocol;
  EXPECT_EQ(inspect_http("GE", protocol), Seen::kNeedMore);
  EXPECT_EQ(inspect_http("GET /x HTTP/1.1\r\n", protocol), Seen::kYes);
  EXPECT_EQ(protocol, "http/1.1");
  EXPECT_EQ(inspect_http("POST / HTTP/1.0\n", protocol), Seen::kYes);
  EXPECT_EQ(protocol, "http/1.0");
  EXPECT_EQ(inspect_http("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0", protocol), Seen::kYes);
  EXPECT_EQ(protocol, "h2c");
  EXPECT_EQ(inspect_http("PRI * HT", protocol), Seen::kNeedMore);
  EXPECT_EQ(inspect_http("SSH-2.0-x\r\n", protocol), Seen::kNo);
  EXPECT_EQ(inspect_http("GETX / HTTP/1.1\r\n", protocol), Seen::kNo);
}

TEST(Inspect, ReadsBothProxyProtocols) {
  ProxyHeader header;
  EXPECT_EQ(inspect_proxy("PROXY TCP4 1.2.3.4 5.6.7.8 99 80\r\nGET", header), Seen::kYes);
  EXPECT_EQ(header.source.to_string(), "1.2.3.4:99");
  EXPECT_EQ(header.destination.to_string(), "5.6.7.8:80");
  EXPECT_EQ(header.bytes, 34u);
  const std::string v2 = std::string("\r\n\r\n\0\r\nQUIT\n", 12) + "\x21\x11" + be(12, 2) +
                         "\x01\x02\x03\x04\x05\x06\x07\x08" + be(99, 2) + be(80, 2);
  header = {};
  EXPECT_EQ(inspect_proxy(v2, header), Seen::kYes);
  EXPECT_EQ(header.source.to_string(), "1.2.3.4:99");
  EXPECT_EQ(header.bytes, 28u);
  EXPECT_EQ(inspect_proxy("PRO", header), Seen::kNeedMore);
  EXPECT_EQ(inspect_proxy("GET / HTTP/1.1", header), Seen::kNo);
  EXPECT_EQ(inspect_proxy("PROXY TCP4 1.2.3.4 x 99 80\r\n", header), Seen::kNo);
  // The protocol and its addresses are of one family, and a line ends within 107 bytes.
  EXPECT_EQ(inspect_proxy("PROXY TCP6 1.2.3.4 5.6.7.8 99 80\r\n", header), Seen::kNo);
  EXPECT_EQ(inspect_proxy("PROXY UDP4 1.2.3.4 5.6.7.8 99 80\r\n", header), Seen::kNo);
  const std::string longest = "PROXY UNKNOWN " + std::string(91, 'x') + "\r\n";
  EXPECT_EQ(inspect_proxy(longest, header), Seen::kYes);
  EXPECT_EQ(inspect_proxy("PROXY UNKNOWN x" + longest.substr(14), header), Seen::kNo);
}

}  // namespace
}  // namespace lateen::proxy
