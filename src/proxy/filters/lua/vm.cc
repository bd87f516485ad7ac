// Instructions are only counted in the interpreter, so the compiler is off. Outside of scripts an
// error would have nobody to catch it, so our own small allocations are never refused there.

#include "proxy/filters/lua/vm.h"

#include <cstdlib>
#include <luajit-2.1/lua.hpp>

#include "proxy/filters/lua/objects.h"

namespace lateen::proxy {

namespace {
constexpr int kStep = 10'000;
constexpr char kVmKey = 0;  // its address names the VM in the registry

// What reaches the machine itself is not for scripts.
constexpr const char* kHiddenGlobals[] = {"dofile", "loadfile", "collectgarbage"};
}  // namespace

void* LuaVm::allocate(void* self, void* block, std::size_t old_bytes, std::size_t bytes) {
  auto& vm = *static_cast<LuaVm*>(self);
  if (bytes == 0) {
    vm.bytes_ -= block == nullptr ? 0 : old_bytes;
    std::free(block);
    return nullptr;
  }
  const std::size_t held = block == nullptr ? 0 : old_bytes;
  if (vm.is_running_ && bytes > held && vm.bytes_ + (bytes - held) > kMostBytes) return nullptr;
  void* made = std::realloc(block, bytes);
  if (made != nullptr) vm.bytes_ += bytes - held;
  return made;
}

void LuaVm::set_budget() {
  left_ = kMostInstructions / kStep;
  lua_sethook(state_, &LuaVm::on_count, LUA_MASKCOUNT, kStep);
}

void LuaVm::on_count(lua_State* state, lua_Debug*) {
  LuaVm& vm = of(state);
  const auto used = static_cast<std::size_t>(lua_gc(state, LUA_GCCOUNT, 0)) * 1024;
  if (--vm.left_ > 0 && used <= kMostBytes) return;
  // From here on each instruction fails, so that no pcall() loop goes on.
  lua_sethook(state, &LuaVm::on_count, LUA_MASKCOUNT, 1);
  vm.left_ = 0;
  luaL_error(state, used > kMostBytes ? "script exceeded its memory limit"
                                      : "script exceeded its instruction limit");
}

Result<std::unique_ptr<LuaVm>> LuaVm::make(const std::string& code) {
  std::unique_ptr<LuaVm> made(new LuaVm());
  made->state_ = lua_newstate(&LuaVm::allocate, made.get());
  // Builds of LuaJIT that want their own allocator: the hook watches the memory.
  if (made->state_ == nullptr) made->state_ = luaL_newstate();
  if (made->state_ == nullptr) return unavailable("no memory for a Lua state");
  lua_State* state = made->state_;
  lua_pushlightuserdata(state, const_cast<char*>(&kVmKey));
  lua_pushlightuserdata(state, made.get());
  lua_rawset(state, LUA_REGISTRYINDEX);
  luaL_openlibs(state);
  luaJIT_setmode(state, 0, LUAJIT_MODE_ENGINE | LUAJIT_MODE_OFF);
  for (const char* name : kHiddenGlobals) {
    lua_pushnil(state);
    lua_setglobal(state, name);
  }
  register_lua_objects(state);
  made->set_budget();
  made->is_running_ = true;
  const bool is_loaded = luaL_loadbuffer(state, code.data(), code.size(), "=lua") == 0 &&
                         lua_pcall(state, 0, 0, 0) == 0;
  made->is_running_ = false;
  if (!is_loaded) {
    const char* text = lua_tostring(state, -1);
    return invalid("script load error: " + std::string(text == nullptr ? "unknown" : text),
                   Blame::kConfig);
  }
  return made;
}

LuaVm::~LuaVm() {
  if (state_ == nullptr) return;
  lua_sethook(state_, nullptr, 0, 0);
  lua_close(state_);
}

LuaVm& LuaVm::of(lua_State* state) {
  lua_pushlightuserdata(state, const_cast<char*>(&kVmKey));
  lua_rawget(state, LUA_REGISTRYINDEX);
  auto* vm = static_cast<LuaVm*>(lua_touserdata(state, -1));
  lua_pop(state, 1);
  return *vm;
}

bool LuaVm::has_function(const char* name) const {
  lua_getglobal(state_, name);
  const bool is_function = lua_isfunction(state_, -1);
  lua_pop(state_, 1);
  return is_function;
}

lua_State* LuaVm::start(const char* name, int& reference) {
  lua_State* thread = lua_newthread(state_);
  reference = luaL_ref(state_, LUA_REGISTRYINDEX);
  lua_getglobal(thread, name);
  return thread;
}

void LuaVm::drop(int reference) { luaL_unref(state_, LUA_REGISTRYINDEX, reference); }

LuaVm::Outcome LuaVm::resume(lua_State* thread, int count) {
  set_budget();
  is_running_ = true;
  const int code = lua_resume(thread, count);
  is_running_ = false;
  if (code == LUA_YIELD) return Outcome::kYielded;
  if (code == 0) return Outcome::kFinished;
  // What a script that failed has piled up goes now.
  lua_sethook(state_, nullptr, 0, 0);
  if (bytes_ > kMostBytes / 2) lua_gc(state_, LUA_GCCOLLECT, 0);
  return Outcome::kFailed;
}

std::uint64_t LuaVm::add(LuaFlow& flow) {
  flows_[++last_id_] = &flow;
  return last_id_;
}

LuaFlow* LuaVm::find(std::uint64_t id) const {
  const auto found = flows_.find(id);
  return found == flows_.end() ? nullptr : found->second;
}

}  // namespace lateen::proxy
