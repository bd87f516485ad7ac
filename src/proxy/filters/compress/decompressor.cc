// envoy.filters.http.decompressor: takes a content coding off request and response bodies, so that
// filters behind it (or the client) see plain bytes.

#include "base/strings.h"
#include "envoy/extensions/filters/http/decompressor/v3/decompressor.pb.h"
#include "proxy/filters/compress/codec.h"
#include "proxy/filters/filters.h"
#include "xds/any.h"

namespace lateen::proxy {
namespace {

namespace api = envoy::extensions::filters::http::decompressor::v3;

class Decompressor final : public HttpFilter {
 public:
  struct Direction {
    bool is_enabled = true;
    bool is_no_transform_ignored = false;
  };
  CodecLibrary library;
  Direction request, response;
  bool is_advertised = true;

  void handle(HttpState& stream, http::Request ask, Next next, http::Done done) const override {
    if (request.is_enabled && is_advertised) {
      const std::string_view accept = ask.headers.joined("accept-encoding");
      bool is_listed = false;
      for (const auto part : split(accept, ','))
        is_listed |= iequals(trim(part.substr(0, part.find(';'))), library.encoding);
      if (!is_listed)
        ask.headers.set("accept-encoding", accept.empty()
                                               ? library.encoding
                                               : std::string(accept) + "," + library.encoding);
    }
    if (request.is_enabled) undo(request, ask.headers, ask.body);
    if (!response.is_enabled) return next(stream, std::move(ask), std::move(done));
    next(stream, std::move(ask),
         [this, done = std::move(done)](Result<http::Response> answer) mutable {
           if (answer.ok() && answer->status != 101) undo(response, answer->headers, answer->body);
           done(std::move(answer));
         });
  }

 private:
  // The first listed coding is ours: it goes, the others stay.
  void undo(const Direction& direction, http::Headers& headers, http::Body& body) const {
    if (body.empty()) return;
    const std::string_view codings = headers.joined("content-encoding");
    const auto comma = codings.find(',');
    if (!iequals(trim(codings.substr(0, comma)), library.encoding)) return;
    if (!direction.is_no_transform_ignored)
      for (const auto part : split(headers.joined("cache-control"), ','))
        if (iequals(trim(part), "no-transform")) return;
    headers.remove("content-length");
    if (comma == std::string_view::npos) headers.remove("content-encoding");
    else headers.set("content-encoding", std::string(trim(codings.substr(comma + 1))));
    body = coded_body(library, std::move(body));
  }
};

Decompressor::Direction direction_of(const api::Decompressor::CommonDirectionConfig& config) {
  Decompressor::Direction made;
  made.is_enabled = !config.has_enabled() || config.enabled().default_value().value();
  made.is_no_transform_ignored = config.ignore_no_transform_header();
  return made;
}

}  // namespace

Result<HttpFilterRef> make_decompressor(const google::protobuf::Any& config,
                                        const CompileContext&) {
  const auto from = TRY(xds::unpack<api::Decompressor>(config));
  auto made = std::make_shared<Decompressor>();
  made->library = TRY(compile_decompressor(from.decompressor_library().typed_config()));
  const auto& request = from.request_direction_config();
  made->request = direction_of(request.common_config());
  made->response = direction_of(from.response_direction_config().common_config());
  made->is_advertised =
      !request.has_advertise_accept_encoding() || request.advertise_accept_encoding().value();
  return HttpFilterRef(std::move(made));
}

}  // namespace lateen::proxy
