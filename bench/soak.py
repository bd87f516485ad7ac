#!/usr/bin/env python3
"""Soak under change: load on kept-alive connections while the configuration changes with every hot restart, the certificate is a new one each
time, and upstreams are killed and come back. No request may fail that the configuration does not explain; resident memory stays flat.

usage: soak.py [minutes, 20 by default]
"""
import http.client
import json
import os
import socket
import socketserver
import ssl
import subprocess
import sys
import tempfile
import threading
import time

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, os.path.join(ROOT, "tests"))
from harness import BIN, eventually, free_port  # noqa: E402

TYPES = "type.googleapis.com/envoy.extensions"
RESTART_SECONDS, CLIENTS, UPSTREAMS = 3, 12, 3


class Upstream(socketserver.ThreadingTCPServer):
    allow_reuse_address, daemon_threads, request_queue_size = True, True, 128

    class Answers(socketserver.StreamRequestHandler):
        def handle(self):
            self.server.open.add(self.connection)
            try:
                while line := self.rfile.readline():
                    length = 0
                    while (field := self.rfile.readline()).strip():
                        if field.lower().startswith(b"content-length:"):
                            length = int(field.split(b":")[1])
                    self.rfile.read(length)
                    body = line.split(b" ")[1] * 20
                    self.wfile.write(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % len(body) + body)
            except OSError:
                pass
            self.server.open.discard(self.connection)

    def __init__(self, port):
        self.open = set()
        super().__init__(("127.0.0.1", port), self.Answers)
        threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()

    def handle_error(self, *_):
        """Connections end when we kill them."""

    def kill(self):
        self.shutdown()
        self.server_close()
        for connection in list(self.open):
            try:
                connection.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass


def address(port):
    return {"socket_address": {"address": "127.0.0.1", "port_value": port}}


def write_config(folder, turn, plain, tls, upstreams):
    key, chain = os.path.join(folder, f"key{turn}.pem"), os.path.join(folder, f"chain{turn}.pem")
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", key, "-out", chain,
                    "-days", "2", "-subj", f"/CN=turn{turn}"], check=True, capture_output=True)
    route = {"match": {"prefix": "/"}, "route": {"cluster": "app", "timeout": "10s", "retry_policy": {
        "retry_on": "connect-failure,refused-stream,reset", "num_retries": 4,
        "retry_host_predicate": [{"name": "other", "typed_config": {
            "@type": f"{TYPES}.retry.host.previous_hosts.v3.PreviousHostsPredicate"}}], "host_selection_retry_max_attempts": 5}},
        "response_headers_to_add": [{"header": {"key": "x-turn", "value": str(turn)}}]}
    manager = {"name": "http", "typed_config": {
        "@type": f"{TYPES}.filters.network.http_connection_manager.v3.HttpConnectionManager", "stat_prefix": "s",
        "route_config": {"virtual_hosts": [{"name": "all", "domains": ["*"], "routes": [route]}]},
        "http_filters": [{"name": "router", "typed_config": {"@type": f"{TYPES}.filters.http.router.v3.Router"}}]}}
    secure = {"name": "tls", "typed_config": {"@type": f"{TYPES}.transport_sockets.tls.v3.DownstreamTlsContext", "common_tls_context": {
        "tls_certificates": [{"certificate_chain": {"filename": chain}, "private_key": {"filename": key}}]}}}
    points = [{"endpoint": {"address": address(port)}} for port in upstreams]
    config = {"node": {"id": "soak", "cluster": "soak"}, "static_resources": {
        "listeners": [{"name": "plain", "address": address(plain), "filter_chains": [{"filters": [manager]}]},
                      {"name": "tls", "address": address(tls), "filter_chains": [{"filters": [manager], "transport_socket": secure}]}],
        "clusters": [{"name": "app", "type": "STATIC", "connect_timeout": "2s", "circuit_breakers": {"thresholds": [{"max_retries": 1000}]},
                      "load_assignment": {
            "cluster_name": "app", "endpoints": [{"lb_endpoints": points}]}}]}}
    path = os.path.join(folder, f"{turn}.json")
    with open(path, "w") as out:
        json.dump(config, out)
    return path


