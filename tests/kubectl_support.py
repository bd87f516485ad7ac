"""What the tests that type stock kubectl share."""
import os

from harness import assert_matches, eventually


def debians_kubectl():
    cache = os.environ.get("XDG_CACHE_HOME", os.path.expanduser("~/.cache"))
    path = os.path.join(cache, "lateen", "kubectl-debian", "usr", "bin", "kubectl")
    return path if os.path.exists(path) else None


def namespace_in(cluster, name):
    cluster.kubectl("create", "namespace", name)
    eventually(lambda: cluster.out("get", "serviceaccount", "default", "-n", name, "-o", "name"), what="default account")
    return name


def refused(done, pattern):
    """A command that had to fail, saying this."""
    if done.returncode == 0:
        raise AssertionError(f"was expected to fail: {done.stdout}")
    assert_matches(pattern, done.stdout + done.stderr)
