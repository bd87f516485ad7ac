"""A world of its own for one control plane and one kind of proxy: network namespaces with the same addresses in every
world, a sidecar before the client, one before a server, an ingress gateway, and upstreams without any proxy."""
import json
import os
import signal
import socket
import shutil
import subprocess
import threading
import ctypes
import unittest

from harness import BIN, eventually, run

HERE = os.path.dirname(os.path.abspath(__file__))
PEERS = os.environ.get("LATEEN_PEERS", "/work/peers")
ENVOY = os.path.join(PEERS, "envoy/envoy/_bin/envoy")
OUTSIDE, CLIENT, SERVER, GATEWAY = "10.77.0.1", "10.77.0.10", "10.77.0.20", "10.77.0.40"
UPSTREAMS = "10.78"  # any address of 10.78.0.0/16 answers; all are one program
HTTP_PORTS = [8000, 8080, 8081, 8082, 8443, 9080, 9090, 7070]
TCP_PORTS = [9000, 9001, 3306, 27017]
GREETING_PORTS = [3306]
CLONE_NEWNET = 0x40000000
libc = ctypes.CDLL(None, use_errno=True)


def listen_in(namespace, address):
    """A listening socket inside a network namespace, used from outside of it."""
    made = []

    def make():
        with open(f"/run/netns/{namespace}") as handle:
            if libc.setns(handle.fileno(), CLONE_NEWNET) != 0:
                return
        server = socket.socket()
        server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        server.bind(address)
        server.listen(256)
        made.append(server)
    thread = threading.Thread(target=make)
    thread.start()
    thread.join()
    if not made:
        raise AssertionError(f"no socket at {address} in {namespace}")
    return made[0]


def pump(source, sink):
    try:
        while data := source.recv(65536):
            sink.sendall(data)
    except OSError:
        pass
    for end in (source, sink):
        try:
            end.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass


def need_worlds():
    """Skips where worlds cannot be made."""
    if os.geteuid() != 0:
        raise unittest.SkipTest("needs root, for network namespaces")
    for program in ("node", "ip", "setpriv", "curl", "openssl"):
        if not shutil.which(program):
            raise unittest.SkipTest(f"needs {program}")
    try:
        import yaml  # noqa: F401
    except ImportError:
        raise unittest.SkipTest("needs Python's yaml")


class Relay:
    """Carries connections from an address inside a namespace to a port of this machine's loopback."""

    def __init__(self, namespace, address, port):
        self.server, self.port = listen_in(namespace, address), port
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            try:
                inner, _ = self.server.accept()
            except OSError:
                return
            try:
                outer = socket.create_connection(("127.0.0.1", self.port), 10)
                outer.settimeout(None)
            except OSError:
                inner.close()
                continue
            for pair in ((inner, outer), (outer, inner)):
                threading.Thread(target=pump, args=pair, daemon=True).start()

    def close(self):
        self.server.shutdown(socket.SHUT_RDWR)
        self.server.close()


class Peer:
    """peer.mjs in a namespace: answers by id, from any thread."""

    def __init__(self, namespace, log):
        self.process = subprocess.Popen(["ip", "netns", "exec", namespace, "node", os.path.join(HERE, "peer.mjs")],
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=open(log, "wb"), text=True)
        self.waiting, self.lock, self.next = {}, threading.Lock(), 0
        threading.Thread(target=self.read, daemon=True).start()

    def read(self):
        for line in self.process.stdout:
            answer = json.loads(line)
            with self.lock:
                slot = self.waiting.pop(answer["id"], None)
            if slot:
                slot[1] = answer
                slot[0].set()

    def begin(self, command):
        slot = [threading.Event(), None]
        with self.lock:
            self.next += 1
            command = {**command, "id": self.next}
            self.waiting[self.next] = slot
            self.process.stdin.write(json.dumps(command) + "\n")
            self.process.stdin.flush()
        return slot

    def ask(self, command, limit=30):
        return self.end(self.begin(command), limit)

    @staticmethod
    def end(slot, limit=30):
        if not slot[0].wait(limit):
            raise AssertionError("a peer did not answer")
        return slot[1]

    def close(self):
        self.process.stdin.close()
        try:
            self.process.wait(5)
        except subprocess.TimeoutExpired:
            self.process.kill()


