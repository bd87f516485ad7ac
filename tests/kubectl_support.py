"""What the tests that type stock kubectl share."""
import json
import os

from harness import assert_matches, eventually


def debians_kubectl():
    cache = os.environ.get("XDG_CACHE_HOME", os.path.expanduser("~/.cache"))
    path = os.path.join(cache, "lateen", "kubectl-debian", "usr", "bin", "kubectl")
    return path if os.path.exists(path) else None


def start(cluster):
    cluster.up()
    eventually(lambda: " Ready " in cluster.out("get", "nodes"), what="node ready")


def with_both(cluster, check):
    """Runs `check` with the machine's kubectl ("new"), then with Debian's ("old") where it is at hand."""
    current = cluster.kubectl_path
    for path, age in [(current, "new"), (debians_kubectl(), "old")]:
        if path is None:
            continue
        cluster.kubectl_path = path
        try:
            check(age)
        finally:
            cluster.kubectl_path = current


def pod(name, ns, containers, more="", restart="Never"):
    return f"apiVersion: v1\nkind: Pod\nmetadata: {{name: {name}, namespace: {ns}, labels: {{app: {name}}}}}\nspec:\n  restartPolicy: {restart}\n  terminationGracePeriodSeconds: 1\n{more}  containers:\n{containers}"


def shell(script, name="c", more=""):
    return f"  - name: {name}\n    image: busybox\n    command: [sh, -c, {json.dumps(script)}]\n{more}"


def namespace_in(cluster, name):
    cluster.kubectl("create", "namespace", name)
    eventually(lambda: cluster.out("get", "serviceaccount", "default", "-n", name, "-o", "name"), what="default account")
    return name


def refused(done, pattern):
    """A command that had to fail, saying this."""
    if done.returncode == 0:
        raise AssertionError(f"was expected to fail: {done.stdout}")
    assert_matches(pattern, done.stdout + done.stderr)
