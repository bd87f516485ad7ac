"""The corpus through {our discovery, a stock istiod} x {our proxy, the real Envoy}: each world must do what each case states,
reject nothing, and behave as stock istiod with the real Envoy in what no case states (but for what differences.md explains).
`./dev peers` runs it."""
import os
import re
import sys
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

from world import need_worlds  # noqa: E402

matrix, cases = None, []


def setup():
    global matrix, cases
    if not os.environ.get("LATEEN_PEERS_RUN"):
        raise unittest.SkipTest("takes minutes and a quiet machine: ./dev peers runs it")
    need_worlds()
    import corpus
    from matrix import Matrix
    cases = corpus.load()
    matrix = Matrix()
    matrix.start()
    matrix.run(cases)


def teardown():
    if matrix:
        matrix.close()


def check(name):
    world = matrix.world(name)
    if world is None:
        what = "the real Envoy" if name == "ours-envoy" else "a stock pilot-discovery"
        raise unittest.SkipTest(f"{what} is not on this machine (tools/peers/build.sh)")
    lines = matrix.failures(world, cases)
    if lines:
        raise AssertionError(f"{name}: {len(lines)} things are not as stated:\n" + "\n".join(lines))


def test_our_discovery_and_our_proxy():
    check("ours-ours")


def test_our_discovery_and_the_real_envoy():
    check("ours-envoy")


def test_stock_istiod_and_our_proxy():
    check("stock-ours")


def test_stock_istiod_and_the_real_envoy():
    check("stock-envoy")


def test_nothing_is_rejected():
    lines = [f"{plane.name}: {line}" for plane in matrix.control.planes.values() for line in plane.rejections()]
    if lines:
        raise AssertionError("proxies rejected configuration:\n" + "\n".join(lines[:20]))


def explained():
    """Patterns of the table in differences.md, between backquotes in its first column."""
    path = os.path.join(os.path.dirname(os.path.abspath(__file__)), "differences.md")
    return [m.group(1) for m in re.finditer(r"^\| `([^`]+)` \|", open(path).read(), flags=re.M)]


def test_no_difference_is_unexplained():
    if matrix.world("stock-envoy") is None:
        raise unittest.SkipTest("needs a stock pilot-discovery and the real Envoy (tools/peers/build.sh)")
    known, lines = explained(), []
    for one in ("ours-ours", "ours-envoy", "stock-ours"):
        for line in matrix.differences(one, "stock-envoy", cases):
            if not any(re.search(pattern, line) for pattern in known):
                lines.append(line)
    if lines:
        raise AssertionError("differences that tests/peers/differences.md does not explain:\n" + "\n".join(lines))
