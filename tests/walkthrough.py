"""The first day, row by row, as a person types it: Istio's classic introduction with stock kubectl on `lateen up`.

Rows run in order on one cluster. The tests of tests/cluster/walkthrough*_test.py are these functions, each file with a cluster and samples of its own.
"""
import json
import os
import re
import subprocess
import threading
import time
import unittest

from harness import ROOT, Cluster, assert_equal, assert_matches, eventually, run

cluster = None
samples = os.path.join(ROOT, "samples")
OPERATOR_DEMO = """
apiVersion: install.istio.io/v1alpha1
kind: IstioOperator
metadata:
  namespace: istio-system
  name: istiocontrolplane
spec:
  profile: demo
  components:
    pilot:
      k8s:
        resources:
          requests:
            memory: 3072Mi
    egressGateways:
    - name: istio-egressgateway
      enabled: true
"""


def start(user=None, folder=ROOT):
    """A fresh cluster for the rows; the samples are those of `folder`."""
    global cluster, samples
    cluster = Cluster(mesh=False, user=user)
    try:
        samples = cluster.readable(os.path.join(folder, "samples"))
        cluster.up()
    except BaseException:
        stop()
        raise


def stop():
    cluster.destroy()


def test_row01_up_says_it_already_runs():
    assert_matches("already runs", cluster.up().stdout)
    assert_equal(cluster.out("config", "current-context").strip(), "lateen")


def test_row02_one_ready_node():
    eventually(lambda: " Ready " in cluster.out("get", "nodes"), what="node ready")
    lines = cluster.out("get", "nodes").splitlines()
    assert_matches(r"^NAME +STATUS +ROLES +AGE +VERSION", lines[0])
    assert_equal(len(lines), 2)
    assert_matches(r" Ready +control-plane,master +\d+\w* +v1\.\d+", lines[1])


def test_row03_istioctl_version_without_a_mesh():
    assert_matches(r"client version: \d", cluster.istioctl("version", check=False).stdout)


def test_row04_operator_init():
    out = cluster.istioctl("operator", "init").stdout
    assert_matches(r"Installing operator controller in namespace: istio-operator using image: \S+operator:", out)
    assert_matches(r"Operator controller will watch namespaces: istio-system", out)
    assert_matches(r"✔ Istio operator installed", out)
    assert_matches(r"✔ Installation complete", out)
    cluster.out("get", "crd", "istiooperators.install.istio.io")
    cluster.pods_ready("istio-operator", "name=istio-operator")


def test_row05_istio_operator_demo():
    assert_matches("namespace/istio-system created", cluster.out("create", "ns", "istio-system"))
    assert_matches("istiooperator.install.istio.io/istiocontrolplane created", cluster.apply(OPERATOR_DEMO).stdout)
    for app in ("istiod", "istio-ingressgateway", "istio-egressgateway"):
        eventually(lambda: cluster.json("get", "pods", "-n", "istio-system", "-l", f"app={app}")["items"], limit=60, what=f"{app} pod")
        cluster.pods_ready("istio-system", f"app={app}")
    istiod = cluster.json("get", "pods", "-n", "istio-system", "-l", "app=istiod")["items"][0]
    assert_equal(istiod["spec"]["containers"][0]["resources"]["requests"]["memory"], "3072Mi")
    eventually(lambda: "HEALTHY" in cluster.out("get", "istiooperators.install.istio.io", "-n", "istio-system"), limit=60, what="HEALTHY")
    assert_matches(r"(?i)status", cluster.out("get", "istiooperators.install.istio.io", "-n", "istio-system").splitlines()[0])


def test_row06_addons():
    for addon in ("prometheus", "kiali", "grafana", "jaeger"):
        command = ["apply", "-f", os.path.join(samples, "addons", f"{addon}.yaml")]
        # Istio 1.9's kiali.yaml has a definition and objects of it, which one kubectl run cannot map: its documentation says to run it again.
        first = cluster.kubectl(*command, check=False)
        if first.returncode != 0:
            assert_matches("no matches for kind", first.stderr)
            cluster.out(*command)
    for app in ("prometheus", "kiali", "grafana", "jaeger"):
        selector = cluster.json("get", "deploy", "-n", "istio-system", app)["spec"]["selector"]["matchLabels"]
        labels = ",".join(f"{k}={v}" for k, v in selector.items())
        eventually(lambda: cluster.json("get", "pods", "-n", "istio-system", "-l", labels)["items"], what=f"pod of {app}")
        cluster.pods_ready("istio-system", labels)
        if app == "prometheus":
            prometheus = cluster.json("get", "pods", "-n", "istio-system", "-l", labels)["items"][0]
    assert_equal(len(prometheus["status"]["containerStatuses"]), 2)


