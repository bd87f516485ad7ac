"""What stock kubectl, the current one and Debian's 1.20, does with the API server: one cluster, no mesh, one namespace per test."""
import base64
import json
import os
import ssl
import subprocess
import urllib.error
import urllib.request

from harness import Cluster, assert_equal, assert_matches, eventually
from kubectl_support import namespace_in, refused, start, with_both

cluster = None


def setup():
    global cluster
    cluster = cluster or Cluster(mesh=False)
    start(cluster)


def teardown():
    cluster.destroy()


def both(check):
    with_both(cluster, check)


def namespace(name):
    return namespace_in(cluster, name)


def gone(*args):
    eventually(lambda: "NotFound" in cluster.kubectl("get", *args, check=False).stderr, what=f"{args} gone")


def api(path, method="GET", body=None, content="application/json", token=None, timeout=30):
    """A raw request as the administrator (or with a bearer token): (status, value)."""
    config = json.loads(cluster.out("config", "view", "--raw", "--minify", "-o", "json"))
    user, server = config["users"][0]["user"], config["clusters"][0]["cluster"]
    context = ssl.create_default_context(cadata=base64.b64decode(server["certificate-authority-data"]).decode())
    if token is None:
        pair = os.path.join(cluster.folder, "admin.pem")
        with open(pair, "wb") as file:
            file.write(base64.b64decode(user["client-certificate-data"]) + b"\n" + base64.b64decode(user["client-key-data"]))
        context.load_cert_chain(pair)
    request = urllib.request.Request(server["server"] + path, method=method, data=json.dumps(body).encode() if body is not None else None)
    request.add_header("Content-Type", content)
    if token:
        request.add_header("Authorization", "Bearer " + token)
    try:
        with urllib.request.urlopen(request, timeout=timeout, context=context) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def api_json(*args, **kwargs):
    status, text = api(*args, **kwargs)
    return status, json.loads(text)


def config_map(name, ns, data, extra=""):
    return f"apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: {name}, namespace: {ns}{extra}}}\ndata: {json.dumps(data)}\n"


def test_discovery():
    def check(which):
        assert_matches(r"^deployments +deploy +apps/v1 +true +Deployment", cluster.out("api-resources"))
        assert_matches(r"^pods +po +", cluster.out("api-resources", "--namespaced=true", "-o", "wide"))
        assert_matches(r"^pods\b", cluster.out("api-resources", "--verbs=list,get", "-o", "name"))
        assert_matches(r"^apps/v1$", cluster.out("api-versions"))
        assert_matches(r"(control plane|master).* is running at", cluster.out("cluster-info"))
        assert_matches(r"Server Version: .*v1\.\d+", cluster.out("version"))
        assert_equal(cluster.out("get", "--raw", "/readyz"), "ok")
        assert_matches(r"No resources found", cluster.kubectl("get", "all", "-n", "kube-public").stderr)
    both(check)
    assert_matches(r"^deployments.apps$", cluster.out("api-resources", "--categories=all", "-o", "name"))


def test_explain():
    def check(which):
        assert_matches(r"KIND: +Pod", cluster.out("explain", "pod"))
        assert_matches(r"containers\s+<\[\]", cluster.out("explain", "pod.spec"))
        assert_matches(r"terminationGracePeriodSeconds\s+<integer>", cluster.out("explain", "pods", "--recursive"))
        assert_matches(r"periodSeconds", cluster.out("explain", "deployment.spec.template.spec.containers.livenessProbe"))
        refused(cluster.kubectl("explain", "pod.nonsense", check=False), "nonsense")
    both(check)


