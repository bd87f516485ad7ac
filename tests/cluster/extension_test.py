"""Extending the API with stock kubectl: custom resources (schemas, rules in CEL, columns, subresources), Istio's own definitions, webhooks; one cluster, no mesh."""
import base64
import json
import os
import shutil
import subprocess
import time
import unittest

from harness import Cluster, assert_equal, assert_matches, eventually
from kubectl_support import namespace_in, refused, start, with_both

cluster = None
ISTIO = "/work/.mirror/istio+istio/repo"


def setup():
    global cluster
    cluster = cluster or Cluster(mesh=False)
    start(cluster)


def teardown():
    cluster.destroy()


def namespace(name):
    return namespace_in(cluster, name)


def both(check):
    with_both(cluster, check)


def invalid(text, pattern):
    refused(cluster.apply(text, check=False), pattern)


WIDGETS = """
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: widgets.test.lateen.dev}
spec:
  group: test.lateen.dev
  scope: Namespaced
  names: {plural: widgets, singular: widget, kind: Widget, shortNames: [wd], categories: [all]}
  versions:
  - name: v1
    served: true
    storage: true
    additionalPrinterColumns:
    - {name: Size, type: string, jsonPath: .spec.size}
    - {name: Count, type: integer, jsonPath: .spec.count}
    - {name: Hidden, type: string, jsonPath: .spec.note, priority: 1}
    - {name: Age, type: date, jsonPath: .metadata.creationTimestamp}
    subresources:
      status: {}
      scale: {specReplicasPath: .spec.count, statusReplicasPath: .status.count, labelSelectorPath: .status.selector}
    schema:
      openAPIV3Schema:
        type: object
        required: [spec]
        properties:
          spec:
            type: object
            required: [size]
            x-kubernetes-validations:
            - rule: "!has(self.limit) || self.count <= self.limit"
              messageExpression: "'count %d is over the limit %d'.format([self.count, self.limit])"
            - {rule: "self.size == oldSelf.size", message: size is immutable, fieldPath: .size}
            properties:
              size: {type: string, enum: [small, large], description: How big it is.}
              count: {type: integer, minimum: 0, maximum: 100, default: 1}
              limit: {type: integer}
              note: {type: string, maxLength: 20, pattern: '^[a-z ]*$'}
              free: {type: object, x-kubernetes-preserve-unknown-fields: true}
              either: {x-kubernetes-int-or-string: true}
              parts:
                type: array
                maxItems: 3
                x-kubernetes-list-type: map
                x-kubernetes-list-map-keys: [name]
                items: {type: object, required: [name], properties: {name: {type: string}, enabled: {type: boolean, default: true}}}
          status:
            type: object
            properties: {count: {type: integer}, selector: {type: string}}
  - name: v1alpha1
    served: true
    storage: false
    deprecated: true
    schema: {openAPIV3Schema: {type: object, x-kubernetes-preserve-unknown-fields: true}}
"""


def define_widgets():
    cluster.apply(WIDGETS)
    cluster.kubectl("wait", "--for=condition=Established", "crd/widgets.test.lateen.dev", "--timeout=30s")


def widget(name, ns, spec, version="v1"):
    return f"apiVersion: test.lateen.dev/{version}\nkind: Widget\nmetadata: {{name: {name}, namespace: {ns}}}\nspec: {spec}\n"


