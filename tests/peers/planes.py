"""Control planes for the peers tests: an API server (ours, or a real kube-apiserver), our discovery, a stock istiod."""
import base64
import http.client
import json
import os
import ssl
import subprocess
import tempfile
import time
import unittest

import yaml

from harness import BIN, ROOT, Cluster, eventually, free_port, run
from world import ENVOY, PEERS

PILOT = os.path.join(PEERS, "bin/pilot-discovery")
MESH = {"accessLogFile": "", "defaultConfig": {"discoveryAddress": "istiod.istio-system.svc:15012"}, "trustDomain": "cluster.local",
        "enablePrometheusMerge": True, "rootNamespace": "istio-system", "ingressService": "istio-ingressgateway", "ingressSelector": "ingressgateway",
        "localityLbSetting": {"enabled": True},
        "extensionProviders": [
            {"name": "peers-authz", "envoyExtAuthzHttp": {"service": "authz.peers.test", "port": 8000, "includeRequestHeadersInCheck": ["x-ext", "x-do"],
                                                          "headersToUpstreamOnAllow": ["x-at"], "headersToDownstreamOnDeny": ["content-type"]}}]}


def need(path, what):
    if not os.path.exists(path):
        raise unittest.SkipTest(f"{what} is not on this machine (tools/peers/build.sh builds it)")


class Api:
    """Just enough of a Kubernetes client to put and delete objects quickly."""
    PLURALS = {"Gateway": "gateways", "AuthorizationPolicy": "authorizationpolicies", "Namespace": "namespaces", "ServiceEntry": "serviceentries",
               "WorkloadEntry": "workloadentries", "Telemetry": "telemetries", "ProxyConfig": "proxyconfigs", "Ingress": "ingresses",
               "IngressClass": "ingressclasses", "EndpointSlice": "endpointslices", "GatewayClass": "gatewayclasses"}
    CLUSTER_WIDE = ("Namespace", "IngressClass", "Node", "CustomResourceDefinition", "MutatingWebhookConfiguration", "ValidatingWebhookConfiguration", "GatewayClass")

    def __init__(self, kubeconfig):
        with open(kubeconfig) as text:
            config = yaml.safe_load(text)
        cluster, user = config["clusters"][0]["cluster"], config["users"][0]["user"]
        self.host = cluster["server"].split("//")[1]
        self.context = ssl._create_unverified_context()
        if "client-certificate-data" in user:
            with tempfile.NamedTemporaryFile() as pem:
                pem.write(base64.b64decode(user["client-certificate-data"]) + b"\n" + base64.b64decode(user["client-key-data"]))
                pem.flush()
                self.context.load_cert_chain(pem.name)
        self.headers = {"Content-Type": "application/json"}
        if "token" in user:
            self.headers["Authorization"] = "Bearer " + user["token"]
        self.connection = None

    def request(self, method, path, body=None, content_type=None):
        text = json.dumps(body) if body is not None else None
        headers = {**self.headers, **({"Content-Type": content_type} if content_type else {})}
        for attempt in (0, 1):
            try:
                if self.connection is None:
                    self.connection = http.client.HTTPSConnection(self.host, context=self.context, timeout=30)
                self.connection.request(method, path, text, headers)
                answer = self.connection.getresponse()
                return answer.status, json.loads(answer.read() or b"{}")
            except (OSError, http.client.HTTPException):
                self.connection = None
                if attempt:
                    raise

    def path(self, obj):
        group, kind = obj["apiVersion"], obj["kind"]
        base = f"/api/{group}" if "/" not in group else f"/apis/{group}"
        plural = self.PLURALS.get(kind, kind.lower() + "s")
        space = "" if kind in self.CLUSTER_WIDE else f"/namespaces/{obj['metadata'].get('namespace', 'default')}"
        return f"{base}{space}/{plural}"

    def put(self, obj):
        """Creates the object, or makes it what is given."""
        name = obj["metadata"]["name"]
        status, answer = self.request("PATCH", f"{self.path(obj)}/{name}?fieldManager=peers&force=true", obj, "application/apply-patch+yaml")
        if status // 100 != 2:
            raise AssertionError(f"{obj['kind']} {name}: {status} {answer.get('message')}")
        return answer

    def remove(self, obj):
        status, answer = self.request("DELETE", f"{self.path(obj)}/{obj['metadata']['name']}")
        if status // 100 != 2 and status != 404:
            raise AssertionError(f"deleting {obj['kind']} {obj['metadata']['name']}: {status} {answer.get('message')}")

    def token(self, namespace, account):
        status, answer = self.request("POST", f"/api/v1/namespaces/{namespace}/serviceaccounts/{account}/token",
                                      {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "metadata": {},
                                       "spec": {"audiences": ["istio-ca"], "expirationSeconds": 7200}})
        if status // 100 != 2:
            raise AssertionError(f"token of {namespace}/{account}: {status} {answer}")
        return answer["status"]["token"]


