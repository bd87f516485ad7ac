// Header mutations as a filter: on the request and on the response, of the filter and then of the
// route.

#include "envoy/extensions/filters/http/header_mutation/v3/header_mutation.pb.h"
#include "proxy/filters/filters.h"
#include "proxy/route/header_ops.h"
#include "xds/any.h"

namespace lateen::proxy {
namespace {

namespace api = envoy::extensions::filters::http::header_mutation::v3;

struct Mutations final : RouteFilterConfig {
  HeaderOps request, response;
};

template <typename List>
Result<HeaderOps> compile_list(const List& list) {
  HeaderOps::Options add;
  HeaderOps::Names remove;
  for (const auto& one : list) {
    if (one.has_append()) *add.Add() = one.append();
    else if (!one.remove().empty()) *remove.Add() = one.remove();
    else return invalid("a header mutation of a kind that is not supported", Blame::kConfig);
  }
  return HeaderOps::compile(add, remove);
}

Result<std::shared_ptr<const Mutations>> compile(const api::Mutations& config) {
  auto made = std::make_shared<Mutations>();
  made->request = TRY(compile_list(config.request_mutations()));
  made->response = TRY(compile_list(config.response_mutations()));
  return std::shared_ptr<const Mutations>(std::move(made));
}

class HeaderMutation final : public HttpFilter {
 public:
  explicit HeaderMutation(std::shared_ptr<const Mutations> mutations)
      : mutations_(std::move(mutations)) {}

  void handle(HttpState& stream, http::Request request, Next next, http::Done done) const override {
    const auto* own = of_route(stream);
    mutations_->request.apply(request, stream.info);
    if (own != nullptr) own->request.apply(request, stream.info);
    next(stream, std::move(request),
         [this, own, &stream, done = std::move(done)](Result<http::Response> response) mutable {
           if (response.ok()) mutate(stream, own, *response);
           done(std::move(response));
         });
  }

  bool sees_answers() const override { return true; }
  void answer(HttpState& stream, http::Response response, http::Done done) const override {
    mutate(stream, of_route(stream), response);
    done(std::move(response));
  }

 private:
  static const Mutations* of_route(const HttpState& stream) {
    const auto* entry = route_config_for(stream.info, "envoy.filters.http.header_mutation");
    return entry == nullptr ? nullptr : dynamic_cast<const Mutations*>(entry->config.get());
  }
  void mutate(HttpState& stream, const Mutations* own, http::Response& response) const {
    stream.info.response_headers = response.headers;
    mutations_->response.apply(response.headers, stream.info);
    if (own != nullptr) own->response.apply(response.headers, stream.info);
  }

  std::shared_ptr<const Mutations> mutations_;
};

}  // namespace

Result<HttpFilterRef> make_header_mutation(const google::protobuf::Any& config,
                                           const CompileContext&) {
  const auto from = TRY(xds::unpack<api::HeaderMutation>(config));
  return HttpFilterRef(std::make_shared<const HeaderMutation>(TRY(compile(from.mutations()))));
}

Result<RouteConfigRef> make_header_mutation_route(const google::protobuf::Any& config,
                                                  const CompileContext&) {
  const auto from = TRY(xds::unpack<api::HeaderMutationPerRoute>(config));
  return RouteConfigRef(TRY(compile(from.mutations())));
}

}  // namespace lateen::proxy
