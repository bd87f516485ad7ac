"""What all rows share: programs, ports, backends, generators, and the table."""
import json
import os
import re
import shutil
import statistics
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))), "tests"))
from harness import BIN, free_port  # noqa: E402

from dataplane import configs  # noqa: E402
from dataplane.peers import Running, Tls, wait_port  # noqa: E402

ENVOY = os.environ.get("LATEEN_ENVOY", "/work/peers/envoy/envoy/_bin/envoy")
BENCH_PEER = os.environ.get("LATEEN_BENCH_PEER", os.path.join(os.path.dirname(BIN), "tests", "bench_peer"))
SUITE = ("lateen", "envoy", "nginx", "haproxy")


class Bench:
    def __init__(self, folder, kept, rounds, seconds, peers):
        self.folder, self.kept, self.rounds, self.seconds = folder, kept, rounds, seconds
        self.lateen = os.environ.get("LATEEN_PROXY", os.path.join(BIN, "lateen-proxy"))
        self.tls = Tls(folder)
        there = {"lateen": os.path.exists(self.lateen), "envoy": os.path.exists(ENVOY), "nginx": shutil.which("nginx"), "haproxy": shutil.which("haproxy")}
        self.peers = [p for p in peers if there[p]]
        for peer in peers:
            if not there[peer]:
                print(f"skipped: {peer} is not on this machine")
        self.verdicts, self.row = [], ""
        self.backends = []
        for name, size in (("10k", 10_000), ("1m", 1_000_000)):
            with open(os.path.join(folder, name), "w") as body:
                body.write("x" * size)
        self.http1 = free_port()
        self._backend(["nginx", "-c", self.write("backend", configs.nginx_backend(folder, self.http1, folder))], self.http1)
        self.http2 = free_port()
        self._backend([BENCH_PEER, "serve", str(self.http2)], self.http2)

    def _backend(self, command, port):
        self.backends.append(subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL))
        wait_port(port, self.backends[-1])

    def stop(self):
        for backend in self.backends:
            backend.terminate()
            backend.wait(10)

    def write(self, name, config):
        """The configuration as it runs; a copy stays in the kept folder."""
        text = config if isinstance(config, str) else json.dumps(config, indent=1)
        path = os.path.join(self.folder, f"{name}.conf")
        for where in (path, os.path.join(self.kept, f"{getattr(self, 'row', '') or 'all'}.{name}.conf")):
            with open(where, "w") as out:
                out.write(text)
        return path

    def envoy_like(self, peer, path, workers=1):
        binary = self.lateen if peer == "lateen" else ENVOY
        return [binary, "-c", path, "--concurrency", str(workers), "-l", "error", "--disable-hot-restart"]

    def run(self, peer, config, port, workers=1):
        """Starts one peer with its configuration."""
        path = self.write(peer, config)
        command = {"nginx": ["nginx", "-c", path], "haproxy": ["haproxy", "-f", path]}.get(peer) or self.envoy_like(peer, path, workers)
        return Running(peer, [command], [port], os.path.join(self.kept, f"{peer}.log"))

    def start_all(self, start):
        """What `start` makes of each peer; one that does not start is left out, by name."""
        running = []
        for peer in self.peers:
            try:
                running.append(start(peer))
            except SystemExit as problem:
                print(f"  {peer} left out: {problem}")
        return [r for r in running if r]

    # Generators: each returns requests done, requests failed, p99 in ms (or None).
    def wrk(self, port, path="/", connections=32, is_tls=False, headers=()):
        command = ["wrk", "-t1", f"-c{connections}", f"-d{self.seconds}s", "--latency"]
        for header in headers:
            command += ["-H", header]
        out = subprocess.run([*command, f"{'https' if is_tls else 'http'}://127.0.0.1:{port}{path}"], capture_output=True, text=True, check=True).stdout
        bad = re.search(r"Non-2xx or 3xx responses: (\d+)", out)
        p99 = re.search(r"99%\s+([\d.]+)(us|ms|s)", out)
        return int(re.search(r"(\d+) requests in", out).group(1)), int(bad.group(1)) if bad else 0, float(p99.group(1)) * {"us": 0.001, "ms": 1, "s": 1000}[p99.group(2)]

    def h2load(self, port, connections=8, streams=16):
        out = subprocess.run(["h2load", f"-c{connections}", f"-m{streams}", "-t1", f"-D{self.seconds}", f"http://127.0.0.1:{port}/"], capture_output=True, text=True, check=True).stdout
        good = int(re.search(r"status codes: (\d+) 2xx", out).group(1))
        bad = sum(map(int, re.search(r"(\d+) 3xx, (\d+) 4xx, (\d+) 5xx", out).groups()))
        return good, bad, None

    def own(self, kind, port, connections=8, depth=16, rate=0, is_mutual=False):
        command = [BENCH_PEER, "load", kind, f"127.0.0.1:{port}", str(connections), str(depth), str(self.seconds), str(rate), *(self.tls.files() if is_mutual else [])]
        out = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
        return int(out[1]), int(out[2]), float(out[4])

    # The table.
    def title(self, name, text):
        self.row = name
        print(f"\n{name}: {text}", flush=True)

    def show(self, values, unit, targets, scale=1, notes=None):
        """`values`: {peer: [one a round]}. `targets`: {peer: most of ours over its} or {None: most of ours}."""
        ours = values.get("lateen")
        for peer, list_ in values.items():
            line = f"  {peer:8} {statistics.median(list_) * scale:11.2f} {unit:12} ({min(list_) * scale:.2f}-{max(list_) * scale:.2f})"
            if ours and peer != "lateen":
                line += f"  ours/its {statistics.median(a / b if b > 0 else float('inf') for a, b in zip(ours, list_)):.2f}"
            print(line + (f"  {notes[peer]}" if notes and peer in notes else ""), flush=True)
        for peer, most in targets.items():
            if not ours or (peer and peer not in values):
                continue
            got = statistics.median(a / b if b > 0 else float("inf") for a, b in zip(ours, values[peer])) if peer else statistics.median(ours) * scale
            self.verdicts.append((self.row, f"ours / {peer}" if peer else unit, got, most))

    def summary(self):
        print(f"\n{'row':14} {'figure':18} {'is':>9} {'wanted':>9}")
        for row, figure, got, most in self.verdicts:
            print(f"{row:14} {figure:18} {got:9.2f} {'<= ' + format(most, 'g'):>9}  {'met' if got <= most else 'MISSED'}")


def settled_rss(running, limit=60):
    """Resident bytes once they have stood still for four seconds."""
    end, seen = time.monotonic() + limit, []
    while time.monotonic() < end:
        seen.append(running.rss_bytes())
        if len(seen) > 8 and max(seen[-9:]) - min(seen[-9:]) < 65536:
            break
        time.sleep(0.5)
    return seen[-1]
