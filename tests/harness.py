"""A cluster of its own for tests: `lateen up` in a temporary data directory on free ports, stock kubectl against it."""
import base64
import contextlib
import http.client
import json
import os
import re
import shutil
import socket
import ssl
import subprocess
import tempfile
import time
import unittest
import urllib.error
import urllib.request

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
BIN = os.path.join(os.environ.get("LATEEN_BUILD_DIR", os.path.join(ROOT, "build")), "bin")


def free_ports(count):
    """So many different ones: held all at once, as the kernel may hand one out again that was let go."""
    with contextlib.ExitStack() as held:
        sockets = [held.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]


def free_port():
    return free_ports(1)[0]


def run(command, timeout=120, check=True, stdin=None, env=None, cwd=None):
    """Runs a command; returns its output, raises with both streams when it fails."""
    done = subprocess.run(command, capture_output=True, text=True, timeout=timeout, input=stdin, env=env, cwd=cwd)
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
        except (AssertionError, OSError, ValueError, KeyError, IndexError, http.client.HTTPException, subprocess.SubprocessError) as problem:
            last = problem
        time.sleep(every)
    raise AssertionError(f"{what}: not within {limit} s; last: {last}")


# A user of no rights, and how a test that runs as root becomes it.
NOBODY = 65534


def as_user(uid):
    return ["setpriv", f"--reuid={uid}", f"--regid={uid}", "--clear-groups", "--"]


def need_unprivileged_user_namespaces():
    """Skips where the kernel forbids them to users without rights."""
    tried = subprocess.run([*as_user(NOBODY), "unshare", "--user", "--map-root-user", "--net", "true"], capture_output=True, text=True, cwd="/")
    if tried.returncode != 0:
        raise unittest.SkipTest(f"the kernel forbids user namespaces to unprivileged users: {tried.stderr.strip()}")


def end(process, limit=15):
    """Asks it to end, and kills it when it has not within `limit` seconds."""
    process.terminate()
    try:
        process.wait(limit)
    except subprocess.TimeoutExpired:
        process.kill()


def processes_with(text):
    """Processes that have `text` in their command line or an open file below it: {pid: command line}."""
    found = {}
    for pid in filter(str.isdigit, os.listdir("/proc")):
        if int(pid) == os.getpid():
            continue
        try:
            line = open(f"/proc/{pid}/cmdline", "rb").read().replace(b"\0", b" ").decode(errors="replace")
            files = [os.readlink(f"/proc/{pid}/fd/{fd}") for fd in os.listdir(f"/proc/{pid}/fd")]
        except OSError:
            continue
        if text in line or any(text in file for file in files):
            found[pid] = line.strip()
    return found


def machine_state(folder):
    """What of the machine a cluster must leave as it found it."""
    tables = subprocess.run(["nft", "list", "tables"], capture_output=True, text=True).stdout if shutil.which("nft") else ""
    return {"mounts": [line for line in open("/proc/self/mountinfo") if folder in line], "links": sorted(os.listdir("/sys/class/net")), "nftables": tables}


