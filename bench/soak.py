#!/usr/bin/env python3
"""Soak under change: load on kept-alive HTTP/1 and HTTP/2 connections, plain and TLS, while a control plane pushes each second (routes, endpoints,
clusters, listeners, certificates), the proxy is replaced by hot restarts, and upstreams are killed and come back. No request may fail that the
configuration does not explain, no push may be rejected; resident memory stays flat.

usage: soak.py [minutes, 20 by default]
"""
import http.client
import json
import os
import socket
import socketserver
import ssl
import struct
import subprocess
import sys
import tempfile
import threading
import time

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
for folder in ("tests", "tests/peers"):
    sys.path.insert(0, os.path.join(ROOT, folder))
import grpc_kit  # noqa: E402
from differential_rig import (DATA, END_HEADERS, END_STREAM, GOAWAY, HEADERS, PING, PREFACE, RESET, SETTINGS, WINDOW, Inflater, Reader,  # noqa: E402
                              fields_block, frame)
from harness import BIN, eventually, free_ports  # noqa: E402

TYPES = "type.googleapis.com/envoy.extensions"
PUSH_SECONDS, KILL_SECONDS, RESTART_SECONDS, CLIENTS, UPSTREAMS = 1, 3, 15, 12, 3
STREAMS = 3  # at once on an HTTP/2 connection
PAUSE_SECONDS = 0.02  # of a client between requests: the load is to be steady, not the machine busy
FLAT = 1.02  # resident memory may grow by so much


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
    return f'address {{ socket_address {{ address: "127.0.0.1" port_value: {port} }} }}'


ADS = "ads {} resource_api_version: V3"
HTTP2 = """typed_extension_protocol_options { key: "envoy.extensions.upstreams.http.v3.HttpProtocolOptions" value {
  [type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions] { explicit_http_config { http2_protocol_options {} } } } }"""


class Configuration:
    """What the proxies are told, and how it changes."""

    def __init__(self, folder, plain, tls, upstreams):
        self.folder, self.plain, self.tls, self.upstreams, self.turn, self.certificates = folder, plain, tls, upstreams, 0, 0

    def route(self):
        # Hosts come and go beside the one that is asked for.
        more = "".join(f'virtual_hosts {{ name: "h{n}" domains: "h{n}.test" routes {{ match {{ prefix: "/" }} direct_response {{ status: 404 }} }} }} '
                       for n in range(self.turn % 7))
        return f"""name: "all" {more} virtual_hosts {{ name: "all" domains: "*" routes {{ match {{ prefix: "/" }}
          response_headers_to_add {{ header {{ key: "x-turn" value: "{self.turn}" }} }}
          route {{ cluster: "app" timeout {{ seconds: 10 }} retry_policy {{ retry_on: "connect-failure,refused-stream,reset" num_retries {{ value: 4 }}
            retry_host_predicate {{ name: "other" typed_config {{ [{TYPES}.retry.host.previous_hosts.v3.PreviousHostsPredicate] {{}} }} }}
            host_selection_retry_max_attempts: 5 }} }} }} }}"""

    def endpoints(self):
        points = "".join(f"lb_endpoints {{ load_balancing_weight {{ value: {1 + (self.turn + n) % 3} }} endpoint {{ {address(port)} }} }} "
                         for n, port in enumerate(self.upstreams))
        return f'cluster_name: "app" endpoints {{ load_balancing_weight {{ value: 1 }} {points} }}'

    def cluster(self):
        return f"""name: "app" type: EDS connect_timeout {{ seconds: {2 + self.turn % 2} }} eds_cluster_config {{ eds_config {{ {ADS} }} }}
          circuit_breakers {{ thresholds {{ max_retries {{ value: 1000 }} }} }}"""

    def listener(self):
        def manager(name):
            return f"""filters {{ name: "http" typed_config {{ [{TYPES}.filters.network.http_connection_manager.v3.HttpConnectionManager] {{
              stat_prefix: "{name}" rds {{ route_config_name: "all" config_source {{ {ADS} }} }} stream_idle_timeout {{ seconds: {60 + self.turn % 2} }}
              http_filters {{ name: "router" typed_config {{ [{TYPES}.filters.http.router.v3.Router] {{}} }} }} }} }} }}"""
        secure = f"""transport_socket {{ name: "tls" typed_config {{ [{TYPES}.transport_sockets.tls.v3.DownstreamTlsContext] {{ common_tls_context {{
          alpn_protocols: "h2" alpn_protocols: "http/1.1"
          tls_certificate_sds_secret_configs {{ name: "server" sds_config {{ {ADS} }} }} }} }} }} }}"""
        return [f'name: "plain" {address(self.plain)} filter_chains {{ {manager("plain")} }}',
                f'name: "tls" {address(self.tls)} filter_chains {{ {manager("tls")} {secure} }}']

    def secret(self):
        self.certificates += 1
        key, chain = os.path.join(self.folder, "key.pem"), os.path.join(self.folder, "chain.pem")
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", key, "-out", chain,
                        "-days", "2", "-subj", f"/CN=turn{self.certificates}"], check=True, capture_output=True)
        inline = [json.dumps(open(path).read()) for path in (chain, key)]
        return f'name: "server" tls_certificate {{ certificate_chain {{ inline_string: {inline[0]} }} private_key {{ inline_string: {inline[1]} }} }}'

    def all(self):
        return {"cds": [self.cluster()], "eds": [self.endpoints()], "lds": self.listener(), "rds": [self.route()], "sds": [self.secret()]}

    def change(self, plane):
        """One push a second: mostly routes and endpoints, a certificate every five, a cluster or a listener every ten."""
        self.turn += 1
        if self.turn % 20 == 0:
            plane.push("lds", self.listener())
        elif self.turn % 10 == 0:
            plane.push("cds", [self.cluster()])
            plane.push("eds", [self.endpoints()])
        elif self.turn % 5 == 0:
            plane.push("sds", [self.secret()])
        elif self.turn % 2 == 0:
            plane.push("eds", [self.endpoints()])
        else:
            plane.push("rds", [self.route()])

    def bootstrap(self, plane):
        path = os.path.join(self.folder, "bootstrap.json")
        source = {"ads": {}, "resource_api_version": "V3"}
        with open(path, "w") as out:
            json.dump({"node": {"id": "soak", "cluster": "soak"}, "dynamic_resources": {
                "lds_config": source, "cds_config": source, "ads_config": {"api_type": "GRPC", "transport_api_version": "V3", "grpc_services": [
                    {"envoy_grpc": {"cluster_name": "plane"}}]}},
                "static_resources": {"clusters": [{
                    "name": "plane", "type": "STATIC", "connect_timeout": "5s", "load_assignment": {"cluster_name": "plane", "endpoints": [
                        {"lb_endpoints": [{"endpoint": {"address": {"socket_address": {"address": "127.0.0.1", "port_value": plane.port}}}}]}]},
                    "typed_extension_protocol_options": {"envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
                        "@type": "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
                        "explicit_http_config": {"http2_protocol_options": {}}}}}]}}, out)
        return path