class Load:
    def __init__(self, plain, tls):
        self.plain, self.tls, self.is_over = plain, tls, False
        self.requests, self.failures, self.lock = 0, [], threading.Lock()
        self.threads = [threading.Thread(target=self.run, args=(n,)) for n in range(CLIENTS)]
        for thread in self.threads:
            thread.start()

    def run(self, number):
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        connection, turn = None, 0
        while not self.is_over:
            turn += 1
            is_fresh = connection is None
            try:
                if is_fresh:
                    connection = http.client.HTTPConnection("127.0.0.1", self.plain, timeout=20) if number % 2 else \
                        http.client.HTTPSConnection("127.0.0.1", self.tls, timeout=20, context=context)
                body = b"x" * 5000 if turn % 5 == 0 else None
                connection.request("POST" if body else "GET", f"/{number}/{turn}", body)
                answer = connection.getresponse()
                text = answer.read()
                problem = "" if answer.status == 200 and text == f"/{number}/{turn}".encode() * 20 else f"{answer.status} {text[:80]}"
                if answer.will_close:
                    connection.close()
                    connection = None
            except (OSError, http.client.HTTPException) as error:
                problem, connection = f"{'new' if is_fresh else 'kept'} connection: {error!r}", None
            with self.lock:
                self.requests += 1
                if problem:
                    self.failures.append(f"{time.strftime('%X')} client {number}: {problem}")

    def end(self):
        self.is_over = True
        for thread in self.threads:
            thread.join()


def resident(process):
    for line in open(f"/proc/{process.pid}/status"):
        if line.startswith("VmRSS"):
            return int(line.split()[1])
    return 0


def main():
    minutes = float(sys.argv[1]) if len(sys.argv) > 1 else 20
    with tempfile.TemporaryDirectory(prefix="lateen-soak-") as folder:
        plain, tls, base = free_port(), free_port(), str(os.getpid() % 30000)
        upstreams = [Upstream(0) for _ in range(UPSTREAMS)]
        ports = [u.server_address[1] for u in upstreams]
        log = open(os.path.join(folder, "proxy.log"), "wb")
        processes, sizes = [], []

        def start(turn):
            config = write_config(folder, turn, plain, tls, ports)
            processes.append(subprocess.Popen(
                [os.path.join(BIN, "lateen-proxy"), "-c", config, "--concurrency", "2", "--base-id", base, "--restart-epoch", str(turn), "-l", "warning",
                 "--drain-time-s", "2", "--parent-shutdown-time-s", "4"], stdout=log, stderr=log))

        def serves(turn):
            connection = http.client.HTTPConnection("127.0.0.1", plain, timeout=10)
            connection.request("GET", "/probe")
            answer = connection.getresponse()
            answer.read()
            return answer.getheader("x-turn") == str(turn)
        start(0)
        eventually(lambda: serves(0), what="the first process serves")
        load = Load(plain, tls)
        end, turn = time.monotonic() + 60 * minutes, 0
        try:
            while time.monotonic() < end:
                threading.Event().wait(RESTART_SECONDS / 2)
                victim = turn % UPSTREAMS
                upstreams[victim].kill()
                threading.Event().wait(RESTART_SECONDS / 2)
                upstreams[victim] = Upstream(ports[victim])
                sizes.append(resident(processes[-1]))
                turn += 1
                start(turn)
                eventually(lambda: serves(turn), limit=30, what=f"process {turn} serves")
        finally:
            load.end()
            for process in processes:
                process.terminate()
            for process in processes:
                process.wait(30)
        third = max(1, len(sizes) // 3)
        first, last = sum(sizes[:third]) / third, sum(sizes[-third:]) / third
        print(f"{load.requests} requests, {len(load.failures)} failed; {turn} hot restarts with new configuration and certificate, {turn} upstreams killed; "
              f"resident {first:.0f} kB in the first third, {last:.0f} kB in the last")
        print("\n".join(load.failures[:20]))
        sys.stdout.write(open(log.name, errors="replace").read()[-1500:])
        return 1 if load.failures else 0


if __name__ == "__main__":
    sys.exit(main())