def test_row07_services_of_istio_system():
    services = {s["metadata"]["name"]: s for s in cluster.json("get", "svc", "-n", "istio-system")["items"]}

    def ports(name):
        return sorted(p["port"] for p in services[name]["spec"]["ports"])
    want = {"grafana": [3000], "istio-egressgateway": [80, 443, 15443], "istio-ingressgateway": [80, 443, 15021, 15443, 31400],
            "istiod": [443, 15010, 15012, 15014], "jaeger-collector": [14250, 14268], "kiali": [9090, 20001],
            "prometheus": [9090], "tracing": [80], "zipkin": [9411]}
    for name, expected in want.items():
        got = [p for p in ports(name) if p in expected]
        assert_equal((name, got), (name, sorted(expected)))
    row = [l for l in cluster.out("get", "svc", "-n", "istio-system").splitlines() if l.startswith("istio-ingressgateway")][0]
    assert_matches(r"LoadBalancer +\d+\.\d+\.\d+\.\d+ +localhost +15021:3\d{4}/TCP,80:3\d{4}/TCP", row)


def test_row08_label_namespace():
    assert_equal(cluster.out("label", "namespace", "default", "istio-injection=enabled").strip(), "namespace/default labeled")


def test_row09_and_10_bookinfo_goes_to_2_of_2():
    out = cluster.out("apply", "-f", os.path.join(samples, "bookinfo/platform/kube/bookinfo.yaml"))
    assert_equal(len([l for l in out.splitlines() if l.endswith(" created")]), 14)
    cluster.pods_ready("default", count=6)
    rows = cluster.out("get", "pods").splitlines()[1:]
    assert_equal(len([r for r in rows if re.search(r" 2/2 +Running ", r)]), 6)


def test_row11_exec_curl_through_the_mesh():
    pod = cluster.out("get", "pod", "-l", "app=ratings", "-o", "jsonpath={.items[0].metadata.name}")
    page = eventually(lambda: cluster.out("exec", pod, "-c", "ratings", "--", "curl", "-sS", "productpage:9080/productpage"), what="page from ratings")
    assert_matches(r"<title>Simple Bookstore App</title>", page)


def test_row12_gateway():
    out = cluster.out("apply", "-f", os.path.join(samples, "bookinfo/networking/bookinfo-gateway.yaml"))
    assert_matches(r"gateway.networking.istio.io/bookinfo-gateway created", out)
    assert_matches(r"virtualservice.networking.istio.io/bookinfo created", out)
    assert_matches(r"^bookinfo-gateway +\d+\w*", cluster.out("get", "gateway"))


def version_of_page():
    status, _, page = cluster.get("/productpage")
    assert_equal(status, 200)
    assert_matches("Simple Bookstore App", page)
    stars = len(re.findall(r"glyphicon-star", page))
    version = "v1" if stars == 0 else "v3" if re.search(r'color="?red', page) else "v2"
    served = re.search(r"reviews-(v\d)", page)
    if served:
        assert_equal(served.group(1), version)
    return version


def test_row13_productpage_alternates():
    eventually(lambda: cluster.get("/productpage")[0] == 200, limit=30, what="/productpage through the gateway")
    counts = {"v1": 0, "v2": 0, "v3": 0}
    for _ in range(60):
        counts[version_of_page()] += 1
    for version, count in counts.items():
        if not 8 <= count <= 35:
            raise AssertionError(f"reviews {version} on {count} of 60 pages: {counts}")


def prometheus_query(query):
    pod = cluster.first_pod("app=ratings")
    url = "http://prometheus.istio-system:9090/api/v1/query"
    out = cluster.out("exec", pod, "-c", "ratings", "--", "curl", "-sS", "--data-urlencode", f"query={query}", url)
    return json.loads(out)["data"]["result"]