def test_validation():
    ns = namespace("validation")
    def check(which):
        unknown = config_map("a", ns, {"a": "b"}) + "nonsense: 1\n"
        refused(cluster.apply(unknown, check=False), r'unknown field "(ConfigMap\.)?nonsense"')
        wrong = f"""
apiVersion: apps/v1
kind: Deployment
metadata: {{name: w, namespace: {ns}}}
spec:
  replicas: many
  selector: {{matchLabels: {{a: b}}}}
  template:
    metadata: {{labels: {{a: b}}}}
    spec: {{containers: [{{name: c, image: busybox}}]}}
"""
        refused(cluster.apply(wrong, check=False), r"replicas|integer|int32")
        refused(cluster.apply(wrong.replace("many", "1").replace("selector: {matchLabels: {a: b}}", "selector: {matchLabels: {x: b}}"), check=False),
                r'spec\.template\.metadata\.labels: Invalid value: .*`selector` does not match template `labels`')
        refused(cluster.apply(wrong.replace("many", "1").replace("image: busybox", "imaje: busybox"), check=False), r'imaje')
        refused(cluster.apply(config_map("Bad_Name", ns, {}), check=False), r"a lowercase RFC 1123 subdomain must consist of")
        assert_matches("configmap/a created", cluster.kubectl("apply", "--validate=false", "-f", "-", stdin=unknown).stdout)
        cluster.kubectl("delete", "configmap", "a", "-n", ns)
    both(check)


def test_output_forms():
    ns = namespace("forms")
    for name, value in [("b", "2"), ("a", "1"), ("c", "3")]:
        cluster.apply(config_map(name, ns, {"v": value}, f', labels: {{tier: "t{value}"}}'))
    def check(which):
        get = lambda *args: cluster.out("get", "configmaps", "-n", ns, "-l", "tier", *args)
        assert_matches(r"^a +1 +\d+s", get("--sort-by=.metadata.name"))
        assert_equal([l.split()[0] for l in get("--no-headers", "--sort-by=.data.v").splitlines()], ["a", "b", "c"])
        assert_matches(r"^NAME +V\na +1", get("-o", "custom-columns=NAME:.metadata.name,V:.data.v"))
        assert_equal(get("-o", "jsonpath={range .items[*]}{.metadata.name}={.data.v};{end}"), "a=1;b=2;c=3;")
        assert_equal(get("-o", 'go-template={{range .items}}{{.metadata.name}}{{end}}'), "abc")
        assert_equal(get("-o", "name").split(), ["configmap/a", "configmap/b", "configmap/c"])
        assert_matches(r"tier=t1", get("--show-labels"))
        assert_matches(r"TIER\s*\na .* t1", get("-L", "tier"))
        assert_matches(r"^apiVersion: v1", get("-o", "yaml"))
        assert_matches(rf"^{ns} +a ", cluster.out("get", "cm", "-A", "-l", "tier"))
        assert_matches(r"INTERNAL-IP .*CONTAINER-RUNTIME", cluster.out("get", "nodes", "-o", "wide"))
        assert_matches(r"^kubernetes +ClusterIP .* 443/TCP +\S+ +<none>", cluster.out("get", "svc", "-o", "wide"))
        assert_equal(cluster.out("get", "cm", "a", "missing", "-n", ns, "--ignore-not-found", "-o", "name").strip(), "configmap/a")
        refused(cluster.kubectl("get", "cm", "missing", "-n", ns, check=False), r'configmaps "missing" not found')
        refused(cluster.kubectl("get", "nonsense", check=False), r"the server doesn't have a resource type \"nonsense\"")
    both(check)


def test_selectors():
    ns = namespace("selectors")
    for name, labels in [("a", "env: prod, tier: web"), ("b", "env: test, tier: web"), ("c", "env: dev")]:
        cluster.apply(config_map(name, ns, {}, f", labels: {{{labels}}}"))
    def names(*args):
        return [l.split("/")[1] for l in cluster.out("get", "cm", "-n", ns, "-o", "name", *args).split() if "kube-root" not in l]
    def check(which):
        assert_equal(names("-l", "env=prod"), ["a"])
        assert_equal(names("-l", "env in (prod,dev)"), ["a", "c"])
        assert_equal(names("-l", "env notin (prod),tier"), ["b"])
        assert_equal(names("-l", "!tier,env"), ["c"])
        assert_equal(names("-l", "env!=dev,tier==web"), ["a", "b"])
        assert_equal(names("--field-selector", "metadata.name=b"), ["b"])
        assert_equal(names("--field-selector", "metadata.name!=b", "-l", "env"), ["a", "c"])
        refused(cluster.kubectl("get", "cm", "-n", ns, "--field-selector", "data.x=1", check=False), "field label not supported: data.x")
        refused(cluster.kubectl("get", "cm", "-n", ns, "-l", "env in (", check=False), "unable to parse requirement")
    both(check)


