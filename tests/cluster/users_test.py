"""Who runs `lateen up`: a user with subordinate ids has all the user ids that pods ask for, one without has a cluster all the same."""
import os
import shutil
import unittest

from harness import NOBODY, Cluster, assert_equal, eventually, need_unprivileged_user_namespaces, processes_with

FIRST, COUNT = 1_000_000, 65536
POD = """
apiVersion: v1
kind: Pod
metadata: {name: who}
spec:
  containers:
  - {name: who, image: busybox, command: [sleep, "1000"], securityContext: {runAsUser: 1337, runAsGroup: 1338}}
"""


def ids_seen(cluster):
    """The pod's ids as it sees them, and its user as the machine sees it."""
    cluster.up()
    cluster.apply(POD)
    cluster.pods_ready("default")
    inside = cluster.out("exec", "who", "--", "sh", "-c", "id -u; id -g").split()
    pid = eventually(lambda: cluster.part("container", "who", "who"), limit=20, what="the pod's process")["pid"]
    outside = os.stat(f"/proc/{pid}").st_uid
    cluster.down()
    eventually(lambda: not processes_with(cluster.data), limit=10, what="processes gone")
    cluster.run(cluster.command("lateen", "reset", "--yes", "--data-dir", cluster.data, "--kubeconfig", cluster.kubeconfig))
    assert_equal(os.path.exists(cluster.data), False)
    return inside, outside


def test_user_with_subordinate_ids():
    need_unprivileged_user_namespaces()
    if not shutil.which("newuidmap") or not all(map(os.path.exists, ("/etc/subuid", "/etc/subgid"))):
        raise unittest.SkipTest("newuidmap (package uidmap) with /etc/subuid and /etc/subgid is not on this machine")
    cluster = Cluster(user=NOBODY)
    try:
        ranges = os.path.join(cluster.folder, "ranges")
        with open(ranges, "w") as file:
            file.write(f"nobody:{FIRST}:{COUNT}\n")
        # The machine's own files stay as they are: ours are seen by the commands of this test alone.
        binds = " && ".join(f"mount --bind {ranges} /etc/{name}" for name in ("subuid", "subgid"))
        cluster.prefix = ["unshare", "--mount", "sh", "-c", f'{binds} && exec "$@"', "sh", *cluster.prefix]
        assert_equal(ids_seen(cluster), (["1337", "1338"], FIRST + 1336))
    finally:
        cluster.destroy()


def test_user_without_subordinate_ids():
    need_unprivileged_user_namespaces()
    cluster = Cluster(user=NOBODY)
    try:
        if os.path.exists("/etc/subuid") and "nobody:" in open("/etc/subuid").read():
            raise unittest.SkipTest("nobody has subordinate ids on this machine")
        assert_equal(ids_seen(cluster), (["0", "0"], NOBODY))
    finally:
        cluster.destroy()
