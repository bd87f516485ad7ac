// Kubernetes' libraries: lists, URLs, addresses, quantities, sets, optionals.
#include <arpa/inet.h>
#include <fmt/format.h>

#include <algorithm>

#include "base/strings.h"
#include "cluster/cel/evaluate.h"
#include "cluster/cel/functions.h"
#include "kube/names.h"

namespace lateen::cluster::cel {
namespace {

using Args = std::span<const Value>;
using Kind = Shape::Kind;

Error wants(std::string_view what, const Value& found) {
  return no_overload(fmt::format("a {} is wanted, {} was found", what, found.type_name()));
}

// --- lists

Result<Value> is_sorted(Args args, const Expr&, Budget& budget) {
  if (!budget.spend(args[0].size())) return Budget::exceeded();
  for (std::size_t i = 1; i < args[0].size(); ++i) {
    const auto order = compare(args[0].at(i - 1), args[0].at(i));
    if (!order) return no_overload("isSorted() of what has no order");
    if (*order > 0) return Value(false);
  }
  return Value(true);
}

Result<Value> sum(Args args, const Expr&, Budget& budget) {
  if (args[0].size() == 0) return Value(std::int64_t{0});
  Value made = args[0].at(0);
  for (std::size_t i = 1; i < args[0].size(); ++i)
    made = TRY(arithmetic("+", made, args[0].at(i), budget));
  return made;
}

Result<Value> extreme(Args args, const Expr& call, Budget& budget) {
  if (!budget.spend(args[0].size())) return Budget::exceeded();
  if (args[0].size() == 0) return invalid("min/max called on empty list");
  Value best = args[0].at(0);
  for (std::size_t i = 1; i < args[0].size(); ++i) {
    const Value item = args[0].at(i);
    const auto order = compare(item, best);
    if (!order) return no_overload("min/max of what has no order");
    if (call.function->name == "min" ? *order < 0 : *order > 0) best = item;
  }
  return best;
}

// --- sets

bool has_item(const Value& list, const Value& item) {
  for (std::size_t i = 0; i < list.size(); ++i) {
    if (equal(list.at(i), item)) return true;
  }
  return false;
}

Result<Value> sets(Args args, const Expr& call, Budget& budget) {
  if (!args[0].is_list()) return wants("list", args[0]);
  if (!args[1].is_list()) return wants("list", args[1]);
  if (!budget.spend(args[0].size() * args[1].size())) return Budget::exceeded();
  const auto has_all = [](const Value& whole, const Value& part) {
    for (std::size_t i = 0; i < part.size(); ++i) {
      if (!has_item(whole, part.at(i))) return false;
    }
    return true;
  };
  if (call.function->name == "sets.contains") return Value(has_all(args[0], args[1]));
  if (call.function->name == "sets.equivalent")
    return Value(has_all(args[0], args[1]) && has_all(args[1], args[0]));
  for (std::size_t i = 0; i < args[0].size(); ++i) {
    if (has_item(args[1], args[0].at(i))) return Value(true);
  }
  return Value(false);
}

// --- URLs: as Go's url.ParseRequestURI takes them apart

std::optional<Url> parse_url(std::string_view text) {
  Url url;
  url.text = text;
  for (const char c : text) {
    if (static_cast<unsigned char>(c) <= 0x20 || c == 0x7f) return std::nullopt;
  }
  std::string_view rest = text;
  const std::size_t colon = rest.find(':');
  const auto is_scheme_char = [](char c, bool is_first) {
    const bool is_letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
    return is_letter || (!is_first && ((c >= '0' && c <= '9') || c == '+' || c == '-' || c == '.'));
  };
  if (colon != std::string_view::npos && rest.find('/') > colon) {
    if (colon == 0) return std::nullopt;
    for (std::size_t i = 0; i < colon; ++i) {
      if (!is_scheme_char(rest[i], i == 0)) return std::nullopt;
    }
    url.scheme = to_lower(rest.substr(0, colon));
    rest.remove_prefix(colon + 1);
  }
  if (url.scheme.empty() && !rest.starts_with('/')) return std::nullopt;
  if (!url.scheme.empty() && !rest.starts_with('/')) return std::nullopt;  // opaque
  if (const std::size_t mark = rest.find('?'); mark != std::string_view::npos) {
    url.query = rest.substr(mark + 1);
    rest = rest.substr(0, mark);
  }
  if (!url.scheme.empty() && rest.starts_with("//")) {
    rest.remove_prefix(2);
    const std::size_t slash = std::min(rest.find('/'), rest.size());
    std::string_view authority = rest.substr(0, slash);
    url.path = rest.substr(slash);
    if (const std::size_t at = authority.rfind('@'); at != std::string_view::npos)
      authority.remove_prefix(at + 1);
    std::size_t end = authority.rfind(':');
    if (authority.starts_with('[')) {
      const std::size_t close = authority.find(']');
      if (close == std::string_view::npos) return std::nullopt;
      url.host = authority.substr(1, close - 1);
      const auto after = authority.substr(close + 1);
      if (!after.empty() && !after.starts_with(':')) return std::nullopt;
      if (!after.empty()) url.port = after.substr(1);
    } else {
      url.host = authority.substr(0, std::min(end, authority.size()));
      if (end != std::string_view::npos) url.port = authority.substr(end + 1);
    }
    if (!url.port.empty() && !parse_uint(url.port)) return std::nullopt;
    if (url.host.find_first_of("<>\"` {}|\\^") != std::string::npos) return std::nullopt;
  } else {
    url.path = rest;
  }
  if (!percent_decode(url.path).ok()) return std::nullopt;
  return url;
}

Result<Value> make_url(Args args, const Expr& call, Budget&) {
  const auto* text = args[0].get<std::string>();
  if (text == nullptr) return wants("string", args[0]);
  auto url = parse_url(*text);
  if (call.function->name == "isURL") return Value(url.has_value());
  if (!url)
    return invalid(fmt::format(
        "URL parse error during conversion from string: parse \"{}\": invalid URI for request",
        *text));
  return Value(std::move(*url));
}

Result<Value> url_part(Args args, const Expr& call, Budget&) {
  const auto* url = args[0].get<Url>();
  if (url == nullptr) return wants("URL", args[0]);
  const std::string_view name = call.function->name;
  if (name == "getScheme") return Value(url->scheme);
  if (name == "getHostname") return Value(url->host);
  if (name == "getPort") return Value(url->port);
  if (name == "getEscapedPath") return Value(url->path);
  if (name == "getHost") {
    const std::string host =
        url->host.find(':') == std::string::npos ? url->host : fmt::format("[{}]", url->host);
    return Value(url->port.empty() ? host : host + ":" + url->port);
  }
  Map query;
  for (const auto& [key, value] : parse_query(url->query)) {
    const auto known = std::find_if(query.begin(), query.end(), [&](const MapEntry& entry) {
      return equal(entry.key, Value(key));
    });
    if (known == query.end()) {
      query.push_back({Value(key), Value::list({Value(value)})});
    } else {
      List values;
      for (std::size_t i = 0; i < known->value.size(); ++i) values.push_back(known->value.at(i));
      values.emplace_back(value);
      known->value = Value::list(std::move(values));
    }
  }
  return Value::map(std::move(query));
}

// --- addresses

Result<Value> make_ip(Args args, const Expr& call, Budget&) {
  if (const auto* cidr = args[0].get<net::Cidr>()) return Value(cidr->ip());
  const auto* text = args[0].get<std::string>();
  if (text == nullptr) return wants("string", args[0]);
  auto ip = net::Ip::parse(*text);
  if (call.function->name == "isIP") return Value(ip.ok());
  if (!ip.ok())
    return invalid(
        fmt::format("IP Address \"{}\" parse error during conversion from string", *text));
  if (call.function->name == "ip.isCanonical") return Value(ip->to_string() == *text);
  return Value(*ip);
}

Result<Value> ip_fact(Args args, const Expr& call, Budget&) {
  const auto* ip = args[0].get<net::Ip>();
  if (ip == nullptr) return wants("IP", args[0]);
  const std::string_view name = call.function->name;
  const auto first = static_cast<unsigned char>(ip->bytes()[0]);
  const auto second = static_cast<unsigned char>(ip->bytes()[1]);
  const bool is_multicast = ip->is_v4() ? (first & 0xF0) == 0xE0 : first == 0xFF;
  const bool is_link_local =
      ip->is_v4() ? first == 169 && second == 254 : first == 0xFE && (second & 0xC0) == 0x80;
  const bool is_local_multicast = ip->is_v4() ? first == 224 && second == 0 && ip->bytes()[2] == 0
                                              : is_multicast && (second & 0x0F) == 2;
  if (name == "family") return Value(std::int64_t{ip->is_v4() ? 4 : 6});
  if (name == "isUnspecified") return Value(ip->is_unspecified());
  if (name == "isLoopback") return Value(ip->is_loopback());
  if (name == "isLinkLocalUnicast") return Value(is_link_local);
  if (name == "isLinkLocalMulticast") return Value(is_local_multicast);
  const bool is_broadcast = ip->is_v4() && ip->v4_bits() == 0xFFFFFFFFu;
  return Value(!ip->is_unspecified() && !ip->is_loopback() && !is_link_local && !is_multicast &&
               !is_broadcast);
}

Result<Value> make_cidr(Args args, const Expr& call, Budget&) {
  const auto* text = args[0].get<std::string>();
  if (text == nullptr) return wants("string", args[0]);
  const bool has_prefix = text->find('/') != std::string::npos;
  auto cidr = net::Cidr::parse(*text);
  const bool is_good = has_prefix && cidr.ok();
  if (call.function->name == "isCIDR") return Value(is_good);
  if (!is_good)
    return invalid(
        fmt::format("network address parse error during conversion from string: {}", *text));
  return Value(*cidr);
}

Result<Value> cidr_fact(Args args, const Expr& call, Budget&) {
  const auto* cidr = args[0].get<net::Cidr>();
  if (cidr == nullptr) return wants("CIDR", args[0]);
  const std::string_view name = call.function->name;
  if (name == "prefixLength") return Value(std::int64_t{cidr->prefix_bits()});
  if (name == "masked") return args[0];
  const auto* text = args.size() > 1 ? args[1].get<std::string>() : nullptr;
  if (name == "containsIP") {
    if (text == nullptr) {
      const auto* ip = args[1].get<net::Ip>();
      if (ip == nullptr) return wants("IP", args[1]);
      return Value(cidr->contains(*ip));
    }
    auto ip = net::Ip::parse(*text);
    if (!ip.ok())
      return invalid(
          fmt::format("IP Address \"{}\" parse error during conversion from string", *text));
    return Value(cidr->contains(*ip));
  }
  const auto* other = args[1].get<net::Cidr>();
  auto parsed = text != nullptr    ? net::Cidr::parse(*text)
                : other != nullptr ? Result<net::Cidr>(*other)
                                   : Result<net::Cidr>(wants("CIDR", args[1]));
  if (!parsed.ok()) return parsed.error();
  return Value(parsed->prefix_bits() >= cidr->prefix_bits() && cidr->contains(parsed->ip()));
}

// --- quantities

Result<Value> make_quantity(Args args, const Expr& call, Budget&) {
  const auto* text = args[0].get<std::string>();
  if (text == nullptr) return wants("string", args[0]);
  auto quantity = kube::Quantity::parse(*text);
  if (call.function->name == "isQuantity") return Value(quantity.ok());
  if (!quantity.ok()) return quantity.error();
  return Value(*quantity);
}

Result<Value> quantity_fact(Args args, const Expr& call, Budget&) {
  const auto* quantity = args[0].get<kube::Quantity>();
  if (quantity == nullptr) return wants("Quantity", args[0]);
  const std::string_view name = call.function->name;
  const auto zero = kube::Quantity::of(0);
  if (name == "sign") {
    return Value(std::int64_t{*quantity < zero ? -1 : *quantity > zero ? 1 : 0});
  }
  const bool is_whole = kube::Quantity::of(quantity->value()) == *quantity;
  if (name == "isInteger") return Value(is_whole);
  if (name == "asInteger") {
    if (!is_whole) return invalid("cannot convert value to integer");
    return Value(quantity->value());
  }
  if (name == "asApproximateFloat")
    return Value(static_cast<double>(quantity->milli_value()) / 1000);
  const auto* number = args[1].get<std::int64_t>();
  const auto* given = args[1].get<kube::Quantity>();
  if (number == nullptr && given == nullptr) return wants("Quantity", args[1]);
  const kube::Quantity other = given != nullptr ? *given : kube::Quantity::of(*number);
  if (name == "isLessThan") return Value(*quantity < other);
  if (name == "isGreaterThan") return Value(*quantity > other);
  if (name == "compareTo")
    return Value(std::int64_t{*quantity < other ? -1 : *quantity > other ? 1 : 0});
  kube::Quantity made = *quantity;
  if (name == "add") made += other;
  else made -= other;
  return Value(made);
}

// --- optionals

bool is_zero(const Value& value) {
  if (value.is_null()) return true;
  if (value.is_number()) return equal(value, Value(std::int64_t{0}));
  if (const bool* flag = value.get<bool>()) return !*flag;
  if (const auto* text = value.get<std::string>()) return text->empty();
  return (value.is_list() || value.is_map()) && value.size() == 0;
}

Result<Value> make_optional(Args args, const Expr& call, Budget&) {
  if (args.empty()) return Value(Optional{});
  if (call.function->name == "optional.ofNonZeroValue" && is_zero(args[0]))
    return Value(Optional{});
  return Value(Optional{std::make_shared<const Value>(args[0])});
}

Result<Value> optional_fact(Args args, const Expr& call, Budget&) {
  const auto* optional = args[0].get<Optional>();
  if (optional == nullptr) return wants("optional", args[0]);
  const std::string_view name = call.function->name;
  if (name == "hasValue") return Value(optional->value != nullptr);
  if (name == "value") {
    if (optional->value == nullptr) return invalid("optional.none() dereference");
    return Value(*optional->value);
  }
  if (name == "or") return optional->value != nullptr ? args[0] : args[1];
  return optional->value != nullptr ? Value(*optional->value) : args[1];
}

// --- named formats; a format is a name of its own kind

constexpr std::string_view kFormat = "kubernetes.NamedFormat/";

Result<Value> make_format(Args, const Expr& call, Budget&) {
  const auto name = call.function->name.substr(std::string_view("format.").size());
  return Value(TypeName{fmt::format("{}{}", kFormat, name)});
}

// None: it is one. Else a list of why not.
Result<Value> validate_format(Args args, const Expr&, Budget&) {
  const auto* format = args[0].get<TypeName>();
  const auto* text = args[1].get<std::string>();
  if (format == nullptr || !format->name.starts_with(kFormat)) return wants("format", args[0]);
  if (text == nullptr) return wants("string", args[1]);
  const auto name = std::string_view(format->name).substr(kFormat.size());
  std::string wrong;
  if (name == "dns1123Label") wrong = kube::check_dns1123_label(*text);
  else if (name == "dns1123Subdomain") wrong = kube::check_dns1123_subdomain(*text);
  else if (name == "dns1035Label") wrong = kube::check_dns1035_label(*text);
  else if (name == "qualifiedName") wrong = kube::check_qualified_name(*text);
  else if (name == "labelValue") wrong = kube::check_label_value(*text);
  else if (name == "uri") wrong = parse_url(*text) ? "" : "invalid URI";
  else if (name == "byte") wrong = base64_decode(*text).ok() ? "" : "invalid base64";
  else wrong = parse_rfc3339(*text).ok() ? "" : "invalid datetime";
  if (wrong.empty()) return Value(Optional{});
  return Value(Optional{std::make_shared<const Value>(Value::list({Value(std::move(wrong))}))});
}

constexpr FunctionEntry kLibrary[] = {
    {"format.dns1123Label", false, 0, 0, make_format},
    {"format.dns1123Subdomain", false, 0, 0, make_format},
    {"format.dns1035Label", false, 0, 0, make_format},
    {"format.qualifiedName", false, 0, 0, make_format},
    {"format.labelValue", false, 0, 0, make_format},
    {"format.uri", false, 0, 0, make_format},
    {"format.byte", false, 0, 0, make_format},
    {"format.datetime", false, 0, 0, make_format},
    {"validate", true, 1, 1, validate_format},
    {"isSorted", true, 0, 0, is_sorted, Kind::kBool},
    {"sum", true, 0, 0, sum},
    {"min", true, 0, 0, extreme},
    {"max", true, 0, 0, extreme},
    {"sets.contains", false, 2, 2, sets, Kind::kBool},
    {"sets.equivalent", false, 2, 2, sets, Kind::kBool},
    {"sets.intersects", false, 2, 2, sets, Kind::kBool},
    {"url", false, 1, 1, make_url},
    {"isURL", false, 1, 1, make_url, Kind::kBool},
    {"getScheme", true, 0, 0, url_part, Kind::kString},
    {"getHost", true, 0, 0, url_part, Kind::kString},
    {"getHostname", true, 0, 0, url_part, Kind::kString},
    {"getPort", true, 0, 0, url_part, Kind::kString},
    {"getEscapedPath", true, 0, 0, url_part, Kind::kString},
    {"getQuery", true, 0, 0, url_part},
    {"ip", false, 1, 1, make_ip},
    {"ip", true, 0, 0, make_ip},
    {"isIP", false, 1, 1, make_ip, Kind::kBool},
    {"ip.isCanonical", false, 1, 1, make_ip, Kind::kBool},
    {"family", true, 0, 0, ip_fact, Kind::kInt},
    {"isUnspecified", true, 0, 0, ip_fact, Kind::kBool},
    {"isLoopback", true, 0, 0, ip_fact, Kind::kBool},
    {"isLinkLocalUnicast", true, 0, 0, ip_fact, Kind::kBool},
    {"isLinkLocalMulticast", true, 0, 0, ip_fact, Kind::kBool},
    {"isGlobalUnicast", true, 0, 0, ip_fact, Kind::kBool},
    {"cidr", false, 1, 1, make_cidr},
    {"isCIDR", false, 1, 1, make_cidr, Kind::kBool},
    {"containsIP", true, 1, 1, cidr_fact, Kind::kBool},
    {"containsCIDR", true, 1, 1, cidr_fact, Kind::kBool},
    {"prefixLength", true, 0, 0, cidr_fact, Kind::kInt},
    {"masked", true, 0, 0, cidr_fact},
    {"quantity", false, 1, 1, make_quantity},
    {"isQuantity", false, 1, 1, make_quantity, Kind::kBool},
    {"sign", true, 0, 0, quantity_fact, Kind::kInt},
    {"isInteger", true, 0, 0, quantity_fact, Kind::kBool},
    {"asInteger", true, 0, 0, quantity_fact, Kind::kInt},
    {"asApproximateFloat", true, 0, 0, quantity_fact},
    {"add", true, 1, 1, quantity_fact},
    {"sub", true, 1, 1, quantity_fact},
    {"isLessThan", true, 1, 1, quantity_fact, Kind::kBool},
    {"isGreaterThan", true, 1, 1, quantity_fact, Kind::kBool},
    {"compareTo", true, 1, 1, quantity_fact, Kind::kInt},
    {"optional.of", false, 1, 1, make_optional},
    {"optional.ofNonZeroValue", false, 1, 1, make_optional},
    {"optional.none", false, 0, 0, make_optional},
    {"hasValue", true, 0, 0, optional_fact, Kind::kBool},
    {"value", true, 0, 0, optional_fact},
    {"orValue", true, 1, 1, optional_fact},
    {"or", true, 1, 1, optional_fact},
};

}  // namespace

std::span<const FunctionEntry> library_functions() { return kLibrary; }

}  // namespace lateen::cluster::cel
