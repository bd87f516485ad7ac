// TLS over any net::Stream: a BIO whose ends are the raw stream and an outgoing buffer, a handshake
// that is one scoped operation, then a stream of plain bytes.
#include <algorithm>
#include <cstring>

#include "base/strings.h"
#include "tls/context.h"
#include "tls/context_state.h"

namespace lateen::tls {
namespace {

constexpr std::size_t kRecordBytes = 16 * 1024;
constexpr std::size_t kMostOutgoing = 256 * 1024;  // sealed but not yet taken by the kernel

// The raw stream as OpenSSL sees it. Writes collect in `outgoing` and go out in one system call.
struct Wire {
  std::unique_ptr<net::Stream> raw;
  Buffer incoming;
  Buffer outgoing;
  bool is_at_end = false;
  bool is_broken = false;

  net::IoState read() {
    if (is_at_end || is_broken) return net::IoState::kEof;
    const net::Io io = raw->read(incoming, kRecordBytes + 512);
    if (io.state == net::IoState::kEof) is_at_end = true;
    if (io.state == net::IoState::kError) is_broken = true;
    return io.state;
  }
  // True when everything is with the kernel.
  bool flush() {
    if (is_broken) return false;
    const net::Io io = raw->write(outgoing);
    if (io.state == net::IoState::kError) is_broken = true;
    return io.state == net::IoState::kOk;
  }
};

int wire_read(BIO* bio, char* out, int length) {
  auto& wire = *static_cast<Wire*>(BIO_get_data(bio));
  BIO_clear_retry_flags(bio);
  // A whole record at once: OpenSSL asks for 5 bytes of header first.
  if (wire.incoming.empty()) wire.read();
  if (wire.incoming.empty()) {
    if (wire.is_at_end || wire.is_broken) return 0;
    BIO_set_retry_read(bio);
    return -1;
  }
  const std::string_view run = wire.incoming.front().substr(0, static_cast<std::size_t>(length));
  std::memcpy(out, run.data(), run.size());
  const int count = static_cast<int>(run.size());
  wire.incoming.drop(run.size());
  return count;
}

int wire_write(BIO* bio, const char* bytes, int length) {
  auto& wire = *static_cast<Wire*>(BIO_get_data(bio));
  BIO_clear_retry_flags(bio);
  if (wire.is_broken) return -1;
  if (wire.outgoing.size() >= kMostOutgoing) {
    BIO_set_retry_write(bio);
    return -1;
  }
  wire.outgoing.append(std::string_view(bytes, static_cast<std::size_t>(length)));
  return length;
}

long wire_control(BIO* bio, int command, long, void*) {
  if (command == BIO_CTRL_FLUSH) return 1;
  if (command == BIO_CTRL_EOF) return static_cast<Wire*>(BIO_get_data(bio))->is_at_end ? 1 : 0;
  return 0;
}

const BIO_METHOD* wire_method() {
  static const BIO_METHOD* const kMethod = [] {
    BIO_METHOD* method = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "lateen stream");
    BIO_meth_set_read(method, &wire_read);
    BIO_meth_set_write(method, &wire_write);
    BIO_meth_set_ctrl(method, &wire_control);
    BIO_meth_set_create(method, [](BIO* bio) {
      BIO_set_init(bio, 1);
      return 1;
    });
    return method;
  }();
  return kMethod;
}

// Before each call that SSL_get_error() is asked about. The queue is nearly always empty, and
// clearing an empty one costs six hundred instructions.
void forget_errors() {
  if (ERR_peek_error() != 0) ERR_clear_error();
}

std::string fingerprint(X509* certificate) {
  unsigned char digest[EVP_MAX_MD_SIZE];
  unsigned int length = 0;
  X509_digest(certificate, EVP_sha256(), digest, &length);
  return hex_encode({reinterpret_cast<char*>(digest), length});
}

net::TlsInfo read_info(SSL* ssl, const CompiledContext& context) {
  net::TlsInfo info;
  const char* name = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);
  if (name != nullptr) info.server_name = to_lower(name);
  const unsigned char* alpn = nullptr;
  unsigned int alpn_length = 0;
  SSL_get0_alpn_selected(ssl, &alpn, &alpn_length);
  info.alpn.assign(reinterpret_cast<const char*>(alpn), alpn_length);
  info.version = SSL_get_version(ssl);
  info.cipher = SSL_get_cipher_name(ssl);
  if (X509* peer = SSL_get0_peer_certificate(ssl); peer != nullptr) {
    info.has_peer_certificate = true;
    Sans sans = sans_of(peer);
    info.peer_uri_sans = std::move(sans.uris);
    info.peer_dns_sans = std::move(sans.dns);
    info.peer_subject = subject_of(peer);
    info.peer_certificate_pem = pem_of(peer);
    info.peer_fingerprint_sha256 = fingerprint(peer);
  }
  X509* local = SSL_get_certificate(ssl);
  // A resumed session presents none, but stands for the one it began with.
  if (local == nullptr && !context.identities().empty()) local = context.identities()[0].leaf.get();
  if (local != nullptr) info.local_uri_sans = sans_of(local).uris;
  return info;
}

