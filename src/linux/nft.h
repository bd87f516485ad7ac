// Nft runs nftables commands (nft(8)'s language) through libnftables, in the network namespace of
// the thread that made it. One apply() is one kernel transaction: all of it happens or nothing. Not
// thread-safe; move-only.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "base/result.h"

namespace lateen::os {

class Nft {
 public:
  // Fails with Unavailable when netlink sockets cannot be made. A kernel without nftables shows at
  // apply().
  static Result<Nft> open();
  Nft(Nft&&) noexcept;
  Nft& operator=(Nft&&) noexcept;
  ~Nft();

  // Runs `commands` atomically. The error carries nft's own text, with line and column.
  Result<> apply(const std::string& commands);
  // What `nft list …` prints: list("table inet mesh"), list("ruleset"). NotFound when there is no
  // such object.
  Result<std::string> list(std::string_view what);
  // Removes a table with all in it; nothing happens when it does not exist. `table`: "inet mesh".
  Result<> remove_table(std::string_view table);

 private:
  struct State;
  explicit Nft(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

// One-shot forms, in the calling thread's network namespace.
Result<> nft_apply(const std::string& commands);
Result<std::string> nft_list(std::string_view what);
Result<> nft_remove_table(std::string_view table);

}  // namespace lateen::os
