"""A cluster of its own for tests: `lateen up` in a temporary data directory on free ports, stock kubectl against it."""
import json
import os
import re
import shutil
import socket
import subprocess
import tempfile
import time
import urllib.error
import urllib.request

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
BIN = os.path.join(os.environ.get("LATEEN_BUILD_DIR", os.path.join(ROOT, "build")), "bin")


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def run(command, timeout=120, check=True, stdin=None, env=None):
    """Runs a command; returns its output, raises with both streams when it fails."""
    done = subprocess.run(command, capture_output=True, text=True, timeout=timeout, input=stdin, env=env)
    if check and done.returncode != 0:
        raise AssertionError(f"{' '.join(command)}: exit {done.returncode}\n{done.stdout}\n{done.stderr}")
    return done


def eventually(probe, limit=60, every=0.2, what="condition"):
    """Calls `probe` until it returns something true; its last exception or value is in the failure."""
    end = time.monotonic() + limit
    last = None
    while time.monotonic() < end:
        try:
            last = probe()
            if last:
                return last
        except (AssertionError, OSError, ValueError, KeyError, IndexError) as problem:
            last = problem
        time.sleep(every)
    raise AssertionError(f"{what}: not within {limit} s; last: {last}")


class Cluster:
    """Owns a data directory, a kubeconfig and the ports of one cluster."""

    def __init__(self, mesh=False, keep=None):
        self.folder = keep or tempfile.mkdtemp(prefix="lateen-test-")
        self.data = os.path.join(self.folder, "data")
        self.kubeconfig = os.path.join(self.folder, "kubeconfig")
        self.api_port, self.http_port, self.https_port = free_port(), free_port(), free_port()
        self.mesh = mesh
        self.kubectl_path = shutil.which("kubectl")

    def up_command(self, *extra):
        return [os.path.join(BIN, "lateen"), "up", "--data-dir", self.data, "--api-port", str(self.api_port),
                "--http-port", str(self.http_port), "--https-port", str(self.https_port), "--kubeconfig", self.kubeconfig,
                *([] if self.mesh else ["--no-mesh"]), *extra]

    def up(self, timeout=180):
        return run(self.up_command(), timeout=timeout)

    def down(self, check=True):
        return run([os.path.join(BIN, "lateen"), "down", "--data-dir", self.data], check=check)

    def destroy(self):
        self.down(check=False)
        shutil.rmtree(self.folder, ignore_errors=True)

    def env(self):
        return {**os.environ, "KUBECONFIG": self.kubeconfig}

    def kubectl(self, *args, stdin=None, check=True, timeout=120):
        return run([self.kubectl_path, *args], stdin=stdin, check=check, timeout=timeout, env=self.env())

    def out(self, *args, **kwargs):
        return self.kubectl(*args, **kwargs).stdout

    def json(self, *args):
        return json.loads(self.out(*args, "-o", "json"))

    def apply(self, text, check=True):
        return self.kubectl("apply", "-f", "-", stdin=text, check=check)

    def istioctl(self, *args, check=True, stdin=None, timeout=180):
        return run([os.path.join(BIN, "istioctl"), *args], check=check, stdin=stdin, timeout=timeout, env=self.env())

    def status(self):
        return json.loads(run([os.path.join(BIN, "lateen"), "status", "--data-dir", self.data, "-o", "json"]).stdout)

    def pods_ready(self, namespace, selector="", count=None, limit=90):
        """Waits until all pods (at least one, or `count`) are ready and none is going away."""
        def probe():
            args = ["get", "pods", "-n", namespace] + (["-l", selector] if selector else [])
            pods = self.json(*args)["items"]
            ready = [p for p in pods if all(c["ready"] for c in p["status"].get("containerStatuses", [])) and p["status"].get("containerStatuses")]
            return len(pods) == len(ready) > 0 and (count is None or len(pods) == count)
        try:
            eventually(probe, limit, what=f"pods of {namespace} {selector} ready")
        except AssertionError as problem:
            raise AssertionError(f"{problem}\n{self.out('get', 'pods', '-A', '-o', 'wide')}\n{self.out('get', 'events', '-n', namespace)[-3000:]}")

    def get(self, path, headers=None, host="127.0.0.1", port=None, timeout=10):
        """GET through the LoadBalancer's http port: (status, headers, body)."""
        request = urllib.request.Request(f"http://{host}:{port or self.http_port}{path}", headers=headers or {})
        try:
            with urllib.request.urlopen(request, timeout=timeout) as answer:
                return answer.status, dict(answer.headers), answer.read().decode(errors="replace")
        except urllib.error.HTTPError as error:
            return error.code, dict(error.headers), error.read().decode(errors="replace")

    def first_pod(self, selector, namespace="default"):
        return self.json("get", "pods", "-n", namespace, "-l", selector)["items"][0]["metadata"]["name"]


def assert_matches(pattern, text):
    if not re.search(pattern, text, flags=re.M):
        raise AssertionError(f"no match of {pattern!r} in:\n{text}")


def assert_equal(got, want):
    if got != want:
        raise AssertionError(f"got {got!r}, want {want!r}")
