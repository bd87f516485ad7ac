"""A stock istioctl against our mesh: it finds the control plane, its proxies and their configuration, and understands them."""
import json
import os
import re
import shutil
import tempfile
import unittest

from harness import BIN, Cluster, ROOT, assert_equal, assert_matches, eventually, run

PEERS = os.environ.get("LATEEN_PEERS", "/work/peers")
ISTIOCTL = os.path.join(PEERS, "bin/istioctl")
cluster = None


def setup():
    global cluster
    if not os.environ.get("LATEEN_PEERS_RUN"):
        raise unittest.SkipTest("takes minutes and a quiet machine: ./dev peers runs it")
    if not os.path.exists(ISTIOCTL):
        raise unittest.SkipTest("a stock istioctl is not on this machine (tools/peers/build.sh)")
    if not shutil.which("kubectl"):
        raise unittest.SkipTest("needs kubectl")
    cluster = Cluster(mesh=True)
    cluster.up(timeout=300)
    cluster.pods_ready("istio-system", "app=istiod")
    cluster.out("create", "namespace", "peers")
    cluster.out("label", "namespace", "peers", "istio-injection=enabled")
    cluster.out("apply", "-n", "peers", "-f", os.path.join(ROOT, "samples/bookinfo/platform/kube/bookinfo.yaml"))
    cluster.out("apply", "-n", "peers", "-f", os.path.join(ROOT, "samples/bookinfo/networking/destination-rule-all.yaml"))
    cluster.apply(RULES)
    cluster.pods_ready("peers", limit=180)


RULES = """
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: reviews, namespace: peers}
spec:
  hosts: [reviews]
  http:
  - route: [{destination: {host: reviews, subset: v1}}]
---
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: reviews-viewer, namespace: peers}
spec:
  selector: {matchLabels: {app: reviews}}
  action: ALLOW
  rules:
  - to: [{operation: {methods: [GET]}}]
"""


def teardown():
    if cluster:
        cluster.destroy()


def stock(*args, check=True):
    return run([ISTIOCTL, *args], check=check, timeout=120, env={**cluster.env(), "KUBECONFIG": cluster.kubeconfig}).stdout


def pod(app):
    return cluster.first_pod(f"app={app}", "peers")


def test_version():
    assert_matches(r"(?m)^client version: ", stock("version"))
    assert_matches(r"(?m)^control plane version: \d", stock("version"))
    assert_matches(r"(?m)^data plane version: \d.*proxies\)", stock("version"))


def test_proxy_status():
    def probe():
        out = stock("proxy-status")
        assert_matches(r"^NAME +CLUSTER +ISTIOD +VERSION", out)
        row = next(l for l in out.splitlines() if l.startswith(pod("productpage") + ".peers"))
        return row.count("SYNCED") >= 3 or "SUBSCRIBED" in row or " 4 " in row
    eventually(probe, 60, what="productpage's proxy is synced")


def test_proxy_status_of_a_pod():
    out = eventually(lambda: (o := stock("proxy-status", pod("productpage") + ".peers")) and "Match" in o and o, 60, what="configuration matches")
    for kind in ("Clusters Match", "Listeners Match", "Routes Match"):
        assert_matches(kind, out)


def test_proxy_config_clusters():
    assert_matches(r"(?m)^reviews\.peers\.svc\.cluster\.local +9080 +v1 +outbound +EDS", stock("proxy-config", "cluster", pod("productpage"), "-n", "peers"))
    found = json.loads(stock("proxy-config", "cluster", pod("productpage"), "-n", "peers", "--fqdn", "reviews.peers.svc.cluster.local", "-o", "json"))
    names = sorted(c["name"] for c in found)
    assert_equal("outbound|9080|v1|reviews.peers.svc.cluster.local" in names, True)


def test_proxy_config_listeners():
    out = stock("proxy-config", "listener", pod("productpage"), "-n", "peers")
    assert_matches(r"(?m)^0\.0\.0\.0 +15001 +", out)
    assert_matches(r"(?m)^0\.0\.0\.0 +15006 +", out)
    assert_matches(r"(?m)9080 .*Route: 9080", out)


def test_proxy_config_routes():
    assert_matches(r"(?m)^9080 +.*reviews.*reviews\.peers", stock("proxy-config", "route", pod("productpage"), "-n", "peers"))


def test_proxy_config_endpoints():
    ip = cluster.out("get", "pod", "-n", "peers", "-l", "app=ratings", "-o", "jsonpath={.items[0].status.podIP}")
    assert_matches(rf"(?m)^{ip}:9080 +HEALTHY +OK +outbound\|9080\|\|ratings", stock("proxy-config", "endpoint", pod("productpage"), "-n", "peers"))


def test_proxy_config_secrets():
    out = stock("proxy-config", "secret", pod("productpage"), "-n", "peers")
    assert_matches(r"(?m)^default +Cert Chain +ACTIVE +true", out)
    assert_matches(r"(?m)^ROOTCA +CA +ACTIVE +true", out)


def test_proxy_config_bootstrap_and_all():
    assert_equal("node" in json.loads(stock("proxy-config", "bootstrap", pod("productpage"), "-n", "peers", "-o", "json"))["bootstrap"], True)
    assert_matches("SERVICE FQDN", stock("proxy-config", "all", pod("productpage"), "-n", "peers"))
    # As with any Envoy, the section is there once an extension is.
    done = run([ISTIOCTL, "proxy-config", "ecds", pod("productpage"), "-n", "peers"], check=False, timeout=120, env={**cluster.env(), "KUBECONFIG": cluster.kubeconfig})
    assert_matches("no configuration type type.googleapis.com/envoy.admin.v3.EcdsConfigDump", done.stdout + done.stderr)


