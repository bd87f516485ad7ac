"""The rows of the table. A row is a function of the bench; its first paragraph says what it measures."""
import http.client
import os
import resource
import socket
import ssl
import subprocess
import time

from dataplane import configs
from dataplane.bench import free_port, settled_rss
from dataplane.peers import Running, listens

HTTP1 = {"envoy": 0.25, "nginx": 1, "haproxy": 1}
HTTP2 = {"envoy": 0.35}


def loaded(bench, start, drive, targets):
    """CPU microseconds a request under load, peers in turn each round."""
    running = bench.start_all(start)
    values, rates = {r.name: [] for r in running}, {r.name: [] for r in running}
    try:
        seconds, bench.seconds = bench.seconds, 1
        for proxy in running:
            drive(proxy)
        bench.seconds = seconds
        for _ in range(bench.rounds):
            for proxy in running:
                before = proxy.cpu_seconds()
                done, failed, p99 = drive(proxy)
                if failed or not done:
                    print(f"  {proxy.name}: {failed} failed, {done} done")
                values[proxy.name].append((proxy.cpu_seconds() - before) / max(1, done))
                rates[proxy.name].append((done / bench.seconds, p99))
        notes = {}
        for name, pairs in rates.items():
            rate, p99 = sorted(p[0] for p in pairs)[len(pairs) // 2], sorted(p[1] or 0 for p in pairs)[len(pairs) // 2]
            notes[name] = f"{rate:.0f}/s" + (f", p99 {p99:.2f} ms" if p99 else "")
        bench.show(values, "us CPU", targets, 1e6, notes)
    finally:
        for proxy in running:
            proxy.stop()


def forwarder(bench, backend, tls=None, is_mutual=False, front_h2=False, back_h2=False, is_grpc=False):
    """Starts a plain forwarding configuration in any peer; None where a peer has none."""
    def start(peer):
        port = free_port()
        if peer == "nginx":
            if back_h2 and not is_grpc:
                return None
            return bench.run(peer, configs.nginx_forwarding(bench.folder, port, backend, tls, is_mutual, front_h2, is_grpc), port)
        if peer == "haproxy":
            return bench.run(peer, configs.haproxy_forwarding(port, backend, tls, is_mutual, back_h2), port)
        return bench.run(peer, configs.forwarding(port, free_port(), backend, tls, is_mutual, back_h2), port)
    return start


def http1_100(bench):
    """HTTP/1.1, keep-alive, 32 connections, 100 B"""
    loaded(bench, forwarder(bench, bench.http1), lambda p: bench.wrk(p.port), HTTP1)


def http1_10k(bench):
    """HTTP/1.1, keep-alive, 32 connections, 10 kB"""
    loaded(bench, forwarder(bench, bench.http1), lambda p: bench.wrk(p.port, "/10k"), HTTP1)


def http1_1m(bench):
    """HTTP/1.1, keep-alive, 32 connections, 1 MB"""
    loaded(bench, forwarder(bench, bench.http1), lambda p: bench.wrk(p.port, "/1m"), HTTP1)


def http1_new(bench):
    """HTTP/1.1, a new connection for each request, 100 B"""
    loaded(bench, forwarder(bench, bench.http1), lambda p: bench.wrk(p.port, headers=["Connection: close"]), HTTP1)


def tls(bench):
    """HTTP/1.1 over TLS, keep-alive, 32 connections, 100 B"""
    loaded(bench, forwarder(bench, bench.http1, bench.tls), lambda p: bench.wrk(p.port, is_tls=True), HTTP1)


def tls_new(bench):
    """TLS, a full handshake for each request, 100 B"""
    loaded(bench, forwarder(bench, bench.http1, bench.tls), lambda p: bench.wrk(p.port, is_tls=True, headers=["Connection: close"]), {"envoy": 1})


def mtls(bench):
    """HTTP/1.1 over mTLS, keep-alive, 32 connections, 100 B"""
    loaded(bench, forwarder(bench, bench.http1, bench.tls, True), lambda p: bench.own("h1", p.port, 32, 1, is_mutual=True), HTTP1)


def h2_h1(bench):
    """HTTP/2 to HTTP/1.1, 8 connections of 16 streams, 100 B"""
    loaded(bench, forwarder(bench, bench.http1, front_h2=True), lambda p: bench.h2load(p.port), HTTP2)


def h2_h2(bench):
    """HTTP/2 to HTTP/2, 8 connections of 16 streams, 100 B"""
    loaded(bench, forwarder(bench, bench.http2, front_h2=True, back_h2=True), lambda p: bench.h2load(p.port), HTTP2)


def grpc_unary(bench):
    """gRPC, a call of 100 B each way, 8 connections of 16 calls"""
    loaded(bench, forwarder(bench, bench.http2, front_h2=True, back_h2=True, is_grpc=True), lambda p: bench.own("unary", p.port), HTTP2)


def grpc_stream(bench):
    """gRPC, 128 streams on 8 connections, a message of 100 B each way at a time; per pair of messages"""
    loaded(bench, forwarder(bench, bench.http2, front_h2=True, back_h2=True, is_grpc=True), lambda p: bench.own("stream", p.port), HTTP2)


def tcp(bench):
    """TCP, HTTP/1.1 of 100 B through 32 connections; per request"""
    def start(peer):
        port = free_port()
        if peer == "nginx":
            return None  # its stream module is another package
        if peer == "haproxy":
            return bench.run(peer, configs.haproxy_forwarding(port, bench.http1, is_tcp=True), port)
        return bench.run(peer, configs.tcp(port, free_port(), bench.http1), port)
    loaded(bench, start, lambda p: bench.wrk(p.port), HTTP1)


def sidecars(bench):
    """two sidecars, plain to mTLS to plain, JSON access log, trace context, metrics (ours: Istio's as well); CPU of both a request"""
    def start(peer):
        if peer not in ("lateen", "envoy"):
            return None
        ports = [free_port(), free_port()]
        logs = [os.path.join(bench.folder, f"{peer}-access-{i}.log") for i in range(2)]
        both = configs.sidecars(ports[0], ports[1], [free_port(), free_port()], bench.http1, bench.http1, bench.tls, logs, peer == "lateen")
        commands = [bench.envoy_like(peer, bench.write(f"{peer}-{side}", config)) for side, config in zip(("client", "server"), both)]
        return Running(peer, commands, ports, os.path.join(bench.kept, f"{peer}.log"))
    loaded(bench, start, lambda p: bench.wrk(p.port), {"envoy": 0.33})


def added_p99(bench):
    """p99 of HTTP/1.1, 100 B, at 1,000 requests a second, less that of the backend asked directly"""
    start = forwarder(bench, bench.http1)
    running = bench.start_all(start)
    values, halves = {r.name: [] for r in running}, {r.name: [] for r in running}
    try:
        for _ in range(bench.rounds):
            direct = bench.own("h1", bench.http1, 1, 16, 1000)[2]
            for proxy in running:
                done, failed, p99 = bench.own("h1", proxy.port, 1, 16, 1000)
                if failed:
                    print(f"  {proxy.name}: {failed} failed")
                values[proxy.name].append(max(0.001, p99 - direct))
                halves[proxy.name].append(done / bench.seconds)
        bench.show(values, "ms added p99", {"envoy": 0.5}, notes={n: f"{max(h):.0f}/s" for n, h in halves.items()})
    finally:
        for proxy in running:
            proxy.stop()


def rss_idle(bench):
    """resident memory after the start, one cluster"""
    values = {}
    for peer in bench.peers:
        running = forwarder(bench, bench.http1)(peer)
        values[peer] = [settled_rss(running) / 1e6]
        running.stop()
    bench.show(values, "MB", {None: 12})


def idle_connections(bench, tls, most):
    """Bytes a connection: 10,000 less 100, each having carried one request."""
    many = min(10_000, resource.getrlimit(resource.RLIMIT_NOFILE)[0] // 2 - 200)  # haproxy counts on two descriptors each
    context = None
    if tls:
        context = ssl.create_default_context(cafile=tls.ca)
        context.check_hostname = False
        context.load_cert_chain(tls.cert, tls.key)
    values, notes = {}, {}
    for peer in bench.peers:
        running = forwarder(bench, bench.http1, tls, bool(tls))(peer)
        open_, sizes = [], {}
        try:
            for count in (100, many):
                while len(open_) < count:
                    s = socket.create_connection(("127.0.0.1", running.port), 10)
                    s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                    if context:
                        s = context.wrap_socket(s, server_hostname="localhost")
                    s.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
                    answer = b""
                    while b"xxx" not in answer:
                        got = s.recv(4096)
                        if not got:
                            raise SystemExit(f"{peer} closed connection {len(open_)}")
                        answer += got
                    open_.append(s)
                time.sleep(0.5)
                sizes[count] = settled_rss(running)
            values[peer] = [(sizes[many] - sizes[100]) / (many - 100) / 1000]
            notes[peer] = f"RSS {sizes[100] / 1e6:.1f} MB with 100, {sizes[many] / 1e6:.1f} MB with {many}"
        finally:
            for s in open_:
                s.close()
            running.stop()
    bench.show(values, "kB", {None: most}, notes=notes)


def idle_h1(bench):
    """memory of an idle connection, HTTP/1.1, of 10,000 (9,800 where a process may hold 20,000 descriptors)"""
    idle_connections(bench, None, 4)


def idle_mtls(bench):
    """memory of an idle connection, HTTP/1.1 over mTLS, of 10,000 (or 9,800)"""
    idle_connections(bench, bench.tls, 20)


def with_clusters(bench, peer, clusters, workers):
    """A peer that has `clusters` of 10 endpoints, and its control plane when it has one."""
    port = free_port()
    if peer == "nginx":
        return bench.run(peer, configs.nginx_clusters(bench.folder, port, clusters, bench.http1, workers), port), None
    if peer == "haproxy":
        return bench.run(peer, configs.haproxy_clusters(port, clusters, bench.http1, workers), port), None
    from dataplane.ads import ControlPlane
    plane = ControlPlane(free := free_port(), clusters)
    running = bench.run(peer, configs.discovered(port, free_port(), free, bench.http1), port, workers)
    if not plane.synced.wait(120):
        print(f"  {peer}: {plane.known} of {clusters} clusters after 120 s; {plane.errors[:1]}")
    return running, plane


def clusters_row(bench, clusters, most):
    for workers in (1, 2, 8):
        values = {}
        for peer in bench.peers:
            running, plane = with_clusters(bench, peer, clusters, workers)
            values[peer] = [settled_rss(running) / 1e6]
            running.stop()
            if plane:
                plane.stop()
        print(f"  {workers} worker(s)")
        bench.show(values, f"MB, {workers}w", {None: most} if most else {})


def clusters_10(bench):
    """resident memory with 10 clusters of 10 endpoints"""
    clusters_row(bench, 10, None)


def clusters_1000(bench):
    """resident memory with 1,000 clusters of 10 endpoints"""
    clusters_row(bench, 1000, 25)


def clusters_10000(bench):
    """resident memory with 10,000 clusters of 10 endpoints"""
    clusters_row(bench, 10_000, None)


def update(bench):
    """one endpoint of 100,000 changed: CPU of the proxy, with 2 workers"""
    values, notes = {}, {}
    for peer in [p for p in bench.peers if p in ("lateen", "envoy")]:
        running, plane = with_clusters(bench, peer, 10_000, 2)
        try:
            settled_rss(running)
            values[peer], took = [], []
            for turn in range(10):
                before, begun = running.cpu_seconds(), time.monotonic()
                plane.move_endpoint(turn * 997 % 10_000, turn + 1)
                took.append(time.monotonic() - begun)
                time.sleep(0.2)
                values[peer].append((running.cpu_seconds() - before) * 1000)
            notes[peer] = f"acknowledged in {sorted(took)[5] * 1000:.2f} ms"
        finally:
            running.stop()
            plane.stop()
    bench.show(values, "ms CPU", {}, notes=notes)


def ready(bench):
    """exec to ready: the admin page says so (nginx, haproxy: the port answers)"""
    values = {peer: [] for peer in bench.peers}
    for _ in range(max(5, bench.rounds)):
        for peer in bench.peers:
            port, admin = free_port(), free_port()
            if peer in ("lateen", "envoy"):
                command = bench.envoy_like(peer, bench.write(peer, configs.forwarding(port, admin, bench.http1)))
                probe = lambda: answers_ready(admin)
            elif peer == "nginx":
                command = ["nginx", "-c", bench.write(peer, configs.nginx_forwarding(bench.folder, port, bench.http1))]
                probe = lambda: listens(port)
            else:
                command = ["haproxy", "-f", bench.write(peer, configs.haproxy_forwarding(port, bench.http1))]
                probe = lambda: listens(port)
            begun = time.monotonic()
            running = Running.__new__(Running)
            running.name, running.processes = peer, [subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)]
            while not probe():
                if time.monotonic() - begun > 20:
                    break
                time.sleep(0.0005)
            values[peer].append((time.monotonic() - begun) * 1000)
            running.stop()
    bench.show(values, "ms", {None: 30})


def answers_ready(admin):
    try:
        connection = http.client.HTTPConnection("127.0.0.1", admin, timeout=5)
        connection.request("GET", "/ready")
        return connection.getresponse().status == 200
    except OSError:
        return False


ROWS = {name.replace("_", "-"): function for name, function in (
    ("http1_100", http1_100), ("http1_10k", http1_10k), ("http1_1m", http1_1m), ("http1_new", http1_new), ("h2_h1", h2_h1), ("h2_h2", h2_h2),
    ("grpc_unary", grpc_unary), ("grpc_stream", grpc_stream), ("tls", tls), ("tls_new", tls_new), ("mtls", mtls), ("sidecars", sidecars), ("tcp", tcp),
    ("added_p99", added_p99), ("rss_idle", rss_idle), ("idle_h1", idle_h1), ("idle_mtls", idle_mtls), ("clusters_10", clusters_10),
    ("clusters_1000", clusters_1000), ("clusters_10000", clusters_10000), ("ready", ready), ("update", update))}
