// Filters that write dynamic metadata: header_to_metadata and set_metadata.

#include "base/strings.h"
#include "envoy/extensions/filters/http/header_to_metadata/v3/header_to_metadata.pb.h"
#include "envoy/extensions/filters/http/set_metadata/v3/set_metadata.pb.h"
#include "proxy/filters/filters.h"
#include "proxy/match/string_matcher.h"
#include "xds/any.h"
#include "xds/json.h"

namespace lateen::proxy {
namespace {

namespace header = envoy::extensions::filters::http::header_to_metadata::v3;
namespace setting = envoy::extensions::filters::http::set_metadata::v3;

constexpr std::size_t kMostValue = 8 * 1024;
constexpr std::string_view kHeaderNamespace = "envoy.filters.http.header_to_metadata";

struct Put {
  std::string where, key, value;
  std::optional<Regex> pattern;
  std::string substitution;
  bool is_base64 = false;
  header::Config::ValueType type = header::Config::STRING;
};

struct HeaderRule {
  std::string header, cookie;
  std::optional<Put> present, missing;
  bool is_removed = false;
};

struct HeaderRules final : RouteFilterConfig {
  std::vector<HeaderRule> request, response;
};

void put(StreamInfo& info, const Put& rule, std::string value) {
  if (rule.is_base64) {
    auto decoded = base64_decode(value);
    if (!decoded.ok()) return;
    value = *std::move(decoded);
  }
  if (value.empty() || value.size() > kMostValue) return;
  data::Json made;
  if (rule.type == header::Config::NUMBER) {
    const auto number = parse_double(value);
    if (!number) return;
    made = *number;
  } else if (rule.type == header::Config::PROTOBUF_VALUE) {
    google::protobuf::Value parsed;
    if (!parsed.ParseFromString(value)) return;
    made = xds::value_to_json(parsed);
  } else {
    made = value;
  }
  const std::string_view where = rule.where.empty() ? kHeaderNamespace : rule.where;
  data::ensure_object(info.metadata[where], {})[rule.key] = std::move(made);
}

std::optional<std::string> cookie_of(const http::Headers& headers, std::string_view name) {
  for (const auto& field : headers) {
    if (!iequals(field.name, "cookie")) continue;
    for (const auto part : split(field.value, ';'))
      if (const auto pair = split_once(trim(part), "="); pair && pair->first == name) {
        std::string_view value = pair->second;
        if (value.size() >= 2 && value.front() == '"' && value.back() == '"')
          value = value.substr(1, value.size() - 2);
        return std::string(value);
      }
  }
  return std::nullopt;
}

void apply(const std::vector<HeaderRule>& rules, StreamInfo& info, http::Headers& headers) {
  for (const HeaderRule& rule : rules) {
    std::optional<std::string> value;
    if (!rule.cookie.empty()) value = cookie_of(headers, rule.cookie);
    else if (headers.has(rule.header)) value = std::string(headers.joined(rule.header));
    if (value && rule.present) {
      std::string text = *value;
      if (!rule.present->value.empty()) text = rule.present->value;
      if (rule.present->pattern)
        text = rule.present->pattern->replace_all(*value, rule.present->substitution);
      put(info, *rule.present, std::move(text));
    }
    if (!value && rule.missing) put(info, *rule.missing, rule.missing->value);
    if (value && rule.is_removed && rule.cookie.empty()) headers.remove(rule.header);
  }
}

Result<Put> compile_put(const header::Config::KeyValuePair& from) {
  Put made;
  made.where = from.metadata_namespace();
  made.key = from.key();
  made.value = from.value();
  made.type = from.type();
  made.is_base64 = from.encode() == header::Config::BASE64;
  if (from.has_regex_value_rewrite()) {
    made.pattern = TRY(Regex::compile(from.regex_value_rewrite().pattern()));
    made.substitution = from.regex_value_rewrite().substitution();
  }
  return made;
}

template <typename List>
Result<std::vector<HeaderRule>> compile_rules(const List& rules) {
  std::vector<HeaderRule> made;
  for (const auto& from : rules) {
    HeaderRule rule;
    rule.header = to_lower(from.header());
    rule.cookie = from.cookie();
    if (rule.header.empty() == rule.cookie.empty())
      return invalid("header_to_metadata: a rule names one of header and cookie", Blame::kConfig);
    if (from.has_on_header_present()) rule.present = TRY(compile_put(from.on_header_present()));
    if (from.has_on_header_missing()) rule.missing = TRY(compile_put(from.on_header_missing()));
    if (!rule.present && !rule.missing)
      return invalid("header to metadata filter: rule for header '" + from.header() +
                         "' has neither `on_header_present` nor `on_header_missing` set",
                     Blame::kConfig);
    rule.is_removed = from.remove();
    made.push_back(std::move(rule));
  }
  return made;
}

Result<std::shared_ptr<const HeaderRules>> compile_header_rules(
    const google::protobuf::Any& config) {
  const auto from = TRY(xds::unpack<header::Config>(config));
  auto made = std::make_shared<HeaderRules>();
  made->request = TRY(compile_rules(from.request_rules()));
  made->response = TRY(compile_rules(from.response_rules()));
  return std::shared_ptr<const HeaderRules>(std::move(made));
}

class HeaderToMetadata final : public HttpFilter {
 public:
  HeaderToMetadata(std::string name, std::shared_ptr<const HeaderRules> rules)
      : name_(std::move(name)), rules_(std::move(rules)) {}
  void handle(HttpState& stream, http::Request request, Next next, http::Done done) const override {
    const HeaderRules& rules = rules_for(stream);
    apply(rules.request, stream.info, request.headers);
    if (rules.response.empty()) return next(stream, std::move(request), std::move(done));
    next(stream, std::move(request),
         [&stream, &rules, done = std::move(done)](Result<http::Response> response) mutable {
           if (response.ok()) apply(rules.response, stream.info, response->headers);
           done(std::move(response));
         });
  }
  bool sees_answers() const override { return true; }
  void answer(HttpState& stream, http::Response response, http::Done done) const override {
    apply(rules_for(stream).response, stream.info, response.headers);
    done(std::move(response));
  }

