"""{our discovery, a stock istiod} x {our proxy, the real Envoy}: starts what is there, runs the corpus through all of it at once."""
import concurrent.futures
import os
import re
import shutil
import sys
import threading
import time

sys.path[:0] = [os.path.dirname(os.path.abspath(__file__)), os.path.dirname(os.path.dirname(os.path.abspath(__file__)))]

from harness import BIN, eventually
from planes import PILOT, Control
from world import ENVOY, World

LIMIT = float(os.environ.get("LATEEN_PEERS_LIMIT", "25"))  # seconds that a case may take to behave as stated
KEEP = os.environ.get("LATEEN_PEERS_KEEP")  # a folder for logs of what failed


def at_once(function, items):
    with concurrent.futures.ThreadPoolExecutor(max(1, len(items))) as pool:
        return list(pool.map(function, items))


class Outcome:
    def __init__(self):
        self.wrong, self.observed = {}, {}  # by (world, case)


class Matrix:
    def __init__(self, cluster=None):
        self.control = Control(cluster)
        self.worlds, self.outcome = [], Outcome()
        self.lock = threading.Lock()

    def start(self, only=()):
        """`only`: names of worlds; all that this machine has peers for when empty."""
        control = self.control
        control.start()
        ours = os.path.join(BIN, "lateen-proxy")
        wanted = [("ours-ours", "ours", False, ours)]
        if os.path.exists(ENVOY):
            wanted.append(("ours-envoy", "ours", False, ENVOY))
        if os.path.exists(PILOT):
            wanted.append(("stock-ours", "stock", False, ours))
            if os.path.exists(ENVOY):
                wanted.append(("stock-envoy", "stock", True, ENVOY))
        wanted = [w for w in wanted if not only or w[0] in only]
        for number, (name, kind, is_plain, binary) in enumerate(wanted):
            plane = control.planes.get(kind + ("-plain" if is_plain else "")) or control.plane(kind, is_plain)
            self.worlds.append(World(name, control.folder, binary, plane.secure, control.tokens, control.roots, number))
            self.worlds[-1].plane, self.worlds[-1].authority = plane, control.authority
        self.server_ip = control.api.request("GET", "/api/v1/namespaces/server/services/server")[1]["spec"]["clusterIP"]
        for plane in control.planes.values():
            plane.ready()
        certificates = {"cert": control.authority + "/up-cert.pem", "key": control.authority + "/up-key.pem", "ca": control.authority + "/root-cert.pem"}
        at_once(lambda world: world.start(certificates), self.worlds)
        for world in self.worlds:
            world.ready()

    def world(self, name):
        return next((w for w in self.worlds if w.name == name), None)

    def put(self, case):
        for obj in case.objects(self.control.authority):
            answer = self.control.api.put(obj)
            if obj["kind"] == "Service" and answer["spec"].get("clusterIP", "None") != "None":
                case.cluster_ips[obj["metadata"]["name"]] = answer["spec"]["clusterIP"]
        case.cluster_ips.setdefault("server", self.server_ip)

    def run(self, cases):
        together = [c for c in cases if not c.is_serial]
        for case in together:
            self.put(case)
        end = time.monotonic() + LIMIT + len(together)
        at_once(lambda world: self.until_right(world, together, end), self.worlds)
        for case in cases:
            if case.is_serial:
                self.run_alone(case)

    def until_right(self, world, cases, end):
        """Asks again what is not as stated yet: the config may still be on its way. So what was right is asked once more, and
        in the first rounds nothing is waited for long."""
        left, rounds, right = list(cases), 0, set()
        while left:
            still, rounds = [], rounds + 1
            for case in left:
                wrong, observed = case.check(world, 8000 if rounds > 2 else 3000)
                with self.lock:
                    self.outcome.wrong[world.name, case.name] = wrong
                    self.outcome.observed[world.name, case.name] = observed
                if not wrong and case.name not in right:
                    right.add(case.name)
                    still.append(case)
                elif wrong and not (world.name in case.differs and time.monotonic() > end - LIMIT / 2):
                    still.append(case)
            left = still
            if time.monotonic() > end and rounds >= 3:
                return
            time.sleep(0.05)

    def run_alone(self, case):
        begin = time.monotonic()
        self.put(case)
        time.sleep(0.4)  # most control planes wait for 0.1 s whether more comes
        at_once(lambda world: self.until_right(world, [case], time.monotonic() + LIMIT), self.worlds)
        if KEEP:
            for world in self.worlds:
                self.dump(world, f"-{case.name}")
        for obj in reversed(case.objects(self.control.authority)):
            if obj["kind"] != "Namespace" or obj["metadata"]["name"] == case.ns:
                self.control.api.remove(obj)
        for world, problem in zip(self.worlds, at_once(self.is_back, self.worlds)):
            if problem:
                self.outcome.wrong[world.name, case.name].append(problem)
        if os.environ.get("LATEEN_PEERS_VERBOSE"):
            print(f"{case.name}: {time.monotonic() - begin:.1f} s {[w.name for w in self.worlds if self.outcome.wrong[w.name, case.name]]}", flush=True)

    def is_back(self, world):
        """The server answers everybody again, by the name of the namespace's own service."""
        def probe():
            plain = world.peers["outside"].ask({"op": "call", "address": "10.77.0.20", "port": 8080, "protocol": "http1", "method": "GET", "path": "/",
                                                "headers": {"host": "server.server"}})
            inside = world.peers["client"].ask({"op": "call", "address": self.server_ip, "port": 80, "protocol": "http1", "method": "GET", "path": "/",
                                                "headers": {"host": "server.server"}})
            return plain.get("status") == inside.get("status") == 200
        try:
            eventually(probe, LIMIT, what="as before once the case is gone")
        except AssertionError as problem:
            return str(problem)
        return None

    def failures(self, world, cases):
        lines = []
        for case in cases:
            wrong = self.outcome.wrong.get((world.name, case.name), ["was not run"])
            if wrong and world.name not in case.differs:
                lines += [f"{case.file}: {case.name}: {problem}" for problem in wrong]
        return lines

    def differences(self, one, other, cases):
        """Where two worlds that both do what is stated differ in what is not stated."""
        lines = []
        for case in cases:
            left, right = (self.outcome.observed.get((w, case.name)) for w in (one, other))
            if left is None or right is None or {one, other} & set(case.differs):
                continue
            for index, (a, b) in enumerate(zip(left, right)):
                if a is None or b is None or a == b:
                    continue
                for key in a:
                    if a[key] == b[key]:
                        continue
                    if isinstance(a[key], dict):
                        for name in sorted(a[key].keys() | b[key].keys()):
                            if a[key].get(name) != b[key].get(name):
                                lines.append(f"{case.name} call {index + 1}: {key} {name}: {one} {a[key].get(name)!r}, {other} {b[key].get(name)!r}")
                    else:
                        lines.append(f"{case.name} call {index + 1}: {key}: {one} {a[key]!r}, {other} {b[key]!r}")
        return lines

    def dump(self, world, suffix=""):
        for role in ("client", "server", "gateway"):
            with open(os.path.join(world.folder, f"{role}{suffix}.json"), "w") as out:
                out.write(world.http(role, "/config_dump?include_eds")[1])

    def close(self):
        for world in self.worlds:
            if KEEP and world.agents:
                self.dump(world)
            world.close()
        if KEEP:
            shutil.rmtree(KEEP, ignore_errors=True)
            shutil.copytree(self.control.folder, KEEP, symlinks=True, ignore=shutil.ignore_patterns("socket", "XDS"))
        self.control.close()


