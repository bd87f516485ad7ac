// Header lists, bodies of one piece, and reading a body to its end.
#include "http/message.h"

#include "base/strings.h"
#include "http/status.h"

namespace lateen::http {

std::string_view to_string(Version version) {
  switch (version) {
    case Version::kHttp10: return "HTTP/1.0";
    case Version::kHttp11: return "HTTP/1.1";
    case Version::kHttp2: return "HTTP/2";
  }
  return "HTTP/1.1";
}

static bool is_same_name(std::string_view a, std::string_view b) {
  return a.size() == b.size() && iequals(a, b);
}

std::optional<std::string_view> Headers::get(std::string_view name) const {
  for (const Field& field : fields_) {
    if (is_same_name(field.name, name)) return field.value;
  }
  return std::nullopt;
}

std::size_t Headers::count(std::string_view name) const {
  std::size_t found = 0;
  for (const Field& field : fields_) found += is_same_name(field.name, name) ? 1 : 0;
  return found;
}

std::string_view Headers::joined(std::string_view name) const {
  std::string_view all;
  bool is_first = true;
  for (const Field& field : fields_) {
    if (!is_same_name(field.name, name)) continue;
    all = is_first ? field.value : arena_->concat(all, ",", field.value);
    is_first = false;
  }
  return all;
}

void Headers::add(std::string_view name, std::string_view value) {
  fields_.push_back({arena_->copy(name), arena_->copy(value)});
}

void Headers::set(std::string_view name, std::string_view value) {
  const std::string_view kept = arena_->copy(value);
  bool is_placed = false;
  std::erase_if(fields_, [&](Field& field) {
    if (!is_same_name(field.name, name)) return false;
    if (is_placed) return true;
    field.value = kept;
    is_placed = true;
    return false;
  });
  if (!is_placed) fields_.push_back({arena_->copy(name), kept});
}

bool Headers::remove(std::string_view name) {
  return std::erase_if(fields_, [&](const Field& f) { return is_same_name(f.name, name); }) > 0;
}

namespace {

class OnePiece final : public BodySource {
 public:
  explicit OnePiece(Buffer bytes) : bytes_(std::move(bytes)) {}
  std::optional<Result<Chunk>> poll(Waker) override {
    return Chunk{std::move(bytes_), true, std::nullopt};
  }

 private:
  Buffer bytes_;
};

// Pulls a body into a buffer. Starts from the loop, so that the completion never runs inside
// read_all().
class ReadAll final : public event::Scope::Operation {
 public:
  ReadAll(event::Scope& scope, event::Loop& loop, Body body, std::size_t most_bytes,
          event::Completion<Buffer> done)
      : Operation(scope),
        body_(std::move(body)),
        most_bytes_(most_bytes),
        done_(std::move(done)),
        start_(loop, [this] { pull(); }) {
    start_.arm(nanoseconds(0));
  }

 private:
  void pull() {
    for (;;) {
      auto next = body_.poll({[](void* self) { static_cast<ReadAll*>(self)->pull(); }, this});
      if (!next) return;
      if (!next->ok()) return finish(std::move(*next).error());
      Chunk& chunk = next->value();
      if (chunk.data.size() > most_bytes_ - bytes_.size()) {
        return finish(Error(Code::kResourceExhausted,
                            "the body is longer than " + std::to_string(most_bytes_) + " bytes",
                            Blame::kDownstream));
      }
      bytes_.append(std::move(chunk.data));
      if (chunk.is_last) return finish(std::move(bytes_));
    }
  }
  void finish(Result<Buffer> result) {
    auto done = std::move(done_);
    delete this;
    done(std::move(result));
  }
  void cancel() override { delete this; }

  Body body_;
  std::size_t most_bytes_;
  Buffer bytes_;
  event::Completion<Buffer> done_;
  event::Timer start_;
};

}  // namespace

Body Body::of(Buffer bytes) {
  if (bytes.empty()) return {};
  const std::size_t length = bytes.size();
  return Body(std::make_unique<OnePiece>(std::move(bytes)), length);
}

Body Body::of(std::string bytes) {
  Buffer buffer;
  buffer.adopt(std::move(bytes));
  return of(std::move(buffer));
}

std::optional<Result<Chunk>> Body::poll(Waker waker) {
  if (source_ == nullptr) return Chunk{Buffer(), true, std::nullopt};
  return source_->poll(waker);
}

void read_all(event::Scope& scope, event::Loop& loop, Body body, std::size_t most_bytes,
              event::Completion<Buffer> done) {
  new ReadAll(scope, loop, std::move(body), most_bytes, std::move(done));
}

Response Response::text(Arena& arena, int status, std::string body, std::string_view content_type) {
  Response response(arena);
  response.status = status;
  response.headers.add("content-type", content_type);
  response.headers.add("content-length", std::to_string(body.size()));
  response.body = Body::of(std::move(body));
  return response;
}

}  // namespace lateen::http
