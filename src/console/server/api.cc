// Requests from the loop to worker threads and replies back, safe against clients that leave
// meanwhile.
#include "console/server/api.h"

#include <fmt/core.h>

#include "base/log.h"
#include "base/strings.h"

namespace lateen::console {
namespace {

constexpr std::size_t kMaxWaiting = 256;

int status_of(Code code) {
  switch (code) {
    case Code::kInvalidArgument:
    case Code::kOutOfRange: return 400;
    case Code::kUnauthenticated: return 401;
    case Code::kPermissionDenied: return 403;
    case Code::kNotFound: return 404;
    case Code::kAlreadyExists:
    case Code::kAborted: return 409;
    case Code::kResourceExhausted: return 413;
    case Code::kUnimplemented: return 501;
    case Code::kUnavailable: return 503;
    case Code::kDeadlineExceeded: return 504;
    default: return 500;
  }
}

// The exchange of a job under way. When the client leaves, the exchange's scope says so here, on
// the loop.
struct Waiting {
  http::Exchange* exchange;  // null once the client left
  http::Done done;
};

class Leaving final : public event::Scope::Operation {
 public:
  Leaving(event::Scope& scope, std::shared_ptr<Waiting> waiting)
      : Operation(scope), waiting_(std::move(waiting)) {}
  void answered() { delete this; }

 private:
  void cancel() override {
    waiting_->exchange = nullptr;
    waiting_->done = nullptr;  // here, so that a worker's copy of `waiting_` never destroys it
    delete this;
  }
  std::shared_ptr<Waiting> waiting_;
};

// gRPC's encoding of status messages: what is not plain ASCII becomes %XX.
std::string percent_safe(std::string_view text) {
  std::string safe;
  for (const char c : text) {
    if (c >= ' ' && c <= '~' && c != '%') {
      safe += c;
    } else {
      safe += fmt::format("%{:02X}", static_cast<unsigned char>(c));
    }
  }
  return safe;
}

// One piece of body, then trailers.
class TrailedBody final : public http::BodySource {
 public:
  TrailedBody(std::string bytes, http::Headers trailers)
      : bytes_(std::move(bytes)), trailers_(std::move(trailers)) {}
  std::optional<Result<http::Chunk>> poll(http::Waker) override {
    http::Chunk chunk;
    chunk.data.adopt(std::move(bytes_));
    chunk.is_last = true;
    chunk.trailers = std::move(trailers_);
    return Result<http::Chunk>(std::move(chunk));
  }

