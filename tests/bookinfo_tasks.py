"""Bookinfo's traffic tasks, as the documentation has a reader try them: each file applied as it is, each effect seen at the gateway. These rows follow
those of walkthrough.py on its cluster."""
import glob
import os
import re
import time
import urllib.error
import urllib.parse
import urllib.request

import walkthrough
from harness import assert_equal, assert_matches, eventually


def apply(name):
    walkthrough.cluster.out("apply", "-f", os.path.join(walkthrough.samples, "bookinfo", "networking", f"{name}.yaml"))


class NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_):
        return None


def session_of(user):
    """The cookie that a sign-in gives."""
    form = urllib.parse.urlencode({"username": user, "passwd": ""}).encode()
    try:
        urllib.request.build_opener(NoRedirect).open(f"http://127.0.0.1:{walkthrough.cluster.http_port}/login", form, timeout=15)
    except urllib.error.HTTPError as answer:
        if answer.code == 302:
            return answer.headers["Set-Cookie"].split(";")[0]
    raise AssertionError("no session from /login")


def page(user=None):
    status, _, body = walkthrough.cluster.get("/productpage", headers={"Cookie": session_of(user)} if user else {}, timeout=30)
    assert_equal(status, 200)
    return body


def version(body):
    return "v1" if "glyphicon-star" not in body else "v3" if re.search(r'color="?red', body) else "v2"


def always(want, user=None, times=10):
    """The proxies have it once one round shows nothing else."""
    def seen():
        return {version(page(user)) for _ in range(times)} == {want}
    eventually(seen, limit=30, what=f"only reviews {want} for {user or 'anybody'}")


def shares(want, times=100, within=15):
    """Each version's share of the pages, in percent."""
    def seen():
        got = {}
        for _ in range(times):
            one = version(page())
            got[one] = got.get(one, 0) + 100 / times
        return all(abs(got.get(v, 0) - want.get(v, 0)) <= within for v in ("v1", "v2", "v3"))
    eventually(seen, limit=60, what=f"shares {want}")


def test_task_request_routing():
    apply("destination-rule-all")
    apply("virtual-service-all-v1")
    always("v1")
    apply("virtual-service-reviews-test-v2")
    always("v2", "jason")
    always("v1")


def test_task_fault_injection_abort():
    apply("virtual-service-ratings-test-abort")
    eventually(lambda: "Ratings service is currently unavailable" in page("jason"), limit=30, what="the abort for jason")
    assert_equal("currently unavailable" in page(), False)


def test_task_fault_injection_delay():
    apply("virtual-service-ratings-test-delay")

    def delayed():
        begin = time.monotonic()
        body = page("jason")
        return "Sorry, product reviews are currently unavailable for this book." in body and time.monotonic() - begin > 5
    eventually(delayed, limit=60, what="the delay that productpage gives up on")
    assert_equal("currently unavailable" in page(), False)
    apply("virtual-service-all-v1")
    eventually(lambda: "currently unavailable" not in page("jason"), limit=30, what="no fault")


def test_task_traffic_shifting():
    always("v1")
    apply("virtual-service-reviews-50-v3")
    shares({"v1": 50, "v3": 50})
    apply("virtual-service-reviews-80-20")
    shares({"v1": 80, "v2": 20})
    apply("virtual-service-reviews-v3")
    always("v3")
    apply("virtual-service-reviews-jason-v2-v3")
    always("v2", "jason")
    always("v3")


def test_task_files_are_all_accepted():
    """Those too that need a database, the internet or a certificate to have an effect."""
    files = sorted(glob.glob(os.path.join(walkthrough.samples, "bookinfo", "networking", "*.yaml")))
    if len(files) < 15:
        raise AssertionError(f"only {len(files)} files in {walkthrough.samples}/bookinfo/networking")
    for file in files:
        assert_matches(r"(created|configured|unchanged)$", walkthrough.cluster.out("apply", "-f", file))
    for file in files:
        if not file.endswith("/bookinfo-gateway.yaml"):
            walkthrough.cluster.out("delete", "-f", file, "--ignore-not-found")
    eventually(lambda: {version(page()) for _ in range(30)} == {"v1", "v2", "v3"}, limit=60, what="all versions again")