def make_authority(folder):
    """A plug-in CA that all control planes share, and a serving certificate that it did not sign for the upstreams."""
    os.makedirs(folder, exist_ok=True)
    at = lambda name: os.path.join(folder, name)
    run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", at("root-key.pem"), "-out", at("root-cert.pem"), "-days", "30",
         "-subj", "/O=Peers/CN=Root CA", "-addext", "keyUsage=critical,keyCertSign,cRLSign"])
    run(["openssl", "req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", at("ca-key.pem"), "-out", at("ca.csr"), "-subj", "/O=Peers/CN=Intermediate CA"])
    with open(at("ca.ext"), "w") as out:
        out.write("basicConstraints=critical,CA:true\nkeyUsage=critical,keyCertSign,cRLSign\nsubjectAltName=URI:spiffe://cluster.local/ns/istio-system/sa/citadel\n")
    run(["openssl", "x509", "-req", "-in", at("ca.csr"), "-CA", at("root-cert.pem"), "-CAkey", at("root-key.pem"), "-CAcreateserial",
         "-out", at("ca-cert.pem"), "-days", "29", "-extfile", at("ca.ext")])
    with open(at("cert-chain.pem"), "w") as out:
        out.write(open(at("ca-cert.pem")).read() + open(at("root-cert.pem")).read())
    for name, host in (("up", "up.peers.test"), ("site", "site.peers.test"), ("other", "other.peers.test"), ("user", "user.peers.test")):
        run(["openssl", "req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", at(f"{name}-key.pem"), "-out", at(f"{name}.csr"), "-subj", f"/CN={host}"])
        with open(at("leaf.ext"), "w") as out:
            out.write(f"subjectAltName=DNS:{host},DNS:*.{host}\nbasicConstraints=CA:false\n")
        run(["openssl", "x509", "-req", "-in", at(f"{name}.csr"), "-CA", at("root-cert.pem"), "-CAkey", at("root-key.pem"), "-CAcreateserial",
             "-out", at(f"{name}-cert.pem"), "-days", "29", "-extfile", at("leaf.ext")])