class Cluster:
    """Owns a data directory, a kubeconfig and the ports of one cluster. `user`: the uid that types all commands, with a home of its own; `prefix`:
    words before each command (nsenter, setpriv)."""

    def __init__(self, mesh=False, user=None, prefix=()):
        self.folder = tempfile.mkdtemp(prefix="lateen-test-")
        self.data = os.path.join(self.folder, "data")
        self.kubeconfig = os.path.join(self.folder, "kubeconfig")
        self.api_port, self.http_port, self.https_port = free_port(), free_port(), free_port()
        self.mesh, self.user = mesh, user
        self.prefix = [*prefix, *(as_user(user) if user is not None else [])]
        self.bin, self.kubectl_path = BIN, shutil.which("kubectl")
        if user is not None:
            os.chown(self.folder, user, user)
            self.bin, self.kubectl_path = self.readable(BIN), self.readable(self.kubectl_path)

    def readable(self, path):
        """`path`, or a copy of it that our user can read."""
        if self.user is None:
            return path
        inner = os.path.join(path, "lateen") if path == BIN else path
        if subprocess.run([*as_user(self.user), "test", "-r", inner], cwd="/").returncode == 0:
            return path
        copy = os.path.join(self.folder, "copy-" + os.path.basename(path))
        if os.path.isdir(path):
            shutil.copytree(path, copy, symlinks=True)
        else:
            shutil.copy2(path, copy)
        return copy

    def command(self, program, *args):
        return [*self.prefix, os.path.join(self.bin, program), *args]

    def up_command(self, *extra):
        return self.command("lateen", "up", "--data-dir", self.data, "--api-port", str(self.api_port), "--http-port", str(self.http_port),
                            "--https-port", str(self.https_port), "--kubeconfig", self.kubeconfig, *([] if self.mesh else ["--no-mesh"]), *extra)

    def run(self, command, timeout=120, check=True, stdin=None):
        return run(command, timeout=timeout, check=check, stdin=stdin, env=self.env(), cwd="/")

    def up(self, *extra, timeout=240, check=True):
        return self.run(self.up_command(*extra), timeout=timeout, check=check)

    def down(self, check=True):
        return self.run(self.command("lateen", "down", "--data-dir", self.data), check=check)

    def destroy(self):
        try:
            self.down(check=False)
        finally:
            shutil.rmtree(self.folder, ignore_errors=True)

    def env(self):
        home = {"HOME": self.folder, "USER": "somebody"} if self.user is not None else {}
        return {**{k: v for k, v in os.environ.items() if not k.startswith("XDG_") or not home}, **home, "KUBECONFIG": self.kubeconfig}

    def kubectl(self, *args, stdin=None, check=True, timeout=120):
        return self.run([*self.prefix, self.kubectl_path, *args], stdin=stdin, check=check, timeout=timeout)

    def out(self, *args, **kwargs):
        return self.kubectl(*args, **kwargs).stdout

    def json(self, *args):
        return json.loads(self.out(*args, "-o", "json"))

    def apply(self, text, check=True):
        return self.kubectl("apply", "-f", "-", stdin=text, check=check)

    def istioctl(self, *args, check=True, stdin=None, timeout=180):
        return self.run(self.command("istioctl", *args), check=check, stdin=stdin, timeout=timeout)

    def status(self):
        return json.loads(self.run(self.command("lateen", "status", "--data-dir", self.data, "-o", "json")).stdout)

    def part(self, kind, pod="", container=""):
        """A running part of `lateen status`: by its kind, containers by the beginning of the pod's name and by their own."""
        for part in self.status()["parts"]:
            if part["part"] == kind and part.get("pod", "").startswith(pod) and part.get("container", "") == container and part.get("pid"):
                return part
        return None

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


class Api:
    """The API server as a program sees it: HTTPS with the kubeconfig's client certificate, no retries."""

    def __init__(self, cluster):
        config = json.loads(cluster.out("config", "view", "--raw", "--minify", "-o", "json"))
        there, user = config["clusters"][0]["cluster"], config["users"][0]["user"]
        self.port = int(there["server"].rsplit(":", 1)[1])
        self.context = ssl.create_default_context(cadata=base64.b64decode(there["certificate-authority-data"]).decode())
        with tempfile.NamedTemporaryFile("w", suffix=".pem") as pem:
            pem.write(base64.b64decode(user["client-certificate-data"]).decode() + base64.b64decode(user["client-key-data"]).decode())
            pem.flush()
            self.context.load_cert_chain(pem.name)

    def connect(self, timeout=30):
        return http.client.HTTPSConnection("127.0.0.1", self.port, context=self.context, timeout=timeout)

    def call(self, method, path, body=None, connection=None, timeout=30):
        """(status, parsed body). Connection errors are the caller's."""
        mine = connection or self.connect(timeout)
        try:
            mine.request(method, path, json.dumps(body) if body is not None else None, {"Content-Type": "application/json"})
            answer = mine.getresponse()
            return answer.status, json.loads(answer.read() or b"{}")
        finally:
            if connection is None:
                mine.close()
