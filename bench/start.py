#!/usr/bin/env python3
"""Start-up and footprint of `lateen up`: time to API, to the first product page, second start, memory, idle CPU.

usage: start.py [ROUNDS]   (default 3; medians are printed with the spread)
"""
import os
import socket
import ssl
import statistics
import sys
import threading
import time
import urllib.request

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "tests"))
from harness import Cluster  # noqa: E402

IDLE_SECONDS = 20


def when_api_answers(port, begin, out):
    context = ssl._create_unverified_context()
    while "api" not in out and time.monotonic() - begin < 120:
        try:
            with socket.create_connection(("127.0.0.1", port), 1) as raw, context.wrap_socket(raw) as tls:
                tls.sendall(b"GET /readyz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
                if b" 200 " in tls.recv(100):
                    out["api"] = time.monotonic() - begin
                    return
        except OSError:
            pass
        time.sleep(0.005)


def when_page_answers(port, begin, out):
    while "page" not in out and time.monotonic() - begin < 300:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/productpage", timeout=2) as answer:
                if answer.status == 200:
                    out["page"] = time.monotonic() - begin
                    return
        except OSError:
            pass
        time.sleep(0.03)  # asking costs a part of the machine that is measured


def measure_up(cluster):
    out, begin = {}, time.monotonic()
    watchers = [threading.Thread(target=when_api_answers, args=(cluster.api_port, begin, out)),
                threading.Thread(target=when_page_answers, args=(cluster.http_port, begin, out))]
    for watcher in watchers:
        watcher.start()
    cluster.up(timeout=400)
    out["up"] = time.monotonic() - begin
    for watcher in watchers:
        watcher.join()
    return out


def processes(cluster):
    """(pid, name) of all processes of the cluster, found from the supervisor's pid by parentage."""
    parts = cluster.status()["parts"]
    return [(p["pid"], f"{p.get('pod', '')}/{p.get('container', p['name'])}".strip("/")) for p in parts if p.get("pid")]


def tree(pids):
    children = {}
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            try:
                parent = int(open(f"/proc/{entry}/stat").read().rsplit(")", 1)[1].split()[1])
                children.setdefault(parent, []).append(int(entry))
            except (OSError, IndexError):
                pass
    seen, queue = set(), list(pids)
    while queue:
        pid = queue.pop()
        if pid not in seen:
            seen.add(pid)
            queue += children.get(pid, [])
    return seen


def pss_kib(pid):
    try:
        for line in open(f"/proc/{pid}/smaps_rollup"):
            if line.startswith("Pss:"):
                return int(line.split()[1])
    except OSError:
        pass
    return 0


def cpu_ticks(pids):
    total = 0
    for pid in pids:
        try:
            fields = open(f"/proc/{pid}/stat").read().rsplit(")", 1)[1].split()
            total += int(fields[11]) + int(fields[12])
        except OSError:
            pass
    return total


def command_of(pid):
    try:
        return open(f"/proc/{pid}/cmdline").read().replace("\0", " ")[:60]
    except OSError:
        return ""


def main():
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 3
    rows = {}
    note = lambda name, value: rows.setdefault(name, []).append(value)
    for _ in range(rounds):
        cluster = Cluster(mesh=True)
        try:
            first = measure_up(cluster)
            time.sleep(5)
            pids = tree(pid for pid, _ in processes(cluster))
            prometheus = {pid for pid in pids if "prometheus " in command_of(pid) or command_of(pid).endswith("prometheus")}
            note("API server ready, s", first.get("api", float("nan")))
            note("first /productpage 200, s", first.get("page", float("nan")))
            note("`lateen up` returns, s", first["up"])
            note("PSS of all, MiB", sum(map(pss_kib, pids)) / 1024)
            note("PSS without Prometheus, MiB", sum(map(pss_kib, pids - prometheus)) / 1024)
            before, begin = cpu_ticks(pids), time.monotonic()
            time.sleep(IDLE_SECONDS)
            note("idle CPU, % of a core", (cpu_ticks(pids) - before) / os.sysconf("SC_CLK_TCK") / (time.monotonic() - begin) * 100)
            cluster.down()
            second = measure_up(cluster)
            note("second start, first 200, s", second.get("page", float("nan")))
        finally:
            cluster.destroy()
    print(f"{'figure':34} {'median':>9} {'min':>9} {'max':>9}   ({rounds} rounds, {os.cpu_count()} cores)")
    for name, values in rows.items():
        print(f"{name:34} {statistics.median(values):9.2f} {min(values):9.2f} {max(values):9.2f}")


if __name__ == "__main__":
    main()
