// Answers are made once the whole request is there.
#include "app.h"

#include "base/strings.h"
#include "data/json.h"

namespace lateen::mesh_test {
namespace {

constexpr std::size_t kMostBodyBytes = 1 << 20;
constexpr seconds kHandshakeLimit{5};

std::map<std::string, std::string> query_of(std::string_view path) {
  std::map<std::string, std::string> out;
  const auto mark = path.find('?');
  if (mark == std::string_view::npos) return out;
  for (const auto part : split(path.substr(mark + 1), '&')) {
    const auto equals = part.find('=');
    out[std::string(part.substr(0, equals))] =
        equals == std::string_view::npos ? "" : std::string(part.substr(equals + 1));
  }
  return out;
}

std::int64_t number_of(const std::map<std::string, std::string>& query, const char* name,
                       std::int64_t fallback) {
  const auto found = query.find(name);
  return found == query.end() ? fallback : parse_int(found->second).value_or(fallback);
}

}  // namespace

// Sends back what it gets, after its name.
struct App::Echo {
  Echo(App& app, std::unique_ptr<net::Stream> from) : owner(app), stream(std::move(from)) {
    out.append(owner.options_.name + ":");
    stream->on_ready([this](bool, bool) { pump(); });
  }
  void pump() {
    if (is_closed) return;
    for (;;) {
      const net::Io io = stream->read(out, 16 * 1024);
      if (io.state == net::IoState::kOk) continue;
      if (io.state == net::IoState::kEof) is_ended = true;
      if (io.state == net::IoState::kError) return close();
      break;
    }
    if (!out.empty() && stream->write(out).state == net::IoState::kError) return close();
    if (is_ended && out.empty()) {
      stream->shutdown_write();
      close();
    }
  }
  void close() {
    is_closed = true;
    owner.node_.post([this, &app = owner] { app.echoes_.erase(this); });
  }
  App& owner;
  std::unique_ptr<net::Stream> stream;
  Buffer out;
  bool is_ended = false, is_closed = false;
};

// Counts an exchange for as long as it lives.
struct App::Counted final : http::ExchangeState {
  explicit Counted(App& app) : owner(app) { ++owner.open_; }
  ~Counted() override { --owner.open_; }
  App& owner;
};

App::App(Node& node, AppOptions options) : node_(node), options_(std::move(options)) {}
App::~App() {
  connections_.clear();
  echoes_.clear();
}

void App::accept(std::unique_ptr<net::Stream> stream) {
  if (options_.tls == nullptr) return add(std::move(stream));
  tls::accept(scope_, node_, options_.tls, std::move(stream), kHandshakeLimit,
              [this](Result<std::unique_ptr<net::Stream>> done) {
                if (done.ok()) add(std::move(*done));
              });
}

void App::add(std::unique_ptr<net::Stream> stream) {
  if (options_.is_tcp) {
    auto echo = std::make_unique<Echo>(*this, std::move(stream));
    Echo* key = echo.get();
    echoes_.emplace(key, std::move(echo));
    return;
  }
  http::ConnectionInfo info;
  info.local = stream->local_address();
  info.remote = stream->remote_address();
  auto made = http::serve(node_, std::move(stream), std::move(info), *this, {},
                          [this](http::ServerConnection& closed) { connections_.erase(&closed); });
  http::ServerConnection* key = made.get();
  connections_.emplace(key, std::move(made));
}

void App::handle(http::Exchange& exchange, http::Request request, http::Done done) {
  ++requests_;
  exchange.state = std::make_unique<Counted>(*this);
  data::JsonObject headers;
  for (const auto& field : request.headers) {
    const std::string name = to_lower(field.name);
    if (!headers.contains(name)) headers[name] = request.headers.joined(field.name);
  }
  data::JsonObject told{{"served_by", options_.name},
                        {"method", request.method},
                        {"path", request.path},
                        {"host", request.authority},
                        {"version", http::to_string(request.version)},
                        {"headers", std::move(headers)}};
  if (exchange.connection.tls != nullptr) told["sni"] = exchange.connection.tls->server_name;
  const std::string path(request.path);
  http::read_all(exchange.scope, node_, std::move(request.body), kMostBodyBytes,
                 [this, &exchange, told = std::move(told), path,
                  done = std::move(done)](Result<Buffer> body) mutable {
                   if (!body.ok()) return done(std::move(body).error());
                   told["body"] = body->to_string();
                   const auto query = query_of(path);
                   auto delay = query.contains("delay")
                                    ? parse_duration(query.find("delay")->second)
                                    : Result<nanoseconds>(nanoseconds(0));
                   event::after(exchange.scope, node_, std::move(delay).value_or(nanoseconds(0)),
                                [this, &exchange, told = data::dump_json(told), query, path,
                                 done = std::move(done)]() mutable {
                                  answer(exchange, told, query, path, std::move(done));
                                });
                 });
}

void App::answer(http::Exchange& exchange, const std::string& told,
                 const std::map<std::string, std::string>& query, const std::string& path,
                 http::Done done) {
  const auto key = query.find("key");
  const int seen = ++seen_[key == query.end() ? path : key->second];
  if (query.contains("cut")) return exchange.abort();
  int status = static_cast<int>(number_of(query, "status", 200));
  if (seen > number_of(query, "times", seen)) status = 200;
  std::string body = told;
  if (const auto size = number_of(query, "size", -1); size >= 0)
    body.assign(static_cast<std::size_t>(size), 'x');
  auto response = http::Response::text(exchange.arena, status, std::move(body), "application/json");
  response.headers.add("x-served-by", options_.name);
  done(std::move(response));
}

}  // namespace lateen::mesh_test