class Http2:
    """A client's connection: some requests at once, until the other side says that it goes away."""

    def __init__(self, port, context):
        self.sock = socket.create_connection(("127.0.0.1", port), timeout=20)
        if context:
            self.sock = context.wrap_socket(self.sock, server_hostname="soak.test")
        self.reader, self.inflater, self.next, self.last, self.block = Reader(self.sock), Inflater(), 1, None, b""
        # A window that no run of this connection fills: answers are not acknowledged one by one.
        self.sock.sendall(PREFACE + frame(SETTINGS, 0, 0) + frame(WINDOW, 0, 0, struct.pack(">I", (1 << 31) - 65536)))

    def ask(self, paths, body):
        """[(status, text)] of whole answers; None for a stream that the peer says it did not see: safe to send again."""
        streams, out = {}, b""
        for path in paths:
            method = b"POST" if body else b"GET"
            block = fields_block([(b":method", method), (b":scheme", b"http"), (b":path", path.encode()), (b":authority", b"soak.test")])
            out += frame(HEADERS, END_HEADERS | (0 if body else END_STREAM), self.next, block)
            if body:
                out += frame(DATA, END_STREAM, self.next, body)
            streams[self.next] = {"status": None, "text": b"", "is_over": False}
            self.next += 2
        self.sock.sendall(out)
        while not all(s["is_over"] for n, s in streams.items() if self.last is None or n <= self.last):
            head = self.reader.bytes(9)
            payload = self.reader.bytes(struct.unpack(">I", b"\0" + head[:3])[0])
            kind, flags, number = head[3], head[4], struct.unpack(">I", head[5:])[0]
            stream = streams.get(number)
            if kind == HEADERS:
                fields = dict(self.inflater.fields(payload))
                if stream and stream["status"] is None:
                    stream["status"] = fields[":status"]
            elif kind == DATA and stream:
                stream["text"] += payload
            elif kind == RESET and stream:
                code = struct.unpack(">I", payload)[0]
                if not stream["is_over"]:
                    stream.update(status=None if code == 7 else f"reset {code}", is_over=True)
            elif kind == GOAWAY:
                self.last = struct.unpack(">I", payload[:4])[0]
            elif kind == SETTINGS and not flags & 1:
                self.sock.sendall(frame(SETTINGS, 1, 0))
            elif kind == PING and not flags & 1:
                self.sock.sendall(frame(PING, 1, 0, payload))
            if stream and flags & END_STREAM and kind in (HEADERS, DATA):
                stream["is_over"] = True
        return [(s["status"], s["text"]) if s["is_over"] and s["status"] else None for s in streams.values()]

    def close(self):
        self.sock.close()


