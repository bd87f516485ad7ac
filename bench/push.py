#!/usr/bin/env python3
"""From an API write to the last proxy's acknowledgement: our discovery and a stock istiod side by side, on the same API server and input.

usage: push.py [--services 1000] [--endpoints 10] [--rules 100] [--proxies 500 2000] [--delta 0.5] [--rounds 20] [--churn SECONDS] [--patience SECONDS]
               [--only ours|stock]

Each figure is of all proxies at once: a round is one write, and ends when every simulated proxy (half of them delta) that it concerns was sent
and has acknowledged what changed. Without a stock pilot-discovery (tools/peers/build.sh) only ours is measured. Where other work shares the
machine, the ratios and the CPU seconds mean more than the times.
"""
import argparse
import concurrent.futures
import os
import statistics
import subprocess
import sys
import threading
import time

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path[:0] = [os.path.join(ROOT, "tests"), os.path.join(ROOT, "tests/peers")]
from harness import BIN  # noqa: E402
from planes import PILOT, Api, Control, namespace  # noqa: E402

NAMESPACES = 10
TICK = os.sysconf("SC_CLK_TCK")


def address(service, index, turn=0):
    return f"10.{100 + turn}.{service // 25}.{service % 25 * 10 + index}"


def slice_of(service, endpoints, turn=0):
    """EndpointSlice of a service; `turn` moves its first endpoint."""
    ns = f"ns-{service % NAMESPACES}"
    points = [{"addresses": [address(service, i, turn if i == 0 else 0)], "conditions": {"ready": True}} for i in range(endpoints)]
    return {"apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv4",
            "metadata": {"name": f"svc-{service}-1", "namespace": ns, "labels": {"kubernetes.io/service-name": f"svc-{service}"}},
            "ports": [{"name": "http", "port": 8080, "protocol": "TCP"}], "endpoints": points}


def service_of(service):
    return {"apiVersion": "v1", "kind": "Service", "metadata": {"name": f"svc-{service}", "namespace": f"ns-{service % NAMESPACES}"},
            "spec": {"ports": [{"name": "http", "port": 80, "targetPort": 8080}]}}


def rules_of(service, mark="first"):
    ns, host = f"ns-{service % NAMESPACES}", f"svc-{service}.ns-{service % NAMESPACES}.svc.cluster.local"
    virtual = {"apiVersion": "networking.istio.io/v1", "kind": "VirtualService", "metadata": {"name": f"svc-{service}", "namespace": ns},
               "spec": {"hosts": [host], "http": [{"headers": {"request": {"set": {"x-mark": mark}}}, "route": [
                   {"destination": {"host": host, "subset": "v1"}, "weight": 90}, {"destination": {"host": host, "subset": "v2"}, "weight": 10}]}]}}
    rule = {"apiVersion": "networking.istio.io/v1", "kind": "DestinationRule", "metadata": {"name": f"svc-{service}", "namespace": ns},
            "spec": {"host": host, "subsets": [{"name": "v1", "labels": {"version": "v1"}}, {"name": "v2", "labels": {"version": "v2"}}]}}
    return virtual, rule


def policy(mark):
    return {"apiVersion": "security.istio.io/v1", "kind": "AuthorizationPolicy", "metadata": {"name": "mesh-wide", "namespace": "istio-system"},
            "spec": {"action": "DENY", "rules": [{"to": [{"operation": {"paths": [f"/{mark}"]}}]}]}}


def sidecar(ns, port):
    """A Sidecar with a listener of its own on `port`, for its namespace's proxies."""
    return {"apiVersion": "networking.istio.io/v1", "kind": "Sidecar", "metadata": {"name": "bench", "namespace": ns},
            "spec": {"egress": [{"port": {"number": port, "protocol": "HTTP", "name": "bench"}, "hosts": ["./*"]}, {"hosts": ["*/*"]}]}}


def cpu_seconds(pid):
    with open(f"/proc/{pid}/stat") as text:
        fields = text.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / TICK


def rss_mib(pid):
    with open(f"/proc/{pid}/status") as text:
        return next(int(l.split()[1]) for l in text if l.startswith("VmRSS:")) / 1024