def test_custom_resources():
    ns = namespace("widgets")
    define_widgets()
    def check(which):
        name = "w-" + which
        cluster.apply(widget(name, ns, "{size: small, parts: [{name: a}], free: {any: {thing: 1}}, either: 80%}"))
        got = cluster.json("get", "widget", name, "-n", ns)
        assert_equal((got["spec"]["count"], got["spec"]["parts"], got["spec"]["free"]), (1, [{"name": "a", "enabled": True}], {"any": {"thing": 1}}))
        assert_matches(r"^NAME +SIZE +COUNT +AGE\n" + name + r" +small +1 +\d+s", cluster.out("get", "wd", name, "-n", ns))
        assert_matches(r"SIZE +COUNT +HIDDEN +AGE", cluster.out("get", "widgets.test.lateen.dev", "-n", ns, "-o", "wide"))
        assert_matches(name, cluster.out("get", "all", "-n", ns))
        assert_matches(r"size\s+<string>(.*\n)*.*How big it is", cluster.out("explain", "widget.spec"))
        invalid(widget("x", ns, "{}"), r"spec.size.*Required|missing required field .size.")
        invalid(widget("x", ns, "{size: huge}"), r'spec.size: Unsupported value: "huge": supported values: "small", "large"|invalid')
        invalid(widget("x", ns, "{size: small, count: 101}"), "spec.count.*less than or equal to 100")
        invalid(widget("x", ns, "{size: small, count: many}"), r'spec.count.*(must be of type integer|got "string"|integer)')
        invalid(widget("x", ns, "{size: small, note: UPPER}"), "spec.note.*should match")
        invalid(widget("x", ns, "{size: small, parts: [{name: a}, {name: a}]}"), "spec.parts.1.: Duplicate value")
        invalid(widget("x", ns, "{size: small, surplus: 1}"), 'unknown field "?(spec.)?surplus')
        invalid(widget("x", ns, "{size: small, count: 5, limit: 3}"), "count 5 is over the limit 3")
        refused(cluster.kubectl("patch", "widget", name, "-n", ns, "--type=merge", "-p", '{"spec":{"size":"large"}}', check=False), "spec.size: Invalid value: .*size is immutable")
        cluster.kubectl("apply", "--validate=false", "-f", "-", stdin=widget("pruned", ns, "{size: small, surplus: 1}"))
        assert_equal("surplus" in cluster.json("get", "widget", "pruned", "-n", ns)["spec"], False)
        cluster.kubectl("delete", "widget", "pruned", "-n", ns)
        assert_matches("scaled", cluster.out("scale", f"widget/{name}", "--replicas=4", "-n", ns))
        assert_equal(cluster.json("get", "widget", name, "-n", ns)["spec"]["count"], 4)
        generation = got["metadata"]["generation"]
        assert_equal(cluster.json("get", "widget", name, "-n", ns)["metadata"]["generation"], generation + 1)
    both(check)
    cluster.kubectl("patch", "widget", "w-new", "-n", ns, "--subresource=status", "--type=merge", "-p", '{"status":{"count":4,"selector":"a=b"},"spec":{"count":9}}')
    got = cluster.json("get", "widget", "w-new", "-n", ns)
    assert_equal((got["spec"]["count"], got["status"]["count"]), (4, 4))
    cluster.kubectl("patch", "widget", "w-new", "-n", ns, "--type=merge", "-p", '{"status":{"count":77}}')
    assert_equal(cluster.json("get", "widget", "w-new", "-n", ns)["status"]["count"], 4)
    scale = json.loads(cluster.out("get", "--raw", f"/apis/test.lateen.dev/v1/namespaces/{ns}/widgets/w-new/scale"))
    assert_equal((scale["spec"]["replicas"], scale["status"]), (4, {"replicas": 4, "selector": "a=b"}))
    # The other version: the same object, no conversion; and a warning.
    other = cluster.kubectl("get", "widgets.v1alpha1.test.lateen.dev", "w-new", "-n", ns, "-o", "jsonpath={.apiVersion} {.spec.size}")
    assert_equal(other.stdout, "test.lateen.dev/v1alpha1 small")
    assert_matches("deprecated", other.stderr)
    # Server-side apply merges a list of type map by its key.
    for manager, part in [("one", "a"), ("two", "b")]:
        cluster.kubectl("apply", "--server-side", f"--field-manager={manager}", "-f", "-", stdin=widget("merged", ns, "{size: small, parts: [{name: %s}]}" % part))
    assert_equal([p["name"] for p in cluster.json("get", "widget", "merged", "-n", ns)["spec"]["parts"]], ["a", "b"])


def test_definitions_are_checked():
    base = WIDGETS.replace("widgets", "gadgets").replace("Widget", "Gadget").replace("singular: widget", "singular: gadget").replace("[wd]", "[gd]")
    invalid(base.replace("self.count <= self.limit", "self.cuont <= self.limit"), r"compilation failed: ERROR: <input>:1:\d+: undefined field 'cuont'")
    invalid(base.replace("self.count <= self.limit", "self.count <="), "Syntax error")
    invalid(base.replace("self.count <= self.limit", "self.count.frob()"), "undeclared reference to 'frob'")
    invalid(base.replace("gadgets.test.lateen.dev", "gadgets.other.dev"), "must be spec.names.plural")
    invalid(base.replace("size: {type: string,", "size: {"), "properties.size..type: Required value")