// The certificates behind a client's own are needed until it is verified: then they are 4 kB each
// of an idle connection.
void drop_chain(SSL* ssl) {
  if (SSL_is_server(ssl) == 0) return;  // a client's sessions go on to other connections
  STACK_OF(X509)* chain = SSL_get_peer_cert_chain(ssl);
  while (chain != nullptr && sk_X509_num(chain) > 0) X509_free(sk_X509_pop(chain));
}

class TlsStream final : public net::Stream {
 public:
  TlsStream(std::shared_ptr<const CompiledContext> context, std::unique_ptr<Wire> wire, SslPtr ssl,
            std::unique_ptr<std::string> server_name)
      : context_(std::move(context)),
        wire_(std::move(wire)),
        server_name_(std::move(server_name)),
        ssl_(std::move(ssl)),
        info_(read_info(ssl_.get(), *context_)) {
    drop_chain(ssl_.get());
  }

  ~TlsStream() override {
    if (!is_shut_ && !wire_->is_broken && last_error_.empty()) {
      SSL_shutdown(ssl_.get());
      wire_->flush();
    }
  }

  net::Io read(Buffer& into, std::size_t most_bytes) override {
    // Most reads find nothing: then neither OpenSSL nor a record's buffer is needed to say so.
    if (wire_->incoming.empty() && wire_->outgoing.empty() && !SSL_has_pending(ssl_.get()) &&
        wire_->read() == net::IoState::kAgain) {
      return {net::IoState::kAgain};
    }
    const auto room = into.reserve(std::min(most_bytes, kRecordBytes));
    std::size_t count = 0;
    forget_errors();
    const int rc = SSL_read_ex(ssl_.get(), room.data(), std::min(room.size(), most_bytes), &count);
    into.commit(rc == 1 ? count : 0);
    // Post-handshake messages (key updates) may have been answered.
    if (!wire_->outgoing.empty()) wire_->flush();
    if (rc == 1) return {net::IoState::kOk, count};
    switch (SSL_get_error(ssl_.get(), rc)) {
      case SSL_ERROR_WANT_READ:
      case SSL_ERROR_WANT_WRITE: return {net::IoState::kAgain};
      case SSL_ERROR_ZERO_RETURN: return {net::IoState::kEof};
      default: break;
    }
    // An end without close_notify: HTTP frames its messages itself, so this is an end, not an
    // attack.
    if (wire_->is_at_end && !wire_->is_broken) {
      ERR_clear_error();
      return {net::IoState::kEof};
    }
    return fail();
  }

