// The stream handle: what a script can do with its message.

#include <luajit-2.1/lua.hpp>

#include "base/log.h"
#include "base/strings.h"
#include "proxy/filters/lua/flow.h"
#include "proxy/filters/lua/objects.h"

namespace lateen::proxy {
namespace {

std::string string_at(lua_State* state, int index) {
  std::size_t size = 0;
  const char* bytes = lua_tolstring(state, index, &size);
  return bytes == nullptr ? std::string() : std::string(bytes, size);
}

int handle_headers(lua_State* state) {
  push_headers(state, flow_of(state, "handle"), false);
  return 1;
}

int handle_body(lua_State* state) {
  LuaFlow& flow = flow_of(state, "handle");
  const bool is_always_wrapped = lua_toboolean(state, 2) != 0;
  if (flow.has_passed() || flow.is_chunk())
    return luaL_error(state, "cannot call body() after body streaming has started");
  if (flow.is_whole()) {
    push_buffer(state, flow);
    return 1;
  }
  if (flow.body().empty() && !is_always_wrapped) return 0;
  flow.wait_body(is_always_wrapped);
  return lua_yield(state, 0);
}

// The iterator of bodyChunks(); the handle is an upvalue.
int next_chunk(lua_State* state) {
  lua_pushvalue(state, lua_upvalueindex(1));
  lua_insert(state, 1);
  LuaFlow& flow = flow_of(state, "handle");
  if (flow.is_over()) return 0;
  flow.wait_chunk();
  return lua_yield(state, 0);
}
int handle_chunks(lua_State* state) {
  LuaFlow& flow = flow_of(state, "handle");
  if (flow.is_whole())
    return luaL_error(state, "cannot call bodyChunks after body processing has begun");
  lua_pushvalue(state, 1);
  lua_pushcclosure(state, next_chunk, 1);
  return 1;
}

int handle_trailers(lua_State* state) {
  LuaFlow& flow = flow_of(state, "handle");
  if (flow.is_over()) {
    if (flow.trailers() == nullptr) return 0;
    push_headers(state, flow, true);
    return 1;
  }
  flow.wait_trailers();
  return lua_yield(state, 0);
}

int write_log(lua_State* state, log::Level level) {
  flow_of(state, "handle");
  std::size_t size = 0;
  const char* text = luaL_checklstring(state, 2, &size);
  if (log::level() <= level) {
    const std::string_view shown(text, std::min<std::size_t>(size, 4096));
    switch (level) {
      case log::Level::kDebug: LOG(kDebug, "lua", "script log: {}", shown); break;
      case log::Level::kInfo: LOG(kInfo, "lua", "script log: {}", shown); break;
      case log::Level::kWarn: LOG(kWarn, "lua", "script log: {}", shown); break;
      default: LOG(kError, "lua", "script log: {}", shown);
    }
  }
  return 0;
}
int log_debug(lua_State* state) { return write_log(state, log::Level::kDebug); }
int log_info(lua_State* state) { return write_log(state, log::Level::kInfo); }
int log_warn(lua_State* state) { return write_log(state, log::Level::kWarn); }
int log_error(lua_State* state) { return write_log(state, log::Level::kError); }

// Reads a table of headers, whose values may be lists. False when it is none.
bool read_fields(lua_State* state, int index,
                 std::vector<std::pair<std::string, std::string>>& out) {
  if (!lua_istable(state, index)) return false;
  lua_pushnil(state);
  while (lua_next(state, index) != 0) {
    if (lua_type(state, -2) == LUA_TSTRING) {
      const std::string name = to_lower(string_at(state, -2));
      if (lua_istable(state, -1)) {
        for (std::size_t i = 1; i <= lua_objlen(state, -1) && i < 100; ++i) {
          lua_rawgeti(state, -1, static_cast<int>(i));
          if (lua_isstring(state, -1)) out.emplace_back(name, string_at(state, -1));
          lua_pop(state, 1);
        }
      } else if (lua_isstring(state, -1)) {
        // lua_next() must not see its value changed: a copy is converted.
        lua_pushvalue(state, -1);
        out.emplace_back(name, string_at(state, -1));
        lua_pop(state, 1);
      }
    }
    lua_pop(state, 1);
  }
  return true;
}

// The error to raise; null: the call is under way, `is_waiting` says whether the script waits.
const char* start_call(lua_State* state, LuaFlow& flow, bool& is_waiting) {
  SideRequest request;
  std::vector<std::pair<std::string, std::string>> fields;
  if (!read_fields(state, 3, fields)) return "http call headers must be a table";
  bool has_method = false;
  request.path.clear();
  for (auto& [name, value] : fields) {
    if (name == ":method") {
      request.method = value;
      has_method = true;
    } else if (name == ":path") {
      request.path = value;
    } else if (name == ":authority" || name == "host") {
      request.authority = value;
    } else if (name == ":scheme") {
      request.scheme = value;
    } else if (!name.starts_with(':') && name != "content-length" && name != "transfer-encoding") {
      request.headers.emplace_back(std::move(name), std::move(value));
    }
  }
  if (!has_method || request.path.empty() || request.authority.empty())
    return "http call headers must include ':path', ':method', and ':authority'";
  request.body = string_at(state, 4);
  if (!request.body.empty())
    request.headers.emplace_back("content-length", std::to_string(request.body.size()));
  double timeout = 0;
  is_waiting = true;
  if (lua_istable(state, 5)) {
    lua_getfield(state, 5, "timeout_ms");
    timeout = lua_tonumber(state, -1);
    lua_getfield(state, 5, "asynchronous");
    is_waiting = lua_toboolean(state, -1) == 0;
    lua_pop(state, 2);
  } else {
    timeout = lua_tonumber(state, 5);
    is_waiting = lua_toboolean(state, 6) == 0;
  }
  if (timeout < 0) return "http call timeout must be >= 0";
  constexpr double kMostMillis = 3'600'000;
  request.timeout = milliseconds(
      timeout == 0 ? 15'000 : static_cast<std::int64_t>(std::min(timeout, kMostMillis)));
  if (!flow.wait_call(string_at(state, 2), std::move(request), is_waiting))
    return "http call cluster invalid. Must be configured";
  return nullptr;
}

int handle_call(lua_State* state) {
  LuaFlow& flow = flow_of(state, "handle");
  luaL_checkstring(state, 2);
  bool is_waiting = true;
  if (const char* why = start_call(state, flow, is_waiting)) return luaL_error(state, "%s", why);
  return is_waiting ? lua_yield(state, 0) : 0;
}

const char* answer(lua_State* state, LuaFlow& flow) {
  std::vector<std::pair<std::string, std::string>> fields;
  if (!read_fields(state, 2, fields)) return "respond headers must be a table";
  int status = 0;
  for (const auto& [name, value] : fields)
    if (name == ":status")
      if (const auto code = parse_uint(value); code && *code >= 200 && *code < 600)
        status = static_cast<int>(*code);
  if (status == 0) return ":status must be between 200-599";
  std::string body = string_at(state, 3);
  if (!flow.respond(status, std::move(fields), std::move(body)))
    return "respond() cannot be called if headers have been continued or sent";
  return nullptr;
}

int handle_respond(lua_State* state) {
  LuaFlow& flow = flow_of(state, "handle");
  if (const char* why = answer(state, flow)) return luaL_error(state, "%s", why);
  return lua_yield(state, 0);  // and is never resumed
}

// Route metadata under the filter's name, or what the route gives as context.
int handle_metadata(lua_State* state) {
  LuaFlow& flow = flow_of(state, "handle");
  push_object(state, "metadata", flow);
  return 1;
}
int handle_context(lua_State* state) {
  LuaFlow& flow = flow_of(state, "handle");
  push_object(state, "context", flow);
  return 1;
}
int handle_info(lua_State* state) {
  push_object(state, "streamInfo", flow_of(state, "handle"));
  return 1;
}
int handle_connection(lua_State* state) {
  push_object(state, "connection", flow_of(state, "handle"));
  return 1;
}

int handle_time(lua_State* state) {
  LuaFlow& flow = flow_of(state, "handle");
  const auto now = flow.stream().exchange.loop.clock().wall().time_since_epoch();
  const bool is_micro = lua_isnumber(state, 2) && lua_tointeger(state, 2) == 1;
  const auto count =
      is_micro ? std::chrono::duration_cast<microseconds>(now).count()
               : static_cast<std::int64_t>(std::chrono::duration_cast<milliseconds>(now).count());
  lua_pushnumber(state, static_cast<lua_Number>(count));
  return 1;
}
int handle_time_text(lua_State* state) {
  LuaFlow& flow = flow_of(state, "handle");
  const auto now = flow.stream().exchange.loop.clock().wall().time_since_epoch();
  const bool is_micro = lua_isnumber(state, 2) && lua_tointeger(state, 2) == 1;
  char digits[24];
  const int size = std::snprintf(
      digits, sizeof digits, "%lld",
      static_cast<long long>(is_micro ? std::chrono::duration_cast<microseconds>(now).count()
                                      : std::chrono::duration_cast<milliseconds>(now).count()));
  lua_pushlstring(state, digits, static_cast<std::size_t>(size));
  return 1;
}

void push_base64(lua_State* state, std::string_view bytes) {
  const std::string text = base64_encode(bytes);
  lua_pushlstring(state, text.data(), text.size());
}
int handle_base64(lua_State* state) {
  flow_of(state, "handle");
  std::size_t size = 0;
  const char* bytes = luaL_checklstring(state, 2, &size);
  push_base64(state, {bytes, size});
  return 1;
}

int handle_clear_route(lua_State* state) {
  LuaFlow& flow = flow_of(state, "handle");
  if (flow.is_request() && !flow.has_passed()) select_route(flow.stream(), flow.run().request);
  return 0;
}

bool set_host(lua_State* state, LuaFlow& flow) {
  auto address = net::Address::parse(string_at(state, 2));
  if (!address.ok()) return false;
  flow.stream().info.wanted_host = *address;
  flow.stream().info.is_wanted_host_strict = lua_toboolean(state, 3) != 0;
  return true;
}
int handle_host(lua_State* state) {
  LuaFlow& flow = flow_of(state, "handle");
  luaL_checkstring(state, 2);
  if (!flow.is_request()) return luaL_error(state, "setUpstreamOverrideHost() is for requests");
  if (!set_host(state, flow)) return luaL_error(state, "host is not a valid IP address");
  return 0;
}

int not_there(lua_State* state) {
  return luaL_error(state, "this function of Envoy's Lua API is not supported here");
}

}  // namespace

void push_handle(lua_State* state, LuaFlow& flow) { push_object(state, "handle", flow); }

void register_handle(lua_State* state) {
  static constexpr luaL_Reg kMethods[] = {{"headers", handle_headers},
                                          {"body", handle_body},
                                          {"bodyChunks", handle_chunks},
                                          {"trailers", handle_trailers},
                                          {"metadata", handle_metadata},
                                          {"filterContext", handle_context},
                                          {"streamInfo", handle_info},
                                          {"connection", handle_connection},
                                          {"connectionStreamInfo", not_there},
                                          {"logTrace", log_debug},
                                          {"logDebug", log_debug},
                                          {"logInfo", log_info},
                                          {"logWarn", log_warn},
                                          {"logErr", log_error},
                                          {"logCritical", log_error},
                                          {"httpCall", handle_call},
                                          {"respond", handle_respond},
                                          {"timestamp", handle_time},
                                          {"timestampString", handle_time_text},
                                          {"base64Escape", handle_base64},
                                          {"clearRouteCache", handle_clear_route},
                                          {"setUpstreamOverrideHost", handle_host},
                                          {"importPublicKey", not_there},
                                          {"verifySignature", not_there},
                                          {nullptr, nullptr}};
  register_type(state, "handle", kMethods);
  // `EnvoyTimestampResolution.MICROSECOND`, and pairs() on our objects whatever the build's
  // dialect.
  static constexpr char kPrelude[] =
      "EnvoyTimestampResolution = { MILLISECOND = 0, MICROSECOND = 1 }\n"
      "local plain = pairs\n"
      "function pairs(t)\n"
      "  local m = getmetatable(t)\n"
      "  if type(m) == 'table' and m.__pairs then return m.__pairs(t) end\n"
      "  return plain(t)\n"
      "end\n";
  if (luaL_dostring(state, kPrelude) != 0) lua_pop(state, 1);
}

}  // namespace lateen::proxy
