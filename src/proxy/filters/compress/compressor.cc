// envoy.filters.http.compressor: responses (and request bodies, where asked for) coded as the
// client accepts. With several compressors in the chain the client's preference picks one.

#include "base/strings.h"
#include "envoy/extensions/filters/http/compressor/v3/compressor.pb.h"
#include "proxy/filters/compress/codec.h"
#include "proxy/filters/filters.h"
#include "proxy/http/config.h"
#include "xds/any.h"

namespace lateen::proxy {
namespace {

namespace api = envoy::extensions::filters::http::compressor::v3;

constexpr std::uint32_t kLeastLength = 30;
constexpr std::string_view kDefaultTypes[] = {"application/javascript",
                                              "application/json",
                                              "application/xhtml+xml",
                                              "image/svg+xml",
                                              "text/css",
                                              "text/html",
                                              "text/plain",
                                              "text/xml"};

bool has_word(std::string_view list, std::string_view word) {
  for (const auto part : split(list, ','))
    if (iequals(trim(part), word)) return true;
  return false;
}

// One direction's conditions.
struct Direction {
  bool is_enabled = false;
  std::uint32_t least_length = kLeastLength;
  std::vector<std::string> types;

  static Direction compile(const api::Compressor::CommonDirectionConfig& config) {
    Direction made;
    made.is_enabled = !config.has_enabled() || config.enabled().default_value().value() ||
                      !config.enabled().has_default_value();
    if (config.has_min_content_length()) made.least_length = config.min_content_length().value();
    for (const auto& type : config.content_type()) made.types.push_back(to_lower(type));
    return made;
  }
  bool allows_type(const http::Headers& headers) const {
    const auto type = headers.get("content-type");
    if (!type) return true;
    const std::string plain = to_lower(trim(type->substr(0, type->find(';'))));
    if (types.empty())
      return std::find(std::begin(kDefaultTypes), std::end(kDefaultTypes), plain) !=
             std::end(kDefaultTypes);
    return std::find(types.begin(), types.end(), plain) != types.end();
  }
  bool is_long_enough(const http::Headers& headers) const {
    const auto length = headers.get("content-length");
    return !length || parse_uint(*length).value_or(0) >= least_length;
  }
};

struct RouteOverride final : RouteFilterConfig {
  bool is_disabled = false;
  std::optional<bool> is_accept_encoding_removed;
  std::optional<CodecLibrary> library;
};

enum class CompressStat : std::size_t {
  kCompressed,
  kNotCompressed,
  kNoAcceptHeader,
  kNotValid,
  kWildcard,
  kIdentity,
  kUsed,
  kOvershadowed,
  kEtag,
  kRequestCompressed,
  kRequestNotCompressed,
  kCount
};
constexpr std::array<std::string_view, static_cast<std::size_t>(CompressStat::kCount)>
    kCompressStatNames = {"response.compressed",
                          "response.not_compressed",
                          "response.no_accept_header",
                          "response.header_not_valid",
                          "response.header_wildcard",
                          "response.header_identity",
                          "response.header_compressor_used",
                          "response.header_compressor_overshadowed",
                          "response.not_compressed_etag",
                          "request.compressed",
                          "request.not_compressed"};
using CompressStats = StatBlock<static_cast<std::size_t>(CompressStat::kCount)>;

class Compressor final : public HttpFilter {
 public:
  std::string name;
  CodecLibrary library;
  Direction request, response;
  bool is_disabled_on_etag = false, is_etag_weakened = false, is_accept_encoding_removed = false,
       is_first_chosen = false, is_status_told = false;
  std::vector<std::uint32_t> excluded_codes;
  std::shared_ptr<CompressStats> stats;

  void handle(HttpState& stream, http::Request ask, Next next, http::Done done) const override;