 private:
  const HeaderRules& rules_for(const HttpState& stream) const {
    const auto* entry = route_config_for(stream.info, name_);
    const auto* of_route =
        entry == nullptr ? nullptr : dynamic_cast<const HeaderRules*>(entry->config.get());
    return of_route != nullptr ? *of_route : *rules_;
  }

  std::string name_;
  std::shared_ptr<const HeaderRules> rules_;
};

class SetMetadata final : public HttpFilter {
 public:
  struct Entry {
    std::string where;
    data::JsonObject value;
    bool is_overwriting = false;
  };
  std::vector<Entry> entries;
  void handle(HttpState& stream, http::Request request, Next next, http::Done done) const override {
    for (const Entry& entry : entries) {
      const bool is_there = stream.info.metadata.contains(entry.where);
      if (is_there && !entry.is_overwriting) continue;
      stream.info.metadata[entry.where] = entry.value;
    }
    next(stream, std::move(request), std::move(done));
  }
};

void add_entry(SetMetadata& filter, const std::string& where, const google::protobuf::Struct& from,
               bool is_overwriting) {
  const auto json = xds::struct_to_json(from);
  if (const auto* object = json.if_object())
    filter.entries.push_back({where, *object, is_overwriting});
}

}  // namespace

Result<HttpFilterRef> make_header_to_metadata(const google::protobuf::Any& config,
                                              const CompileContext& context) {
  return HttpFilterRef(std::make_shared<const HeaderToMetadata>(context.filter_name,
                                                                TRY(compile_header_rules(config))));
}

Result<RouteConfigRef> make_header_to_metadata_route(const google::protobuf::Any& config,
                                                     const CompileContext&) {
  return RouteConfigRef(TRY(compile_header_rules(config)));
}

Result<HttpFilterRef> make_set_metadata(const google::protobuf::Any& config,
                                        const CompileContext&) {
  const auto from = TRY(xds::unpack<setting::Config>(config));
  auto made = std::make_shared<SetMetadata>();
  if (from.has_value()) add_entry(*made, from.metadata_namespace(), from.value(), true);
  for (const auto& one : from.metadata()) {
    if (one.has_typed_value())
      return invalid("set_metadata: typed_value is not supported", Blame::kConfig);
    add_entry(*made, one.metadata_namespace(), one.value(), one.allow_overwrite());
  }
  return HttpFilterRef(std::move(made));
}

}  // namespace lateen::proxy
