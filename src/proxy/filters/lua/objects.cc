// Headers, trailers and bodies. Functions that raise Lua errors keep nothing alive that would need
// a destructor: text goes through the exchange's arena or straight onto Lua's stack.

#include "proxy/filters/lua/objects.h"

#include <luajit-2.1/lua.hpp>

#include "base/strings.h"
#include "http/h1_parser.h"
#include "proxy/filters/lua/flow.h"

namespace lateen::proxy {
namespace {

constexpr int kMostDepth = 32;

std::string_view text_at(lua_State* state, int index) {
  std::size_t size = 0;
  const char* bytes = luaL_checklstring(state, index, &size);
  return {bytes, size};
}
void push_text(lua_State* state, std::string_view text) {
  lua_pushlstring(state, text.data(), text.size());
}

// Headers and the pseudo headers of their message, as one list.
struct Fields {
  LuaFlow& flow;
  bool are_trailers;
  http::Headers* list() const { return are_trailers ? flow.trailers() : &flow.headers(); }
  std::string_view* pseudo(std::string_view name) const {
    if (are_trailers || !flow.is_request()) return nullptr;
    http::Request& request = flow.run().request;
    if (name == ":path") return &request.path;
    if (name == ":method") return &request.method;
    if (name == ":scheme") return &request.scheme;
    if (name == ":authority" || iequals(name, "host")) return &request.authority;
    return nullptr;
  }
  bool is_status(std::string_view name) const {
    return !are_trailers && !flow.is_request() && name == ":status";
  }
};

Fields fields_of(lua_State* state) {
  int detail = 0;
  LuaFlow& flow = flow_of(state, "headers", &detail);
  Fields made{flow, detail != 0};
  if (made.list() == nullptr) luaL_error(state, "object used outside of proper scope");
  return made;
}

// Raises when headers can no longer change.
void check_writable(lua_State* state, const Fields& fields) {
  if (!fields.are_trailers && fields.flow.has_passed())
    luaL_error(state, "header map can no longer be modified");
}

bool is_valid_field(std::string_view name, std::string_view value) {
  if (name.starts_with(':')) name.remove_prefix(1);
  return http::h1::is_token(name) && http::h1::is_field_value(value);
}

int headers_get(lua_State* state) {
  const Fields fields = fields_of(state);
  const std::string_view name = text_at(state, 2);
  if (const auto* pseudo = fields.pseudo(name)) {
    push_text(state, *pseudo);
    return 1;
  }
  if (fields.is_status(name)) {
    lua_pushfstring(state, "%d", fields.flow.run().response->status);
    return 1;
  }
  const std::string_view joined = fields.list()->joined(name);
  if (!fields.list()->has(name)) return 0;
  push_text(state, joined);
  return 1;
}

int headers_get_at(lua_State* state) {
  const Fields fields = fields_of(state);
  const std::string_view name = text_at(state, 2);
  lua_Integer index = luaL_checkinteger(state, 3);
  for (const auto& field : *fields.list()) {
    if (!iequals(field.name, name) || index-- > 0) continue;
    push_text(state, field.value);
    return 1;
  }
  return 0;
}

int headers_count(lua_State* state) {
  const Fields fields = fields_of(state);
  const std::string_view name = text_at(state, 2);
  const bool is_pseudo = fields.pseudo(name) != nullptr || fields.is_status(name);
  lua_pushinteger(state, is_pseudo ? 1 : static_cast<lua_Integer>(fields.list()->count(name)));
  return 1;
}

int set_field(lua_State* state, bool is_replacing) {
  const Fields fields = fields_of(state);
  check_writable(state, fields);
  const std::string_view name = text_at(state, 2);
  const std::string_view value = text_at(state, 3);
  if (!is_valid_field(name, value)) return luaL_error(state, "invalid header name or value");
  if (std::string_view* pseudo = fields.pseudo(name)) {
    *pseudo = fields.list()->arena().copy(value);
    return 0;
  }
  if (fields.is_status(name)) {
    const auto code = parse_uint(value);
    if (code && *code >= 200 && *code <= 999)
      fields.flow.run().response->status = static_cast<int>(*code);
    return 0;
  }
  if (name.starts_with(':')) return 0;
  const std::string_view lower = [&] {
    std::string text = to_lower(name);
    return fields.list()->arena().copy(text);
  }();
  if (is_replacing) fields.list()->set(lower, value);
  else fields.list()->add(lower, value);
  return 0;
}
int headers_add(lua_State* state) { return set_field(state, false); }
int headers_replace(lua_State* state) { return set_field(state, true); }

int headers_remove(lua_State* state) {
  const Fields fields = fields_of(state);
  check_writable(state, fields);
  fields.list()->remove(text_at(state, 2));
  return 0;
}

int headers_reason(lua_State* state) {
  fields_of(state);  // HTTP/2 has none and our HTTP/1 writer says the standard ones
  return 0;
}

// The iterator of pairs(): upvalues are the object and the position.
int headers_next(lua_State* state) {
  lua_pushvalue(state, lua_upvalueindex(1));
  lua_replace(state, 1);
  const Fields fields = fields_of(state);
  auto at = static_cast<std::size_t>(lua_tointeger(state, lua_upvalueindex(2)));
  lua_pushinteger(state, static_cast<lua_Integer>(at + 1));
  lua_replace(state, lua_upvalueindex(2));
  static constexpr const char* kRequest[] = {":authority", ":path", ":method", ":scheme"};
  if (!fields.are_trailers && fields.flow.is_request()) {
    if (at < std::size(kRequest)) {
      lua_pushstring(state, kRequest[at]);
      push_text(state, *fields.pseudo(kRequest[at]));
      return 2;
    }
    at -= std::size(kRequest);
  } else if (!fields.are_trailers) {
    if (at == 0) {
      lua_pushstring(state, ":status");
      lua_pushfstring(state, "%d", fields.flow.run().response->status);
      return 2;
    }
    --at;
  }
  const http::Headers& list = *fields.list();
  if (at >= list.size()) return 0;
  const auto& field = *(list.begin() + static_cast<std::ptrdiff_t>(at));
  push_text(state, field.name);
  push_text(state, field.value);
  return 2;
}
int headers_pairs(lua_State* state) {
  lua_pushvalue(state, 1);
  lua_pushinteger(state, 0);
  lua_pushcclosure(state, headers_next, 2);
  return 1;
}

Buffer& buffer_of(lua_State* state) {
  LuaFlow& flow = flow_of(state, "buffer");
  if (flow.data() == nullptr) luaL_error(state, "object used outside of proper scope");
  return *flow.data();
}

int buffer_length(lua_State* state) {
  lua_pushinteger(state, static_cast<lua_Integer>(buffer_of(state).size()));
  return 1;
}

int buffer_bytes(lua_State* state) {
  Buffer& buffer = buffer_of(state);
  const lua_Integer index = luaL_checkinteger(state, 2);
  const lua_Integer length = luaL_checkinteger(state, 3);
  if (index < 0 || length < 0 ||
      static_cast<std::uint64_t>(index) + static_cast<std::uint64_t>(length) > buffer.size())
    return luaL_error(state,
                      "index/length must be >= 0 and (index + length) must be <= buffer size");
  push_text(state, buffer.flatten().substr(static_cast<std::size_t>(index),
                                           static_cast<std::size_t>(length)));
  return 1;
}

int buffer_set(lua_State* state) {
  Buffer& buffer = buffer_of(state);
  const std::string_view bytes = text_at(state, 2);
  LuaFlow& flow = flow_of(state, "buffer");
  buffer.clear();
  buffer.append(bytes);
  if (!flow.has_passed() && flow.headers().has("content-length")) {
    char digits[24];
    const int size = std::snprintf(digits, sizeof digits, "%zu", bytes.size());
    flow.headers().set("content-length", {digits, static_cast<std::size_t>(size)});
  }
  lua_pushinteger(state, static_cast<lua_Integer>(bytes.size()));
  return 1;
}

}  // namespace

void push_object(lua_State* state, const char* type, const LuaFlow& flow, int detail) {
  auto* made = static_cast<LuaObject*>(lua_newuserdata(state, sizeof(LuaObject)));
  made->flow = flow.id();
  made->detail = detail;
  luaL_getmetatable(state, type);
  lua_setmetatable(state, -2);
}

LuaFlow& flow_of(lua_State* state, const char* type, int* detail) {
  const auto* object = static_cast<LuaObject*>(luaL_checkudata(state, 1, type));
  LuaFlow* flow = LuaVm::of(state).find(object->flow);
  if (flow == nullptr) luaL_error(state, "object used outside of proper scope");
  if (detail != nullptr) *detail = object->detail;
  return *flow;
}

void register_type(lua_State* state, const char* type, const luaL_Reg* methods) {
  luaL_newmetatable(state, type);
  lua_pushvalue(state, -1);
  lua_setfield(state, -2, "__index");
  luaL_setfuncs(state, methods, 0);
  lua_pop(state, 1);
}

void push_headers(lua_State* state, LuaFlow& flow, bool are_trailers) {
  push_object(state, "headers", flow, are_trailers ? 1 : 0);
}
void push_buffer(lua_State* state, LuaFlow& flow) { push_object(state, "buffer", flow); }

void push_json(lua_State* state, const data::Json& value) {
  luaL_checkstack(state, 8, "nested too deep");
  if (const auto* text = value.if_string()) {
    lua_pushlstring(state, text->data(), text->size());
  } else if (const auto* flag = value.if_bool()) {
    lua_pushboolean(state, *flag ? 1 : 0);
  } else if (const auto number = data::as_number(value)) {
    lua_pushnumber(state, *number);
  } else if (const auto* array = value.if_array()) {
    lua_newtable(state);
    int at = 0;
    for (const auto& item : *array) {
      push_json(state, item);
      lua_rawseti(state, -2, ++at);
    }
  } else if (const auto* object = value.if_object()) {
    lua_newtable(state);
    for (const auto& [key, item] : *object) {
      lua_pushlstring(state, key.data(), key.size());
      push_json(state, item);
      lua_settable(state, -3);
    }
  } else {
    lua_pushnil(state);
  }
}

data::Json read_json(lua_State* state, int index, int depth) {
  if (index < 0) index = lua_gettop(state) + index + 1;
  switch (lua_type(state, index)) {
    case LUA_TBOOLEAN: return lua_toboolean(state, index) != 0;
    case LUA_TNUMBER: {
      const double number = lua_tonumber(state, index);
      const auto whole = static_cast<std::int64_t>(number);
      if (static_cast<double>(whole) == number) return whole;
      return number;
    }
    case LUA_TSTRING: {
      std::size_t size = 0;
      const char* bytes = lua_tolstring(state, index, &size);
      return data::Json(std::string_view(bytes, size));
    }
    case LUA_TTABLE: break;
    default: return nullptr;
  }
  if (depth >= kMostDepth || lua_checkstack(state, 4) == 0) return nullptr;
  const std::size_t count = lua_objlen(state, index);
  if (count > 0) {
    data::JsonArray array;
    for (std::size_t i = 1; i <= count; ++i) {
      lua_rawgeti(state, index, static_cast<int>(i));
      array.push_back(read_json(state, -1, depth + 1));
      lua_pop(state, 1);
    }
    return array;
  }
  data::JsonObject object;
  lua_pushnil(state);
  while (lua_next(state, index) != 0) {
    if (lua_type(state, -2) == LUA_TSTRING) {
      std::size_t size = 0;
      const char* key = lua_tolstring(state, -2, &size);
      object[std::string_view(key, size)] = read_json(state, -1, depth + 1);
    }
    lua_pop(state, 1);
  }
  return object;
}

void register_lua_objects(lua_State* state) {
  static constexpr luaL_Reg kHeaders[] = {{"get", headers_get},
                                          {"getAtIndex", headers_get_at},
                                          {"getNumValues", headers_count},
                                          {"add", headers_add},
                                          {"replace", headers_replace},
                                          {"remove", headers_remove},
                                          {"setHttp1ReasonPhrase", headers_reason},
                                          {"__pairs", headers_pairs},
                                          {nullptr, nullptr}};
  static constexpr luaL_Reg kBuffer[] = {{"length", buffer_length},
                                         {"getBytes", buffer_bytes},
                                         {"setBytes", buffer_set},
                                         {nullptr, nullptr}};
  register_type(state, "headers", kHeaders);
  register_type(state, "buffer", kBuffer);
  register_handle(state);
  register_info(state);
}

}  // namespace lateen::proxy