 private:
  void count(CompressStat stat) const { stats->add(static_cast<std::size_t>(stat)); }
  void compress_request(http::Request& ask, const CodecLibrary& codec) const;
  void compress_response(HttpState& stream, http::Response& answer, const CodecLibrary& codec,
                         bool is_accepted) const;
  bool is_picked(const HttpState& stream, std::string_view accept) const;
  bool is_compressible(const http::Response& answer) const;
};

struct Accepted {
  std::string_view coding;
  double weight = 1;
};

std::vector<Accepted> parse_accept(std::string_view text) {
  std::vector<Accepted> made;
  for (const auto part : split(text, ',')) {
    Accepted one;
    const auto semicolon = part.find(';');
    one.coding = trim(part.substr(0, semicolon));
    if (semicolon != std::string_view::npos) {
      std::string_view weight = trim(part.substr(semicolon + 1));
      if (weight.size() > 2 && (weight[0] == 'q' || weight[0] == 'Q') && weight[1] == '=')
        one.weight = std::strtod(std::string(weight.substr(2)).c_str(), nullptr);
    }
    if (!one.coding.empty() && made.size() < 32) made.push_back(one);
  }
  return made;
}

void Compressor::handle(HttpState& stream, http::Request ask, Next next, http::Done done) const {
  const auto* entry = route_config_for(stream.info, name);
  const auto* route =
      entry == nullptr ? nullptr : dynamic_cast<const RouteOverride*>(entry->config.get());
  if (route != nullptr && route->is_disabled) return next(stream, std::move(ask), std::move(done));
  const CodecLibrary& codec = route != nullptr && route->library ? *route->library : library;
  const auto accept = ask.headers.get("accept-encoding");
  bool is_accepted = false;
  if (!accept) count(CompressStat::kNoAcceptHeader);
  else is_accepted = is_picked(stream, ask.headers.joined("accept-encoding"));
  const bool is_removing = route != nullptr && route->is_accept_encoding_removed
                               ? *route->is_accept_encoding_removed
                               : is_accept_encoding_removed;
  if (response.is_enabled && is_removing) ask.headers.remove("accept-encoding");
  compress_request(ask, codec);
  next(stream, std::move(ask),
       [this, &stream, &codec, is_accepted,
        done = std::move(done)](Result<http::Response> answer) mutable {
         if (answer.ok()) compress_response(stream, *answer, codec, is_accepted);
         done(std::move(answer));
       });
}

void Compressor::compress_request(http::Request& ask, const CodecLibrary& codec) const {
  if (!request.is_enabled) return;
  const bool is_fit = !ask.body.empty() && ask.upgrade.empty() && ask.method != "CONNECT" &&
                      request.is_long_enough(ask.headers) && request.allows_type(ask.headers) &&
                      !ask.headers.has("content-encoding") &&
                      !has_word(ask.headers.joined("cache-control"), "no-transform");
  count(is_fit ? CompressStat::kRequestCompressed : CompressStat::kRequestNotCompressed);
  if (!is_fit) return;
  ask.headers.remove("content-length");
  ask.headers.set("content-encoding", codec.encoding);
  ask.body = coded_body(codec, std::move(ask.body));
}

// Whether of all compressors of this chain the client likes ours best.
bool Compressor::is_picked(const HttpState& stream, std::string_view accept) const {
  std::vector<const Compressor*> all;
  for (const auto& filter : stream.config->filters)
    if (const auto* one = dynamic_cast<const Compressor*>(filter.filter.get())) all.push_back(one);
  const Compressor* best = nullptr;
  double best_weight = 0;
  bool is_wild = false, is_identity = false;
  for (const auto& one : parse_accept(accept)) {
    if (one.coding == "*") {
      if (one.weight > best_weight && best == nullptr && !all.empty()) {
        // "*" names what is not named: the first compressor that has no entry of its own.
        for (const auto* candidate : all)
          if (!has_word(accept, candidate->library.encoding)) {
            best = candidate;
            best_weight = one.weight;
            is_wild = true;
            break;
          }
      }
      continue;
    }
    if (iequals(one.coding, "identity")) {
      if (one.weight > best_weight) {
        best = nullptr;
        best_weight = one.weight;
        is_identity = true;
      }
      continue;
    }
    for (const auto* candidate : all) {
      if (!iequals(one.coding, candidate->library.encoding)) continue;
      const bool is_before =
          best_weight == one.weight && best != nullptr && candidate->is_first_chosen &&
          std::find(all.begin(), all.end(), candidate) < std::find(all.begin(), all.end(), best);
      if (one.weight > best_weight || is_before) {
        best = candidate;
        best_weight = one.weight;
        is_identity = is_wild = false;
      }
      break;
    }
  }
  if (best == this) count(is_wild ? CompressStat::kWildcard : CompressStat::kUsed);
  else if (best != nullptr) count(CompressStat::kOvershadowed);
  else count(is_identity ? CompressStat::kIdentity : CompressStat::kNotValid);
  return best == this;
}

bool Compressor::is_compressible(const http::Response& answer) const {
  if (!response.is_enabled || !response.is_long_enough(answer.headers)) return false;
  if (answer.status == 101 || !response.allows_type(answer.headers)) return false;
  if (has_word(answer.headers.joined("cache-control"), "no-transform")) return false;
  if (answer.headers.has("content-encoding")) return false;
  const auto code = static_cast<std::uint32_t>(answer.status);
  if (std::find(excluded_codes.begin(), excluded_codes.end(), code) != excluded_codes.end())
    return false;
  if (is_disabled_on_etag && answer.headers.has("etag")) {
    count(CompressStat::kEtag);
    return false;
  }
  return true;
}

void Compressor::compress_response(HttpState& stream, http::Response& answer,
                                   const CodecLibrary& codec, bool is_accepted) const {
  const bool is_fit =
      is_compressible(answer) && stream.info.request && stream.info.request->method != "CONNECT";
  const bool is_done = is_fit && is_accepted && !answer.body.empty();
  if (is_fit) {
    const std::string_view vary = answer.headers.joined("vary");
    if (vary.empty()) answer.headers.set("vary", "Accept-Encoding");
    else if (!has_word(vary, "accept-encoding") && !has_word(vary, "*"))
      answer.headers.set("vary", std::string(vary) + ", Accept-Encoding");
  }
  count(is_done ? CompressStat::kCompressed : CompressStat::kNotCompressed);
  if (is_status_told)
    answer.headers.add("x-envoy-compression-status", codec.encoding + ";" +
                                                         (is_done   ? "Compressed"
                                                          : !is_fit ? "ContentTypeNotAllowed"
                                                                    : "AcceptEncodingNotAllowed"));
  if (!is_done) return;
  // Other bytes, so a strong validator no longer holds.
  if (const auto etag = answer.headers.get("etag");
      etag && !etag->starts_with("W/") && !etag->starts_with("w/")) {
    if (is_etag_weakened) answer.headers.set("etag", "W/" + std::string(*etag));
    else answer.headers.remove("etag");
  }
  answer.headers.remove("content-length");
  answer.headers.set("content-encoding", codec.encoding);
  answer.body = coded_body(codec, std::move(answer.body));
}

}  // namespace

Result<HttpFilterRef> make_compressor(const google::protobuf::Any& config,
                                      const CompileContext& context) {
  const auto from = TRY(xds::unpack<api::Compressor>(config));
  auto made = std::make_shared<Compressor>();
  made->name = context.filter_name;
  made->library = TRY(compile_compressor(from.compressor_library().typed_config()));
  if (from.has_request_direction_config()) {
    const auto& common = from.request_direction_config().common_config();
    made->request = Direction::compile(common);
    made->request.is_enabled = common.has_enabled() && common.enabled().default_value().value();
  }
  const auto& response = from.response_direction_config();
  if (from.has_response_direction_config()) {
    made->response = Direction::compile(response.common_config());
    made->is_disabled_on_etag = response.disable_on_etag_header();
    made->is_accept_encoding_removed = response.remove_accept_encoding_header();
    made->excluded_codes.assign(response.uncompressible_response_codes().begin(),
                                response.uncompressible_response_codes().end());
    made->is_status_told = response.status_header_enabled();
  } else {
    // The fields of before there were directions.
    made->response.is_enabled =
        !from.has_runtime_enabled() || from.runtime_enabled().default_value().value();
    if (from.has_content_length()) made->response.least_length = from.content_length().value();
    for (const auto& type : from.content_type()) made->response.types.push_back(to_lower(type));
    made->is_disabled_on_etag = from.disable_on_etag_header();
    made->is_accept_encoding_removed = from.remove_accept_encoding_header();
  }
  made->is_first_chosen = from.choose_first();
  made->stats = std::make_shared<CompressStats>(
      kCompressStatNames,
      "http." + context.stat_prefix + ".compressor." + from.compressor_library().name() + "." +
          made->library.stat_name + ".",
      "envoy_http_compressor_",
      Tags{{"http_conn_manager_prefix", context.stat_prefix},
           {"compressor_library", from.compressor_library().name()}});
  if (context.shared != nullptr) context.shared->stats.add(made->stats);
  return HttpFilterRef(std::move(made));
}

Result<RouteConfigRef> make_compressor_route(const google::protobuf::Any& config,
                                             const CompileContext&) {
  const auto from = TRY(xds::unpack<api::CompressorPerRoute>(config));
  auto made = std::make_shared<RouteOverride>();
  made->is_disabled = from.disabled();
  const auto& response = from.overrides().response_direction_config();
  if (response.has_remove_accept_encoding_header())
    made->is_accept_encoding_removed = response.remove_accept_encoding_header().value();
  if (from.overrides().has_compressor_library())
    made->library = TRY(compile_compressor(from.overrides().compressor_library().typed_config()));
  return RouteConfigRef(std::move(made));
}

}  // namespace lateen::proxy
