// The walk over a message by its descriptor. What the rows say is looked up once per message type.

#include "proxy/api/field_check.h"

#include <google/protobuf/descriptor.h>
#include <google/protobuf/message.h>
#include <google/protobuf/unknown_field_set.h>

#include <memory>
#include <mutex>
#include <unordered_map>

#include "base/strings.h"

namespace lateen::proxy {
namespace {

namespace pb = google::protobuf;

constexpr int kMostDepth = 100;

bool lists(std::string_view names, std::string_view name) {
  for (const auto one : split(names, ' '))
    if (one == name) return true;
  return false;
}

// The rows by message type, with a verdict for each field: made when a type is first seen, since a
// descriptor is only built when asked for, and a process meets a tenth of them.
class Verdicts {
 public:
  enum class Verdict : unsigned char { kHonoured, kHarmless, kRefused };
  using Type = std::vector<Verdict>;  // by index of the field

  Verdicts() {
    for (const auto& table : field_tables())
      for (const auto& row : table.rows) rows_[row.type] = &row;
  }
  // Null: no row.
  const Type* find(const pb::Descriptor& type) const {
    const std::lock_guard lock(mutex_);
    const auto [at, is_new] = types_.try_emplace(&type);
    if (is_new) at->second = judge(type);
    return at->second.get();
  }
  static const Verdicts& all() {
    static const Verdicts made;
    return made;
  }

 private:
  std::unique_ptr<const Type> judge(const pb::Descriptor& type) const {
    const auto row = rows_.find(type.full_name());
    if (row == rows_.end()) return nullptr;
    auto made = std::make_unique<Type>();
    for (int i = 0; i < type.field_count(); ++i) {
      const std::string& name = type.field(i)->name();
      made->push_back(lists(row->second->harmless, name)   ? Verdict::kHarmless
                      : lists(row->second->honoured, name) ? Verdict::kHonoured
                                                           : Verdict::kRefused);
    }
    return made;
  }

  std::unordered_map<std::string_view, const FieldRow*> rows_;
  mutable std::mutex mutex_;
  mutable std::unordered_map<const pb::Descriptor*, std::unique_ptr<const Type>> types_;
};

Result<> check(const pb::Message& message, const std::string& path, int depth);

Result<> check_field(const pb::Message& message, const pb::FieldDescriptor& field,
                     const std::string& path, int depth) {
  const pb::Reflection& reflection = *message.GetReflection();
  if (!field.is_repeated()) return check(reflection.GetMessage(message, &field), path, depth + 1);
  for (int i = 0; i < reflection.FieldSize(message, &field); ++i)
    TRY(check(reflection.GetRepeatedMessage(message, &field, i),
              path + "[" + std::to_string(i) + "]", depth + 1));
  return {};
}

Result<> check(const pb::Message& message, const std::string& path, int depth) {
  using Verdict = Verdicts::Verdict;
  const pb::Descriptor& type = *message.GetDescriptor();
  // An Any is judged by who unpacks it.
  if (depth > kMostDepth || type.file()->package() == "google.protobuf") return {};
  const auto* row = Verdicts::all().find(type);
  const pb::Reflection& reflection = *message.GetReflection();
  const pb::UnknownFieldSet& unknown = reflection.GetUnknownFields(message);
  if (row != nullptr && !unknown.empty())
    return invalid("field number " + std::to_string(unknown.field(0).number()) + " of " +
                       type.full_name() + (path.empty() ? "" : " (in '" + path + "')") +
                       " is not known here",
                   Blame::kConfig);
  std::vector<const pb::FieldDescriptor*> set;
  reflection.ListFields(message, &set);
  const auto at = [&](const pb::FieldDescriptor& field) {
    return path.empty() ? field.name() : path + "." + field.name();
  };
  for (const auto* field : set) {
    const Verdict verdict =
        row == nullptr ? Verdict::kHonoured : (*row)[static_cast<std::size_t>(field->index())];
    if (verdict == Verdict::kRefused)
      return invalid("field '" + at(*field) + "' of " + type.full_name() + " is not supported",
                     Blame::kConfig);
    if (verdict == Verdict::kHarmless ||
        field->cpp_type() != pb::FieldDescriptor::CPPTYPE_MESSAGE ||
        field->message_type()->file()->package() == "google.protobuf")
      continue;
    TRY(check_field(message, *field, at(*field), depth));
  }
  return {};
}

}  // namespace

std::vector<FieldTable> field_tables() {
  return {{"HTTP filters", filter_fields()},
          {"messages that they share", common_fields()},
          {"parts of these", part_fields()},
          {"access loggers", log_fields()},
          {"the bootstrap and of tracing", bootstrap_fields()},
          {"listeners, network filters, RBAC and matchers", listener_fields()},
          {"the HTTP connection manager and the codecs", http_fields()},
          {"routes", route_fields()},
          {"clusters and endpoints", cluster_fields()},
          {"transport sockets and secrets", tls_fields()}};
}

Result<> check_fields(const pb::Message& message) { return check(message, "", 0); }

Result<> check_fields(const pb::Any& any) {
  const std::string type = xds::carried_type(any);
  const auto* descriptor = pb::DescriptorPool::generated_pool()->FindMessageTypeByName(type);
  if (descriptor == nullptr || Verdicts::all().find(*descriptor) == nullptr) return {};
  const std::unique_ptr<pb::Message> message(
      pb::MessageFactory::generated_factory()->GetPrototype(descriptor)->New());
  TRY(xds::unpack_into(any, *message));
  return check_fields(*message);
}

}  // namespace lateen::proxy
