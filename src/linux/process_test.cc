// Real children of this test, in real namespaces where the kernel lets us.
#include "linux/process.h"

#include <gtest/gtest.h>
#include <sched.h>
#include <sys/mount.h>
#include <unistd.h>

#include "linux/fd_passing.h"
#include "linux/files.h"
#include "linux/links.h"
#include "linux/namespaces.h"
#include "linux/nft.h"
#include "linux/pid_file.h"

namespace lateen::os {
namespace {

SpawnPlan shell(const std::string& script) {
  SpawnPlan plan;
  plan.programs = {"/bin/sh"};
  plan.arguments = {"sh", "-c", script};
  plan.environment = {"PATH=/usr/bin:/bin"};
  return plan;
}

std::string output_of(SpawnPlan plan) {
  auto pipe = make_pipe();
  plan.stdout_fd = pipe->second.get();
  auto child = spawn(plan);
  if (!child.ok()) return "error: " + child.error().message();
  pipe->second.close();
  std::string text;
  char chunk[512];
  for (ssize_t got; (got = ::read(pipe->first.get(), chunk, sizeof chunk)) > 0;)
    text.append(chunk, static_cast<std::size_t>(got));
  (void)child->wait();
  return text;
}

TEST(Spawn, TellsExitCodesAndSignals) {
  auto child = spawn(shell("exit 7"));
  ASSERT_TRUE(child.ok()) << child.error().message();
  EXPECT_EQ(child->wait()->code, 7);
  auto killed = spawn(shell("kill -TERM $$"));
  ASSERT_TRUE(killed.ok());
  auto status = killed->wait();
  EXPECT_EQ(status->code, 143);
  EXPECT_EQ(status->signal, SIGTERM);
}

TEST(Spawn, NamesAMissingProgram) {
  SpawnPlan plan;
  plan.programs = program_candidates("no-such-program", "/usr/bin:/bin");
  plan.arguments = {"no-such-program"};
  auto child = spawn(plan);
  ASSERT_FALSE(child.ok());
  EXPECT_EQ(child.error().code(), Code::kNotFound);
  EXPECT_EQ(child.error().message(),
            "exec: \"no-such-program\": executable file not found in $PATH");
}

TEST(Spawn, NamesAFailedMount) {
  SpawnPlan plan = shell("true");
  plan.steps.push_back(mount_step("/no/such/source", "/no/such/target", "", MS_BIND));
  auto child = spawn(plan);
  ASSERT_FALSE(child.ok());
  EXPECT_NE(child.error().message().find("mounting /no/such/source at /no/such/target"),
            std::string::npos);
}

TEST(Spawn, LeavesNoDescriptorOfTheParentOpen) {
  auto pipe = make_pipe();
  EXPECT_EQ(output_of(shell("ls /proc/self/fd | wc -l")), "4\n");
}

TEST(Spawn, GivesTheProgramItsOwnPidNamespace) {
  if (::geteuid() != 0) GTEST_SKIP() << "needs root";
  SpawnPlan plan = shell("echo $$ $(hostname)");
  plan.namespaces = CLONE_NEWPID | CLONE_NEWNS | CLONE_NEWUTS;
  Step name;
  name.kind = Step::Kind::kHostname;
  name.a = "inside";
  plan.steps.push_back(name);
  EXPECT_EQ(output_of(std::move(plan)), "1 inside\n");
}

TEST(Kernel, HasWhatAClusterNeeds) {
  auto checked = check_kernel();
  EXPECT_TRUE(checked.ok()) << checked.error().message();
}

TEST(Nft, AppliesListsAndRemovesATable) {
  auto result = run_in_namespaces(CLONE_NEWNET, []() -> Result<> {
    auto nft = TRY(Nft::open());
    TRY(nft.apply("table inet t { set s { type ipv4_addr; elements = { 10.0.0.1 }; }; }\n"));
    if (TRY(nft.list("table inet t")).find("10.0.0.1") == std::string::npos)
      return internal("not listed");
    // Half of a transaction is bad: none of it happens.
    if (nft.apply("add element inet t s { 10.0.0.2 }\nadd element inet t none { 1 }\n").ok())
      return internal("accepted");
    if (TRY(nft.list("table inet t")).find("10.0.0.2") != std::string::npos)
      return internal("half applied");
    TRY(nft.remove_table("inet t"));
    TRY(nft.remove_table("inet t"));
    if (nft.list("table inet t").ok()) return internal("still there");
    return {};
  });
  EXPECT_TRUE(result.ok()) << result.error().message();
}

TEST(Links, RouteBetweenAPair) {
  auto result = run_in_namespaces(CLONE_NEWNET, []() -> Result<> {
    auto links = TRY(Netlink::open());
    const int loopback = TRY(Netlink::link_index("lo"));
    TRY(links.set_up(loopback));
    TRY(links.add_address(loopback, 0xac120002, 32));
    const Fd netns = TRY(open_file("/proc/self/ns/net", 0));
    TRY(links.add_veth("a", {2, 0, 0, 0, 0, 1}, "b", {2, 0, 0, 0, 0, 2}, netns.get()));
    const int a = TRY(Netlink::link_index("a"));
    TRY(links.set_up(a));
    TRY(links.add_neighbor(a, 0x0af40005, {2, 0, 0, 0, 0, 2}));
    TRY(links.add_route(
        {.destination = 0x0af40005, .prefix_bits = 32, .source = 0xac120002, .link = a}));
    TRY(links.add_route(
        {.type = Route::Type::kBlackhole, .destination = 0x0af40000, .prefix_bits = 16}));
    const std::string routes = TRY(read_file("/proc/net/route"));
    if (routes.find("0500F40A") == std::string::npos) return internal(routes);
    return links.remove_link("a");
  });
  EXPECT_TRUE(result.ok()) << result.error().message();
}

TEST(FdPassing, ReceiverCanUseTheDescriptor) {
  auto sockets = make_packet_pair();
  auto pipe = make_pipe();
  ASSERT_TRUE(send_message(sockets->first.get(), "take this", {pipe->second.get()}).ok());
  auto message = receive_message(sockets->second.get());
  ASSERT_TRUE(message.ok());
  EXPECT_EQ(message->text, "take this");
  ASSERT_EQ(message->fds.size(), 1u);
  ASSERT_EQ(::write(message->fds[0].get(), "x", 1), 1);
  char byte;
  EXPECT_EQ(::read(pipe->first.get(), &byte, 1), 1);
  sockets->first.close();
  EXPECT_EQ(receive_message(sockets->second.get()).error().code(), Code::kUnavailable);
}

TEST(PidFile, TrustsNoNumberOfAProcessThatHasItNotOpen) {
  const std::string path = testing::TempDir() + "lateen-pid-of-other-" + std::to_string(::getpid());
  auto file = PidFile::acquire(path);
  ASSERT_TRUE(file.ok());
  ASSERT_TRUE(write_file(path, std::to_string(::getppid()) + "\n").ok());
  EXPECT_TRUE(PidFile::is_held(path));
  EXPECT_FALSE(PidFile::holder(path).has_value());
  EXPECT_TRUE(PidFile::has_open(::getpid(), path));
  ::unlink(path.c_str());
}

TEST(PidFile, IsLockedUnderItsNameEvenWhenTheLastOwnerRemovedIt) {
  const std::string path = testing::TempDir() + "lateen-pid-removed-" + std::to_string(::getpid());
  auto first = PidFile::acquire(path);
  ASSERT_TRUE(first.ok());
  ::unlink(path.c_str());
  auto second = PidFile::acquire(path);
  ASSERT_TRUE(second.ok());
  EXPECT_EQ(PidFile::acquire(path).error().code(), Code::kAlreadyExists);
  ::unlink(path.c_str());
}

TEST(PidFile, IsHeldOnce) {
  const std::string path = testing::TempDir() + "lateen-pid-test-" + std::to_string(::getpid());
  EXPECT_FALSE(PidFile::holder(path).has_value());
  {
    auto file = PidFile::acquire(path);
    ASSERT_TRUE(file.ok());
    EXPECT_EQ(PidFile::holder(path), ::getpid());
    EXPECT_EQ(PidFile::acquire(path).error().code(), Code::kAlreadyExists);
  }
  EXPECT_FALSE(PidFile::holder(path).has_value());
  ::unlink(path.c_str());
}

}  // namespace
}  // namespace lateen::os