def test_proxy_config_log():
    assert_matches(r"active loggers", stock("proxy-config", "log", pod("productpage"), "-n", "peers"))
    assert_matches(r"http: debug", stock("proxy-config", "log", pod("productpage"), "-n", "peers", "--level", "http:debug"))
    stock("proxy-config", "log", pod("productpage"), "-n", "peers", "--reset")


def test_analyze_the_cluster():
    done = run([ISTIOCTL, "analyze", "-n", "peers"], check=False, timeout=120, env=cluster.env())
    assert_matches(r"No validation issues found|IST\d{4}", done.stdout + done.stderr)


def test_analyze_names_a_mistake():
    cluster.apply("""
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: broken, namespace: peers}
spec:
  hosts: [ratings]
  http:
  - route: [{destination: {host: ratings, subset: missing}}]
""")
    try:
        done = run([ISTIOCTL, "analyze", "-n", "peers"], check=False, timeout=120, env=cluster.env())
        assert_matches(r"IST0101.*broken", done.stdout + done.stderr)
    finally:
        cluster.out("delete", "-n", "peers", "virtualservice", "broken")


def test_describe():
    assert_matches(r"VirtualService: reviews", stock("x", "describe", "pod", cluster.first_pod("app=reviews,version=v1", "peers"), "-n", "peers"))
    assert_matches(r"Service: reviews", stock("x", "describe", "svc", "reviews", "-n", "peers"))


def test_authz_check():
    assert_matches(r"(?m)^ALLOW +reviews-viewer\.peers +1", stock("x", "authz", "check", cluster.first_pod("app=reviews,version=v1", "peers") + ".peers"))


def test_internal_debug():
    assert_equal(any("productpage" in json.dumps(one) for one in json.loads(stock("x", "internal-debug", "syncz"))), True)


def test_config_list():
    assert_matches(r"(?m)^FLAG +VALUE", stock("x", "config", "list"))


def test_our_istioctl_says_the_same():
    reviews, ratings = cluster.first_pod("app=reviews,version=v1", "peers"), cluster.first_pod("app=ratings", "peers")
    for command in (["x", "describe", "pod", reviews], ["x", "describe", "pod", ratings], ["x", "describe", "svc", "reviews"], ["x", "authz", "check", reviews],
                    ["x", "config", "list"]):
        assert_equal(cluster.istioctl(*command, "-n", "peers").stdout, stock(*command, "-n", "peers"))


def ours(*args):
    return run([os.path.join(BIN, "istioctl"), *args], timeout=120, env={**cluster.env(), "KUBECONFIG": cluster.kubeconfig}).stdout


def test_verbs_that_look_at_injection_say_the_same():
    plain = lambda text: [line.split() for line in re.sub(r"\x1b\[[0-9;]*m", "", text).splitlines()]
    for verb in (["x", "injector", "list"], ["x", "check-inject", pod("productpage") + ".peers"], ["remote-clusters"]):
        assert_equal(plain(ours(*verb)), plain(stock(*verb)))
    # The stock one decodes the certificate twice, and fails on any proxy.
    assert_matches("have the identical ROOTCA", ours("proxy-config", "rootca-compare", pod("productpage") + ".peers", pod("ratings") + ".peers"))


def test_admin_log():
    assert_matches(r"(?m)^ads +.* +info +none", stock("admin", "log"))
    stock("admin", "log", "--level", "ads:debug")
    assert_matches(r"(?m)^ads +.* +debug +none", ours("admin", "log"))
    ours("admin", "log", "--reset")
    assert_matches(r"(?m)^ads +.* +info +none", stock("admin", "log"))


def test_envoy_stats():
    for form in ("short", "json", "prom", "prom-merged"):
        for who in (stock, ours) if form != "prom-merged" else (ours,):  # which the stock one asks of the admin port
            assert_matches("xds|request", who("x", "envoy-stats", pod("productpage") + ".peers", "-o", form))


def test_a_machine_gets_the_same_files():
    with tempfile.TemporaryDirectory(prefix="lateen-test-") as folder:
        made = {}
        for name, who in (("ours", ours), ("stock", stock)):
            group = os.path.join(folder, f"{name}.yaml")
            with open(group, "w") as out:
                out.write(who("x", "workload", "group", "create", "--name", "vm", "-n", "peers", "--labels", "app=vm", "--ports", "http=8080"))
            who("x", "workload", "entry", "configure", "-f", group, "-o", os.path.join(folder, name), "--ingressIP", "10.9.9.9", "--clusterID", "Kubernetes")
            made[name] = {file: open(os.path.join(folder, name, file)).read() for file in ("cluster.env", "hosts", "root-cert.pem", "mesh.yaml")}
        import yaml
        for files in made.values():
            files["mesh.yaml"] = yaml.safe_load(files["mesh.yaml"])["defaultConfig"]["proxyMetadata"]
        assert_equal(made["ours"], made["stock"])


def test_our_istioctl_explains():
    told = json.loads(cluster.istioctl("x", "explain", pod("productpage"), "http://reviews:9080/reviews/0", "-n", "peers", "-o", "json").stdout)
    assert_equal(told["verdict"], "pass")
    decides = {(o["kind"], o["name"]) for step in told["steps"] for o in step["objects"]}
    assert_equal(decides >= {("VirtualService", "reviews"), ("DestinationRule", "reviews"), ("AuthorizationPolicy", "reviews-viewer")}, True)
    refused = cluster.istioctl("x", "explain", pod("productpage"), "reviews:9080", "POST", "/", "-n", "peers", check=False)
    assert_equal(refused.returncode, 2)
    assert_matches("403 RBAC", refused.stdout)


def test_status_says_when_all_proxies_have_it():
    cluster.out("wait", "--for=condition=Reconciled", "virtualservice/reviews", "-n", "peers", "--timeout=60s")
