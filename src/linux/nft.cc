// nftables over libnftables.
#include "linux/nft.h"

#include <linux/netlink.h>
#include <sys/socket.h>

#include <cerrno>
extern "C" {
#include <nftables/libnftables.h>
}

#include "base/strings.h"
#include "linux/fd.h"

namespace lateen::os {

struct Nft::State {
  struct Free {
    void operator()(nft_ctx* context) const { nft_ctx_free(context); }
  };
  std::unique_ptr<nft_ctx, Free> context;
};

Nft::Nft(std::unique_ptr<State> state) : state_(std::move(state)) {}
Nft::Nft(Nft&&) noexcept = default;
Nft& Nft::operator=(Nft&&) noexcept = default;
Nft::~Nft() = default;

Result<Nft> Nft::open() {
  // The library ends the whole process where there is no such socket.
  const Fd probe(::socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_NETFILTER));
  if (!probe.is_open()) return errno_error("nftables: opening its netlink socket", errno);
  auto state = std::make_unique<State>();
  state->context.reset(nft_ctx_new(NFT_CTX_DEFAULT));
  if (state->context == nullptr)
    return unavailable("nftables: no netlink socket; is the kernel built with nf_tables?");
  nft_ctx_buffer_output(state->context.get());
  nft_ctx_buffer_error(state->context.get());
  nft_ctx_output_set_flags(state->context.get(),
                           NFT_CTX_OUTPUT_NUMERIC_PROTO | NFT_CTX_OUTPUT_NUMERIC_PRIO);
  return Nft(std::move(state));
}

Result<> Nft::apply(const std::string& commands) {
  nft_ctx* context = state_->context.get();
  const int failed = nft_run_cmd_from_buffer(context, commands.c_str());
  // Both buffers are emptied by reading them; left alone they would grow.
  const char* error = nft_ctx_get_error_buffer(context);
  const std::string message(trim(error == nullptr ? "" : error));
  nft_ctx_get_output_buffer(context);
  if (failed == 0) return {};
  const bool is_denied = message.find("Operation not permitted") != std::string::npos;
  const bool is_missing = message.find("No such file or directory") != std::string::npos;
  return Error(is_denied    ? Code::kPermissionDenied
               : is_missing ? Code::kNotFound
                            : Code::kInvalidArgument,
               "nftables: " + (message.empty() ? "the kernel refused the rules" : message));
}

Result<std::string> Nft::list(std::string_view what) {
  nft_ctx* context = state_->context.get();
  const std::string command = "list " + std::string(what);
  const int failed = nft_run_cmd_from_buffer(context, command.c_str());
  const char* error = nft_ctx_get_error_buffer(context);
  const std::string message(trim(error == nullptr ? "" : error));
  const char* output = nft_ctx_get_output_buffer(context);
  std::string text = output == nullptr ? "" : output;
  if (failed == 0) return text;
  return not_found("nftables: " + message);
}

Result<> Nft::remove_table(std::string_view table) {
  // `add` first: deleting a table that is not there is an error, adding one that is there is not.
  const std::string name(table);
  return apply("add table " + name + "\ndelete table " + name + "\n");
}

Result<> nft_apply(const std::string& commands) {
  auto nft = TRY(Nft::open());
  return nft.apply(commands);
}

Result<std::string> nft_list(std::string_view what) {
  auto nft = TRY(Nft::open());
  return nft.list(what);
}

Result<> nft_remove_table(std::string_view table) {
  auto nft = TRY(Nft::open());
  return nft.remove_table(table);
}

}  // namespace lateen::os
