// Questions in wire form against a directory of objects; answers are read back from the wire.
#include "cluster/dns/zone.h"

#include <gtest/gtest.h>

#include <string>

namespace lateen::cluster::dns {
namespace {

class FakeDirectory final : public Directory {
 public:
  void add(std::string_view json) {
    auto object = std::make_shared<const data::Json>(data::parse_json(json).value());
    (kube::kind_of(*object) == "Service" ? services_ : slices_).push_back(std::move(object));
  }
  kube::ObjectPtr service(const kube::Key& key) const override {
    for (const auto& service : services_)
      if (kube::key_of(*service) == key) return service;
    return nullptr;
  }
  std::vector<kube::ObjectPtr> services(std::string_view) const override { return services_; }
  std::vector<kube::ObjectPtr> slices(const kube::Key& key) const override {
    std::vector<kube::ObjectPtr> own;
    for (const auto& slice : slices_)
      if (kube::namespace_of(*slice) == key.ns &&
          kube::label(*slice, "kubernetes.io/service-name") == key.name)
        own.push_back(slice);
    return own;
  }
  bool has_namespace(std::string_view ns) const override { return ns == "default"; }

 private:
  std::vector<kube::ObjectPtr> services_, slices_;
};

class Zone : public testing::Test {
 protected:
  Zone() {
    directory_.add(R"({"kind": "Service", "metadata": {"name": "web", "namespace": "default"},
        "spec": {"clusterIP": "10.96.1.2", "ports": [{"name": "http", "port": 80}]}})");
    directory_.add(R"({"kind": "Service", "metadata": {"name": "db", "namespace": "default"},
        "spec": {"clusterIP": "None", "ports": [{"name": "sql", "port": 5432}]}})");
    directory_.add(R"({"kind": "EndpointSlice", "metadata": {"name": "db-1", "namespace": "default",
        "labels": {"kubernetes.io/service-name": "db"}}, "ports": [{"name": "sql", "port": 5432}],
        "endpoints": [{"addresses": ["10.244.0.7"], "hostname": "db-0", "conditions": {"ready": true}},
                      {"addresses": ["10.244.0.8"], "conditions": {"ready": true}},
                      {"addresses": ["10.244.0.9"], "conditions": {"ready": false}}]})");
    directory_.add(R"({"kind": "Service", "metadata": {"name": "ext", "namespace": "default"},
        "spec": {"type": "ExternalName", "externalName": "example.org"}})");
  }

  Answer ask(std::string_view name, Type type = Type::kA) {
    // Through the wire and back, as a client would send it.
    std::string packet("\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00", 12);
    packet += encode_name(name);
    packet += std::string{'\0', static_cast<char>(type), '\0', '\1'};
    auto question = parse_question(packet);
    EXPECT_TRUE(question.ok());
    return answer_question(*question, directory_);
  }
  static std::vector<std::string> data_of(const Answer& answer) {
    std::vector<std::string> list;
    for (const Record& record : answer.records) list.push_back(record.data);
    return list;
  }
  FakeDirectory directory_;
};

TEST_F(Zone, ServiceHasItsClusterAddressInAnyCase) {
  EXPECT_EQ(data_of(ask("WEB.default.svc.cluster.local")),
            (std::vector<std::string>{"\x0a\x60\x01\x02"}));
}

TEST_F(Zone, AnswersOfPodsAreKeptForAShorterTime) {
  EXPECT_EQ(ask("web.default.svc.cluster.local").records.at(0).ttl_seconds, 30u);
  EXPECT_EQ(ask("db.default.svc.cluster.local").records.at(0).ttl_seconds, 5u);
}

TEST_F(Zone, KnownNameWithoutThatTypeIsEmptyNotMissing) {
  const Answer answer = ask("web.default.svc.cluster.local", Type::kAaaa);
  EXPECT_EQ(answer.code, ResponseCode::kNoError);
  EXPECT_TRUE(answer.records.empty());
  EXPECT_EQ(answer.authority.size(), 1u);
}

