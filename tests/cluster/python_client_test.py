"""The official Python client of Kubernetes against the API server: list, watch, patches, exec. Needs ~/.cache/lateen/kube-client (a venv with `kubernetes`)."""
import os
import unittest

from harness import Cluster, assert_equal, assert_matches, eventually, run

cluster = None
PYTHON = os.path.join(os.environ.get("XDG_CACHE_HOME", os.path.expanduser("~/.cache")), "lateen", "kube-client", "bin", "python")

SCRIPT = r'''
import sys
from kubernetes import client, config, watch
from kubernetes.stream import stream
config.load_kube_config(sys.argv[1])
core, apps, custom = client.CoreV1Api(), client.AppsV1Api(), client.CustomObjectsApi()
ns = "python-client"
core.create_namespace(client.V1Namespace(metadata=client.V1ObjectMeta(name=ns)))
print("nodes", [n.metadata.name for n in core.list_node().items])
for i in range(5):
    core.create_namespaced_config_map(ns, client.V1ConfigMap(metadata=client.V1ObjectMeta(name=f"c{i}", labels={"n": "c"}), data={"i": str(i)}))
page = core.list_namespaced_config_map(ns, label_selector="n=c", limit=2)
names = [i.metadata.name for i in page.items]
while page.metadata._continue:
    page = core.list_namespaced_config_map(ns, label_selector="n=c", limit=2, _continue=page.metadata._continue)
    names += [i.metadata.name for i in page.items]
print("pages", names)
core.patch_namespaced_config_map("c0", ns, {"data": {"i": "patched"}})
print("patched", core.read_namespaced_config_map("c0", ns).data)
version = core.list_namespaced_config_map(ns).metadata.resource_version
core.delete_namespaced_config_map("c4", ns)
seen = []
for event in watch.Watch().stream(core.list_namespaced_config_map, ns, resource_version=version, label_selector="n=c", timeout_seconds=20):
    seen.append((event["type"], event["object"].metadata.name))
    break
print("watched", seen)
pod = client.V1Pod(metadata=client.V1ObjectMeta(name="p"), spec=client.V1PodSpec(containers=[client.V1Container(name="c", image="busybox", command=["sleep", "1000"])]))
core.create_namespaced_pod(ns, pod)
for event in watch.Watch().stream(core.list_namespaced_pod, ns, timeout_seconds=60):
    if event["object"].status.phase == "Running" and event["object"].status.container_statuses[0].ready:
        break
print("exec", stream(core.connect_get_namespaced_pod_exec, "p", ns, command=["sh", "-c", "echo from inside"], stdout=True, stderr=True, stdin=False, tty=False).strip())
shell = stream(core.connect_get_namespaced_pod_exec, "p", ns, command=["sh", "-c", "read x; echo got $x; exit 4"], stdout=True, stderr=True, stdin=True, tty=False, _preload_content=False)
shell.write_stdin("typed\n")
shell.run_forever(timeout=20)
print("shell", shell.read_stdout().strip(), shell.returncode)
print("refused", end=" ")
try:
    core.read_namespaced_pod("missing", ns)
except client.ApiException as error:
    print(error.status, error.reason)
print("dynamic", [g.name for g in client.ApisApi().get_api_versions().groups if g.name == "apps"])
core.delete_namespace(ns)
'''


def setup():
    global cluster
    if not os.path.exists(PYTHON):
        raise unittest.SkipTest("the Python client is not at hand: python3 -m venv ~/.cache/lateen/kube-client, then pip install kubernetes there")
    cluster = cluster or Cluster(mesh=False)
    cluster.up()
    eventually(lambda: " Ready " in cluster.out("get", "nodes"), what="node ready")


def teardown():
    if cluster is not None:
        cluster.destroy()


def test_the_python_client():
    script = os.path.join(cluster.folder, "client.py")
    with open(script, "w") as file:
        file.write(SCRIPT)
    out = run([PYTHON, script, cluster.kubeconfig], timeout=180).stdout
    lines = dict(line.split(" ", 1) for line in out.splitlines())
    assert_equal(lines["nodes"], "['lateen']")
    assert_equal(lines["pages"], "['c0', 'c1', 'c2', 'c3', 'c4']")
    assert_equal(lines["patched"], "{'i': 'patched'}")
    assert_equal(lines["watched"], "[('DELETED', 'c4')]")
    assert_equal((lines["exec"], lines["shell"]), ("from inside", "got typed 4"))
    assert_matches("^404 Not Found$", lines["refused"])
    assert_equal(lines["dynamic"], "['apps']")
