"""What stock kubectl sees of running pods: logs, exec, attach, cp, port-forward, probes, volumes, limits, workloads; one cluster, no mesh."""
import json
import os
import re
import socket
import subprocess
import time
import unittest

from harness import Cluster, assert_equal, assert_matches, eventually, free_port
from kubectl_support import namespace_in, pod, refused, shell, start, with_both

cluster = None


def setup():
    global cluster
    cluster = cluster or Cluster(mesh=False)
    start(cluster)


def teardown():
    cluster.destroy()


def namespace(name):
    return namespace_in(cluster, name)


def both(check):
    with_both(cluster, check)


def phase(name, ns, wanted, limit=60):
    def probe():
        got = cluster.json("get", "pod", name, "-n", ns)
        return got if got["status"].get("phase") == wanted else None
    try:
        return eventually(probe, limit, what=f"pod {name} {wanted}")
    except AssertionError as problem:
        raise AssertionError(f"{problem}\n{cluster.out('describe', 'pod', name, '-n', ns)}")


def ready(name, ns):
    cluster.kubectl("wait", "--for=condition=Ready", f"pod/{name}", "-n", ns, "--timeout=60s")


def logs(name, ns, *args, **kwargs):
    return cluster.out("logs", name, "-n", ns, *args, **kwargs)


def test_logs():
    ns = namespace("logs")
    cluster.apply(pod("l", ns, shell("for i in 1 2 3 4 5; do echo line $i; done; echo err >&2; while [ ! -e /tmp/go ]; do sleep 0.1; done; echo late; sleep 1000") +
                      shell("echo second; sleep 1000", "d")))
    ready("l", ns)
    eventually(lambda: "err" in logs("l", ns, "-c", "c"), what="log written")
    def check(which):
        assert_equal(logs("l", ns, "-c", "c", "--tail=2").split("\n")[-2:], ["err", ""])
        assert_equal(len(logs("l", ns, "-c", "c", "--tail=3").splitlines()), 3)
        assert_matches(r"^\d{4}-\d\d-\d\dT\S+Z line 1$", logs("l", ns, "-c", "c", "--timestamps"))
        assert_equal(logs("l", ns, "-c", "d", "--since=1h"), "second\n")
        assert_equal(logs("l", ns, "-c", "d", "--since-time=2100-01-01T00:00:00Z"), "")
        assert_equal(logs("l", ns, "-c", "c", "--limit-bytes=6"), "line 1")
        assert_matches(r"second", cluster.out("logs", "-l", "app=l", "--all-containers", "-n", ns))
        refused(cluster.kubectl("logs", "l", "-n", ns, "-c", "nope", check=False), "container nope is not valid for pod l")
        refused(cluster.kubectl("logs", "l", "-n", ns, "-c", "c", "--previous", check=False), 'previous terminated container "c" in pod "l" not found')
    both(check)
    following = subprocess.Popen([cluster.kubectl_path, "logs", "-f", "l", "-c", "c", "-n", ns, "--tail=1"], stdout=subprocess.PIPE, text=True, env=cluster.env())
    try:
        assert_equal(following.stdout.readline(), "err\n")
        cluster.kubectl("exec", "l", "-c", "c", "-n", ns, "--", "touch", "/tmp/go")
        assert_equal(following.stdout.readline(), "late\n")
    finally:
        following.kill()
        following.wait()
    cluster.apply(pod("again", ns, shell("echo start; sleep 0.2; exit 3"), restart="OnFailure"))
    eventually(lambda: cluster.json("get", "pod", "again", "-n", ns)["status"]["containerStatuses"][0]["restartCount"] >= 1, what="a restart")
    assert_matches("start", eventually(lambda: cluster.kubectl("logs", "again", "--previous", "-n", ns, check=False).stdout, what="the previous log"))
    status = eventually(lambda: (lambda s: s if s["lastState"].get("terminated") else None)(
        cluster.json("get", "pod", "again", "-n", ns)["status"]["containerStatuses"][0]), what="last state")
    assert_equal((status["lastState"]["terminated"]["exitCode"], status["lastState"]["terminated"]["reason"]), (3, "Error"))
    eventually(lambda: "CrashLoopBackOff" in cluster.out("get", "pod", "again", "-n", ns), what="back-off shown")
    eventually(lambda: re.search(r"BackOff +pod/again +Back-off restarting failed container", cluster.out("get", "events", "-n", ns)), what="back-off event")


