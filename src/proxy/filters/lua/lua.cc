// envoy.filters.http.lua: the operator's script over each request and response.

#include <mutex>

#include "base/log.h"
#include "envoy/extensions/filters/http/lua/v3/lua.pb.h"
#include "proxy/filters/filters.h"
#include "proxy/filters/lua/flow.h"
#include "proxy/http/config.h"
#include "xds/any.h"
#include "xds/convert.h"
#include "xds/json.h"

namespace lateen::proxy {
namespace {

namespace api = envoy::extensions::filters::http::lua::v3;

// One source text, with a state per worker that uses it.
class LuaScript {
 public:
  // The error is the script's: the configuration is refused.
  static Result<std::shared_ptr<const LuaScript>> compile(std::string code) {
    TRY(LuaVm::make(code));
    auto made = std::make_shared<LuaScript>();
    made->code_ = std::move(code);
    return std::shared_ptr<const LuaScript>(std::move(made));
  }
  // Null when it loads no more (it did when it was configured).
  LuaVm* vm(unsigned worker) const {
    const std::lock_guard lock(mutex_);
    auto& slot = vms_[worker];
    if (slot == nullptr) {
      auto made = LuaVm::make(code_);
      if (!made.ok()) {
        LOG(kError, "lua", "{}", made.error().message());
        return nullptr;
      }
      slot = *std::move(made);
    }
    return slot.get();
  }

 private:
  std::string code_;
  mutable std::mutex mutex_;
  mutable std::unordered_map<unsigned, std::unique_ptr<LuaVm>> vms_;
};
using ScriptRef = std::shared_ptr<const LuaScript>;

struct LuaRoute final : RouteFilterConfig {
  bool is_disabled = false;
  std::string name;
  ScriptRef script;
  data::JsonObject context;
};

class Lua final : public HttpFilter {
 public:
  std::string name;
  ScriptRef fallback;  // null: only routes have scripts
  std::map<std::string, ScriptRef, std::less<>> named;

  void handle(HttpState& stream, http::Request request, Next next, http::Done done) const override;
  bool sees_answers() const override { return true; }
  void answer(HttpState& stream, http::Response response, http::Done done) const override;

 private:
  // Keeps the run as long as the exchange.
  class Anchor final : public event::Scope::Operation {
   public:
    Anchor(event::Scope& scope, std::unique_ptr<LuaRun> run)
        : Operation(scope), run_(std::move(run)) {}

   private:
    void cancel() override { delete this; }
    std::unique_ptr<LuaRun> run_;
  };
  // Null: no script for this request.
  LuaRun* begin(HttpState& stream, http::Request& request, Next next, http::Done& done) const;
  static void pass_request(LuaRun& run);
  static void on_response(LuaRun& run, Result<http::Response> response);
};

LuaRun* Lua::begin(HttpState& stream, http::Request& request, Next next, http::Done& done) const {
  const auto* entry = route_config_for(stream.info, name);
  const auto* route =
      entry == nullptr ? nullptr : dynamic_cast<const LuaRoute*>(entry->config.get());
  const LuaScript* script = fallback.get();
  if (route != nullptr) {
    if (route->is_disabled) script = nullptr;
    else if (route->script != nullptr) script = route->script.get();
    else if (!route->name.empty()) {
      const auto found = named.find(route->name);
      script = found == named.end() ? nullptr : found->second.get();
    }
  }
  LuaVm* vm = script == nullptr ? nullptr : script->vm(stream.info.worker.index());
  if (vm == nullptr) return nullptr;
  auto held = std::make_unique<LuaRun>(stream, *vm, std::move(request), next, std::move(done), name,
                                       route == nullptr ? nullptr : &route->context);
  LuaRun& run = *held;
  new Anchor(stream.exchange.scope, std::move(held));
  run.on_reply = [&run](http::Response reply) { on_response(run, std::move(reply)); };
  return &run;
}

void Lua::handle(HttpState& stream, http::Request request, Next next, http::Done done) const {
  LuaRun* begun = begin(stream, request, next, done);
  if (begun == nullptr) return next(stream, std::move(request), std::move(done));
  LuaRun& run = *begun;
  if (!run.vm.has_function("envoy_on_request")) return pass_request(run);
  run.asking = std::make_unique<LuaFlow>(run, run.vm, true);
  run.asking->start("envoy_on_request", [&run] { pass_request(run); });
}

void Lua::answer(HttpState& stream, http::Response response, http::Done done) const {
  http::Request request(stream.exchange.arena);
  if (stream.info.request) request = head_of(*stream.info.request);
  LuaRun* run = begin(stream, request, Next(*stream.config, stream.config->filters.size()), done);
  if (run == nullptr) return done(std::move(response));
  on_response(*run, std::move(response));
}

void Lua::pass_request(LuaRun& run) {
  run.next(run.stream, std::move(run.request),
           [&run](Result<http::Response> response) { on_response(run, std::move(response)); });
}

void Lua::on_response(LuaRun& run, Result<http::Response> response) {
  if (!run.done) return;
  if (!response.ok() || !run.vm.has_function("envoy_on_response")) {
    auto done = std::move(run.done);
    return done(std::move(response));
  }
  run.response = *std::move(response);
  run.answering = std::make_unique<LuaFlow>(run, run.vm, false);
  run.answering->start("envoy_on_response", [&run] {
    auto done = std::move(run.done);
    // The script may look at the headers still, while the body passes.
    http::Response out(run.response->headers.arena());
    out.status = run.response->status;
    out.version = run.response->version;
    out.headers = run.response->headers;
    out.body = std::move(run.response->body);
    done(std::move(out));
  });
}

Result<ScriptRef> compile_source(const envoy::config::core::v3::DataSource& source) {
  return LuaScript::compile(TRY(xds::read_data(source)));
}

}  // namespace

Result<HttpFilterRef> make_lua(const google::protobuf::Any& config, const CompileContext& context) {
  const auto from = TRY(xds::unpack<api::Lua>(config));
  auto made = std::make_shared<Lua>();
  made->name = context.filter_name;
  if (!from.inline_code().empty() && from.has_default_source_code())
    return invalid(
        "Error: Only one of `inline_code` or `default_source_code` can be set for the Lua filter.",
        Blame::kConfig);
  if (!from.inline_code().empty()) made->fallback = TRY(LuaScript::compile(from.inline_code()));
  if (from.has_default_source_code())
    made->fallback = TRY(compile_source(from.default_source_code()));
  for (const auto& [key, source] : from.source_codes())
    made->named[key] = TRY(compile_source(source).at("source code " + key));
  return HttpFilterRef(std::move(made));
}

Result<RouteConfigRef> make_lua_route(const google::protobuf::Any& config, const CompileContext&) {
  const auto from = TRY(xds::unpack<api::LuaPerRoute>(config));
  auto made = std::make_shared<LuaRoute>();
  made->is_disabled = from.disabled();
  made->name = from.name();
  if (from.has_source_code()) made->script = TRY(compile_source(from.source_code()));
  const auto context = xds::struct_to_json(from.filter_context());
  if (const auto* object = context.if_object()) made->context = *object;
  return RouteConfigRef(std::move(made));
}

}  // namespace lateen::proxy