def test_definition_goes_with_its_objects():
    ns = namespace("gone")
    text = WIDGETS.replace("widgets", "doomeds").replace("kind: Widget", "kind: Doomed").replace("singular: widget", "singular: doomed").replace("[wd]", "[dm]")
    cluster.apply(text)
    cluster.kubectl("wait", "--for=condition=Established", "crd/doomeds.test.lateen.dev", "--timeout=30s")
    cluster.apply(widget("d", ns, "{size: small}").replace("kind: Widget", "kind: Doomed"))
    cluster.kubectl("delete", "crd", "doomeds.test.lateen.dev", "--timeout=60s")
    refused(cluster.kubectl("get", "doomeds", "-n", ns, check=False), "doesn't have a resource type|could not find the requested resource")
    cluster.apply(text)
    cluster.kubectl("wait", "--for=condition=Established", "crd/doomeds.test.lateen.dev", "--timeout=30s")
    assert_matches("No resources found", cluster.kubectl("get", "doomeds", "-n", ns).stderr)


def test_istios_definitions():
    """The definitions Istio ships today, and what their rules refuse."""
    if not os.path.isdir(ISTIO):
        raise unittest.SkipTest("no copy of Istio's repository on this machine")
    shown = subprocess.run(["git", "-C", ISTIO, "show", "HEAD:manifests/charts/base/files/crd-all.gen.yaml"], capture_output=True, text=True, timeout=60)
    if shown.returncode != 0:
        raise unittest.SkipTest("Istio's definitions are not in the copy of its repository")
    ns = namespace("istio-rules")
    done = cluster.kubectl("apply", "-f", "-", stdin=shown.stdout)
    assert_equal(len([l for l in done.stdout.splitlines() if l.endswith(" created")]), 15)
    cluster.kubectl("wait", "--for=condition=Established", "crd", "--all", "--timeout=60s")
    thing = lambda kind, group, spec: f"apiVersion: {group}\nkind: {kind}\nmetadata: {{name: x, namespace: {ns}}}\nspec: {spec}\n"
    net, sec = "networking.istio.io/v1", "security.istio.io/v1"
    invalid(thing("ServiceEntry", net, '{hosts: ["*"], ports: [{number: 80, name: a, protocol: HTTP}]}'), "spec.hosts.0.: Invalid value: .*hostname cannot be wildcard")
    invalid(thing("ServiceEntry", net, "{hosts: [a], ports: [{number: 80, name: a}, {number: 80, name: b}]}"), "port number cannot be duplicated")
    invalid(thing("ServiceEntry", net, "{hosts: [a], resolution: DNS, addresses: [10.0.0.0/8]}"), "CIDR addresses are allowed only for NONE/STATIC resolution types")
    invalid(thing("VirtualService", net, "{hosts: [a], http: [{timeout: 0.1ms, route: [{destination: {host: a}}]}]}"), "must be a valid duration greater than 1ms")
    invalid(thing("VirtualService", net, "{hosts: [a], http: [{timeout: soon, route: [{destination: {host: a}}]}]}"), "spec.http.0..timeout")
    invalid(thing("PeerAuthentication", sec, "{portLevelMtls: {80: {mode: STRICT}}}"), "portLevelMtls requires selector")
    invalid(thing("PeerAuthentication", sec, "{selector: {matchLabels: {a: b}}, portLevelMtls: {99999: {mode: STRICT}}}"), "port must be between 1-65535")
    invalid(thing("AuthorizationPolicy", sec, '{selector: {matchLabels: {"a*": b}}}'), "wildcard not allowed in label key match")
    invalid(thing("RequestAuthentication", sec, "{jwtRules: [{issuer: a, jwksUri: 'ftp://x'}]}"), "url must have scheme http:// or https://")
    invalid(thing("WasmPlugin", "extensions.istio.io/v1alpha1", "{url: 'gopher://x'}"), "url must have schema one of")
    cluster.apply(thing("ServiceEntry", net, "{hosts: [a.example], resolution: STATIC, addresses: [10.0.0.0/8], ports: [{number: 80, name: a, protocol: HTTP}], endpoints: [{address: 'unix:///tmp/s'}]}"))
    cluster.apply(thing("VirtualService", net, "{hosts: [a], http: [{timeout: 10ms, route: [{destination: {host: a, port: {number: 80}}}]}]}"))
    cluster.apply(thing("PeerAuthentication", sec, "{selector: {matchLabels: {a: b}}, portLevelMtls: {80: {mode: STRICT}}}"))
    cluster.apply(thing("WasmPlugin", "extensions.istio.io/v1alpha1", "{url: 'oci://registry/x:1', selector: {matchLabels: {a: b}}}"))
    cluster.kubectl("delete", "crd", "--all", "--timeout=120s")