def test_row14_metrics_reach_prometheus():
    def seen():
        result = prometheus_query('sum by (source_workload,destination_workload) (istio_requests_total{reporter="destination",response_code="200"})')
        return {(r["metric"]["source_workload"], r["metric"]["destination_workload"]) for r in result}
    want = {("istio-ingressgateway", "productpage-v1"), ("productpage-v1", "details-v1"), ("productpage-v1", "reviews-v1"),
            ("productpage-v1", "reviews-v2"), ("productpage-v1", "reviews-v3"), ("reviews-v2", "ratings-v1"), ("reviews-v3", "ratings-v1")}
    eventually(lambda: want <= seen(), limit=60, every=1, what=f"edges in Prometheus, have {seen()}")


def test_row14_traces_have_every_hop():
    cluster.get("/productpage")
    pod = cluster.first_pod("app=ratings")

    def hops():
        out = cluster.out("exec", pod, "-c", "ratings", "--", "curl", "-sS", "http://tracing.istio-system/jaeger/api/traces?service=productpage.default&limit=20")
        best = set()
        for trace in json.loads(out)["data"]:
            names = {p["serviceName"] for p in trace["processes"].values()}
            best = names if len(names) > len(best) else best
        return best
    eventually(lambda: {"istio-ingressgateway.istio-system", "productpage.default", "details.default", "reviews.default"} <= hops(), limit=30,
               every=1, what="a trace with every hop")


def test_row14_dashboards_open():
    for name in ("kiali", "jaeger", "grafana", "prometheus", "zipkin"):
        process = subprocess.Popen(cluster.command("istioctl", "dashboard", name, "--browser=false", "--port", "0"), cwd="/",
                                   stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=cluster.env())
        try:
            line = process.stdout.readline()
            url = re.search(r"http://\S+", line)
            if not url:
                raise AssertionError(f"dashboard {name} printed {line!r}")
            out = run(["curl", "-sSL", "-o", "/dev/null", "-w", "%{http_code}", url.group()]).stdout
            assert_equal((name, out), (name, "200"))
        finally:
            process.terminate()
            process.wait(10)


def test_row15_analyze():
    done = cluster.istioctl("analyze")
    assert_matches(r"✔ No validation issues found when analyzing namespace: default\.", done.stdout + done.stderr)
    bad = "apiVersion: networking.istio.io/v1alpha3\nkind: VirtualService\nmetadata: {name: lost, namespace: default}\nspec:\n  hosts: [reviews]\n  gateways: [no-such-gateway]\n  http: [{route: [{destination: {host: reviews}}]}]\n"
    cluster.apply(bad)
    try:
        done = cluster.istioctl("analyze", check=False)
        assert_matches(r"IST0101", done.stdout + done.stderr)
        if done.returncode == 0:
            raise AssertionError("analyze found an error and exited 0")
    finally:
        cluster.out("delete", "virtualservice", "lost")


class Load:
    """A client at the gateway: counts every answer that is not a 200."""

    def __init__(self, path="/productpage"):
        self.path, self.sent, self.failures, self.stopping = path, 0, [], threading.Event()
        self.thread = threading.Thread(target=self.work, daemon=True)

    def work(self):
        while not self.stopping.is_set():
            try:
                status = cluster.get(self.path, timeout=15)[0]
            except OSError as problem:
                status = repr(problem)
            self.sent += 1
            if status != 200:
                self.failures.append((time.time(), status))
            time.sleep(0.02)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.stopping.set()
        self.thread.join(20)


def operator(name, revision="", profile="default", extra=""):
    rev = f"  revision: {revision}\n" if revision else ""
    return f"apiVersion: install.istio.io/v1alpha1\nkind: IstioOperator\nmetadata: {{namespace: istio-system, name: {name}}}\nspec:\n  profile: {profile}\n{rev}{extra}"


GATEWAY_ONLY = """  components:
    ingressGateways:
    - name: {name}
      namespace: istio-system
      enabled: true
      k8s:
        resources: {{requests: {{cpu: 10m, memory: 40Mi}}}}
        hpaSpec: {{minReplicas: 1, maxReplicas: 2}}
"""


