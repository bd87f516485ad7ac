// Istio's metadata exchange over HTTP headers: learns who the peer is, tells who we are, and keeps
// both headers out of the application's sight.

#include "istio/peer_metadata.pb.h"
#include "proxy/filters/filters.h"
#include "proxy/worker/worker.h"
#include "xds/any.h"

namespace lateen::proxy {
namespace {

constexpr std::string_view kMetadata = "x-envoy-peer-metadata";
constexpr std::string_view kId = "x-envoy-peer-metadata-id";

using Config = io::istio::http::peer_metadata::Config;

template <typename Methods>
bool has_headers(const Methods& methods) {
  for (const auto& method : methods)
    if (method.has_istio_headers()) return true;
  return false;
}

class PeerMetadata final : public HttpFilter {
 public:
  bool is_downstream_read = false, is_upstream_read = false, is_downstream_told = false,
       is_upstream_told = false;
  bool is_external_skipped = false;

  void handle(HttpState& stream, http::Request request, Next next, http::Done done) const override {
    const LocalIdentity& self = stream.info.worker.shared().identity;
    bool is_asked = false;
    if (is_downstream_read) {
      const auto metadata = request.headers.get(kMetadata);
      const auto id = request.headers.get(kId);
      is_asked = id.has_value() || metadata.has_value();
      if (metadata) stream.info.downstream_peer = cached(stream, id.value_or(""), *metadata);
      request.headers.remove(kMetadata);
      request.headers.remove(kId);
    }
    bool is_telling = is_upstream_told;
    if (is_telling && is_external_skipped) is_telling = !is_external(stream);
    if (is_telling) {
      request.headers.set(kMetadata, self.metadata_base64);
      request.headers.set(kId, self.node_id);
    }
    next(stream, std::move(request),
         [this, &stream, &self, is_asked,
          done = std::move(done)](Result<http::Response> response) mutable {
           if (response.ok()) finish(stream, self, is_asked, *response);
           done(std::move(response));
         });
  }

 private:
  void finish(HttpState& stream, const LocalIdentity& self, bool is_asked,
              http::Response& response) const {
    if (is_upstream_read) {
      const auto metadata = response.headers.get(kMetadata);
      if (metadata)
        if (auto peer = cached(stream, response.headers.get(kId).value_or(""), *metadata))
          stream.info.upstream.peer = std::move(peer);
      response.headers.remove(kMetadata);
      response.headers.remove(kId);
    }
    if (is_downstream_told && is_asked) {
      response.headers.set(kMetadata, self.metadata_base64);
      response.headers.set(kId, self.node_id);
    }
  }

  // Peers repeat: the last few answers are remembered for each thread.
  static PeerRef cached(HttpState&, std::string_view id, std::string_view base64) {
    struct Cache {
      std::map<std::string, std::pair<std::string, PeerRef>, std::less<>> peers;
    };
    static thread_local Cache cache;
    constexpr std::size_t kMostPeers = 500;
    const auto found = cache.peers.find(id);
    if (found != cache.peers.end() && found->second.first == base64) return found->second.second;
    PeerRef peer = parse_peer_header(id, base64);
    if (cache.peers.size() >= kMostPeers) cache.peers.clear();
    if (!id.empty()) cache.peers[std::string(id)] = {std::string(base64), peer};
    return peer;
  }

  static bool is_external(HttpState& stream) {
    const UpstreamRef upstream = stream.info.worker.find_cluster(stream.info.cluster_choice);
    if (upstream == nullptr) return false;
    if (stream.info.cluster_choice == "PassthroughCluster" ||
        stream.info.cluster_choice == "BlackHoleCluster")
      return true;
    return data::get_bool(data::Json(upstream->config().metadata), {"istio", "external"});
  }
};

}  // namespace

Result<HttpFilterRef> make_peer_metadata(const google::protobuf::Any& config,
                                         const CompileContext&) {
  const auto from = TRY(xds::unpack<Config>(config));
  auto made = std::make_shared<PeerMetadata>();
  made->is_downstream_read = has_headers(from.downstream_discovery());
  made->is_upstream_read = has_headers(from.upstream_discovery());
  made->is_downstream_told = has_headers(from.downstream_propagation());
  made->is_upstream_told = has_headers(from.upstream_propagation());
  for (const auto& method : from.upstream_propagation())
    made->is_external_skipped =
        made->is_external_skipped || method.istio_headers().skip_external_clusters();
  return HttpFilterRef(std::move(made));
}

}  // namespace lateen::proxy
