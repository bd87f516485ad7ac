// See protobuf.h.
#include "cluster/apiserver/protobuf.h"

#include <fmt/format.h>

#include <cstring>

#include "base/clock.h"
#include "base/strings.h"
#include "cluster/apiserver/builtin_schemas.h"

namespace lateen::cluster::apiserver {
namespace {

constexpr std::string_view kMagic("k8s\0", 4);
constexpr int kMostDepth = 100;

Error malformed() { return invalid("the protobuf body is malformed"); }

// One field on the wire.
struct Wire {
  int number = 0;
  int type = 0;
  std::uint64_t value = 0;  // varint, fixed64, fixed32
  std::string_view bytes;   // length-delimited
};

class Reader {
 public:
  explicit Reader(std::string_view bytes) : left_(bytes) {}
  bool at_end() const { return left_.empty(); }
  Result<Wire> next() {
    Wire wire;
    const std::uint64_t tag = TRY(varint());
    wire.number = static_cast<int>(tag >> 3);
    wire.type = static_cast<int>(tag & 7);
    if (wire.type == 0) {
      wire.value = TRY(varint());
    } else if (wire.type == 2) {
      const std::uint64_t size = TRY(varint());
      if (size > left_.size()) return malformed();
      wire.bytes = left_.substr(0, size);
      left_.remove_prefix(size);
    } else if (wire.type == 1 || wire.type == 5) {
      const std::size_t size = wire.type == 1 ? 8 : 4;
      if (left_.size() < size) return malformed();
      std::memcpy(&wire.value, left_.data(), size);
      left_.remove_prefix(size);
    } else {
      return malformed();
    }
    return wire;
  }

