#include "discovery/generate/patching.h"

#include <google/protobuf/any.pb.h>

#include <regex>

#include "base/log.h"
#include "xds/any.h"
#include "xds/json.h"

namespace lateen::discovery {
namespace {

using google::protobuf::Any;
using google::protobuf::FieldDescriptor;
using google::protobuf::Message;
using google::protobuf::Reflection;

// proxyVersion is a regex over ISTIO_VERSION; std::regex is bounded here by the pattern's own bound
// (1 KiB).
bool fits_version(const std::string& pattern, const std::string& version) {
  if (pattern.empty()) return true;
  try {
    return std::regex_search(version, std::regex(pattern));
  } catch (const std::regex_error&) {
    return false;
  }
}

bool fits_proxy(const Patch& patch, const Proxy& proxy) {
  if (!fits_version(patch.proxy_version, proxy.version)) return false;
  for (const auto& [key, value] : patch.proxy_metadata) {
    if (proxy.meta(key) != value) return false;
  }
  return true;
}

// Two Any of one type: merge what is inside. Otherwise the patch's replaces.
void merge_any(const Any& from, Any& to, Lists lists) {
  if (from.type_url() != to.type_url()) {
    to = from;
    return;
  }
  const auto* descriptor =
      google::protobuf::DescriptorPool::generated_pool()->FindMessageTypeByName(
          from.type_url().substr(from.type_url().rfind('/') + 1));
  const Message* prototype =
      descriptor == nullptr
          ? nullptr
          : google::protobuf::MessageFactory::generated_factory()->GetPrototype(descriptor);
  if (prototype == nullptr) {
    to = from;
    return;
  }
  const std::unique_ptr<Message> inner(prototype->New());
  const std::unique_ptr<Message> over(prototype->New());
  if (!inner->ParseFromString(to.value()) || !over->ParseFromString(from.value())) return;
  merge_messages(*over, *inner, lists);
  to = xds::pack(*inner);
}

}  // namespace

std::vector<const Patch*> patches_for(const View& view, ApplyTo apply_to, PatchContext context) {
  std::vector<const Patch*> out;
  for (const auto& config : view.mesh.input().envoy_filters) {
    const bool is_near =
        config->meta.ns == view.mesh.mesh().root_namespace || config->meta.ns == view.proxy.ns;
    if (!is_near || !mesh::selects(config->spec.workload_selector, view.proxy.labels)) continue;
    if (!hits_target(config->spec.targets, view.proxy)) continue;
    for (const Patch& patch : config->spec.patches) {
      const bool fits_context = patch.context == PatchContext::kAny || patch.context == context;
      if (patch.apply_to == apply_to && fits_context && fits_proxy(patch, view.proxy)) {
        out.push_back(&patch);
      }
    }
  }
  return out;
}

namespace {

// A filter of a type that this program does not know travels as TypedStruct: the proxy knows its
// types.
data::Json wrap_unknown(const data::Json& value) {
  if (const data::JsonArray* list = value.if_array()) {
    data::JsonArray out;
    for (const data::Json& item : *list) out.push_back(wrap_unknown(item));
    return out;
  }
  const data::JsonObject* object = value.if_object();
  if (object == nullptr) return value;
  const data::Json* type = object->if_contains("@type");
  const std::string url(type != nullptr ? data::as_string(*type) : "");
  const auto* known = google::protobuf::DescriptorPool::generated_pool()->FindMessageTypeByName(
      url.substr(url.rfind('/') + 1));
  if (!url.empty() && known == nullptr) {
    data::JsonObject fields = *object;
    fields.erase("@type");
    return data::JsonObject{{"@type", "type.googleapis.com/udpa.type.v1.TypedStruct"},
                            {"type_url", url},
                            {"value", std::move(fields)}};
  }
  data::JsonObject out;
  for (const auto& entry : *object) out[entry.key()] = wrap_unknown(entry.value());
  return out;
}

}  // namespace

bool read_patch(const Patch& patch, Message& into) {
  auto read = xds::from_json(wrap_unknown(patch.value), into);
  if (read.ok()) return true;
  LOG(kWarn, "envoyfilter", "patch left out: {}; compare its value with Envoy's {}",
      read.error().message(), into.GetTypeName());
  return false;
}

void merge_patch(const Patch& patch, Message& target) {
  const std::unique_ptr<Message> over(target.New());
  const Lists lists =
      patch.operation == PatchOperation::kMergeReplacingLists ? Lists::kReplaced : Lists::kGrown;
  if (read_patch(patch, *over)) merge_messages(*over, target, lists);
}

void merge_messages(const Message& from, Message& to, Lists lists) {
  const Reflection* reflection = from.GetReflection();
  std::vector<const FieldDescriptor*> fields;
  reflection->ListFields(from, &fields);
  for (const FieldDescriptor* field : fields) {
    const bool is_message = field->cpp_type() == FieldDescriptor::CPPTYPE_MESSAGE;
    if (is_message && !field->is_repeated() && reflection->HasField(to, field)) {
      const Message& inner = reflection->GetMessage(from, field);
      Message& target = *reflection->MutableMessage(&to, field);
      if (inner.GetTypeName() == "google.protobuf.Any") {
        merge_any(static_cast<const Any&>(inner), static_cast<Any&>(target), lists);
      } else if (inner.GetTypeName() == "google.protobuf.Duration") {
        target.CopyFrom(inner);  // a duration is one value
      } else {
        merge_messages(inner, target, lists);
      }
      continue;
    }
    if (lists == Lists::kReplaced && field->is_repeated()) reflection->ClearField(&to, field);
    // Scalars replace, lists and maps grow: protobuf's own merge, one field at a time.
    const std::unique_ptr<Message> only(from.New());
    only->CopyFrom(from);
    std::vector<const FieldDescriptor*> others;
    reflection->ListFields(*only, &others);
    for (const FieldDescriptor* other : others) {
      if (other != field) reflection->ClearField(only.get(), other);
    }
    to.MergeFrom(*only);
  }
}

}  // namespace lateen::discovery