def test_gateway_apis_definitions():
    """The Gateway API's definitions as Istio tests with them: their rules, and the policy that comes with them."""
    shown = subprocess.run(["git", "-C", ISTIO, "show", "HEAD:tests/integration/pilot/testdata/gateway-api-crd.yaml"], capture_output=True, text=True, timeout=60) if os.path.isdir(ISTIO) else None
    if shown is None or shown.returncode != 0:
        raise unittest.SkipTest("no copy of Istio's repository on this machine")
    ns = namespace("gateway-rules")
    cluster.kubectl("apply", "--server-side", "-f", "-", stdin=shown.stdout)
    try:
        cluster.kubectl("wait", "--for=condition=Established", "crd", "--all", "--timeout=60s")
        route = lambda spec: f"apiVersion: gateway.networking.k8s.io/v1\nkind: HTTPRoute\nmetadata: {{name: r, namespace: {ns}}}\nspec: {spec}\n"
        invalid(route("{rules: [{matches: [{path: {type: PathPrefix, value: /a//b}}]}]}"), "must not contain '//'")
        invalid(route("{parentRefs: [{name: g}, {name: g}]}"), "sectionName or port must be unique")
        invalid(route("{rules: [{filters: [{type: RequestRedirect, requestRedirect: {}}], backendRefs: [{name: x, port: 80}]}]}"), "must not be used together with backendRefs")
        cluster.apply(route("{parentRefs: [{name: g}], rules: [{matches: [{path: {type: PathPrefix, value: /a}}], backendRefs: [{name: x, port: 80}]}]}"))
        old = cluster.kubectl("annotate", "crd", "httproutes.gateway.networking.k8s.io", "gateway.networking.k8s.io/bundle-version=v1.0.0", "--overwrite", check=False)
        refused(old, "ValidatingAdmissionPolicy 'safe-upgrades.gateway.networking.k8s.io' with binding '.*' denied request: Installing CRDs with version")
    finally:
        cluster.kubectl("delete", "validatingadmissionpolicybinding,validatingadmissionpolicy", "--all")
        cluster.kubectl("delete", "crd", "--all", "--timeout=120s")


def test_admission_policies():
    ns = namespace("policies")
    cluster.kubectl("label", "ns", ns, "judged=yes")
    policy = """
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicy
metadata: {name: few}
spec:
  matchConstraints:
    resourceRules: [{apiGroups: [""], apiVersions: [v1], operations: [CREATE, UPDATE], resources: [configmaps]}]
  matchConditions: [{name: marked, expression: "object.metadata.name != 'kube-root-ca.crt'"}]
  variables: [{name: count, expression: "has(object.data) ? object.data.size() : 0"}]
  validations:
  - {expression: "variables.count <= 2", messageExpression: "'%d entries are too many'.format([variables.count])"}
  - {expression: "oldObject == null || object.data.size() >= oldObject.data.size()", message: only more, reason: Forbidden}
"""
    binding = "apiVersion: admissionregistration.k8s.io/v1\nkind: ValidatingAdmissionPolicyBinding\nmetadata: {name: few}\nspec: {policyName: few, validationActions: [%s], matchResources: {namespaceSelector: {matchLabels: {judged: 'yes'}}}}\n"
    config = lambda data: f"apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: c, namespace: {ns}}}\ndata: {json.dumps(data)}\n"
    invalid(policy.replace("variables.count <= 2", "nobody.count <= 2"), "undeclared reference to 'nobody'")
    try:
        cluster.apply(policy + "---\n" + binding % "Deny")
        invalid(config({"a": "1", "b": "2", "c": "3"}), "ValidatingAdmissionPolicy 'few' with binding 'few' denied request: 3 entries are too many")
        cluster.apply(config({"a": "1", "b": "2"}))
        invalid(config({"a": "1"}), "denied request: only more")
        cluster.apply(binding % "Warn")
        assert_matches("Warning: Validation failed for ValidatingAdmissionPolicy 'few'.*only more", cluster.apply(config({"a": "1"})).stderr)
    finally:
        cluster.kubectl("delete", "validatingadmissionpolicybinding,validatingadmissionpolicy", "--all")