 private:
  Result<std::uint64_t> varint() {
    std::uint64_t value = 0;
    for (int shift = 0; shift < 64; shift += 7) {
      if (left_.empty()) return malformed();
      const auto byte = static_cast<unsigned char>(left_.front());
      left_.remove_prefix(1);
      value |= static_cast<std::uint64_t>(byte & 0x7f) << shift;
      if ((byte & 0x80) == 0) return value;
    }
    return malformed();
  }
  std::string_view left_;
};

// The first field with that number, or an empty one.
Result<Wire> field_of(std::string_view bytes, int number) {
  Reader reader(bytes);
  while (!reader.at_end()) {
    const Wire wire = TRY(reader.next());
    if (wire.number == number) return wire;
  }
  return Wire{};
}

Result<Json> decode_time(std::string_view bytes, int digits) {
  const auto secs = TRY(field_of(bytes, 1)).value;
  const auto nanos = TRY(field_of(bytes, 2)).value;
  if (secs == 0 && nanos == 0) return Json();
  const WallTime time{seconds(static_cast<std::int64_t>(secs)) +
                      nanoseconds(static_cast<std::int64_t>(nanos))};
  return Json(format_rfc3339(time, digits));
}

Result<Json> decode_int_or_string(std::string_view bytes) {
  const bool is_string = TRY(field_of(bytes, 1)).value == 1;
  if (is_string) return Json(TRY(field_of(bytes, 3)).bytes);
  return Json(static_cast<std::int64_t>(static_cast<std::int32_t>(TRY(field_of(bytes, 2)).value)));
}

Result<Json> decode_message(const SchemaMessage& message, std::string_view bytes, int depth);

Result<Json> decode_value(const SchemaField& field, const Wire& wire, int depth) {
  using Kind = SchemaField::Kind;
  switch (field.kind) {
    case Kind::kString: return Json(wire.bytes);
    case Kind::kInteger: return Json(static_cast<std::int64_t>(wire.value));
    case Kind::kBoolean: return Json(wire.value != 0);
    case Kind::kDouble: {
      double number = 0;
      std::memcpy(&number, &wire.value, sizeof number);
      return Json(number);
    }
    case Kind::kBytes: return Json(base64_encode(wire.bytes));
    case Kind::kQuantity: return Json(TRY(field_of(wire.bytes, 1)).bytes);
    case Kind::kIntOrString: return decode_int_or_string(wire.bytes);
    case Kind::kTime: return decode_time(wire.bytes, 0);
    case Kind::kMicroTime: return decode_time(wire.bytes, 6);
    case Kind::kDuration:
      return Json(format_duration(
          nanoseconds(static_cast<std::int64_t>(TRY(field_of(wire.bytes, 1)).value))));
    case Kind::kFree: {
      const auto raw = TRY(field_of(wire.bytes, 1)).bytes;
      if (raw.empty()) return Json();
      return data::parse_json(raw);
    }
    case Kind::kItems: {
      JsonArray items;
      Reader reader(wire.bytes);
      while (!reader.at_end()) items.emplace_back(TRY(reader.next()).bytes);
      return Json(std::move(items));
    }
    case Kind::kMessage: return decode_message(*field.message, wire.bytes, depth + 1);
  }
  return Json();
}

// Scalars that are zero are what clients write for "unset" (JSON clients leave them out), unless
// the field is a pointer.
bool is_worth_keeping(const SchemaField& field, const Json& value) {
  if (value.is_null()) return false;
  if (field.is_required || field.shape != SchemaField::Shape::kOne) return true;
  if (field.is_pointer || field.kind == SchemaField::Kind::kIntOrString) return true;
  if (const auto* text = value.if_string()) return !text->empty();
  if (const auto* flag = value.if_bool()) return *flag;
  if (const auto* number = value.if_int64()) return *number != 0;
  return true;
}

const SchemaField* by_number(const SchemaMessage& message, int number) {
  for (const auto& field : message.fields) {
    if (field.number == number) return &field;
  }
  return nullptr;
}

Result<> add_field(const SchemaField& field, const Wire& wire, int depth, JsonObject& into) {
  if (field.is_inline()) {
    Json inner = TRY(decode_value(field, wire, depth));
    if (auto* object = inner.if_object()) {
      for (auto& [key, value] : *object) into[key] = std::move(value);
    }
    return {};
  }
  if (field.shape == SchemaField::Shape::kMap) {
    const auto key = TRY(field_of(wire.bytes, 1)).bytes;
    const Wire value = TRY(field_of(wire.bytes, 2));
    Json& map = into[field.name];
    if (!map.is_object()) map = JsonObject{};
    if (auto* object = map.if_object()) (*object)[key] = TRY(decode_value(field, value, depth));
    return {};
  }
  Json value = TRY(decode_value(field, wire, depth));
  if (field.shape == SchemaField::Shape::kList) {
    Json& list = into[field.name];
    if (!list.is_array()) list = JsonArray{};
    if (auto* array = list.if_array()) array->push_back(std::move(value));
    return {};
  }
  if (is_worth_keeping(field, value)) into[field.name] = std::move(value);
  return {};
}

Result<Json> decode_message(const SchemaMessage& message, std::string_view bytes, int depth) {
  if (depth > kMostDepth) return malformed();
  JsonObject object;
  Reader reader(bytes);
  while (!reader.at_end()) {
    const Wire wire = TRY(reader.next());
    const SchemaField* field = by_number(message, wire.number);
    if (field != nullptr) TRY(add_field(*field, wire, depth, object));
  }
  return Json(std::move(object));
}

}  // namespace

bool is_kubernetes_protobuf(std::string_view body) { return body.starts_with(kMagic); }

Result<Json> decode_kubernetes_protobuf(std::string_view body) {
  if (!is_kubernetes_protobuf(body)) return malformed();
  body.remove_prefix(kMagic.size());
  const auto type_meta = TRY(field_of(body, 1)).bytes;
  const auto raw = TRY(field_of(body, 2)).bytes;
  const auto api_version = TRY(field_of(type_meta, 1)).bytes;
  const auto kind = TRY(field_of(type_meta, 2)).bytes;
  const auto slash = api_version.find('/');
  const auto group =
      slash == std::string_view::npos ? std::string_view() : api_version.substr(0, slash);
  const auto version =
      slash == std::string_view::npos ? api_version : api_version.substr(slash + 1);
  const SchemaMessage* message = BuiltinSchemas::get().kind(group, version, kind);
  if (message == nullptr)
    return invalid(
        fmt::format("no kind \"{}\" is registered for version \"{}\"", kind, api_version));
  const Json decoded = TRY(decode_message(*message, raw, 0));
  JsonObject object{{"kind", kind}, {"apiVersion", api_version}};
  if (const auto* fields = decoded.if_object()) {
    for (const auto& [key, value] : *fields) object[key] = value;
  }
  return Json(std::move(object));
}

void ProtoWriter::raw_varint(std::uint64_t value) {
  while (value >= 0x80) {
    out_ += static_cast<char>(value | 0x80);
    value >>= 7;
  }
  out_ += static_cast<char>(value);
}
void ProtoWriter::varint(int field, std::uint64_t value) {
  raw_varint(static_cast<std::uint64_t>(field) << 3);
  raw_varint(value);
}
void ProtoWriter::bytes(int field, std::string_view value) {
  raw_varint(static_cast<std::uint64_t>(field) << 3 | 2);
  raw_varint(value.size());
  out_ += value;
}

}  // namespace lateen::cluster::apiserver
