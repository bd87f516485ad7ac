"""`kill -9` of each kind of process in turn, under load: it comes back by itself, objects intact, traffic resumes; and of the cluster in a storm of
writes: what was acknowledged is there."""
import os
import threading

from harness import Api, Cluster, assert_equal, assert_matches, eventually, processes_with

cluster = None
RESUME_LIMIT = 90
KINDS = "namespaces,nodes,services,endpoints,configmaps,secrets,serviceaccounts,deployments,replicasets,pods,customresourcedefinitions," \
        "mutatingwebhookconfigurations,istiooperators,gateways.networking.istio.io,virtualservices"


def setup():
    global cluster
    cluster = Cluster(mesh=True)
    assert_matches(f"http://localhost:{cluster.http_port}/productpage", cluster.up().stdout)
    eventually(lambda: cluster.get("/productpage", timeout=5)[0] == 200, limit=60, what="first page")


def teardown():
    cluster.destroy()
    left = eventually(lambda: not processes_with(cluster.folder), limit=10, what="processes gone")
    assert_equal(left, True)


def uids():
    items = cluster.json("get", KINDS, "-A")["items"]
    return {(i["kind"], i["metadata"].get("namespace", ""), i["metadata"]["name"]): i["metadata"]["uid"] for i in items}


class Load:
    """A client that reloads the page all the time and knows when it last failed."""

    def __init__(self):
        self.lock, self.good_in_a_row, self.failures, self.stopping = threading.Lock(), 0, 0, threading.Event()
        self.thread = threading.Thread(target=self.work, daemon=True)

    def work(self):
        while not self.stopping.is_set():
            try:
                is_good = cluster.get("/productpage", timeout=15)[0] == 200
            except (OSError, ValueError):
                is_good = False
            except Exception:  # http.client's: a connection cut in the middle of an answer
                is_good = False
            with self.lock:
                self.good_in_a_row = self.good_in_a_row + 1 if is_good else 0
                self.failures += not is_good
            self.stopping.wait(0.02)

    def mark(self):
        with self.lock:
            self.good_in_a_row, self.failures = 0, 0

    def resumed(self, count=20):
        eventually(lambda: self.good_in_a_row >= count, limit=RESUME_LIMIT, what=f"{count} good pages in a row")

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.stopping.set()
        self.thread.join(20)


def start_time(pid):
    """Tells a process from a later one with its number; None when there is none."""
    try:
        fields = open(f"/proc/{pid}/stat").read().rsplit(")", 1)[1].split()
    except OSError:
        return None
    return None if fields[0] in "ZX" else fields[19]


def kill_and_see(find, objects=True):
    """Kills what `find` finds, under load. The load's failures until it was there again and traffic had resumed."""
    before_uids = uids()
    victim = eventually(find, limit=60, what="the process to kill")
    identity = (victim, start_time(victim))
    with Load() as load:
        load.resumed()
        load.mark()
        os.kill(victim, 9)

        def again():
            now = find()
            return now if now and (now, start_time(now)) != identity and start_time(now) else None
        eventually(again, limit=RESUME_LIMIT, what="the process again")
        load.resumed()
        failures = load.failures
    if objects:
        eventually(lambda: uids() == before_uids, limit=60, what="the objects with their uids")
    return failures


def finder(kind, pod="", container=""):
    def find():
        part = cluster.part(kind, pod, container)
        return part["pid"] if part else None
    return find


def containers():
    return {p["name"]: p["pid"] for p in cluster.status()["parts"] if p["part"] == "container" and p["state"] == "running"}


def test_supervisor():
    before = containers()
    failures = kill_and_see(finder("supervisor"))
    assert_equal((failures, containers()), (0, before))


def test_guard():
    before = containers()
    failures = kill_and_see(finder("guard"))
    assert_equal((failures, containers()), (0, before))


def test_supervisor_and_guard_in_turn_and_ports_can_still_be_opened():
    for _ in range(3):
        kill_and_see(finder("supervisor"), objects=False)
        kill_and_see(finder("guard"), objects=False)
    port = 31234
    cluster.out("create", "service", "loadbalancer", "late", f"--tcp={port}:80")
    try:
        eventually(lambda: port in [p["port"] for p in cluster.status().get("ports", [])], limit=30, what="the port of a new LoadBalancer")
    finally:
        cluster.out("delete", "service", "late")
    eventually(lambda: port not in [p["port"] for p in cluster.status().get("ports", [])], limit=30, what="the port is closed")