def test_exec():
    ns = namespace("exec")
    cluster.apply(pod("e", ns, shell("sleep 1000", more="    env: [{name: HELLO, value: there}]\n    workingDir: /tmp\n")))
    ready("e", ns)
    def check(which):
        run = lambda *args, **kwargs: cluster.kubectl("exec", *args, **kwargs)
        assert_equal(run("e", "-n", ns, "--", "sh", "-c", "echo out; echo err >&2; echo $HELLO; pwd").stdout, "out\nthere\n/tmp\n")
        failed = run("e", "-n", ns, "--", "sh", "-c", "exit 7", check=False)
        assert_equal(failed.returncode, 7)
        assert_matches("command terminated with exit code 7", failed.stderr)
        assert_equal(run("-i", "e", "-n", ns, "--", "cat", stdin="typed\n").stdout, "typed\n")
        big = "x" * 300000 + "\n"
        assert_equal(run("-i", "e", "-n", ns, "--", "wc", "-c", stdin=big).stdout.strip(), str(len(big)))
        assert_equal(len(run("e", "-n", ns, "--", "head", "-c", "1000000", "/dev/zero").stdout), 1000000)
        missing = run("e", "-n", ns, "--", "no-such-program", check=False)
        refused(missing, r"no-such-program.*(not found|no such file)")
        refused(run("e", "-c", "nope", "-n", ns, "--", "true", check=False), "container nope is not valid|container not found|nope")
    both(check)