 private:
  std::string bytes_;
  http::Headers trailers_;
};

http::Response to_trailed_response(http::Exchange& exchange, ApiReply reply) {
  http::Response response(exchange.arena);
  response.status = reply.status;
  response.headers.add("content-type", reply.content_type);
  http::Headers trailers(exchange.arena);
  for (const auto& [name, value] : reply.trailers) trailers.add(name, percent_safe(value));
  response.body =
      http::Body(std::make_unique<TrailedBody>(std::move(reply.body), std::move(trailers)));
  return response;
}

http::Response to_response(http::Exchange& exchange, ApiReply reply) {
  if (!reply.trailers.empty()) return to_trailed_response(exchange, std::move(reply));
  http::Response response =
      http::Response::text(exchange.arena, reply.status, std::move(reply.body), reply.content_type);
  for (const auto& [name, value] : reply.headers) response.headers.set(name, value);
  return response;
}

ApiRequest to_api_request(const http::Request& request) {
  ApiRequest api;
  api.method = request.method;
  const std::size_t mark = request.path.find('?');
  const std::string_view raw_path = request.path.substr(0, mark);
  api.path =
      percent_decode(raw_path).ok() ? percent_decode(raw_path).value() : std::string(raw_path);
  if (mark != std::string_view::npos) api.raw_query = request.path.substr(mark + 1);
  api.query = parse_query(api.raw_query);
  api.content_type = request.headers.get("content-type").value_or("");
  api.accept_encoding = request.headers.joined("accept-encoding");
  api.if_none_match = request.headers.get("if-none-match").value_or("");
  return api;
}

}  // namespace

std::optional<std::string> ApiRequest::get(std::string_view name) const {
  for (const auto& [key, value] : query) {
    if (key == name) return value;
  }
  return std::nullopt;
}

std::string ApiRequest::get_or(std::string_view name, std::string_view fallback) const {
  auto value = get(name);
  return value && !value->empty() ? *value : std::string(fallback);
}

std::int64_t ApiRequest::number_or(std::string_view name, std::int64_t fallback) const {
  return parse_int(get_or(name, "")).value_or(fallback);
}

std::vector<std::string> ApiRequest::all(std::string_view name) const {
  std::vector<std::string> values;
  for (const auto& [key, value] : query) {
    if (key == name) values.push_back(value);
  }
  return values;
}

ApiReply ApiReply::json(const data::Json& value, int status) {
  return {status, "application/json", data::dump_json(value), {{"cache-control", "no-store"}}, {}};
}

ApiReply ApiReply::text(std::string body, int status, std::string content_type) {
  return {status, std::move(content_type), std::move(body), {}, {}};
}

ApiReply ApiReply::error(const Error& error) {
  return json({{"error", error.message()}}, status_of(error.code()));
}

ApiReply ApiReply::redirect(std::string to) {
  return {302, "text/plain; charset=utf-8", "", {{"location", std::move(to)}}, {}};
}

Workers::Workers(int threads) {
  for (int i = 0; i < threads; ++i) threads_.emplace_back([this] { work(); });
}

Workers::~Workers() {
  {
    const std::lock_guard lock(mutex_);
    is_stopped_ = true;
    jobs_.clear();
  }
  wake_.notify_all();
  for (std::thread& thread : threads_) thread.join();
}

bool Workers::submit(Function<void()> job) {
  {
    const std::lock_guard lock(mutex_);
    if (is_stopped_ || jobs_.size() >= kMaxWaiting) return false;
    jobs_.push_back(std::move(job));
  }
  wake_.notify_one();
  return true;
}

void Workers::work() {
  while (true) {
    Function<void()> job;
    {
      std::unique_lock lock(mutex_);
      wake_.wait(lock, [this] { return is_stopped_ || !jobs_.empty(); });
      if (is_stopped_) return;
      job = std::move(jobs_.front());
      jobs_.pop_front();
    }
    job();
  }
}

void Dispatcher::handle(http::Exchange& exchange, http::Request request, http::Done done) {
  ApiRequest api = to_api_request(request);
  if (request.body.empty()) return run(exchange, std::move(api), std::move(done));
  http::read_all(
      exchange.scope, exchange.loop, std::move(request.body), max_body_bytes_,
      [this, &exchange, api = std::move(api), done = std::move(done)](Result<Buffer> body) mutable {
        if (!body.ok()) {
          return done(to_response(exchange, ApiReply::error(body.error())));
        }
        api.body = body.value().to_string();
        run(exchange, std::move(api), std::move(done));
      });
}

void Dispatcher::run(http::Exchange& exchange, ApiRequest request, http::Done done) {
  auto waiting = std::make_shared<Waiting>(Waiting{&exchange, std::move(done)});
  auto* leaving = new Leaving(exchange.scope, waiting);
  event::Loop& loop = exchange.loop;
  const bool is_taken =
      workers_.submit([this, &loop, waiting, leaving, request = std::move(request)] {
        auto reply = std::make_shared<ApiReply>(handler_(request));
        loop.post([waiting, leaving, reply] {
          if (waiting->exchange == nullptr) return;  // `leaving` is gone too.
          leaving->answered();
          http::Done finish = std::move(waiting->done);
          finish(to_response(*waiting->exchange, std::move(*reply)));
        });
      });
  if (is_taken) return;
  leaving->answered();
  waiting->done(to_response(
      exchange, ApiReply::error(Error(Code::kUnavailable, "the console is busy: try again"))));
}

}  // namespace lateen::console