def test_chunks():
    ns = namespace("chunks")
    cluster.apply("---\n".join(config_map(f"c{i:02}", ns, {"i": str(i)}, ", labels: {kind: c}") for i in range(12)))
    def check(which):
        assert_equal(len(cluster.out("get", "cm", "-n", ns, "-l", "kind=c", "--chunk-size=5", "--no-headers").splitlines()), 12)
    both(check)
    base = f"/api/v1/namespaces/{ns}/configmaps?limit=5&labelSelector=kind%3Dc"
    status, first = api_json(base)
    assert_equal((status, len(first["items"])), (200, 5))
    # Writes in between do not show in later pages: they are one snapshot.
    cluster.kubectl("delete", "cm", "c07", "-n", ns)
    cluster.apply(config_map("c055", ns, {}, ", labels: {kind: c}"))
    names, page = [i["metadata"]["name"] for i in first["items"]], first
    while page["metadata"].get("continue"):
        status, page = api_json(base + "&continue=" + page["metadata"]["continue"])
        assert_equal(status, 200)
        assert_equal(page["metadata"]["resourceVersion"], first["metadata"]["resourceVersion"])
        names += [i["metadata"]["name"] for i in page["items"]]
    assert_equal(names, [f"c{i:02}" for i in range(12)])
    status, unfiltered = api_json(f"/api/v1/namespaces/{ns}/configmaps?limit=5")
    assert_equal(unfiltered["metadata"]["remainingItemCount"], 8)
    status, bad = api_json(base + "&continue=nonsense")
    assert_equal((status, bad["reason"]), (400, "BadRequest"))


def watch_lines(path, timeout=30):
    status, text = api(path, timeout=timeout)
    assert_equal(status, 200)
    return [json.loads(line) for line in text.splitlines()]


def test_resource_versions():
    ns = namespace("versions")
    path = f"/api/v1/namespaces/{ns}/configmaps"
    cluster.apply(config_map("a", ns, {"v": "1"}))
    old = api_json(path)[1]["metadata"]["resourceVersion"]
    cluster.apply(config_map("a", ns, {"v": "2"}))
    cluster.apply(config_map("b", ns, {"v": "1"}))
    now = api_json(path)[1]["metadata"]["resourceVersion"]
    of = lambda page: {i["metadata"]["name"]: i["data"]["v"] for i in page["items"] if i["metadata"]["name"] in "ab"}
    exact = api_json(f"{path}?resourceVersion={old}&resourceVersionMatch=Exact")[1]
    assert_equal((of(exact), exact["metadata"]["resourceVersion"]), ({"a": "1"}, old))
    # A limit with a version and no match rule means that exact version, too.
    assert_equal(of(api_json(f"{path}?resourceVersion={old}&limit=50")[1]), {"a": "1"})
    newer = api_json(f"{path}?resourceVersion={old}&resourceVersionMatch=NotOlderThan")[1]
    assert_equal(of(newer), {"a": "2", "b": "1"})
    assert_equal(of(api_json(f"{path}?resourceVersion=0")[1]), {"a": "2", "b": "1"})
    assert_equal(of(api_json(f"{path}?resourceVersion={old}")[1]), {"a": "2", "b": "1"})
    status, bad = api_json(f"{path}?resourceVersionMatch=Exact")
    assert_equal(status, 422)
    status, bad = api_json(f"{path}?resourceVersion=0&resourceVersionMatch=Exact")
    assert_equal(status, 422)
    status, bad = api_json(f"{path}?resourceVersion={int(now) + 1000000}")
    assert_equal((status, bad["reason"]), (504, "Timeout"))
    status, bad = api_json(f"{path}?resourceVersion=x")
    assert_equal(status, 400)
    # A get, a replace and a delete with versions.
    got = json.loads(api(f"{path}/a")[1])
    stale = {**got, "metadata": {**got["metadata"], "resourceVersion": old}}
    status, bad = api_json(f"{path}/a", method="PUT", body=stale)
    assert_equal((status, bad["reason"]), (409, "Conflict"))
    status, bad = api_json(f"{path}/a", method="DELETE", body={"preconditions": {"resourceVersion": old}})
    assert_equal((status, bad["reason"]), (409, "Conflict"))
    status, bad = api_json(f"{path}/a", method="DELETE", body={"preconditions": {"uid": "other"}})
    assert_equal((status, bad["reason"]), (409, "Conflict"))