class Terminal:
    """kubectl under a terminal of its own."""

    def __init__(self, *args, rows=33, columns=101):
        import fcntl
        import pty
        import struct
        import termios
        self.master, slave = pty.openpty()
        self.resize(rows, columns)
        self.process = subprocess.Popen([cluster.kubectl_path, *args], stdin=slave, stdout=slave, stderr=slave, env=cluster.env(), start_new_session=True,
                                        preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0))
        os.close(slave)
        self.seen = ""

    def resize(self, rows, columns):
        import fcntl
        import signal
        import struct
        import termios
        fcntl.ioctl(self.master, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        if hasattr(self, "process"):
            os.kill(self.process.pid, signal.SIGWINCH)

    def type(self, text):
        os.write(self.master, text.encode())

    def until(self, pattern, limit=30):
        import select
        end = time.monotonic() + limit
        while not re.search(pattern, self.seen):
            if time.monotonic() > end:
                raise AssertionError(f"no {pattern!r} on the terminal in {limit} s: {self.seen!r}")
            if select.select([self.master], [], [], 0.2)[0]:
                try:
                    self.seen += os.read(self.master, 65536).decode(errors="replace")
                except OSError:
                    if not re.search(pattern, self.seen):
                        raise AssertionError(f"the terminal ended without {pattern!r}: {self.seen!r}")

    def close(self):
        self.process.kill()
        self.process.wait()
        os.close(self.master)


def test_exec_terminal():
    ns = namespace("tty")
    cluster.apply(pod("t", ns, shell("sleep 1000")))
    ready("t", ns)
    def check(which):
        terminal = Terminal("exec", "-it", "t", "-n", ns, "--", "sh")
        try:
            terminal.until(r"[#$] ")
            terminal.type("test -t 0 && echo is-$((40+2))-tty\n")
            terminal.until("is-42-tty")
            terminal.type("stty size\n")
            terminal.until(r"33 101")
            terminal.resize(44, 88)
            eventually(lambda: (terminal.type("stty size\n"), terminal.until(r"44 88", limit=2)) and True, limit=20, what="the new size")
            terminal.type("exit 5\n")
            terminal.until("exit code 5")
            assert_equal(terminal.process.wait(timeout=30), 5)
        finally:
            terminal.close()
    both(check)


def test_attach():
    ns = namespace("attach")
    def check(which):
        name = "a-" + which
        cluster.apply(pod(name, ns, shell("while read line; do echo got $line; done; echo closed; sleep 1000", more="    stdin: true\n    stdinOnce: true\n")))
        ready(name, ns)
        attached = subprocess.Popen([cluster.kubectl_path, "attach", "-i", name, "-n", ns], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                                    text=True, env=cluster.env())
        try:
            attached.stdin.write("one\n")
            attached.stdin.flush()
            assert_equal(attached.stdout.readline(), "got one\n")
            attached.stdin.close()
            assert_equal(attached.stdout.readline(), "closed\n")
        finally:
            attached.kill()
            attached.wait()
        assert_equal(logs(name, ns), "got one\nclosed\n")
        # kubectl run -it: a terminal of the container itself, attached to as it starts.
        terminal = Terminal("run", "r-" + which, "-n", ns, "-it", "--rm", "--restart=Never", "--image=busybox", "--", "sh", "-c", "read x; echo said-$x; exit 0")
        try:
            eventually(lambda: cluster.json("get", "pod", "r-" + which, "-n", ns)["status"].get("phase") == "Running", what="running")
            terminal.type("hello\n")
            terminal.until("said-hello")
            assert_equal(terminal.process.wait(timeout=60), 0)
        finally:
            terminal.close()
        eventually(lambda: "NotFound" in cluster.kubectl("get", "pod", "r-" + which, "-n", ns, check=False).stderr, what="--rm")
    both(check)


def test_cp():
    ns = namespace("cp")
    cluster.apply(pod("f", ns, shell("sleep 1000")))
    ready("f", ns)
    folder = os.path.join(cluster.folder, "copied")
    os.makedirs(os.path.join(folder, "deep"), exist_ok=True)
    with open(os.path.join(folder, "deep", "file"), "w") as file:
        file.write("content\n" * 10000)
    def check(which):
        cluster.kubectl("cp", folder, f"{ns}/f:/tmp/to-{which}")
        assert_equal(cluster.out("exec", "f", "-n", ns, "--", "wc", "-l", f"/tmp/to-{which}/deep/file").split()[0], "10000")
        back = os.path.join(cluster.folder, "back-" + which)
        cluster.kubectl("cp", f"{ns}/f:/tmp/to-{which}/deep/file", back)
        assert_equal(open(back).read(), "content\n" * 10000)
    both(check)


HTTP_SERVER = """
use IO::Socket::INET;
my $s = IO::Socket::INET->new(LocalPort => $ARGV[0], Listen => 10, ReuseAddr => 1) or die;
while (my $c = $s->accept) {
  my $first = <$c>; while (my $l = <$c>) { last if $l =~ /^\\r?\\n$/; }
  my ($path) = $first =~ / (\\S+)/;
  my $status = $path =~ m{^/fail} ? "500 Bad" : -e "/tmp/broken" ? "503 Broken" : "200 OK";
  my $body = "you asked for $path from " . $c->peerhost . "\\n";
  print $c "HTTP/1.1 $status\\r\\nContent-Type: text/plain\\r\\nContent-Length: " . length($body) . "\\r\\nConnection: close\\r\\n\\r\\n$body"; close $c;
}
"""


def perl(script, *args, name="c", more=""):
    return f"  - name: {name}\n    image: busybox\n    command: {json.dumps(['perl', '-e', script, *map(str, args)])}\n{more}"


def web_pod(name, ns, more=""):
    return pod(name, ns, perl(HTTP_SERVER, 8080, more="    ports: [{containerPort: 8080, name: web}]\n" + more), restart="Always")


def http_get(port, path="/", limit=10):
    with socket.create_connection(("127.0.0.1", port), timeout=limit) as s:
        s.settimeout(limit)
        s.sendall(f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n".encode())
        answer = b""
        while chunk := s.recv(65536):
            answer += chunk
        return answer.decode()


def test_port_forward_and_proxies():
    ns = namespace("forward")
    cluster.apply(web_pod("w", ns) + f"---\napiVersion: v1\nkind: Service\nmetadata: {{name: w, namespace: {ns}}}\nspec: {{selector: {{app: w}}, ports: [{{name: web, port: 80, targetPort: web}}]}}\n")
    ready("w", ns)
    def check(which):
        for target in ["pod/w", "service/w"]:
            forward = subprocess.Popen([cluster.kubectl_path, "port-forward", target, "-n", ns, f":{8080 if target[0] == 'p' else 80}"], stdout=subprocess.PIPE, text=True, env=cluster.env())
            try:
                port = int(re.search(r"127.0.0.1:(\d+) -> 8080", forward.stdout.readline()).group(1))
                for i in range(3):
                    assert_matches(f"you asked for /x{i} from", http_get(port, f"/x{i}"))
            finally:
                forward.kill()
                forward.wait()
        base = f"/api/v1/namespaces/{ns}"
        assert_matches("you asked for /a/b\\?q=1 from", eventually(lambda: cluster.out("get", "--raw", f"{base}/services/w:web/proxy/a/b?q=1"), what="service proxy"))
        assert_matches("you asked for / from", cluster.out("get", "--raw", f"{base}/services/w/proxy/"))
        assert_matches("you asked for /pod from", cluster.out("get", "--raw", f"{base}/pods/w:8080/proxy/pod"))
        assert_matches("you asked for /pod from", cluster.out("get", "--raw", f"{base}/pods/http:w:web/proxy/pod"))
        refused(cluster.kubectl("get", "--raw", f"{base}/services/nope/proxy/", check=False), 'services "nope" not found|NotFound')
        proxying = subprocess.Popen([cluster.kubectl_path, "proxy", "--port=0"], stdout=subprocess.PIPE, text=True, env=cluster.env())
        try:
            port = int(re.search(r":(\d+)", proxying.stdout.readline()).group(1))
            assert_matches(f"you asked for /{which} from", http_get(port, f"{base}/services/w/proxy/{which}"))
            assert_matches('"kind": ?"Pod"', http_get(port, f"{base}/pods/w"))
        finally:
            proxying.kill()
            proxying.wait()
    both(check)


# grpc.health.v1.Health/Check over HTTP/2, by hand: SERVING until there is a file /tmp/sick.
GRPC_SERVER = r"""
use IO::Socket::INET;
my $s = IO::Socket::INET->new(LocalPort => 9000, Listen => 10, ReuseAddr => 1) or die;
sub frame { my ($type, $flags, $stream, $body) = @_; substr(pack('N', length $body), 1) . pack('CCN', $type, $flags, $stream) . $body }
while (my $c = $s->accept) {
  binmode $c; $c->autoflush(1); my $head; next unless read($c, $head, 24) == 24;
  print $c frame(4, 0, 0, '');
  while ((read($c, $head, 9) || 0) == 9) {
    my ($high, $low, $type, $flags, $stream) = unpack('CnCCN', $head); my $body = ''; read($c, $body, $high * 65536 + $low);
    print $c frame(4, 1, 0, '') if $type == 4 && !($flags & 1);
    print $c frame(6, 1, 0, $body) if $type == 6 && !($flags & 1);
    next unless ($type == 0 || $type == 1) && ($flags & 1);
    my $state = -e '/tmp/sick' ? 2 : 1;
    print $c frame(1, 4, $stream, "\x88\x00\x0ccontent-type\x10application/grpc") . frame(0, 0, $stream, "\0\0\0\0\x02\x08" . chr $state) . frame(1, 5, $stream, "\x00\x0bgrpc-status\x010");
  }
}
"""


def test_grpc_probe():
    ns = namespace("grpc")
    cluster.apply(pod("g", ns, perl(GRPC_SERVER, more="    readinessProbe: {grpc: {port: 9000}, periodSeconds: 1, failureThreshold: 1}\n")))
    ready("g", ns)
    cluster.kubectl("exec", "g", "-n", ns, "--", "touch", "/tmp/sick")
    eventually(lambda: "0/1" in cluster.out("get", "pod", "g", "-n", ns), what="not ready")
    eventually(lambda: re.search(r"Readiness probe failed: .*NOT_SERVING", cluster.out("get", "events", "-n", ns)), what="event")
    cluster.kubectl("exec", "g", "-n", ns, "--", "rm", "/tmp/sick")
    ready("g", ns)


def test_probes():
    ns = namespace("probes")
    fast = "periodSeconds: 1, failureThreshold: 1"
    cluster.apply(web_pod("http", ns, f"    readinessProbe: {{httpGet: {{path: /ok, port: web, httpHeaders: [{{name: X, value: there}}]}}, {fast}}}\n    livenessProbe: {{tcpSocket: {{port: 8080}}, periodSeconds: 1, failureThreshold: 60}}\n"))
    cluster.apply(pod("startup", ns, shell("sleep 1; touch /tmp/up; sleep 1000", more=
        "    startupProbe: {exec: {command: [test, -e, /tmp/up]}, periodSeconds: 1, failureThreshold: 30}\n    livenessProbe: {exec: {command: [test, -e, /tmp/up]}, periodSeconds: 1, failureThreshold: 1}\n")))
    ready("http", ns)
    ready("startup", ns)
    assert_equal(cluster.json("get", "pod", "startup", "-n", ns)["status"]["containerStatuses"][0]["restartCount"], 0)
    cluster.kubectl("exec", "http", "-n", ns, "--", "touch", "/tmp/broken")
    eventually(lambda: "0/1" in cluster.out("get", "pod", "http", "-n", ns), what="not ready")
    eventually(lambda: "Readiness probe failed: HTTP probe failed with statuscode: 503" in cluster.out("get", "events", "-n", ns), what="event")
    cluster.kubectl("exec", "http", "-n", ns, "--", "rm", "/tmp/broken")
    ready("http", ns)
    # A liveness probe that fails restarts the container, by the pod's policy.
    cluster.apply(pod("live", ns, shell("touch /tmp/ok; sleep 1000", more=f"    livenessProbe: {{exec: {{command: [cat, /tmp/ok]}}, initialDelaySeconds: 1, {fast}}}\n"), restart="Always"))
    ready("live", ns)
    cluster.kubectl("exec", "live", "-n", ns, "--", "rm", "/tmp/ok")
    eventually(lambda: cluster.json("get", "pod", "live", "-n", ns)["status"]["containerStatuses"][0]["restartCount"] == 1, what="restarted")
    eventually(lambda: "failed liveness probe, will be restarted" in cluster.out("get", "events", "-n", ns), what="event of the restart")


def test_init_containers_and_sidecars():
    ns = namespace("init")
    init = ("  initContainers:\n" + shell("echo one >> /shared/order", "first", "    volumeMounts: [{name: v, mountPath: /shared}]\n") +
            shell("echo side >> /shared/order; sleep 1000", "side", "    restartPolicy: Always\n    volumeMounts: [{name: v, mountPath: /shared}]\n    startupProbe: {exec: {command: [grep, side, /shared/order]}, periodSeconds: 1}\n") +
            shell("echo two >> /shared/order", "second", "    volumeMounts: [{name: v, mountPath: /shared}]\n") + "  volumes: [{name: v, emptyDir: {}}]\n")
    cluster.apply(pod("i", ns, shell("cat /shared/order", more="    volumeMounts: [{name: v, mountPath: /shared}]\n"), init))
    done = phase("i", ns, "Succeeded")
    assert_equal(logs("i", ns, "-c", "c").split(), ["one", "side", "two"])
    by_name = {s["name"]: s for s in done["status"]["initContainerStatuses"]}
    assert_equal(by_name["first"]["state"]["terminated"]["reason"], "Completed")
    assert_equal("terminated" in by_name["side"]["state"], True)
    cluster.apply(pod("bad", ns, shell("true"), "  initContainers:\n" + shell("exit 9", "first")))
    failed = phase("bad", ns, "Failed")
    assert_equal(failed["status"]["initContainerStatuses"][0]["state"]["terminated"]["exitCode"], 9)
    assert_matches("Init:Error", cluster.out("get", "pod", "bad", "-n", ns))


def test_hooks_and_termination():
    ns = namespace("hooks")
    lifecycle = ("    lifecycle:\n      postStart: {exec: {command: [sh, -c, 'echo started > /tmp/started']}}\n      preStop: {exec: {command: [sh, -c, 'echo stopping > /proc/1/fd/1']}}\n")
    cluster.apply(pod("h", ns, shell("trap 'echo term; exit 0' TERM; echo up; while true; do sleep 0.1; done", more=lifecycle)).replace("terminationGracePeriodSeconds: 1", "terminationGracePeriodSeconds: 20"))
    ready("h", ns)
    assert_equal(cluster.out("exec", "h", "-n", ns, "--", "cat", "/tmp/started"), "started\n")
    following = subprocess.Popen([cluster.kubectl_path, "logs", "-f", "h", "-n", ns], stdout=subprocess.PIPE, text=True, env=cluster.env())
    try:
        assert_equal(following.stdout.readline(), "up\n")  # It follows before the pod goes.
        begin = time.monotonic()
        cluster.kubectl("delete", "pod", "h", "-n", ns)
        assert_equal(following.stdout.read(), "stopping\nterm\n")
        if time.monotonic() - begin > 18:
            raise AssertionError("a pod that ends by itself was waited for")
    finally:
        following.kill()
        following.wait()
    # One that does not listen is killed after its time.
    cluster.apply(pod("deaf", ns, shell("trap '' TERM; while true; do sleep 0.1; done")))
    ready("deaf", ns)
    cluster.kubectl("delete", "pod", "deaf", "-n", ns, "--timeout=30s")
    eventually(lambda: "Killing" in cluster.out("get", "events", "-n", ns), what="event")


def test_volumes_and_environment():
    ns = namespace("volumes")
    cluster.apply(f"""
apiVersion: v1
kind: ConfigMap
metadata: {{name: conf, namespace: {ns}}}
data: {{one: first, two.txt: second}}
---
apiVersion: v1
kind: Secret
metadata: {{name: sec, namespace: {ns}}}
stringData: {{password: hidden}}
---
apiVersion: v1
kind: Pod
metadata: {{name: v, namespace: {ns}, labels: {{app: v}}, annotations: {{note: written}}}}
spec:
  restartPolicy: Never
  hostAliases: [{{ip: 10.9.8.7, hostnames: [far.example]}}]
  hostname: named
  dnsPolicy: None
  dnsConfig: {{nameservers: [10.96.0.10], searches: [a.example], options: [{{name: ndots, value: "2"}}]}}
  containers:
  - name: c
    image: busybox
    command: [sleep, "1000"]
    resources: {{requests: {{cpu: 100m, memory: 16Mi}}, limits: {{cpu: 500m, memory: 64Mi}}}}
    envFrom: [{{configMapRef: {{name: conf}}, prefix: C_}}, {{secretRef: {{name: sec}}}}, {{configMapRef: {{name: missing, optional: true}}}}]
    env:
    - {{name: POD, valueFrom: {{fieldRef: {{fieldPath: metadata.name}}}}}}
    - {{name: NODE, valueFrom: {{fieldRef: {{fieldPath: spec.nodeName}}}}}}
    - {{name: IP, valueFrom: {{fieldRef: {{fieldPath: status.podIP}}}}}}
    - {{name: LIMIT, valueFrom: {{resourceFieldRef: {{resource: limits.memory, divisor: 1Mi}}}}}}
    - {{name: KEY, valueFrom: {{secretKeyRef: {{name: sec, key: password}}}}}}
    - {{name: JOINED, value: "$(POD)-$(KEY)"}}
    volumeMounts:
    - {{name: conf, mountPath: /conf}}
    - {{name: conf, mountPath: /etc/only.txt, subPath: two.txt}}
    - {{name: mem, mountPath: /mem}}
    - {{name: all, mountPath: /all, readOnly: true}}
    - {{name: scratch, mountPath: /scratch/sub, subPathExpr: "$(POD)"}}
  volumes:
  - {{name: conf, configMap: {{name: conf}}}}
  - {{name: mem, emptyDir: {{medium: Memory, sizeLimit: 8Mi}}}}
  - {{name: scratch, emptyDir: {{}}}}
  - name: all
    projected:
      sources:
      - secret: {{name: sec, items: [{{key: password, path: in/pass, mode: 0400}}]}}
      - downwardAPI: {{items: [{{path: labels, fieldRef: {{fieldPath: metadata.labels}}}}, {{path: note, fieldRef: {{fieldPath: "metadata.annotations['note']"}}}}]}}
      - serviceAccountToken: {{path: token, audience: here, expirationSeconds: 600}}
""")
    ready("v", ns)
    script = "echo $C_one $password $POD $NODE $LIMIT $JOINED; cat /conf/one /etc/only.txt /all/in/pass /all/labels /all/note; echo; hostname; grep far /etc/hosts; cat /etc/resolv.conf; df -m /mem | tail -1; ls /scratch/sub -d; touch /all/x 2>&1; echo ip=$IP"
    out = cluster.out("exec", "v", "-n", ns, "--", "sh", "-c", script)
    assert_matches(r"^first hidden v \S+ 64 v-hidden$", out)
    assert_matches(r'^firstsecondhiddenapp="v"written$', out)
    assert_matches(r"^named$", out)
    assert_matches(r"^10.9.8.7\s+far.example$", out)
    assert_matches(r"^nameserver 10.96.0.10\n(.*\n)*options ndots:2", out)
    assert_matches(r"^search a.example$", out)
    assert_matches(r"^tmpfs +8 ", out)
    assert_matches(r"Read-only file system", out)
    assert_equal(len(cluster.out("exec", "v", "-n", ns, "--", "cat", "/all/token").split(".")), 3)
    cluster.kubectl("patch", "cm", "conf", "-n", ns, "--type=merge", "-p", '{"data":{"one":"changed"}}')
    eventually(lambda: cluster.out("exec", "v", "-n", ns, "--", "cat", "/conf/one") == "changed", what="a mounted ConfigMap follows")
    cluster.apply(pod("waits", ns, shell("true", more="    envFrom: [{secretRef: {name: later}}]\n")))
    eventually(lambda: "CreateContainerConfigError" in cluster.out("get", "pod", "waits", "-n", ns), what="missing secret shown")
    cluster.kubectl("create", "secret", "generic", "later", "--from-literal=a=b", "-n", ns)
    phase("waits", ns, "Succeeded")


def test_security_context():
    ns = namespace("security")
    cluster.apply(pod("ro", ns, shell("touch /x 2>&1; touch /ok/x && echo wrote; sleep 1000", more="    securityContext: {readOnlyRootFilesystem: true}\n    volumeMounts: [{name: v, mountPath: /ok}]\n"), "  volumes: [{name: v, emptyDir: {}}]\n"))
    ready("ro", ns)
    eventually(lambda: "wrote" in logs("ro", ns), what="written")
    assert_matches("Read-only file system", logs("ro", ns))
    cluster.apply(pod("user", ns, shell("id -u; id -g; env | grep SINGLE; sleep 1000", more="    securityContext: {runAsUser: 1234, runAsGroup: 2345}\n")))
    ready("user", ns)
    out = eventually(lambda: logs("user", ns), what="log")
    if "SINGLE" not in out:
        assert_equal(out.split(), ["1234", "2345"])
    cluster.apply(pod("root", ns, shell("true", more="    securityContext: {runAsNonRoot: true, runAsUser: 0}\n")))
    eventually(lambda: "CreateContainerConfigError" in cluster.out("get", "pod", "root", "-n", ns), what="refused to run as root")


def test_ports_on_the_machine():
    ns = namespace("ports")
    udp = "use IO::Socket::INET; my $s = IO::Socket::INET->new(LocalPort => 5300, Proto => 'udp') or die; while ($s->recv(my $m, 1000)) { $s->send('echo ' . $m . ' from ' . $s->peerhost); }"
    host_port, tcp_port, udp_port = free_port(), free_port(), free_port()
    cluster.apply(web_pod("w", ns).replace("containerPort: 8080, name: web", f"containerPort: 8080, name: web, hostPort: {host_port}"))
    cluster.apply(pod("u", ns, perl(udp, more="    ports: [{containerPort: 5300, protocol: UDP}]\n")))
    service = lambda name, port, target, protocol, kind: f"---\napiVersion: v1\nkind: Service\nmetadata: {{name: {name}, namespace: {ns}}}\nspec: {{type: {kind}, selector: {{app: {name[0]}}}, ports: [{{port: {port}, targetPort: {target}, protocol: {protocol}}}]}}\n"
    cluster.apply(service("wl", tcp_port, 8080, "TCP", "LoadBalancer") + service("ul", udp_port, 5300, "UDP", "LoadBalancer") + service("wn", 80, 8080, "TCP", "NodePort") + service("un", 53, 5300, "UDP", "NodePort"))
    ready("w", ns)
    ready("u", ns)
    assert_matches("you asked for /lb", eventually(lambda: http_get(tcp_port, "/lb"), what="LoadBalancer port"))
    assert_matches("you asked for /host", eventually(lambda: http_get(host_port, "/host"), what="host port"))
    # Inside the cluster a client's address is kept through a service.
    client = cluster.json("get", "pod", "u", "-n", ns)["status"]["podIP"]
    assert_matches(f"you asked for /kept from {client}$", eventually(lambda: cluster.out("exec", "u", "-n", ns, "--", "curl", "-sS", "-m", "5", "http://wn/kept"), what="service by name"))
    def ask(port):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
            s.settimeout(2)
            s.sendto(b"hello", ("127.0.0.1", port))
            return s.recv(1000).decode()
    assert_matches("echo hello from", eventually(lambda: ask(udp_port), what="UDP LoadBalancer port"))
    node_port = lambda name: cluster.json("get", "svc", name, "-n", ns)["spec"]["ports"][0]["nodePort"]
    assert_matches("you asked for /node", eventually(lambda: http_get(node_port("wn"), "/node"), what="node port"))
    assert_matches("echo hello from", eventually(lambda: ask(node_port("un")), what="UDP node port"))


def test_limits():
    ns = namespace("limits")
    cluster.apply(pod("hungry", ns, perl("my $x = 'x' x (200 * 1024 * 1024); sleep 1000", more="    resources: {limits: {memory: 48Mi, cpu: 200m}}\n")))
    def ended():
        status = cluster.json("get", "pod", "hungry", "-n", ns)["status"]
        return status.get("containerStatuses", [{}])[0].get("state", {}).get("terminated")
    condition = [c for c in cluster.json("get", "nodes")["items"][0]["status"]["conditions"] if c["type"] == "ResourceLimitsEnforced"]
    if condition and condition[0]["status"] == "False":
        assert_matches("cgroup", condition[0]["message"])
        raise unittest.SkipTest("this machine delegates no control groups: " + condition[0]["message"])
    state = eventually(ended, what="killed for its memory")
    assert_equal((state["reason"], state["exitCode"]), ("OOMKilled", 137))
    assert_matches("OOMKilled", cluster.out("get", "pod", "hungry", "-n", ns))