HOOK = '''
import http.server, json, ssl, sys, time, base64
class Hook(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        review = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        asked, path = review["request"], self.path.split("?")[0]
        answer = {"uid": asked["uid"], "allowed": True}
        obj = asked.get("object") or {}
        data = obj.get("data") or {}
        patch = None
        if path == "/first": patch = [{"op": "add", "path": "/data/first", "value": str(int(data.get("first", 0)) + 1)}]
        if path == "/second" and "second" not in data: patch = [{"op": "add", "path": "/data/second", "value": "yes"}]
        if path == "/deny" and data.get("deny"): answer = {"uid": asked["uid"], "allowed": False, "status": {"code": 403, "message": "no " + data["deny"]}}
        if path == "/warn": answer["warnings"] = ["look at " + asked["operation"] + " by " + asked["userInfo"]["username"]]
        if path == "/slow": time.sleep(8)
        if patch: answer["patchType"], answer["patch"] = "JSONPatch", base64.b64encode(json.dumps(patch).encode()).decode()
        body = json.dumps({"apiVersion": review["apiVersion"], "kind": "AdmissionReview", "response": answer}).encode()
        self.send_response(200); self.send_header("Content-Type", "application/json"); self.send_header("Content-Length", str(len(body))); self.end_headers(); self.wfile.write(body)
    def log_message(self, *a): print(self.path, flush=True)
server = http.server.ThreadingHTTPServer(("", 8443), Hook)
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER); context.load_cert_chain("/certs/tls.crt", "/certs/tls.key")
server.socket = context.wrap_socket(server.socket, server_side=True)
server.serve_forever()
'''


def configuration(kind, name, hooks, ca, ns):
    webhooks = [{"name": f"{h['path'].strip('/')}.test.lateen.dev", "admissionReviewVersions": ["v1"], "sideEffects": "None",
                 "clientConfig": {"caBundle": ca, "service": {"name": "hook", "namespace": ns, "path": h["path"], "port": h.get("port", 443)}},
                 "rules": [{"apiGroups": [""], "apiVersions": ["v1"], "resources": ["configmaps"], "operations": ["CREATE", "UPDATE"]}],
                 "namespaceSelector": {"matchLabels": {"hooked": "yes"}}, **h["more"]} for h in hooks]
    return json.dumps({"apiVersion": "admissionregistration.k8s.io/v1", "kind": kind + "WebhookConfiguration", "metadata": {"name": name}, "webhooks": webhooks})


