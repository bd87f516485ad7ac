"""The Gateway API's own kinds on our mesh: a Gateway without a service of its own gets a workload, an address and traffic."""
import json
import os
import shutil
import sys
import unittest
import urllib.error
import urllib.request

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

from harness import Cluster, ROOT, assert_equal, eventually, free_port

cluster, port = None, None
GATEWAYS = "gateways.gateway.networking.k8s.io"  # Istio has Gateways too


def setup():
    global cluster, port
    if not os.environ.get("LATEEN_PEERS_RUN"):
        raise unittest.SkipTest("takes a minute: ./dev peers runs it")
    if not shutil.which("kubectl"):
        raise unittest.SkipTest("needs kubectl")
    from planes import gateway_api
    kinds = list(gateway_api())
    if not kinds:
        raise unittest.SkipTest("Istio's repository, with the Gateway API's kinds, is not on this machine (LATEEN_ISTIO_MIRROR)")
    port = free_port()
    cluster = Cluster(mesh=True)
    cluster.up(timeout=300)
    cluster.pods_ready("istio-system", "app=istiod")
    cluster.kubectl("apply", "--server-side", "-f", "-", stdin=json.dumps({"apiVersion": "v1", "kind": "List", "items": kinds}))
    cluster.out("create", "namespace", "edge")
    cluster.out("label", "namespace", "edge", "istio-injection=enabled")
    cluster.out("apply", "-n", "edge", "-f", os.path.join(ROOT, "samples/bookinfo/platform/kube/bookinfo.yaml"))
    eventually(lambda: cluster.apply(GATEWAY.replace("PORT", str(port))) or True, 60, what="Gateways are served")


GATEWAY = """
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: front, namespace: edge}
spec:
  gatewayClassName: istio
  infrastructure: {labels: {team: blue}}
  listeners:
  - {name: http, port: PORT, protocol: HTTP, allowedRoutes: {namespaces: {from: Same}}}
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: productpage, namespace: edge}
spec:
  parentRefs: [{name: front}]
  rules:
  - matches: [{path: {type: PathPrefix, value: /productpage}}]
    backendRefs: [{name: productpage, port: 9080}]
"""


def teardown():
    if cluster:
        cluster.destroy()


def get(kind, name):
    return json.loads(cluster.out("get", kind, name, "-n", "edge", "-o", "json"))


def status_of(path):
    try:
        return urllib.request.urlopen(f"http://localhost:{port}{path}", timeout=5).status
    except urllib.error.HTTPError as answer:
        return answer.code


def test_classes_are_there():
    for name in ("istio", "istio-remote"):
        def accepted():
            conditions = get("gatewayclass", name).get("status", {}).get("conditions", [])
            return any(c["type"] == "Accepted" and c["status"] == "True" for c in conditions)
        eventually(accepted, 60, what=f"class {name} is accepted")


def test_a_gateway_is_deployed_and_programmed():
    def programmed():
        status = get(GATEWAYS, "front").get("status", {})
        return {c["type"]: c["status"] for c in status.get("conditions", [])}.get("Programmed") == "True" and status
    status = eventually(programmed, 60, what="programmed")
    assert_equal(len(status["addresses"]) > 0, True)
    assert_equal([k["kind"] for k in status["listeners"][0]["supportedKinds"]], ["HTTPRoute", "GRPCRoute"])
    eventually(lambda: get(GATEWAYS, "front")["status"]["listeners"][0]["attachedRoutes"] == 1, 30, what="the route is attached")
    made = get("deployment", "front-istio")
    assert_equal(made["metadata"]["labels"]["team"], "blue")
    assert_equal(made["metadata"]["ownerReferences"][0]["kind"], "Gateway")
    assert_equal(get("serviceaccount", "front-istio")["metadata"]["labels"]["gateway.networking.k8s.io/gateway-name"], "front")


def test_it_carries_traffic():
    cluster.pods_ready("edge", limit=180)
    eventually(lambda: status_of("/productpage") == 200, 60, what="the product page")
    assert_equal(status_of("/elsewhere"), 404)


def test_what_is_deleted_comes_again_and_what_is_not_wanted_goes():
    cluster.out("delete", "service", "front-istio", "-n", "edge")
    eventually(lambda: "front-istio" in cluster.out("get", "service", "-n", "edge", "-o", "name"), 90, what="the service is back")
    cluster.out("delete", GATEWAYS, "front", "-n", "edge")
    eventually(lambda: "front-istio" not in cluster.out("get", "deployment,service,serviceaccount", "-n", "edge", "-o", "name"), 60, what="all of it is collected")