def test_watch():
    ns = namespace("watch")
    path = f"/api/v1/namespaces/{ns}/configmaps"
    start = api_json(path)[1]["metadata"]["resourceVersion"]
    cluster.apply(config_map("a", ns, {"v": "1"}, ", labels: {w: x}"))
    cluster.kubectl("label", "cm", "a", "-n", ns, "w=y", "--overwrite")
    cluster.kubectl("delete", "cm", "a", "-n", ns)
    all_events = watch_lines(f"{path}?watch=true&resourceVersion={start}&timeoutSeconds=1&fieldSelector=metadata.name%3Da")
    assert_equal([e["type"] for e in all_events], ["ADDED", "MODIFIED", "DELETED"])
    # An object that leaves the selection is told of as deleted.
    selected = watch_lines(f"{path}?watch=true&resourceVersion={start}&timeoutSeconds=1&labelSelector=w%3Dx")
    assert_equal([e["type"] for e in selected], ["ADDED", "DELETED"])
    # A bookmark before the end, so that the client can go on from there.
    events = watch_lines(f"{path}?watch=true&resourceVersion={start}&timeoutSeconds=3&allowWatchBookmarks=true&labelSelector=none%3Dsuch")
    assert_equal([e["type"] for e in events], ["BOOKMARK"])
    if int(events[0]["object"]["metadata"]["resourceVersion"]) <= int(start):
        raise AssertionError(f"the bookmark does not move on: {events}")
    initial = watch_lines(f"{path}?watch=true&sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true&timeoutSeconds=1")
    assert_equal(initial[0]["type"], "ADDED")
    assert_equal(initial[1]["object"]["metadata"]["annotations"], {"k8s.io/initial-events-end": "true"})
    def check(which):
        watching = subprocess.Popen([cluster.kubectl_path, "get", "cm", "-n", ns, "-w", "--output-watch-events"], stdout=subprocess.PIPE, text=True, env=cluster.env())
        try:
            assert_matches("ADDED +kube-root-ca.crt", watching.stdout.readline() + watching.stdout.readline())
            cluster.apply(config_map("seen-" + which, ns, {}))
            assert_matches("ADDED +seen-" + which, watching.stdout.readline())
            cluster.kubectl("delete", "cm", "seen-" + which, "-n", ns)
            assert_matches("DELETED +seen-" + which, watching.stdout.readline())
        finally:
            watching.kill()
            watching.wait()
    both(check)