class ControlPlane:
    """`kind`: ours or stock; a stock one that drives a stock Envoy leaves out what only Istio's build of it has."""

    def __init__(self, kind, folder, kubeconfig, authority, is_plain=False, debug=False):
        self.kind, self.name = kind, kind + ("-plain" if is_plain else "")
        self.home = os.path.join(folder, self.name)
        self.http, self.grpc, self.secure, self.monitoring, self.hooks = (free_port() for _ in range(5))
        os.makedirs(self.home, exist_ok=True)
        mesh = {**MESH, "defaultProviders": {"metrics": []}} if is_plain else MESH
        with open(os.path.join(self.home, "mesh.yaml"), "w") as out:
            yaml.safe_dump(mesh, out)
        env = {**os.environ, "ROOT_CA_DIR": authority, "POD_NAMESPACE": "istio-system", "POD_NAME": f"istiod-{self.name}", "REVISION": "default",
               "ENABLE_DEBUG_ENDPOINT_AUTH": "false", "INJECTION_WEBHOOK_CONFIG_NAME": "", "VALIDATION_WEBHOOK_CONFIG_NAME": "",
               "CLUSTER_ID": "Kubernetes"}
        if is_plain:
            env.update(PILOT_ENABLE_METADATA_EXCHANGE="false", PILOT_ENABLE_ALPN_FILTER="false")
        address = lambda port: f"127.0.0.1:{port}"
        args = ["discovery", f"--kubeconfig={kubeconfig}", "--domain=cluster.local", f"--httpAddr={address(self.http)}",
                f"--grpcAddr={address(self.grpc)}", f"--secureGRPCAddr={address(self.secure)}", f"--monitoringAddr={address(self.monitoring)}",
                "--ctrlz_port=0"]
        if kind == "ours":
            command = [os.environ.get("LATEEN_DISCOVERY", os.path.join(BIN, "lateen")), *args, f"--httpsAddr={address(self.hooks)}"]
        else:
            command = [PILOT, *args, "--httpsAddr=", "--meshConfig=" + os.path.join(self.home, "mesh.yaml"), "--clusterID=Kubernetes"]
        self.log = os.path.join(self.home, "log")
        out = open(self.log, "wb")
        self.began = time.monotonic()
        self.process = subprocess.Popen(command, cwd=self.home, env=env, stdout=out, stderr=out)

    def get(self, path):
        connection = http.client.HTTPConnection("127.0.0.1", self.http, timeout=20)
        connection.request("GET", path)
        answer = connection.getresponse()
        return answer.status, answer.read().decode(errors="replace")

    def ready(self, limit=90):
        def probe():
            if self.process.poll() is not None:
                raise RuntimeError(f"{self.name} ended: {open(self.log).read()[-3000:]}")
            return self.get("/ready")[0] == 200
        eventually(probe, limit, every=0.02, what=f"{self.name} ready")

    def syncz(self):
        return json.loads(self.get("/debug/syncz")[1] or "[]") or []

    def metric(self, name):
        """Sum over all label sets of a metric."""
        connection = http.client.HTTPConnection("127.0.0.1", self.monitoring, timeout=20)
        connection.request("GET", "/metrics")
        total = 0.0
        for line in connection.getresponse().read().decode().splitlines():
            if line.startswith(name) and line[len(name):len(name) + 1] in ("{", " "):
                total += float(line.rsplit(" ", 1)[1])
        return total

    def rejections(self):
        """Rejections by proxies, as this control plane saw them."""
        found = []
        for line in open(self.log, errors="replace"):
            if "REJECTED" in line or "ACK ERROR" in line:
                found.append(line.strip()[:600])
        return found

    def close(self):
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(5)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()


def namespace(name):
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}


def workload(ns, name, address, labels, account=None, **spec):
    return {"apiVersion": "networking.istio.io/v1", "kind": "WorkloadEntry", "metadata": {"name": name, "namespace": ns},
            "spec": {"address": address, "labels": labels, **({"serviceAccount": account} if account else {}), **spec}}


def service(ns, name, ports, selector, **metadata):
    return {"apiVersion": "v1", "kind": "Service", "metadata": {"name": name, "namespace": ns, **metadata},
            "spec": {"selector": selector, "ports": [{"name": p, "port": a, "targetPort": b} for p, a, b in ports]}}


