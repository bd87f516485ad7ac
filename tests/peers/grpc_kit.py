"""Python's gRPC and grpc-js for the tests: where they are, and processes of grpc_peer.py and grpc_peer.mjs in a network namespace or not."""
import json
import os
import shutil
import subprocess
import sys
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
CACHE = os.path.join(os.environ.get("XDG_CACHE_HOME", os.path.expanduser("~/.cache")), "lateen")
PYTHON = os.path.join(CACHE, "grpc-py", "bin", "python")
JS = os.path.join(CACHE, "grpc-js")
GRPCIO, GRPC_JS = "1.81.1", "1.14.0"


def need(kind):
    """Skips when that gRPC is not there and its registry does not give it."""
    try:
        (fetch_python if kind == "py" else fetch_js)()
    except (OSError, subprocess.SubprocessError) as problem:
        said = (getattr(problem, "stderr", None) or b"")[-300:]
        raise unittest.SkipTest(f"{'grpcio' if kind == 'py' else '@grpc/grpc-js'} is not on this machine and could not be fetched: {problem} {said}")


def fetch_python():
    if os.path.exists(PYTHON) and subprocess.run([PYTHON, "-c", "import grpc"], capture_output=True).returncode == 0:
        return
    subprocess.run([sys.executable, "-m", "venv", os.path.join(CACHE, "grpc-py")], check=True, capture_output=True, timeout=120)
    subprocess.run([PYTHON, "-m", "pip", "install", "-q", f"grpcio=={GRPCIO}"], check=True, capture_output=True, timeout=240)


def fetch_js():
    if os.path.exists(os.path.join(JS, "node_modules/@grpc/grpc-js-xds/package.json")):
        return
    if not shutil.which("npm"):
        raise OSError("no npm")
    os.makedirs(JS, exist_ok=True)
    subprocess.run(["npm", "install", "--no-audit", "--no-fund", "--silent", "--prefix", JS, f"@grpc/grpc-js@{GRPC_JS}", f"@grpc/grpc-js-xds@{GRPC_JS}"],
                   check=True, capture_output=True, timeout=240)


def command(kind, *args, space=None):
    program = [PYTHON, os.path.join(HERE, "grpc_peer.py")] if kind == "py" else ["node", os.path.join(HERE, "grpc_peer.mjs")]
    return [*(["ip", "netns", "exec", space] if space else []), *program, *args]


def environment(more=None):
    quiet = {k: v for k, v in os.environ.items() if k.lower() not in ("http_proxy", "https_proxy", "all_proxy", "grpc_proxy")}
    return {**quiet, "GRPC_JS": JS, "NODE_NO_WARNINGS": "1", **(more or {})}


class Server:
    def __init__(self, kind, address, space=None, env=None, flags=()):
        self.process = subprocess.Popen(command(kind, "serve", address, *flags, space=space), stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        stderr=subprocess.PIPE, text=True, env=environment(env))
        if self.process.stdout.readline().strip() != "ready":
            self.process.kill()
            raise AssertionError(f"the {kind} server at {address} did not start: {self.process.communicate()[1][-2000:]}")

    def close(self):
        self.process.kill()
        self.process.communicate()


def run_client(kind, *args, space=None, env=None, timeout=240):
    done = subprocess.run(command(kind, *args, space=space), capture_output=True, text=True, timeout=timeout, env=environment(env))
    try:
        return json.loads(done.stdout.strip().splitlines()[-1])
    except (ValueError, IndexError):
        raise AssertionError(f"the {kind} client said: {done.stdout[-500:]} {done.stderr[-2000:]}")