class Clients:
    def __init__(self, plane, args, proxies):
        program = os.path.join(os.path.dirname(BIN), "tests/push_clients")
        self.process = subprocess.Popen([program, f"127.0.0.1:{plane.grpc}", str(proxies), str(NAMESPACES), str(args.delta)],
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.answers, self.cond = [], threading.Condition()
        threading.Thread(target=self.read, daemon=True).start()

    def read(self):
        for line in self.process.stdout:
            with self.cond:
                self.answers.append(line.split())
                self.cond.notify()

    def tell(self, line):
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()

    def answer(self, limit):
        with self.cond:
            if not self.cond.wait_for(lambda: self.answers, limit):
                return None
            return self.answers.pop(0)

    def close(self):
        self.process.kill()
        self.process.wait()


class Bench:
    def __init__(self, args):
        self.args, self.control, self.rows, self.turn = args, Control(), {}, 0

    def note(self, plane, row, value):
        self.rows.setdefault(row, {})[plane] = value
        print(f"  {plane:6} {row}: {value:.1f}", flush=True)

    def fill(self):
        """All objects, by several connections at once."""
        args, kubeconfig = self.args, self.control.cluster.kubeconfig
        for n in range(NAMESPACES):
            self.control.api.put(namespace(f"ns-{n}"))
        local = threading.local()

        def put(obj):
            if not hasattr(local, "api"):
                local.api = Api(kubeconfig)
            local.api.put(obj)
        begin = time.monotonic()
        with concurrent.futures.ThreadPoolExecutor(4) as pool:
            for make in (service_of, lambda n: slice_of(n, args.endpoints)):
                list(pool.map(lambda n: put(make(n)), range(args.services)))
            list(pool.map(lambda n: [put(obj) for obj in rules_of(n)], range(args.rules)))
        self.control.api.put(policy("first"))
        print(f"{args.services} services x {args.endpoints} endpoints, {args.rules} VirtualServices and DestinationRules written in "
              f"{time.monotonic() - begin:.1f} s; {args.delta:.0%} of the proxies are delta", flush=True)

    def start(self, kind):
        plane = self.control.plane(kind)
        plane.ready(180)
        return plane, (time.monotonic() - plane.began) * 1000

    def idle(self, kind):
        plane, _ = self.start(kind)
        time.sleep(3)
        self.note(kind, "RSS idle, MiB", rss_mib(plane.process.pid))
        plane.close()

    def rounds(self, plane, clients, row, write, count):
        """`write(turn)` makes a change and returns text that only a response with it holds, and how many proxies it concerns."""
        fiftieth, last = [], []
        spent, theirs = cpu_seconds(plane.process.pid), cpu_seconds(clients.process.pid)
        for _ in range(count):
            self.turn += 1
            change, mark, concerned = write(self.turn)
            clients.tell(f"wait {mark} {concerned}")
            time.sleep(0.25)  # longer than any debounce: each change is a push of its own
            begin = time.monotonic()
            self.control.api.put(change)
            answer = clients.answer(self.args.patience)
            if answer is None:
                print(f"  {plane.kind}: {row}: not all proxies had {mark} within {self.args.patience} s")
                return
            fiftieth.append((float(answer[1]) - begin) * 1000)
            last.append((float(answer[3]) - begin) * 1000)
        spent, theirs = cpu_seconds(plane.process.pid) - spent, cpu_seconds(clients.process.pid) - theirs
        self.note(plane.kind, f"{row}: median proxy, ms", statistics.median(fiftieth))
        self.note(plane.kind, f"{row}: last proxy p50, ms", statistics.median(last))
        self.note(plane.kind, f"{row}: last proxy p99, ms", sorted(last)[max(0, int(len(last) * 0.99) - 1)] if count >= 100 else max(last))
        self.note(plane.kind, f"{row}: CPU a push, ms", spent / count * 1000)
        self.note(plane.kind, f"{row}: CPU of the clients a push, ms", theirs / count * 1000)

    def churn(self, plane, seconds):
        """100 endpoint changes a second."""
        before, begin, spent = rss_mib(plane.process.pid), time.monotonic(), cpu_seconds(plane.process.pid)
        count = 0
        while time.monotonic() - begin < seconds:
            self.turn += 1
            self.control.api.put(slice_of(count % self.args.services, self.args.endpoints, self.turn % 90 + 1))
            count += 1
            time.sleep(max(0, begin + count / 100 - time.monotonic()))
        self.note(plane.kind, f"churn, {seconds} s: changes a second", count / (time.monotonic() - begin))
        self.note(plane.kind, f"churn, {seconds} s: CPU, % of a core", (cpu_seconds(plane.process.pid) - spent) / seconds * 100)
        self.note(plane.kind, f"churn, {seconds} s: RSS growth, MiB", rss_mib(plane.process.pid) - before)

    def measure(self, kind, proxies):
        args = self.args
        plane, ready = self.start(kind)
        self.note(kind, "start to ready, ms", ready)
        begin, spent = time.monotonic(), cpu_seconds(plane.process.pid)
        clients = Clients(plane, args, proxies)
        head = f"{proxies} proxies: "
        try:
            clients.tell("synced")
            answer = clients.answer(self.args.patience * 10)
            if answer is None:
                print(f"  {kind}: proxies are not synced within {self.args.patience * 10} s")
                return
            self.note(kind, head + "all proxies connected and synced, ms", (float(answer[1]) - begin) * 1000)
            self.note(kind, head + "sent while they connected, MiB", int(answer[2]) / 2**20)
            self.note(kind, head + "CPU while they connected, ms", (cpu_seconds(plane.process.pid) - spent) * 1000)
            time.sleep(2)
            self.note(kind, head + "RSS with all proxies, MiB", rss_mib(plane.process.pid))

            def endpoint(turn):
                number = turn % args.services
                return slice_of(number, args.endpoints, turn % 90 + 1), address(number, 0, turn % 90 + 1), proxies

            def scope(turn):
                number, port = turn % NAMESPACES, 20000 + turn
                return sidecar(f"ns-{number}", port), f"_{port}", len(range(number, proxies, NAMESPACES))
            few = max(3, args.rounds // 4)
            self.rounds(plane, clients, head + "one endpoint", endpoint, args.rounds)
            self.rounds(plane, clients, head + "one VirtualService",
                        lambda turn: (rules_of(turn % args.rules, f"mark-{turn}-")[0], f"mark-{turn}-", proxies), args.rounds)
            self.rounds(plane, clients, head + "mesh-wide policy", lambda turn: (policy(f"mark-{turn}-"), f"mark-{turn}-", proxies), few)
            self.rounds(plane, clients, head + "a Sidecar", scope, few)
            self.note(kind, head + "RSS after all rounds, MiB", rss_mib(plane.process.pid))
            if args.churn:
                self.churn(plane, args.churn)
        finally:
            clients.close()
            plane.close()
            for number in range(NAMESPACES):
                self.control.api.remove(sidecar(f"ns-{number}", 1))

    def table(self):
        print(f"\n{'figure':58} {'ours':>10} {'istiod':>10} {'ratio':>7}")
        for row, values in self.rows.items():
            ours, stock = values.get("ours"), values.get("stock")
            text = lambda v: "-" if v is None else f"{v:.1f}"
            ratio = f"{ours / stock:.2f}" if ours is not None and stock else "-"
            print(f"{row:58} {text(ours):>10} {text(stock):>10} {ratio:>7}")


def main():
    parser = argparse.ArgumentParser()
    for name, default in (("services", 1000), ("endpoints", 10), ("rules", 100), ("rounds", 20), ("churn", 10), ("patience", 60)):
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--proxies", type=int, nargs="+", default=[500, 2000])
    parser.add_argument("--delta", type=float, default=0.5)
    parser.add_argument("--only", choices=("ours", "stock"))
    args = parser.parse_args()
    # A fleet connects at once here, and does not try again: limits that only spread that are lifted, of both control planes. Debouncing stays
    # as each has it (istiod: 100 ms of quiet, endpoints too).
    os.environ.update(PILOT_MAX_REQUESTS_PER_SECOND="100000", PILOT_PUSH_THROTTLE="10000", ISTIO_GPRC_MAXSTREAMS="100000",
                      GRPC_KEEPALIVE_INTERVAL="30m", GRPC_KEEPALIVE_TIMEOUT="10m")
    kinds = [args.only] if args.only else ["ours"] + (["stock"] if os.path.exists(PILOT) else [])
    bench = Bench(args)
    try:
        bench.control.start()
        for kind in kinds:
            bench.idle(kind)
        bench.fill()
        for kind in kinds:
            for proxies in args.proxies:
                bench.measure(kind, proxies)
        bench.table()
    finally:
        bench.control.close()


if __name__ == "__main__":
    main()