def summary(matrix, cases, known):
    """A line a world: cases as stated, differing with a reason, failing; and what was rejected. (lines, whether all is well)"""
    lines, is_well = [], True
    for world in matrix.worlds:
        failing = {line.split(": ")[1] for line in matrix.failures(world, cases)}
        excused = [c.name for c in cases if world.name in c.differs]
        differing = set()
        if world.name != "stock-envoy" and matrix.world("stock-envoy"):
            for line in matrix.differences(world.name, "stock-envoy", cases):
                case = line.split(" call ")[0]
                (differing if any(re.search(p, line) for p in known) else failing).add(case)
        differing |= set(excused)
        as_stated = len(cases) - len(failing | differing)
        lines.append(f"{world.name}: {as_stated} as stated, {len(differing - failing)} different with a reason, {len(failing)} failing")
        is_well = is_well and not failing
    rejected = sum(len(plane.rejections()) for plane in matrix.control.planes.values())
    lines.append(f"rejections by any proxy: {rejected}")
    return lines, is_well and not rejected


def main():
    """usage: python3 matrix.py [FILE-PATTERN [CASE,…]]: runs the corpus, or a part of it, prints what is not as stated and a summary."""
    import corpus
    from traffic_test import explained
    cases = corpus.load(sys.argv[1] if len(sys.argv) > 1 else "*")
    if len(sys.argv) > 2:
        cases = [c for c in cases if c.name in sys.argv[2].split(",")]
    begin = time.monotonic()
    matrix = Matrix()
    try:
        matrix.start()
        print(f"started after {time.monotonic() - begin:.1f} s", flush=True)
        matrix.run(cases)
        for world in matrix.worlds:
            print(f"== {world.name}")
            print("\n".join(matrix.failures(world, cases)))
        for one in ("ours-ours", "ours-envoy", "stock-ours"):
            print(f"== {one} against stock-envoy")
            print("\n".join(matrix.differences(one, "stock-envoy", cases)))
        for plane in matrix.control.planes.values():
            print(f"== rejections seen by {plane.name}: " + "\n".join(plane.rejections()[:10]))
        lines, is_well = summary(matrix, cases, explained())
        print(f"== {len(cases)} cases in {len(matrix.worlds)} worlds, {time.monotonic() - begin:.0f} s\n" + "\n".join(lines))
        return 0 if is_well else 1
    finally:
        matrix.close()


if __name__ == "__main__":
    sys.exit(main())