def fixtures():
    """What every world has: the client, the server behind a sidecar, the ingress gateway."""
    tls = {"security.istio.io/tlsMode": "istio"}
    out = [namespace(n) for n in ("istio-system", "client", "server")]
    out += [{"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": a, "namespace": n}}
            for n, a in (("client", "client"), ("server", "server"), ("istio-system", "istio-ingressgateway"))]
    out.append({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "istio", "namespace": "istio-system"},
                "data": {"mesh": yaml.safe_dump(MESH), "meshNetworks": "networks: {}"}})
    rule = {"apiGroups": [""], "resources": ["secrets"], "verbs": ["get", "watch", "list"]}
    out.append({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role", "metadata": {"name": "gateway-sds", "namespace": "istio-system"}, "rules": [rule]})
    out.append({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding", "metadata": {"name": "gateway-sds", "namespace": "istio-system"},
                "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "gateway-sds"},
                "subjects": [{"kind": "ServiceAccount", "name": "istio-ingressgateway", "namespace": "istio-system"}]})
    out += [workload("client", "client-1", "10.77.0.10", {"app": "client", **tls}, "client"),
            workload("server", "server-1", "10.77.0.20", {"app": "server", "version": "v1", **tls}, "server"),
            workload("istio-system", "gateway-1", "10.77.0.40",
                     {"app": "istio-ingressgateway", "istio": "ingressgateway", "security.istio.io/tlsMode": "disabled"}, "istio-ingressgateway"),
            service("client", "client", [("http", 80, 8080)], {"app": "client"}),
            service("server", "server", [("http", 80, 8080), ("http-second", 81, 8081), ("grpc", 7070, 7070), ("tcp", 9000, 9000)], {"app": "server"}),
            service("istio-system", "istio-ingressgateway", [("status-port", 15021, 15021), ("http2", 80, 8080), ("https", 443, 8443), ("tcp", 31400, 31400)],
                    {"istio": "ingressgateway"})]
    return out


def gateway_api():
    """The Gateway API's kinds, as Istio's repository has them; none without a copy of it."""
    mirror = os.environ.get("LATEEN_ISTIO_MIRROR", "/work/.mirror/istio+istio/repo")
    if not os.path.isdir(mirror):
        return
    text = subprocess.run(["git", "-C", mirror, "show", "HEAD:tests/integration/pilot/testdata/gateway-api-crd.yaml"], capture_output=True, text=True).stdout
    wanted = ("gatewayclasses", "gateways", "httproutes", "grpcroutes", "referencegrants")
    for obj in yaml.load_all(text, getattr(yaml, "CSafeLoader", yaml.SafeLoader)):
        if obj and obj["kind"] == "CustomResourceDefinition" and obj["metadata"]["name"] in [f"{w}.gateway.networking.k8s.io" for w in wanted]:
            yield obj


def crds():
    folder = os.path.join(ROOT, "charts/base/crds")
    for name in sorted(os.listdir(folder)):
        with open(os.path.join(folder, name)) as text:
            yield from (obj for obj in yaml.load_all(text, getattr(yaml, "CSafeLoader", yaml.SafeLoader)) if obj)


class Control:
    """The API server with the fixtures in it, and a shared CA."""

    def __init__(self, cluster=None):
        self.cluster = cluster or Cluster(mesh=False)
        self.folder = tempfile.mkdtemp(prefix="lateen-peers-")
        os.chmod(self.folder, 0o755)
        self.planes = {}

    def start(self):
        self.cluster.up()
        self.api = Api(self.cluster.kubeconfig)
        self.kinds = [*crds(), *gateway_api()]
        for obj in self.kinds:
            self.api.put(obj)
        for obj in fixtures():
            if obj["kind"] in ("WorkloadEntry",):
                eventually(lambda: self.api.put(obj) or True, 30, what="Istio's kinds are served")
            else:
                self.api.put(obj)
        self.authority = os.path.join(self.folder, "ca")
        make_authority(self.authority)
        self.roots = open(os.path.join(self.authority, "root-cert.pem")).read()
        self.tokens = {a: self.api.token(n, a) for n, a in
                       (("client", "client"), ("server", "server"), ("istio-system", "istio-ingressgateway"))}

    def plane(self, kind, is_plain=False):
        made = ControlPlane(kind, self.folder, self.cluster.kubeconfig, self.authority, is_plain)
        self.planes[made.name] = made
        return made

    def close(self):
        for plane in self.planes.values():
            plane.close()
        self.cluster.destroy()
        run(["rm", "-rf", self.folder], check=False)