class Load:
    def __init__(self, plain, tls):
        self.plain, self.tls, self.is_over = plain, tls, False
        self.requests, self.failures, self.lock = 0, [], threading.Lock()
        self.threads = [threading.Thread(target=self.run_h2 if n % 3 == 0 else self.run, args=(n,)) for n in range(CLIENTS)]
        for thread in self.threads:
            thread.start()

    def run(self, number):
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        connection, turn = None, 0
        while not self.is_over:
            turn += 1
            time.sleep(PAUSE_SECONDS)
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

    def run_h2(self, number):
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        context.set_alpn_protocols(["h2"])
        connection, turn, again = None, 0, []
        while not self.is_over:
            turn += 1
            time.sleep(PAUSE_SECONDS)
            paths, problems = again + [f"/{number}/{turn}/{n}" for n in range(STREAMS - len(again))], []
            is_fresh, again = connection is None, []
            try:
                if is_fresh:
                    connection = Http2(self.plain, None) if number % 2 else Http2(self.tls, context)
                for path, answer in zip(paths, connection.ask(paths, b"x" * 5000 if turn % 5 == 0 else None)):
                    if answer is None:
                        again.append(path)
                    elif answer[0] != "200" or answer[1] != path.encode() * 20:
                        problems.append(f"h2 {answer[0]} {answer[1][:80]}")
                if connection.last is not None or connection.next > 100_000:
                    connection.close()
                    connection = None
            except (OSError, ValueError, KeyError) as error:
                problems.append(f"h2 {'new' if is_fresh else 'kept'} connection: {error!r}")
                connection = None
            with self.lock:
                self.requests += len(paths) - len(again)
                self.failures += [f"{time.strftime('%X')} client {number}: {problem}" for problem in problems]

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
    grpc_kit.need("py")
    if not os.environ.get("LATEEN_SOAK"):
        os.execve(grpc_kit.PYTHON, [grpc_kit.PYTHON, *sys.argv], {**grpc_kit.environment(), "LATEEN_SOAK": "1"})
    from dataplane.ads_plane import Plane
    minutes = float(sys.argv[1]) if len(sys.argv) > 1 else 20
    with tempfile.TemporaryDirectory(prefix="lateen-soak-") as folder:
        (plain, tls), base = free_ports(2), str(os.getpid() % 30000)
        upstreams = [Upstream(0) for _ in range(UPSTREAMS)]
        ports = [u.server_address[1] for u in upstreams]
        log = open(os.path.join(folder, "proxy.log"), "wb")
        config = Configuration(folder, plain, tls, ports)
        plane = Plane(config.all())
        bootstrap = config.bootstrap(plane)
        processes, sizes = [], []

        def start():
            processes.append(subprocess.Popen(
                [os.path.join(BIN, "lateen-proxy"), "-c", bootstrap, "--concurrency", "2", "--base-id", base, "--restart-epoch", str(len(processes)),
                 "-l", "warning", "--drain-time-s", "2", "--parent-shutdown-time-s", "4"], stdout=log, stderr=log))

        def serves():
            connection = http.client.HTTPConnection("127.0.0.1", plain, timeout=10)
            connection.request("GET", "/probe")
            answer = connection.getresponse()
            answer.read()
            return answer.status == 200
        start()
        eventually(serves, what="the first process serves")
        load = Load(plain, tls)
        begin = time.monotonic()
        kills, dead = 0, None
        try:
            for second in range(1, int(60 * minutes / PUSH_SECONDS) + 1):
                threading.Event().wait(max(0.0, begin + second * PUSH_SECONDS - time.monotonic()))
                config.change(plane)
                if dead is not None:
                    upstreams[dead], dead = Upstream(ports[dead]), None
                elif second % KILL_SECONDS == 0:
                    dead = kills % UPSTREAMS
                    upstreams[dead].kill()
                    kills += 1
                if second % RESTART_SECONDS == RESTART_SECONDS - 1:
                    sizes.append(resident(processes[-1]))
                    start()
                if processes[-1].poll() is not None:
                    load.failures.append(f"the proxy ended by itself: {processes[-1].returncode}")
                    break
        finally:
            load.end()
            for process in processes:
                process.terminate()
            for process in processes:
                process.wait(60)
            plane.close()
        # The first ones warm up: caches of the allocator, all listeners' certificates.
        third = max(1, len(sizes) // 3)
        first, last = (sorted(part)[len(part) // 2] if part else 0 for part in (sizes[:third], sizes[-third:]))
        bad = [p.returncode for p in processes if p.returncode not in (0, -15)]
        print(f"{load.requests} requests, {len(load.failures)} failed; {plane.version} pushes ({plane.acknowledged} acknowledged, {len(plane.rejections)} "
              f"rejected), {config.certificates} certificates, {len(processes) - 1} hot restarts, {kills} upstreams killed; resident {first} kB in the "
              f"first third, {last} kB in the last (medians)" + (f"; exit codes {bad}" if bad else ""))
        print("\n".join((load.failures + plane.rejections)[:20]))
        sys.stdout.write(open(log.name, errors="replace").read()[-1500:])
        return 1 if load.failures or plane.rejections or bad or (minutes >= 5 and last > first * FLAT) else 0


if __name__ == "__main__":
    sys.exit(main())