def test_patches():
    ns = namespace("patches")
    cluster.apply(f"""
apiVersion: apps/v1
kind: Deployment
metadata: {{name: d, namespace: {ns}}}
spec:
  replicas: 0
  selector: {{matchLabels: {{app: d}}}}
  template:
    metadata: {{labels: {{app: d}}}}
    spec:
      containers:
      - {{name: one, image: busybox, env: [{{name: A, value: "1"}}]}}
      - {{name: two, image: busybox}}
""")
    patch = lambda kind, text, *more, check=True: cluster.kubectl("patch", "deployment", "d", "-n", ns, "--type", kind, "-p", text, *more, check=check)
    def check(which):
        patch("strategic", '{"spec":{"template":{"spec":{"containers":[{"name":"one","env":[{"name":"B","value":"2"}]}]}}}}')
        spec = cluster.json("get", "deployment", "d", "-n", ns)["spec"]["template"]["spec"]
        assert_equal([c["name"] for c in spec["containers"]], ["one", "two"])
        assert_equal(sorted(e["name"] for e in spec["containers"][0]["env"]), ["A", "B"])
        patch("strategic", '{"spec":{"template":{"spec":{"containers":[{"name":"one","env":[{"name":"B","$patch":"delete"}]}]}}}}')
        patch("json", '[{"op":"test","path":"/spec/replicas","value":0},{"op":"add","path":"/metadata/labels","value":{"x":"y"}}]')
        refused(patch("json", '[{"op":"test","path":"/spec/replicas","value":7}]', check=False), "The request is invalid")
        patch("merge", '{"metadata":{"labels":{"x":null,"z":"1"}}}')
        got = cluster.json("get", "deployment", "d", "-n", ns)
        assert_equal(got["metadata"]["labels"], {"z": "1"})
        assert_equal([e["name"] for e in got["spec"]["template"]["spec"]["containers"][0]["env"]], ["A"])
        refused(patch("merge", '{"spec":{"replicas":-1}}', check=False), r"spec.replicas: Invalid value: -1: must be greater than or equal to 0")
        refused(patch("merge", '{"spec":{"selector":{"matchLabels":{"app":"other"}}}}', check=False), "field is immutable|does not match")
        assert_matches("no change", patch("merge", '{"metadata":{"labels":{"z":"1"}}}').stdout)
        assert_matches("image updated", cluster.out("set", "image", "deployment/d", "two=alpine", "-n", ns))
        cluster.out("set", "image", "deployment/d", "two=busybox", "-n", ns)
        assert_matches("env updated", cluster.out("set", "env", "deployment/d", "C=" + which, "-n", ns))
        cluster.out("set", "env", "deployment/d", "C-", "-n", ns)
        assert_matches("resource requirements updated", cluster.out("set", "resources", "deployment/d", "--limits=cpu=2" + ("00m" if which == "new" else "50m"), "-n", ns))
    both(check)
    assert_matches("patched", patch("merge", '{"status":{"observedGeneration":999}}', "--subresource=status").stdout)


def test_server_side_apply():
    ns = namespace("ssa")
    text = config_map("c", ns, {"a": "1", "b": "1"})
    assert_matches("serverside-applied", cluster.kubectl("apply", "--server-side", "--field-manager=first", "-f", "-", stdin=text).stdout)
    other = config_map("c", ns, {"a": "2"})
    refused(cluster.kubectl("apply", "--server-side", "--field-manager=second", "-f", "-", stdin=other, check=False),
            r'Apply failed with 1 conflict: conflict with "first": \.data\.a')
    cluster.kubectl("apply", "--server-side", "--force-conflicts", "--field-manager=second", "-f", "-", stdin=other)
    got = json.loads(cluster.out("get", "cm", "c", "-n", ns, "-o", "json", "--show-managed-fields"))
    assert_equal(got["data"], {"a": "2", "b": "1"})
    owners = {m["manager"]: m for m in got["metadata"]["managedFields"]}
    assert_equal(owners["first"]["fieldsV1"], {"f:data": {"f:b": {}}})
    assert_equal((owners["second"]["operation"], owners["second"]["fieldsV1"]), ("Apply", {"f:data": {"f:a": {}}}))
    # What a manager no longer names and nobody else owns goes away.
    cluster.kubectl("apply", "--server-side", "--field-manager=first", "-f", "-", stdin=config_map("c", ns, {}))
    assert_equal(cluster.json("get", "cm", "c", "-n", ns)["data"], {"a": "2"})
    # Lists merge by key.
    service = f"apiVersion: v1\nkind: Service\nmetadata: {{name: s, namespace: {ns}}}\nspec: {{selector: {{a: b}}, ports: [%s]}}\n"
    cluster.kubectl("apply", "--server-side", "--field-manager=first", "-f", "-", stdin=service % "{name: a, port: 80}")
    cluster.kubectl("apply", "--server-side", "--field-manager=second", "-f", "-", stdin=service % "{name: b, port: 81}")
    assert_equal([p["port"] for p in cluster.json("get", "svc", "s", "-n", ns)["spec"]["ports"]], [80, 81])
    # From client-side apply to server-side and back.
    cluster.apply(config_map("m", ns, {"a": "1", "b": "1"}))
    cluster.kubectl("apply", "--server-side", "-f", "-", stdin=config_map("m", ns, {"a": "1"}))
    assert_equal(cluster.json("get", "cm", "m", "-n", ns)["data"], {"a": "1"})
    cluster.apply(config_map("m", ns, {"a": "3"}))
    assert_equal(cluster.json("get", "cm", "m", "-n", ns)["data"], {"a": "3"})
    dry = cluster.kubectl("apply", "--server-side", "--dry-run=server", "-f", "-", stdin=config_map("never", ns, {"a": "1"}))
    assert_matches("serverside-applied \\(server dry run\\)", dry.stdout)
    gone("cm", "never", "-n", ns)


