"""Runs the browser tests (node --test) and reports each of them; node, Chromium and playwright-core come from `./dev setup`."""
import os
import re
import shutil
import subprocess
import unittest

from harness import Cluster, eventually

FOLDER = os.path.dirname(os.path.abspath(__file__))
ABORTED_DETAILS = """
apiVersion: networking.istio.io/v1beta1
kind: VirtualService
metadata: {name: details}
spec:
  hosts: [details]
  http:
  - match: [{uri: {exact: /details/7}}]
    fault: {abort: {httpStatus: 500, percentage: {value: 100}}}
    route: [{destination: {host: details}}]
  - route: [{destination: {host: details}}]
"""


def run_file(name, env=None):
    if not shutil.which("node") or not shutil.which("npm"):
        raise unittest.SkipTest("node and npm are not on this machine")
    chromium = os.environ.get("CHROMIUM", "/usr/bin/chromium")
    if not os.path.exists(chromium):
        raise unittest.SkipTest(f"{chromium} is not on this machine")
    if not os.path.isdir(os.path.join(FOLDER, "node_modules", "playwright-core")):
        subprocess.run(["npm", "ci", "--no-audit", "--no-fund", "--silent"], cwd=FOLDER, check=True, timeout=300,
                       env={**os.environ, "PLAYWRIGHT_SKIP_BROWSER_DOWNLOAD": "1"})
    done = subprocess.run(["node", "--test", "--test-reporter=tap", name], cwd=FOLDER, capture_output=True, text=True, timeout=600,
                          env={**os.environ, **(env or {})})
    passed = len(re.findall(r"^\s+ok \d+|^ok \d+", done.stdout, flags=re.M))
    if done.returncode != 0 or passed == 0:
        raise AssertionError(done.stdout[-6000:] + done.stderr[-2000:])


def test_bookinfo_in_chromium():
    run_file("bookinfo.test.mjs")


def test_console_in_chromium():
    run_file("console.test.mjs")


def test_the_screen_shows_the_load_that_was_sent():
    cluster, forwards = Cluster(mesh=True), []
    try:
        cluster.up()
        addresses = {"MESH_GATEWAY": f"http://127.0.0.1:{cluster.http_port}"}
        for name in ("kiali", "jaeger", "grafana"):
            forwards.append(subprocess.Popen(cluster.command("istioctl", "dashboard", name, "--browser=false", "--port", "0"), cwd="/",
                                             stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=cluster.env()))
            addresses[f"MESH_{name.upper()}"] = re.search(r"http://\S+", forwards[-1].stdout.readline()).group()
        cluster.apply(ABORTED_DETAILS)
        statuses = []

        def aborted():
            statuses.append(cluster.get("/api/v1/products/7")[0])
            return statuses[-1] == 500
        eventually(aborted, what="the abort is on")
        run_file("mesh.test.mjs", {**addresses, "MESH_FAILED_BEFORE": str(statuses.count(500))})
    finally:
        for forward in forwards:
            forward.terminate()
        cluster.destroy()
