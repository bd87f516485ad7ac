"""Our control plane on a real kube-apiserver and etcd: the corpus's routing cases, through our proxy and the real Envoy."""
import os
import sys
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

matrix, cases = None, []


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
    cases = corpus.load("routing")
    matrix = Matrix(RealCluster())
    matrix.start(("ours-ours", "ours-envoy"))
    matrix.run(cases)


def teardown():
    if matrix:
        matrix.close()


def check(name):
    if matrix.world(name) is None:
        raise unittest.SkipTest("the real Envoy is not on this machine (tools/peers/build.sh)")
    lines = matrix.failures(matrix.world(name), cases)
    if lines:
        raise AssertionError("\n".join(lines))


def test_routing_through_our_proxy():
    check("ours-ours")


def test_routing_through_the_real_envoy():
    check("ours-envoy")


def test_nothing_is_rejected():
    lines = [line for plane in matrix.control.planes.values() for line in plane.rejections()]
    if lines:
        raise AssertionError("\n".join(lines[:20]))
