"""A real kube-apiserver and etcd in the place of ours: the control plane passes the corpus's routing, gateway and security cases
there, through our proxy and the real Envoy; the operator installs, repairs and removes; pods are injected; istioctl analyzes."""
import base64
import os
import subprocess
import sys
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

from harness import BIN, ROOT, assert_equal, assert_matches, eventually, free_port, run

matrix, cases, operator = None, [], None
SERIAL = ["mtls-strict", "mtls-strict-by-selector-and-port", "authz-principals", "authz-deny-over-allow", "jwt-required-claims", "jwt-at-the-gateway", "ext-authz-http",
          "sidecar-scopes-hosts", "envoy-filter-lua"]


def setup():
    global matrix, cases
    if not os.environ.get("LATEEN_PEERS_RUN"):
        raise unittest.SkipTest("takes minutes and a quiet machine: ./dev peers runs it")
    if os.geteuid() != 0:
        raise unittest.SkipTest("needs root, for network namespaces")
    import corpus
    from kubernetes import APISERVER, ETCD, RealCluster
    from matrix import Matrix
    for path, what in ((APISERVER, "a real kube-apiserver"), (ETCD, "a real etcd")):
        if not os.path.exists(path):
            raise unittest.SkipTest(f"{what} is not on this machine (tools/peers/build.sh)")
    cases = [c for c in corpus.load() if c.name in SERIAL or (c.file in ("routing.yaml", "gateways.yaml", "egress.yaml") and not c.is_serial)]
    matrix = Matrix(RealCluster())
    matrix.start(("ours-ours", "ours-envoy"))
    matrix.run(cases)


def teardown():
    if operator:
        operator.kill()
        operator.wait()
    if matrix:
        matrix.close()


def check(name):
    if matrix.world(name) is None:
        raise unittest.SkipTest("the real Envoy is not on this machine (tools/peers/build.sh)")
    lines = matrix.failures(matrix.world(name), cases)
    if lines:
        raise AssertionError("\n".join(lines))


def test_traffic_through_our_proxy():
    check("ours-ours")


def test_traffic_through_the_real_envoy():
    check("ours-envoy")


def test_nothing_is_rejected():
    lines = [line for plane in matrix.control.planes.values() for line in plane.rejections()]
    if lines:
        raise AssertionError("\n".join(lines[:20]))


def kubeconfig():
    return matrix.control.cluster.kubeconfig


def test_istioctl_analyzes():
    done = run([os.path.join(BIN, "lateen"), "istioctl", "analyze", "--kubeconfig", kubeconfig(), "-n", "case-missing-subset"], check=False)
    assert_matches(r"IST0101.*nowhere", done.stdout + done.stderr)


def get(path):
    status, answer = matrix.control.api.request("GET", path)
    return answer if status == 200 else None


CORE, APPS, HOOKS = "/api/v1/namespaces/istio-system", "/apis/apps/v1/namespaces/istio-system", "/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations"
INSTALLED = [f"{CORE}/configmaps/istio-real", f"{CORE}/configmaps/istio-sidecar-injector-real", f"{CORE}/services/istiod-real", f"{APPS}/deployments/istiod-real",
             f"{CORE}/serviceaccounts/istiod-real", f"{HOOKS}/istio-sidecar-injector-real"]
RESOURCE = {"apiVersion": "install.istio.io/v1alpha1", "kind": "IstioOperator", "metadata": {"name": "real", "namespace": "istio-system"},
            "spec": {"profile": "minimal", "revision": "real"}}


def test_the_operator_installs_repairs_and_removes():
    global operator
    import yaml
    api = matrix.control.api
    folder = os.path.join(ROOT, "charts/istio-operator/crds")
    for name in sorted(os.listdir(folder)):
        with open(os.path.join(folder, name)) as text:
            for obj in yaml.safe_load_all(text):
                api.put(obj)
    log = open(os.path.join(matrix.control.folder, "operator.log"), "wb")
    operator = subprocess.Popen([os.path.join(BIN, "lateen"), "operator", "server", "--kubeconfig", kubeconfig(), "--monitoring-host", "127.0.0.1",
                                 "--monitoring-port", str(free_port())], stdout=log, stderr=log, env={**os.environ, "POD_NAMESPACE": "istio-operator"})
    eventually(lambda: api.put(RESOURCE), 60, what="IstioOperators are served")
    missing = lambda: [path for path in INSTALLED if get(path) is None]
    try:
        eventually(lambda: not missing(), 90, what="installed")
    except AssertionError:
        raise AssertionError(f"not installed: {missing()}\n{open(log.name).read()[-3000:]}")
    assert_equal(api.request("DELETE", INSTALLED[1])[0] // 100, 2)
    eventually(lambda: get(INSTALLED[1]) is not None, 90, what="repaired")
    assert_equal(api.request("DELETE", "/apis/install.istio.io/v1alpha1/namespaces/istio-system/istiooperators/real")[0] // 100, 2)
    eventually(lambda: all(get(path) is None for path in INSTALLED), 90, what="removed")


def test_pods_are_injected():
    control = matrix.control
    plane = control.planes["ours"]
    manifest = run([os.path.join(BIN, "lateen"), "istioctl", "manifest", "generate", "--set", "profile=minimal"]).stdout
    import yaml
    injector = next(o for o in yaml.safe_load_all(manifest) if o and o["kind"] == "ConfigMap" and o["metadata"]["name"] == "istio-sidecar-injector")
    control.api.put(injector)
    bundle = base64.b64encode(control.roots.encode()).decode()
    control.api.put({"apiVersion": "admissionregistration.k8s.io/v1", "kind": "MutatingWebhookConfiguration", "metadata": {"name": "peers-injector"},
                     "webhooks": [{"name": "peers.sidecar-injector.istio.io", "admissionReviewVersions": ["v1"], "sideEffects": "None", "failurePolicy": "Fail",
                                   "clientConfig": {"url": f"https://istiod.istio-system.svc:{plane.hooks}/inject", "caBundle": bundle},
                                   "namespaceSelector": {"matchLabels": {"peers-injection": "on"}},
                                   "rules": [{"operations": ["CREATE"], "apiGroups": [""], "apiVersions": ["v1"], "resources": ["pods"]}]}]})
    control.api.put({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "injected", "labels": {"peers-injection": "on"}}})
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "app", "namespace": "injected", "labels": {"app": "app"}},
           "spec": {"serviceAccountName": "default", "containers": [{"name": "app", "image": "app", "ports": [{"containerPort": 8080}], "readinessProbe": {"httpGet": {"path": "/ready", "port": 8080}}}]}}
    control.api.request("DELETE", "/api/v1/namespaces/injected/pods/app?gracePeriodSeconds=0")

    def probe():
        status, answer = control.api.request("POST", "/api/v1/namespaces/injected/pods", pod)
        if status // 100 != 2:
            raise AssertionError(answer.get("message"))
        return answer
    made = eventually(probe, 60, what="the webhook answers")
    spec = made["spec"]
    everyone = {c["name"]: c for c in spec["containers"] + spec.get("initContainers", [])}
    assert_equal({"app", "istio-proxy", "istio-init"} <= everyone.keys(), True)
    assert_matches("istio-proxy", made["metadata"]["annotations"]["sidecar.istio.io/status"])
    assert_equal(everyone["app"]["readinessProbe"]["httpGet"]["port"], 15020)
    assert_equal("istio-token" in [v["name"] for v in spec["volumes"]], True)