TEST_F(Zone, UnknownNamesOfTheClusterDoNotExist) {
  for (const char* name : {"no.default.svc.cluster.local", "web.other.svc.cluster.local",
                           "x.web.default.svc.cluster.local",
                           "web.default.svc.cluster.local.default.svc.cluster.local"})
    EXPECT_EQ(ask(name).code, ResponseCode::kNameError) << name;
}

TEST_F(Zone, HeadlessServiceHasItsReadyEndpoints) {
  EXPECT_EQ(ask("db.default.svc.cluster.local").records.size(), 2u);
  EXPECT_EQ(data_of(ask("db-0.db.default.svc.cluster.local")),
            (std::vector<std::string>{std::string("\x0a\xf4\x00\x07", 4)}));
  EXPECT_EQ(ask("10-244-0-8.db.default.svc.cluster.local").records.size(), 1u);
  EXPECT_EQ(ask("db-1.db.default.svc.cluster.local").code, ResponseCode::kNameError);
}

TEST_F(Zone, NamedPortsHaveServiceRecords) {
  EXPECT_EQ(ask("_http._tcp.web.default.svc.cluster.local", Type::kSrv).records.size(), 1u);
  const Answer answer = ask("_sql._tcp.db.default.svc.cluster.local", Type::kSrv);
  EXPECT_EQ(answer.records.size(), 2u);
  EXPECT_EQ(answer.additional.size(), 2u);
  EXPECT_EQ(ask("_sql._udp.db.default.svc.cluster.local", Type::kSrv).code,
            ResponseCode::kNameError);
}

TEST_F(Zone, AddressesHaveNames) {
  EXPECT_EQ(data_of(ask("2.1.96.10.in-addr.arpa", Type::kPtr)),
            (std::vector<std::string>{encode_name("web.default.svc.cluster.local")}));
  EXPECT_EQ(data_of(ask("7.0.244.10.in-addr.arpa", Type::kPtr)),
            (std::vector<std::string>{encode_name("db-0.db.default.svc.cluster.local")}));
}

TEST_F(Zone, ExternalNameIsAnAlias) {
  const Answer answer = ask("ext.default.svc.cluster.local");
  ASSERT_EQ(answer.records.size(), 1u);
  EXPECT_EQ(answer.records[0].type, Type::kCname);
}

TEST_F(Zone, NothingOutsideTheClusterIsReachable) {
  EXPECT_EQ(ask("example.org").code, ResponseCode::kServerFailure);
  EXPECT_EQ(data_of(ask("10-1-2-3.default.pod.cluster.local")),
            (std::vector<std::string>{"\x0a\x01\x02\x03"}));
}

TEST(Message, RefusesMalformedQueries) {
  EXPECT_FALSE(parse_question("short").ok());
  const std::string header("\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00", 12);
  EXPECT_FALSE(parse_question(header).ok());
  EXPECT_FALSE(parse_question(header + "\x3f"
                                       "abc")
                   .ok());
  EXPECT_FALSE(parse_question(header + std::string("\xc0\x0c\0\1\0\1", 6)).ok());
  // A response is never a question.
  EXPECT_FALSE(
      parse_question(std::string("\x12\x34\x81\x00\x00\x01\x00\x00\x00\x00\x00\x00", 12)).ok());
}

TEST(Message, TruncatesWhatDoesNotFit) {
  Question question;
  question.name = "many.example";
  Answer answer;
  for (std::uint32_t i = 0; i < 100; ++i)
    answer.records.push_back(address_record(question.name, i));
  const std::string small = encode_response(question, answer, 512);
  EXPECT_LE(small.size(), 512u);
  EXPECT_EQ(small[2] & 2, 2);
  const std::string whole = encode_response(question, answer, 65535);
  EXPECT_EQ(whole[2] & 2, 0);
  EXPECT_EQ(static_cast<unsigned char>(whole[7]), 100);
}

}  // namespace
}  // namespace lateen::cluster::dns
