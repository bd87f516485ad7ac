"""h2spec, all 145 cases, against the proxy: plain and TLS, in front of an application that reads whole requests."""
import http.server
import json
import os
import re
import socket
import subprocess
import tempfile
import threading
import unittest

from harness import BIN, eventually, free_port

PEERS = os.environ.get("LATEEN_PEERS", "/work/peers")
H2SPEC = os.path.join(PEERS, "bin/h2spec")
TYPES = "type.googleapis.com/envoy.extensions"


class App(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def answer(self):
        if "chunked" in self.headers.get("transfer-encoding", ""):
            while True:
                size = int(self.rfile.readline().split(b";")[0], 16)
                self.rfile.read(size)
                if size == 0:
                    while self.rfile.readline().strip():
                        pass
                    break
                self.rfile.readline()
        else:
            self.rfile.read(int(self.headers.get("content-length", 0)))
        self.send_response(200)
        self.send_header("content-length", "17")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(b"hello hello hello")

    do_GET = do_POST = do_HEAD = do_PUT = do_OPTIONS = do_TRACE = do_DELETE = do_PATCH = answer

    def log_message(self, *_):
        pass


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, *_):
        """Streams that h2spec breaks end requests half-way."""


def address(port):
    return {"socket_address": {"address": "127.0.0.1", "port_value": port}}


def listener(name, port, more):
    manager = {
        "@type": f"{TYPES}.filters.network.http_connection_manager.v3.HttpConnectionManager", "stat_prefix": name, "codec_type": "HTTP2",
        "route_config": {"virtual_hosts": [{"name": "all", "domains": ["*"], "routes": [{"match": {"prefix": "/"}, "route": {"cluster": "app"}}]}]},
        "http_filters": [{"name": "router", "typed_config": {"@type": f"{TYPES}.filters.http.router.v3.Router"}}]}
    chain = {"filters": [{"name": "http", "typed_config": manager}], **more}
    return {"name": name, "address": address(port), "filter_chains": [chain]}


def spec(port, *flags):
    done = subprocess.run([H2SPEC, "-h", "127.0.0.1", "-p", str(port), "-o", "5", *flags], capture_output=True, text=True, timeout=280)
    counted = re.search(r"(\d+) tests, (\d+) passed, (\d+) skipped, (\d+) failed", done.stdout)
    assert counted, done.stdout[-2000:] + done.stderr
    assert counted.groups() == ("145", "145", "0", "0"), done.stdout[done.stdout.find("Failures:"):]


def with_proxy(use):
    if not os.path.exists(H2SPEC):
        raise unittest.SkipTest("h2spec is not on this machine (go install github.com/summerwind/h2spec/cmd/h2spec@latest)")
    app = Server(("127.0.0.1", 0), App)
    threading.Thread(target=app.serve_forever, daemon=True).start()
    with tempfile.TemporaryDirectory() as folder:
        key, chain = os.path.join(folder, "key.pem"), os.path.join(folder, "chain.pem")
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", key,
                        "-out", chain, "-days", "2", "-subj", "/CN=localhost"], check=True, capture_output=True)
        tls = {"transport_socket": {"name": "tls", "typed_config": {
            "@type": f"{TYPES}.transport_sockets.tls.v3.DownstreamTlsContext", "common_tls_context": {
                "alpn_protocols": ["h2"],
                "tls_certificates": [{"certificate_chain": {"filename": chain}, "private_key": {"filename": key}}]}}}}
        plain_port, tls_port = free_port(), free_port()
        endpoint = {"endpoint": {"address": address(app.server_address[1])}}
        bootstrap = {
            "node": {"id": "sidecar~127.0.0.1~a.default~default.svc.cluster.local", "cluster": "a"},
            "static_resources": {
                "listeners": [listener("plain", plain_port, {}), listener("tls", tls_port, tls)],
                "clusters": [{"name": "app", "type": "STATIC", "load_assignment": {
                    "cluster_name": "app", "endpoints": [{"lb_endpoints": [endpoint]}]}}]}}
        config = os.path.join(folder, "bootstrap.json")
        with open(config, "w") as file:
            json.dump(bootstrap, file)
        proxy = subprocess.Popen([os.path.join(BIN, "lateen-proxy"), "-c", config, "--concurrency", "1", "--disable-hot-restart", "-l", "warning"])
        try:
            def is_up():
                with socket.create_connection(("127.0.0.1", tls_port), timeout=5):
                    return True
            eventually(is_up)
            use(plain_port, tls_port)
        finally:
            proxy.terminate()
            proxy.wait(timeout=30)
            app.shutdown()


def test_plain():
    with_proxy(lambda plain, _: spec(plain))


def test_tls():
    with_proxy(lambda _, tls: spec(tls, "-t", "-k"))
