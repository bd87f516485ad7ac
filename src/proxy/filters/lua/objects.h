// What scripts see: the stream handle and the objects it gives out. Each names its flow by number
// and fails when that is gone. Private to this folder.
#pragma once

#include <cstdint>

#include "data/json.h"

struct lua_State;
struct luaL_Reg;

namespace lateen::proxy {

class LuaFlow;

// Puts the metatables of all objects into `state`.
void register_lua_objects(lua_State* state);
void push_handle(lua_State* state, LuaFlow& flow);
void push_headers(lua_State* state, LuaFlow& flow, bool are_trailers);
void push_buffer(lua_State* state, LuaFlow& flow);

// Lua's values and JSON's; what JSON has not becomes null. `depth` bounds nesting.
void push_json(lua_State* state, const data::Json& value);
data::Json read_json(lua_State* state, int index, int depth = 0);

// Groups of methods by object; for register_lua_objects().
void register_handle(lua_State* state);
void register_info(lua_State* state);

// One object's userdata.
struct LuaObject {
  std::uint64_t flow;
  int detail;
};
void push_object(lua_State* state, const char* type, const LuaFlow& flow, int detail = 0);
// The flow of argument 1, an object of `type`; raises a Lua error when it is gone. No C++ object
// with a destructor may be alive in the caller when this (or any other raise) happens.
LuaFlow& flow_of(lua_State* state, const char* type, int* detail = nullptr);
void register_type(lua_State* state, const char* type, const luaL_Reg* methods);

}  // namespace lateen::proxy