def test_istiod():
    kill_and_see(finder("container", "istiod-", "discovery"))


def test_operator():
    kill_and_see(finder("container", "istio-operator", "istio-operator"))


def test_an_application():
    kill_and_see(finder("container", "productpage-v1", "productpage"))


def test_a_sidecars_agent():
    kill_and_see(finder("container", "reviews-v2", "istio-proxy"))


def proxy_of(pod):
    """The proxy that the agent of `pod` has started."""
    def find():
        agent = finder("container", pod, "istio-proxy")()
        for pid in filter(str.isdigit, os.listdir("/proc")):
            try:
                stat = open(f"/proc/{pid}/stat").read()
                program = os.path.basename(os.readlink(f"/proc/{pid}/exe"))
            except OSError:
                continue
            if int(stat.rsplit(")", 1)[1].split()[1]) == agent and program == "lateen-proxy":
                return int(pid)
        return None
    return find


def test_a_sidecars_proxy():
    kill_and_see(proxy_of("productpage-v1"))


def test_ingress_gateway():
    kill_and_see(finder("container", "istio-ingressgateway", "istio-proxy"))


def test_ingress_gateways_proxy():
    kill_and_see(proxy_of("istio-ingressgateway"))


def test_console():
    kill_and_see(finder("container", "kiali-", "kiali"))


def test_prometheus():
    kill_and_see(finder("container", "prometheus-", "prometheus-server"))


def test_cluster_process():
    kill_and_see(finder("cluster"))


def test_first_process_of_the_namespaces():
    kill_and_see(finder("init"))


class Writer(threading.Thread):
    """Creates and updates config maps; remembers what was acknowledged."""

    def __init__(self, api, number, stopping):
        super().__init__(daemon=True)
        self.api, self.number, self.stopping, self.acknowledged, self.errors = api, number, stopping, {}, 0

    def run(self):
        count = 0
        connection = None
        while not self.stopping.is_set():
            name = f"storm-{self.number}-{count // 2}"
            body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": {"value": str(count), "filler": "x" * 500}}
            method, path = ("POST", "") if count % 2 == 0 else ("PUT", f"/{name}")
            if method == "PUT" and name not in self.acknowledged:
                count += 1
                continue
            try:
                connection = connection or self.api.connect(10)
                status, _ = self.api.call(method, f"/api/v1/namespaces/default/configmaps{path}", body, connection)
                if status in (200, 201):
                    self.acknowledged[name] = count
            except Exception:  # the connection went with the process
                self.errors += 1
                connection = None
                self.stopping.wait(0.05)
            count += 1


def test_storm_of_writes_loses_nothing_that_was_acknowledged():
    api, stopping = Api(cluster), threading.Event()
    writers = [Writer(api, number, stopping) for number in range(4)]
    for writer in writers:
        writer.start()

    def total():
        return sum(len(w.acknowledged) for w in writers)
    try:
        for _ in range(3):
            seen = total()
            eventually(lambda: total() > seen + 40, limit=90, every=0.05, what="writes under way")
            before = eventually(finder("cluster"), limit=30, what="cluster process")
            os.kill(before, 9)
            eventually(lambda: (finder("cluster")() or before) != before, limit=60, what="cluster process again")
    finally:
        stopping.set()
        for writer in writers:
            writer.join(30)
    if not any(w.errors for w in writers):
        raise AssertionError("no writer noticed that the cluster was killed")

    def listed():
        status, answer = api.call("GET", "/api/v1/namespaces/default/configmaps")
        return {i["metadata"]["name"]: int(i["data"]["value"]) for i in answer["items"] if i["metadata"]["name"].startswith("storm-")} if status == 200 else None
    there = eventually(listed, limit=60, what="the list")
    lost = {name: (value, there.get(name)) for writer in writers for name, value in writer.acknowledged.items() if there.get(name, -1) < value}
    if lost:
        raise AssertionError(f"{len(lost)} of {total()} acknowledged writes are lost: {list(lost.items())[:5]}")
    eventually(lambda: cluster.get("/productpage", timeout=5)[0] == 200, limit=RESUME_LIMIT, what="traffic after the storm")