def test_webhooks():
    if not os.path.exists("/usr/bin/python3") or not shutil.which("openssl"):
        raise unittest.SkipTest("the webhook's server needs python3 and openssl of this machine")
    ns = namespace("hooks")
    cluster.kubectl("label", "ns", ns, "hooked=yes")
    pair = [os.path.join(cluster.folder, "hook.key"), os.path.join(cluster.folder, "hook.crt")]
    subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", pair[0], "-out", pair[1], "-days", "2", "-subj", "/CN=hook",
                    "-addext", f"subjectAltName=DNS:hook.{ns}.svc"], check=True, capture_output=True, timeout=60)
    ca = base64.b64encode(open(pair[1], "rb").read()).decode()
    cluster.kubectl("create", "secret", "tls", "certs", "--key", pair[0], "--cert", pair[1], "-n", ns)
    script = os.path.join(cluster.folder, "hook.py")
    with open(script, "w") as file:
        file.write(HOOK)
    cluster.kubectl("create", "configmap", "script", f"--from-file=hook.py={script}", "-n", ns)
    cluster.apply(f"""
apiVersion: v1
kind: Pod
metadata: {{name: hook, namespace: {ns}, labels: {{app: hook}}}}
spec:
  terminationGracePeriodSeconds: 0
  containers:
  - name: c
    image: busybox
    command: [/usr/bin/python3, /script/hook.py]
    readinessProbe: {{tcpSocket: {{port: 8443}}, periodSeconds: 1}}
    volumeMounts: [{{name: certs, mountPath: /certs}}, {{name: script, mountPath: /script}}]
  volumes: [{{name: certs, secret: {{secretName: certs}}}}, {{name: script, configMap: {{name: script}}}}]
---
apiVersion: v1
kind: Service
metadata: {{name: hook, namespace: {ns}}}
spec: {{selector: {{app: hook}}, ports: [{{port: 443, targetPort: 8443}}]}}
""")
    cluster.kubectl("wait", "--for=condition=Ready", "pod/hook", "-n", ns, "--timeout=60s")
    eventually(lambda: cluster.json("get", "endpoints", "hook", "-n", ns).get("subsets"), what="endpoints")
    config = lambda name, data: f"apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: {name}, namespace: {ns}}}\ndata: {json.dumps(data)}\n"
    try:
        cluster.apply(configuration("Mutating", "mutate", [
            {"path": "/first", "more": {"reinvocationPolicy": "IfNeeded", "matchConditions": [{"name": "not-skipped", "expression": "!('skip' in object.data)"}]}},
            {"path": "/second", "more": {}}], ca, ns))
        cluster.apply(configuration("Validating", "validate", [{"path": "/deny", "more": {}}, {"path": "/warn", "more": {}}], ca, ns))
        done = cluster.apply(config("a", {"x": "1"}))
        assert_matches(r"Warning: look at CREATE by (kubernetes-)?admin|Warning: look at CREATE by ", done.stderr)
        # The first is asked again as the second changed the object.
        assert_equal(cluster.json("get", "cm", "a", "-n", ns)["data"], {"x": "1", "first": "2", "second": "yes"})
        cluster.apply(config("b", {"skip": "1"}))
        assert_equal(cluster.json("get", "cm", "b", "-n", ns)["data"], {"skip": "1", "second": "yes"})
        refused(cluster.apply(config("c", {"deny": "way"}), check=False), 'admission webhook "deny.test.lateen.dev" denied the request: no way')
        refused(cluster.apply(config("c", {"deny": "way"}).replace(f"namespace: {ns}", f"namespace: {ns}"), check=False), "no way")
        dry = cluster.kubectl("apply", "--dry-run=server", "-o", "json", "-f", "-", stdin=config("d", {"x": "1"}))
        assert_equal(json.loads(dry.stdout)["data"]["second"], "yes")
        # Elsewhere nobody asks.
        cluster.kubectl("create", "configmap", "free", "--from-literal=deny=way", "-n", "default")
        cluster.kubectl("delete", "configmap", "free", "-n", "default")
        invalid(configuration("Validating", "broken", [{"path": "/deny", "more": {"matchConditions": [{"name": "x", "expression": "object.("}]}}], ca, ns), "matchConditions.0..expression: Invalid value: .*Syntax error")
        # What happens when one cannot be asked, or takes too long.
        cluster.apply(configuration("Validating", "validate", [{"path": "/slow", "more": {"timeoutSeconds": 1, "failurePolicy": "Ignore"}}], ca, ns))
        begin = time.monotonic()
        cluster.apply(config("slow", {"x": "1"}))
        if time.monotonic() - begin > 7:
            raise AssertionError("timeoutSeconds did not count")
        cluster.apply(configuration("Validating", "validate", [{"path": "/slow", "more": {"timeoutSeconds": 1, "failurePolicy": "Fail"}}], ca, ns))
        refused(cluster.apply(config("slow2", {"x": "1"}), check=False), 'failed calling webhook "slow.test.lateen.dev"')
        cluster.apply(configuration("Validating", "validate", [{"path": "/deny", "port": 444, "more": {"failurePolicy": "Fail"}}], ca, ns))
        refused(cluster.apply(config("nobody", {"x": "1"}), check=False), 'failed calling webhook.*no service port 444 found for service "hook"')
    finally:
        cluster.kubectl("delete", "validatingwebhookconfiguration,mutatingwebhookconfiguration", "--all")
