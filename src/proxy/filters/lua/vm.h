// One script's Lua state on one worker. Scripts are the operator's, but bounded all the same: a
// budget of instructions each time one runs, and of memory for all it keeps. Lives on its worker's
// loop. Private to this folder.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <unordered_map>

#include "base/result.h"

struct lua_State;
struct lua_Debug;

namespace lateen::proxy {

class LuaFlow;

class LuaVm {
 public:
  // Loads `code` and runs its top level. The error is the script's.
  static Result<std::unique_ptr<LuaVm>> make(const std::string& code);
  ~LuaVm();
  LuaVm(const LuaVm&) = delete;

  static LuaVm& of(lua_State* state);
  lua_State* state() const { return state_; }
  bool has_function(const char* name) const;

  // A coroutine that will call the global `name`; `reference` keeps it alive until drop().
  lua_State* start(const char* name, int& reference);
  void drop(int reference);
  // Runs `thread` with the `count` values on its stack. kFailed leaves the message on the stack.
  enum class Outcome : unsigned char { kFinished, kYielded, kFailed };
  Outcome resume(lua_State* thread, int count);

  // Flows by number: objects in Lua name theirs, which may be gone.
  std::uint64_t add(LuaFlow& flow);
  void remove(std::uint64_t id) { flows_.erase(id); }
  LuaFlow* find(std::uint64_t id) const;

  static constexpr std::size_t kMostBytes = 32u << 20;
  static constexpr int kMostInstructions = 20'000'000;

 private:
  LuaVm() = default;
  static void* allocate(void* self, void* block, std::size_t old_bytes, std::size_t bytes);
  static void on_count(lua_State* state, lua_Debug* debug);
  void set_budget();

  lua_State* state_ = nullptr;
  std::size_t bytes_ = 0;
  bool is_running_ = false;  // a script: the limits hold
  int left_ = 0;             // of the budget, in steps of kStep instructions
  std::uint64_t last_id_ = 0;
  std::unordered_map<std::uint64_t, LuaFlow*> flows_;
};

}  // namespace lateen::proxy