  net::Io write(Buffer& from) override {
    std::size_t total = 0;
    while (!from.empty()) {
      if (wire_->outgoing.size() >= kMostOutgoing && !wire_->flush()) break;
      // Small pieces share a record: a head and its body cost one seal, one packet.
      std::string_view run = from.front();
      if (run.size() < kRecordBytes && from.size() > run.size())
        run = from.flatten(std::min(from.size(), kRecordBytes));
      std::size_t count = 0;
      forget_errors();
      const int rc =
          SSL_write_ex(ssl_.get(), run.data(), std::min(run.size(), kRecordBytes), &count);
      if (rc != 1) {
        const int error = SSL_get_error(ssl_.get(), rc);
        if (error != SSL_ERROR_WANT_WRITE && error != SSL_ERROR_WANT_READ) return fail();
        break;
      }
      from.drop(count);
      total += count;
    }
    const bool is_flushed = wire_->flush();
    if (wire_->is_broken) return fail();
    return {from.empty() && is_flushed ? net::IoState::kOk : net::IoState::kAgain, total};
  }

  void shutdown_write() override {
    if (std::exchange(is_shut_, true)) return;
    SSL_shutdown(ssl_.get());
    if (wire_->flush()) wire_->raw->shutdown_write();
  }
  void reset() override {
    is_shut_ = true;
    wire_->raw->reset();
  }
  void on_ready(Function<void(bool, bool)> callback) override {
    callback_ = std::move(callback);
    wire_->raw->on_ready([this](bool readable, bool writable) {
      if (writable && !wire_->outgoing.empty() && wire_->flush() && is_shut_)
        wire_->raw->shutdown_write();
      if (callback_) callback_(readable, writable);
    });
  }
  const net::Address& local_address() const override { return wire_->raw->local_address(); }
  const net::Address& remote_address() const override { return wire_->raw->remote_address(); }
  const net::TlsInfo* tls() const override { return &info_; }
  int fd() const override { return wire_->raw->fd(); }
  std::string last_error() const override {
    return last_error_.empty() ? wire_->raw->last_error() : last_error_;
  }

 private:
  net::Io fail() {
    if (wire_->is_broken) last_error_ = wire_->raw->last_error();
    else last_error_ = "TLS: " + take_openssl_error();
    ERR_clear_error();
    return {net::IoState::kError};
  }

  std::shared_ptr<const CompiledContext> context_;
  std::unique_ptr<Wire> wire_;
  std::unique_ptr<std::string> server_name_;  // the SSL's ex_data points to it
  SslPtr ssl_;
  net::TlsInfo info_;
  bool is_shut_ = false;
  std::string last_error_;
  Function<void(bool, bool)> callback_;
};

class Handshake final : public event::Scope::Operation {
 public:
  Handshake(event::Scope& scope, event::Loop& loop, std::shared_ptr<const CompiledContext> context,
            std::unique_ptr<net::Stream> raw, event::Completion<std::unique_ptr<net::Stream>> done)
      : Operation(scope),
        context_(std::move(context)),
        done_(std::move(done)),
        wire_(std::make_unique<Wire>()),
        ssl_(SSL_new(context_->ssl())),
        timer_(loop, [this] { fail(Code::kDeadlineExceeded, "timed out"); }) {
    wire_->raw = std::move(raw);
    BIO* bio = BIO_new(wire_method());
    BIO_set_data(bio, wire_.get());
    SSL_set_bio(ssl_.get(), bio, bio);
    SSL_set_ex_data(ssl_.get(), report_slot(), &report_);
    loop.defer([alive = std::weak_ptr(alive_), this] {
      if (!alive.expired()) step();
    });
  }