def test_row16_operators_side_by_side():
    cluster.apply(operator("extra-gateway", profile="empty", extra=GATEWAY_ONLY.format(name="extra-gateway")))
    eventually(lambda: cluster.json("get", "pods", "-n", "istio-system", "-l", "app=extra-gateway")["items"] or
               cluster.json("get", "deploy", "-n", "istio-system", "extra-gateway"), limit=30, what="extra gateway")
    eventually(lambda: cluster.json("get", "deploy", "-n", "istio-system", "extra-gateway")["status"].get("readyReplicas") == 1, limit=60, what="extra gateway ready")
    cluster.out("delete", "istiooperator", "-n", "istio-system", "extra-gateway", timeout=60)
    eventually(lambda: "NotFound" in cluster.kubectl("get", "deploy", "-n", "istio-system", "extra-gateway", check=False).stderr, limit=30, what="extra gateway gone")
    assert_equal(cluster.json("get", "deploy", "-n", "istio-system", "istiod")["status"].get("readyReplicas"), 1)


def test_row17_and_18_revisions_and_canary():
    minimal = "  components:\n    ingressGateways: [{name: istio-ingressgateway, enabled: false}]\n"
    for revision in ("1-9-1", "1-9-2"):
        cluster.apply(operator(f"control-plane-{revision}", revision, "minimal", minimal))
        eventually(lambda: cluster.json("get", "deploy", "-n", "istio-system", f"istiod-{revision}")["status"].get("readyReplicas") == 1, limit=60, what=f"istiod-{revision}")
    with Load() as load:
        for revision in ("1-9-1", "1-9-2"):
            cluster.out("label", "ns", "default", f"istio.io/rev={revision}", "istio-injection-", "--overwrite")
            cluster.out("rollout", "restart", "deployment")
            for deployment in ("details-v1", "productpage-v1", "ratings-v1", "reviews-v1", "reviews-v2", "reviews-v3"):
                cluster.out("rollout", "status", f"deployment/{deployment}", "--timeout=90s")
            cluster.pods_ready("default", count=6)
            pods = cluster.json("get", "pods")["items"]
            assert_equal({p["metadata"]["annotations"].get("istio.io/rev") for p in pods}, {revision})

            def synced():
                rows = [r for r in cluster.istioctl("proxy-status").stdout.splitlines() if ".default" in r]
                return len(rows) == 6 and all(f"istiod-{revision}" in r and "STALE" not in r for r in rows)
            eventually(synced, limit=30, what=f"proxy-status with istiod-{revision}")
    if load.failures:
        raise AssertionError(f"{len(load.failures)} of {load.sent} requests failed during the canary: {load.failures[:5]}")
    cluster.out("delete", "istiooperator", "-n", "istio-system", "control-plane-1-9-1", timeout=60)
    eventually(lambda: "NotFound" in cluster.kubectl("get", "deploy", "-n", "istio-system", "istiod-1-9-1", check=False).stderr, limit=30, what="old revision gone")
    for name in ("istiod", "istiod-1-9-2", "istio-ingressgateway"):
        assert_equal(cluster.json("get", "deploy", "-n", "istio-system", name)["status"].get("readyReplicas"), 1)


def test_row19_mistakes_are_named():
    wrong_version = cluster.apply(OPERATOR_DEMO.replace("v1alpha1", "v1beta9"), check=False)
    assert_matches(r'no matches for kind "IstioOperator" in version "install.istio.io/v1beta9"', wrong_version.stderr)
    assert_matches(r"(?i)yaml", cluster.apply("a: [1, 2\nb: }", check=False).stderr)
    weights = "apiVersion: networking.istio.io/v1alpha3\nkind: VirtualService\nmetadata: {name: bad-weights}\nspec:\n  hosts: [reviews]\n  http:\n  - route:\n    - {destination: {host: reviews, subset: v1}, weight: 70}\n    - {destination: {host: reviews, subset: v2}, weight: -5}\n"
    done = cluster.apply(weights, check=False)
    if done.returncode == 0:
        raise AssertionError("a negative weight was accepted")
    assert_matches(r"(?i)weight", done.stderr)
    pod = cluster.first_pod("app=ratings")
    assert_matches(r"container nope (is not valid for pod|not found in pod)", cluster.kubectl("exec", pod, "-c", "nope", "--", "true", check=False).stderr)
    cluster.out("run", "mystery", "--image=example.com/no/such-image:1", "--labels=app=mystery", "--annotations=sidecar.istio.io/inject=false")
    eventually(lambda: re.search(r"ErrImagePull|ImagePullBackOff", cluster.out("get", "pod", "mystery")), limit=30, what="ErrImagePull")
    eventually(lambda: "lateen image add" in cluster.out("describe", "pod", "mystery"), limit=20, what="an event that says how to map the image")
    cluster.out("delete", "pod", "mystery", "--wait=false")
    cluster.apply(operator("bad-profile", profile="no-such-profile"))
    eventually(lambda: "no-such-profile" in cluster.out("get", "istiooperator", "-n", "istio-system", "bad-profile", "-o", "yaml").split("status:", 1)[-1],
               limit=20, what="the status names the unknown profile")
    cluster.out("delete", "istiooperator", "-n", "istio-system", "bad-profile", timeout=60)
    assert_equal(cluster.get("/productpage")[0], 200)