def test_apply_diff_replace_edit():
    ns = namespace("apply")
    editor = os.path.join(cluster.folder, "editor.sh")
    with open(editor, "w") as file:
        file.write("#!/bin/sh\nsed -i 's/v: one/v: edited/' \"$1\"\n")
    os.chmod(editor, 0o755)
    def check(which):
        name = "c-" + which
        text = config_map(name, ns, {"v": "one"})
        assert_matches("created", cluster.apply(text).stdout)
        assert_matches("unchanged", cluster.apply(text).stdout)
        different = cluster.kubectl("diff", "-f", "-", stdin=config_map(name, ns, {"v": "two"}), check=False)
        assert_equal(different.returncode, 1)
        assert_matches(r"^-  v: one\n\+  v: two", different.stdout)
        assert_equal(cluster.kubectl("diff", "-f", "-", stdin=text, check=False).returncode, 0)
        assert_matches("configured", cluster.apply(config_map(name, ns, {"w": "two"})).stdout)
        assert_equal(cluster.json("get", "cm", name, "-n", ns)["data"], {"w": "two"})
        assert_matches("replaced", cluster.kubectl("replace", "-f", "-", stdin=text).stdout)
        refused(cluster.kubectl("replace", "-f", "-", stdin=config_map("missing", ns, {}), check=False), "NotFound")
        env = {**cluster.env(), "KUBE_EDITOR": editor}
        edited = subprocess.run([cluster.kubectl_path, "edit", "cm", name, "-n", ns], env=env, capture_output=True, text=True, timeout=60)
        assert_matches("edited", edited.stdout + edited.stderr)
        assert_equal(cluster.json("get", "cm", name, "-n", ns)["data"], {"v": "edited"})
        before = cluster.json("get", "cm", name, "-n", ns)["metadata"]["uid"]
        assert_matches("replaced", cluster.kubectl("replace", "--force", "-f", "-", stdin=text).stdout)
        if cluster.json("get", "cm", name, "-n", ns)["metadata"]["uid"] == before:
            raise AssertionError("replace --force kept the object")
        last = cluster.kubectl("apply", "view-last-applied", "cm", name, "-n", ns, check=False)
        assert_matches("labeled", cluster.out("label", "cm", name, "-n", ns, "a=b"))
        assert_matches("annotated|labeled", cluster.out("annotate", "cm", name, "-n", ns, "a=b"))
        refused(cluster.kubectl("label", "cm", name, "-n", ns, "a=c", check=False), "already has a value")
        refused(cluster.kubectl("create", "-f", "-", stdin=text, check=False), "AlreadyExists")
        assert_matches("deleted", cluster.kubectl("delete", "-f", "-", stdin=text).stdout)
    both(check)
    labelled = lambda name: config_map(name, ns, {}, ", labels: {set: p}")
    cluster.apply(labelled("p1") + "---\n" + labelled("p2"))
    pruned = cluster.kubectl("apply", "--prune", "-l", "set=p", "-n", ns, "--prune-allowlist=core/v1/ConfigMap", "-f", "-", stdin=labelled("p1"))
    assert_matches("configmap/p2 pruned", pruned.stdout)