class World:
    def __init__(self, name, folder, binary, control_port, tokens, roots, number):
        self.name, self.folder, self.binary, self.control_port = name, os.path.join(folder, name), binary, control_port
        self.tokens, self.roots = tokens, roots
        self.is_ours = binary.endswith("lateen-proxy")
        self.prefix = f"lp{os.getpid() % 100000}{number}"
        self.spaces, self.agents, self.relays, self.peers = [], [], [], {}
        os.makedirs(self.folder, exist_ok=True)

    def space(self, role):
        return f"{self.prefix}-{role}"

    def lay_out(self):
        """One bridge; every role hangs on it with one address."""
        outside = self.space("outside")
        for role in ("outside", "client", "server", "gateway"):
            run(["ip", "netns", "add", self.space(role)])
            self.spaces.append(self.space(role))
            etc = f"/etc/netns/{self.space(role)}"
            os.makedirs(etc, exist_ok=True)
            with open(f"{etc}/hosts", "w") as hosts:
                hosts.write(f"127.0.0.1 localhost\n{OUTSIDE} istiod.istio-system.svc\n"
                            + "".join(f"{UPSTREAMS}.255.{n} up{n}.peers.test\n" for n in range(1, 30)))
            with open(f"{etc}/resolv.conf", "w") as conf:
                conf.write(f"nameserver {OUTSIDE}\noptions attempts:1 timeout:1\n")
        lines = ["link set lo up", "link add br0 type bridge", f"addr add {OUTSIDE}/24 dev br0", "link set br0 up",
                 f"route add local {UPSTREAMS}.0.0/16 dev lo"]
        for role, address in (("client", CLIENT), ("server", SERVER), ("gateway", GATEWAY)):
            lines += [f"link add v-{role} type veth peer name eth0 netns {self.space(role)}",
                      f"link set v-{role} master br0 up"]
            self.batch(self.space(role), ["link set lo up"])
        self.batch(outside, lines)
        for role, address in (("client", CLIENT), ("server", SERVER), ("gateway", GATEWAY)):
            self.batch(self.space(role), [f"addr add {address}/24 dev eth0", "link set eth0 up", f"route add default via {OUTSIDE}"])
            self.inside(role, ["sysctl", "-q", "-w", "net.ipv4.ip_unprivileged_port_start=0"])
        for role in ("client", "server"):
            self.inside(role, [os.path.join(BIN, "lateen"), "agent", "istio-iptables", "-p", "15001", "-z", "15006", "-u", "1337",
                               "-m", "REDIRECT", "-i", "*", "-x", "", "-b", "*", "-d", "15090,15021,15020"])

    def batch(self, namespace, lines):
        run(["ip", "-n", namespace, "-batch", "-"], stdin="\n".join(lines) + "\n")

    def inside(self, role, command, **kwargs):
        return run(["ip", "netns", "exec", self.space(role), *command], **kwargs)

    def start(self, certificates):
        self.lay_out()
        self.relays.append(Relay(self.space("outside"), (OUTSIDE, 15012), self.control_port))
        for role in ("outside", "client", "server"):
            self.peers[role] = Peer(self.space(role), os.path.join(self.folder, f"peer-{role}.log"))
        for role in ("outside", "server"):
            answer = self.peers[role].ask({"op": "serve", "ports": HTTP_PORTS + TCP_PORTS, "greets": GREETING_PORTS, **certificates})
            if not answer.get("ok"):
                raise AssertionError(f"{self.name}: echo servers of {role}: {answer}")
        self.start_agent("client", "client", "sidecar", CLIENT, {"app": "client", "security.istio.io/tlsMode": "istio"})
        self.start_agent("server", "server", "sidecar", SERVER, {"app": "server", "version": "v1", "security.istio.io/tlsMode": "istio"})
        self.start_agent("gateway", "istio-system", "router", GATEWAY, {"app": "istio-ingressgateway", "istio": "ingressgateway"},
                         account="istio-ingressgateway")

    def start_agent(self, role, namespace, kind, address, labels, account=None):
        home = os.path.join(self.folder, role)
        account = account or role
        for path in ("var/run/secrets/istio", "var/run/secrets/tokens", "etc/istio/pod", "etc/istio/proxy",
                     "var/run/secrets/workload-spiffe-uds"):
            os.makedirs(os.path.join(home, path), exist_ok=True)
        files = {"var/run/secrets/istio/root-cert.pem": self.roots, "var/run/secrets/tokens/istio-token": self.tokens[account],
                 "etc/istio/pod/labels": "".join(f'{k}="{v}"\n' for k, v in labels.items()), "etc/istio/pod/annotations": ""}
        for path, text in files.items():
            with open(os.path.join(home, path), "w") as out:
                out.write(text)
        for path, folders, names in os.walk(self.folder):
            for name in folders + names:
                os.chown(os.path.join(path, name), 1337, 1337)
        os.chown(self.folder, 1337, 1337)
        config = {"binaryPath": self.binary, "discoveryAddress": "istiod.istio-system.svc:15012", "concurrency": 1}
        env = {"PATH": os.environ["PATH"], "POD_NAME": f"{role}-1", "POD_NAMESPACE": namespace, "INSTANCE_IP": address,
               "SERVICE_ACCOUNT": account, "PROXY_CONFIG": json.dumps(config), "ISTIO_META_CLUSTER_ID": "Kubernetes", "ISTIO_META_DNS_CAPTURE": "false",
               "ISTIO_META_INTERCEPTION_MODE": "REDIRECT", "ISTIO_META_WORKLOAD_NAME": role, "ISTIO_META_MESH_ID": "cluster.local",
               "ISTIO_META_OWNER": f"kubernetes://apis/apps/v1/namespaces/{namespace}/deployments/{role}"}
        command = ["ip", "netns", "exec", self.space(role), "setpriv", "--reuid", "1337", "--regid", "1337", "--clear-groups",
                   os.path.join(BIN, "lateen"), "agent", "proxy", kind, "--domain", f"{namespace}.svc.cluster.local",
                   "--proxyLogLevel=warning"]
        log = open(os.path.join(self.folder, f"{role}.log"), "wb")
        self.agents.append(subprocess.Popen(command, cwd=home, env=env, stdout=log, stderr=log, start_new_session=True))

    def ready(self, limit=60):
        for role in ("client", "server", "gateway"):
            eventually(lambda: self.http(role, "/healthz/ready", 15021)[0] == 200, limit, what=f"{self.name}: {role} ready")

    def http(self, role, path, port=15000, method="GET", headers=None):
        """A request inside a role's namespace past its redirection (as the proxy's user): admin pages, readiness."""
        done = self.inside(role, ["setpriv", "--reuid", "1337", "--regid", "1337", "--clear-groups", "curl", "-s", "-m", "10", "-X", method,
                                  "-w", "\n%{http_code}", f"http://127.0.0.1:{port}{path}"], check=False)
        body, _, status = done.stdout.rpartition("\n")
        return int(status or 0), body

    def close(self):
        for agent in self.agents:
            if agent.poll() is None:
                os.killpg(agent.pid, signal.SIGKILL)
                agent.wait()
        for peer in self.peers.values():
            peer.close()
        for relay in self.relays:
            relay.close()
        for space in self.spaces:
            run(["ip", "netns", "del", space], check=False)
            run(["rm", "-rf", f"/etc/netns/{space}"], check=False)