def test_rows_with_debians_kubectl():
    """The rows' commands once more, typed with Debian's kubectl 1.20 on the same cluster."""
    cache = os.environ.get("XDG_CACHE_HOME", os.path.expanduser("~/.cache"))
    old = os.path.join(cache, "lateen", "kubectl-debian", "usr", "bin", "kubectl")
    if not os.path.exists(old):
        raise unittest.SkipTest("Debian's kubectl is not on this machine")
    current, cluster.kubectl_path = cluster.kubectl_path, cluster.readable(old)
    try:
        assert_matches(r"v1\.20", cluster.out("version", "--client"))
        assert_matches(r" Ready +control-plane,master", cluster.out("get", "nodes"))
        assert_matches(r"istiocontrolplane .*HEALTHY", cluster.out("get", "istiooperators.install.istio.io", "-n", "istio-system"))
        assert_matches(r"istio-ingressgateway +LoadBalancer +\S+ +localhost", cluster.out("get", "svc", "-n", "istio-system"))
        out = cluster.out("apply", "-f", os.path.join(samples, "bookinfo/platform/kube/bookinfo.yaml"))
        assert_equal(len([l for l in out.splitlines() if re.search(r" (unchanged|configured)$", l)]), 14)
        pod = cluster.out("get", "pod", "-l", "app=ratings", "-o", "jsonpath={.items[0].metadata.name}")
        assert_matches("Simple Bookstore App", cluster.out("exec", pod, "-c", "ratings", "--", "curl", "-sS", "productpage:9080/productpage"))
        assert_matches("started|info", cluster.out("logs", pod, "-c", "istio-proxy", "--tail=50"))
        assert_matches(r"Image: +\S*/examples-bookinfo-ratings-v1", cluster.out("describe", "pod", pod))
        assert_equal(cluster.out("label", "ns", "default", "walk=through").strip(), "namespace/default labeled")
        assert_matches("successfully rolled out", cluster.out("rollout", "status", "deployment/reviews-v1"))
        assert_matches("bookinfo-gateway", cluster.out("get", "gateway"))
        assert_matches(r"KIND: +Deployment", cluster.out("explain", "deployment.spec"))
        bad = cluster.apply("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: x}\nnonsense: true\n", check=False)
        assert_matches(r'unknown field "nonsense"', bad.stderr)
    finally:
        cluster.kubectl_path = current


def test_row20_kill_nine():
    """One of each layer; tests/cluster/kill_test.py has every kind of process, under load."""
    for kind, pod, container in (("container", "istiod-", "discovery"), ("container", "productpage-v1", "productpage"), ("cluster", "", "")):
        before = eventually(lambda: cluster.part(kind, pod, container), limit=20, what=f"process of {kind} {pod} {container}")
        os.kill(before["pid"], 9)
        eventually(lambda: (cluster.part(kind, pod, container) or before)["pid"] != before["pid"], limit=60, what=f"{kind} {pod} {container} again")
        eventually(lambda: cluster.get("/productpage", timeout=3)[0] == 200, limit=60, what=f"traffic after killing {kind} {pod} {container}")
    eventually(lambda: " Ready " in cluster.out("get", "nodes"), limit=30, what="node ready")
    assert_equal(len(cluster.json("get", "svc")["items"]), 5)


def test_row01_down_and_up_bring_it_back():
    cluster.down()
    cluster.up()
    eventually(lambda: cluster.get("/productpage", timeout=3)[0] == 200, limit=60, what="traffic after down and up")
    assert_matches("bookinfo-gateway", cluster.out("get", "gateway"))