def test_dry_run_and_generated_names():
    ns = namespace("dry")
    def check(which):
        out = cluster.out("create", "deployment", "d", "--image=busybox", "-n", ns, "--dry-run=server", "-o", "yaml")
        assert_matches("progressDeadlineSeconds: 600", out)  # the server's defaults
        assert_matches(r"uid: \S", out)
        gone("deployment", "d", "-n", ns)
        created = cluster.kubectl("create", "-f", "-", stdin=f"apiVersion: v1\nkind: ConfigMap\nmetadata: {{generateName: gen-, namespace: {ns}}}\n").stdout
        assert_matches(r"configmap/gen-[a-z0-9]{5} created", created)
        name = created.split()[0]
        assert_matches("deleted", cluster.out("delete", name, "-n", ns, "--dry-run=server"))
        assert_matches(name, cluster.out("get", name, "-n", ns, "-o", "name"))
        cluster.kubectl("delete", name, "-n", ns)
    both(check)


def test_garbage_collection():
    ns = namespace("garbage")
    def family(name):
        cluster.apply(config_map(name, ns, {}))
        uid = cluster.json("get", "cm", name, "-n", ns)["metadata"]["uid"]
        cluster.apply(config_map(name + "-child", ns, {}, f", ownerReferences: [{{apiVersion: v1, kind: ConfigMap, name: {name}, uid: {uid}, blockOwnerDeletion: true}}]"))
    family("background")
    cluster.kubectl("delete", "cm", "background", "-n", ns)
    gone("cm", "background-child", "-n", ns)
    family("foreground")
    cluster.kubectl("patch", "cm", "foreground-child", "-n", ns, "--type=merge", "-p", '{"metadata":{"finalizers":["test.lateen/hold"]}}')
    cluster.kubectl("delete", "cm", "foreground", "-n", ns, "--cascade=foreground", "--wait=false")
    eventually(lambda: cluster.json("get", "cm", "foreground-child", "-n", ns)["metadata"].get("deletionTimestamp"), what="child is being deleted")
    held = cluster.json("get", "cm", "foreground", "-n", ns)["metadata"]
    assert_equal((held["finalizers"], bool(held["deletionTimestamp"])), (["foregroundDeletion"], True))
    cluster.kubectl("patch", "cm", "foreground-child", "-n", ns, "--type=merge", "-p", '{"metadata":{"finalizers":null}}')
    gone("cm", "foreground", "-n", ns)
    gone("cm", "foreground-child", "-n", ns)
    family("orphan")
    cluster.kubectl("delete", "cm", "orphan", "-n", ns, "--cascade=orphan")
    eventually(lambda: "ownerReferences" not in cluster.json("get", "cm", "orphan-child", "-n", ns)["metadata"], what="the child is nobody's")
    gone("cm", "orphan", "-n", ns)
    # A child of an owner that never was.
    cluster.apply(config_map("stray", ns, {}, ", ownerReferences: [{apiVersion: v1, kind: ConfigMap, name: nobody, uid: 00000000-0000-0000-0000-000000000000}]"))
    gone("cm", "stray", "-n", ns)


def test_finalizers_and_namespaces():
    ns = namespace("final")
    cluster.apply(config_map("f", ns, {}, ", finalizers: [test.lateen/hold]"))
    refused(cluster.kubectl("delete", "cm", "f", "-n", ns, "--timeout=1s", check=False), "timed out")
    if not cluster.json("get", "cm", "f", "-n", ns)["metadata"]["deletionTimestamp"]:
        raise AssertionError("not marked")
    refused(cluster.kubectl("patch", "cm", "f", "-n", ns, "--type=merge", "-p", '{"metadata":{"finalizers":["test.lateen/hold","test.lateen/more"]}}', check=False),
            "no new finalizers can be added if the object is being deleted")
    cluster.kubectl("delete", "namespace", ns, "--wait=false")
    eventually(lambda: any(c["type"] == "NamespaceFinalizersRemaining" and c["status"] == "True"
                           for c in cluster.json("get", "ns", ns)["status"].get("conditions", [])), what="the namespace says what holds it")
    assert_matches("Terminating", cluster.out("get", "ns", ns))
    refused(cluster.apply(config_map("late", ns, {}), check=False), "because it is being terminated")
    cluster.kubectl("patch", "cm", "f", "-n", ns, "--type=merge", "-p", '{"metadata":{"finalizers":null}}')
    gone("ns", ns)