  void start(milliseconds limit) {
    timer_.arm(limit);
    wire_->raw->on_ready([this](bool, bool) { step(); });
  }
  void as_server() { SSL_set_accept_state(ssl_.get()); }
  void as_client(const std::string& server_name, const std::vector<std::string>& alpn) {
    SSL_set_connect_state(ssl_.get());
    // RFC 6066 §3: an IP is not a server name.
    if (!server_name.empty() && !net::Ip::parse(server_name))
      SSL_set_tlsext_host_name(ssl_.get(), server_name.c_str());
    if (!alpn.empty()) {
      const std::string wire = alpn_wire(alpn);
      SSL_set_alpn_protos(ssl_.get(), reinterpret_cast<const unsigned char*>(wire.data()),
                          static_cast<unsigned int>(wire.size()));
    }
    if (!context_->options().has_session_resumption) return;
    server_name_ = std::make_unique<std::string>(server_name);
    SSL_set_ex_data(ssl_.get(), server_name_slot(), server_name_.get());
    if (const SessionPtr session = context_->session_for(server_name))
      SSL_set_session(ssl_.get(), session.get());
  }

 private:
  void step() {
    ERR_clear_error();
    const int rc = SSL_do_handshake(ssl_.get());
    wire_->flush();
    if (rc == 1) return succeed();
    const int error = SSL_get_error(ssl_.get(), rc);
    if (!wire_->is_broken && (error == SSL_ERROR_WANT_READ || error == SSL_ERROR_WANT_WRITE))
      return;
    if (!report_.error.empty()) return fail(Code::kUnauthenticated, report_.error);
    if (wire_->is_broken) return fail(Code::kUnavailable, wire_->raw->last_error());
    if (wire_->is_at_end && ERR_peek_error() == 0)
      return fail(Code::kUnavailable, "the peer closed the connection");
    fail(Code::kUnavailable, take_openssl_error());
  }

  void succeed() {
    SSL_set_ex_data(ssl_.get(), report_slot(), nullptr);
    wire_->raw->on_ready([](bool, bool) {});
    auto stream = std::make_unique<TlsStream>(context_, std::move(wire_), std::move(ssl_),
                                              std::move(server_name_));
    auto done = std::move(done_);
    delete this;
    done(std::move(stream));
  }

  void fail(Code code, const std::string& why) {
    const bool is_server = context_->role() == Context::Role::kServer;
    Error error(code,
                std::string("TLS handshake ") + (is_server ? "from " : "with ") +
                    wire_->raw->remote_address().to_string() + ": " + why,
                is_server ? Blame::kDownstream : Blame::kUpstream);
    auto done = std::move(done_);
    ERR_clear_error();
    delete this;
    done(std::move(error));
  }
  void cancel() override { delete this; }

  std::shared_ptr<const CompiledContext> context_;
  event::Completion<std::unique_ptr<net::Stream>> done_;
  std::unique_ptr<Wire> wire_;
  std::unique_ptr<std::string> server_name_;
  SslPtr ssl_;
  VerifyReport report_;
  event::Timer timer_;
  std::shared_ptr<int> alive_ = std::make_shared<int>(0);
};

}  // namespace

void accept(event::Scope& scope, event::Loop& loop, std::shared_ptr<const Context> context,
            std::unique_ptr<net::Stream> raw, milliseconds limit,
            event::Completion<std::unique_ptr<net::Stream>> done) {
  auto compiled = std::static_pointer_cast<const CompiledContext>(std::move(context));
  auto* handshake =
      new Handshake(scope, loop, std::move(compiled), std::move(raw), std::move(done));
  handshake->as_server();
  handshake->start(limit);
}

void connect(event::Scope& scope, event::Loop& loop, std::shared_ptr<const Context> context,
             std::unique_ptr<net::Stream> raw, const std::string& server_name,
             const std::vector<std::string>& alpn, milliseconds limit,
             event::Completion<std::unique_ptr<net::Stream>> done) {
  auto compiled = std::static_pointer_cast<const CompiledContext>(std::move(context));
  auto* handshake =
      new Handshake(scope, loop, std::move(compiled), std::move(raw), std::move(done));
  handshake->as_client(server_name, alpn);
  handshake->start(limit);
}

}  // namespace lateen::tls