def test_tokens_and_reviews():
    ns = namespace("tokens")
    cluster.kubectl("create", "serviceaccount", "robot", "-n", ns)
    cluster.kubectl("create", "role", "reader", "--verb=get,list", "--resource=configmaps", "-n", ns)
    cluster.kubectl("create", "rolebinding", "reader", "--role=reader", f"--serviceaccount={ns}:robot", "-n", ns)
    token = cluster.out("create", "token", "robot", "-n", ns, "--audience=here", "--audience=https://kubernetes.default.svc.cluster.local", "--duration=700s").strip()
    claims = json.loads(base64.urlsafe_b64decode(token.split(".")[1] + "=="))
    assert_equal(claims["sub"], f"system:serviceaccount:{ns}:robot")
    assert_equal(claims["exp"] - claims["iat"], 700)
    review = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview", "spec": {"token": token, "audiences": ["here", "there"]}}
    status, answer = api_json("/apis/authentication.k8s.io/v1/tokenreviews", method="POST", body=review)
    assert_equal((answer["status"]["authenticated"], answer["status"]["audiences"]), (True, ["here"]))
    assert_equal(answer["status"]["user"]["username"], f"system:serviceaccount:{ns}:robot")
    review["spec"]["audiences"] = ["there"]
    assert_equal(api_json("/apis/authentication.k8s.io/v1/tokenreviews", method="POST", body=review)[1]["status"].get("authenticated", False), False)
    assert_equal(api(f"/api/v1/namespaces/{ns}/configmaps", token=token)[0], 200)
    status, bad = api_json(f"/api/v1/namespaces/{ns}/secrets", token=token)
    assert_equal(status, 403)
    assert_matches(f'secrets is forbidden: User "system:serviceaccount:{ns}:robot" cannot list resource "secrets" in API group "" in the namespace "{ns}"', bad["message"])
    assert_equal(api("/api", token=token + "x")[0], 401)
    # A token bound to a pod ends with it.
    cluster.kubectl("run", "p", "--image=busybox", "--restart=Never", "-n", ns, '--overrides={"spec":{"serviceAccountName":"robot"}}', "--", "sleep", "100")
    bound = cluster.out("create", "token", "robot", "-n", ns, "--bound-object-kind=Pod", "--bound-object-name=p").strip()
    assert_equal(api(f"/api/v1/namespaces/{ns}/configmaps", token=bound)[0], 200)
    cluster.kubectl("delete", "pod", "p", "-n", ns, "--force", "--grace-period=0")
    eventually(lambda: api(f"/api/v1/namespaces/{ns}/configmaps", token=bound)[0] == 401, what="the bound token ends")
    def check(which):
        assert_equal(cluster.out("auth", "can-i", "create", "deployments").strip(), "yes")
        can = cluster.kubectl("auth", "can-i", "delete", "secrets", "-n", ns, f"--as=system:serviceaccount:{ns}:robot", check=False)
        assert_equal((can.stdout.strip().split()[0], can.returncode), ("no", 1))
        assert_equal(cluster.out("auth", "can-i", "list", "configmaps", "-n", ns, f"--as=system:serviceaccount:{ns}:robot").strip(), "yes")
        assert_matches(r"configmaps +\[\] +\[\] +\[get list\]", cluster.out("auth", "can-i", "--list", "-n", ns, f"--as=system:serviceaccount:{ns}:robot"))
        refused(cluster.kubectl("get", "nodes", "--as=nobody", check=False), r'User "nobody" cannot list resource "nodes"')
    both(check)
    assert_matches("system:masters", cluster.out("auth", "whoami"))
