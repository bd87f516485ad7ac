"""Environments in which `lateen up` cannot work: it says so in one clear sentence, exits with a status that is not 0, and leaves nothing behind."""
import ctypes
import fcntl
import os
import socket
import sqlite3
import struct
import subprocess
import sys

from harness import (NOBODY, Cluster, assert_equal, assert_matches, eventually, machine_state, need_unprivileged_user_namespaces,
                     processes_with)


class Machine:
    """A cluster that is not up yet, and what of the machine must stay as it is."""

    def __init__(self, **options):
        self.cluster = Cluster(**options)
        self.undo = []

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.cluster.down(check=False)
        for undo in reversed(self.undo):
            undo()
        self.cluster.destroy()

    def tmpfs(self, where, options):
        os.makedirs(where, exist_ok=True)
        subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", where], check=True)
        self.undo.append(lambda: subprocess.run(["umount", "-l", where], check=True))

    def refused(self, pattern, command=None, files=None):
        """`up` fails with one sentence that matches; nothing is left. `files`: what the data directory holds, before and after."""
        cluster = self.cluster
        before = machine_state(cluster.folder)
        done = cluster.run(command or cluster.up_command(), check=False, timeout=120)
        said = done.stderr.strip().splitlines()
        if done.returncode == 0 or len(said) != 1 or not said[0].startswith("lateen up: "):
            raise AssertionError(f"exit {done.returncode}, want one sentence on stderr: {done.stderr!r}; stdout: {done.stdout!r}")
        assert_matches(pattern, said[0])
        assert_equal(processes_with(cluster.data), {})
        assert_equal(machine_state(cluster.folder), before)
        there = sorted(os.listdir(cluster.data)) if os.path.exists(cluster.data) else None
        assert_equal(there, files)
        if os.path.exists(cluster.kubeconfig):
            raise AssertionError("a kubeconfig was written")
        return done

    def works(self, *extra):
        """Nothing of what was wrong has stuck: with it gone, `up` works."""
        self.cluster.up(*extra)
        eventually(lambda: " Ready " in self.cluster.out("get", "nodes"), limit=60, what="node ready")
        self.cluster.down()


def listening(port):
    holder = socket.socket()
    holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    holder.bind(("127.0.0.1", port))
    holder.listen()
    return holder


def test_api_port_is_busy():
    with Machine() as machine:
        with listening(machine.cluster.api_port):
            machine.refused(rf"the API server's port {machine.cluster.api_port} is in use by \S+ \(pid {os.getpid()}\): choose another with --api-port")
        machine.works()


def test_load_balancer_port_is_busy():
    with Machine() as machine:
        with listening(machine.cluster.http_port):
            machine.refused(rf"LoadBalancer port {machine.cluster.http_port} is in use by \S+ \(pid {os.getpid()}\): choose another with --http-port")


class Network:
    """A network namespace of the test's own, in which ports 80 and 8080 are free."""

    def __enter__(self):
        self.holder = subprocess.Popen(["unshare", "--net", "sh", "-c", "ip link set lo up && echo up && exec sleep 600"], stdout=subprocess.PIPE, text=True)
        assert_equal(self.holder.stdout.readline(), "up\n")
        self.prefix = ["nsenter", f"--net=/proc/{self.holder.pid}/ns/net", "--"]
        return self

    def __exit__(self, *_):
        self.holder.kill()
        self.holder.wait()
        self.holder.stdout.close()


def up_with_the_usual_ports(cluster):
    return cluster.run(cluster.command("lateen", "up", "--no-mesh", "--data-dir", cluster.data, "--kubeconfig", cluster.kubeconfig), check=False)


SERVICE = """
apiVersion: v1
kind: Service
metadata: {name: front}
spec:
  type: LoadBalancer
  ports: [{name: http, port: 80}, {name: https, port: 443}]
  selector: {app: none}
"""


def sees_moved_ports(cluster, want):
    cluster.apply(SERVICE)

    def moved():
        return {(p["port"], p["hostPort"]) for p in cluster.status()["ports"]} == want
    eventually(moved, limit=30, what="LoadBalancer ports where up said")


def test_port_80_is_taken_and_nobody_asked_for_it():
    with Network() as network, Machine(prefix=network.prefix) as machine:
        code = "import socket; s = socket.create_server(('127.0.0.1', 80)); print('up', flush=True); import time; time.sleep(600)"
        holder = subprocess.Popen([*network.prefix, sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
        try:
            assert_equal(holder.stdout.readline(), "up\n")
            done = up_with_the_usual_ports(machine.cluster)
            assert_equal((done.returncode, done.stderr), (0, ""))
            assert_matches(rf"Port 80 cannot be had on this machine \(port 80 is in use by \S+ \(pid {holder.pid}\)\): it is served at 8080 instead", done.stdout)
            sees_moved_ports(machine.cluster, {(80, 8080), (443, 443)})
        finally:
            machine.cluster.down(check=False)
            holder.kill()
            holder.wait()
            holder.stdout.close()


def test_low_ports_are_not_for_unprivileged_users():
    need_unprivileged_user_namespaces()
    with Network() as network, Machine(prefix=network.prefix, user=NOBODY) as machine:
        done = up_with_the_usual_ports(machine.cluster)
        assert_equal((done.returncode, done.stderr), (0, ""))
        for port, at in ((80, 8080), (443, 8443)):
            assert_matches(rf"Port {port} cannot be had on this machine \(port {port} is below 1024 and not permitted .*\): it is served at {at} instead", done.stdout)
        sees_moved_ports(machine.cluster, {(80, 8080), (443, 8443)})
        machine.cluster.down()


def test_disk_is_full():
    with Machine() as machine:
        machine.tmpfs(machine.cluster.data, "size=1m")
        with open(os.path.join(machine.cluster.data, "filler"), "wb") as filler:
            filler.write(b"x" * (1 << 20))
        machine.refused(r"the disk of \S+ is full: less than \d+ MB are free; make room or choose another --data-dir", files=["filler"])


def test_disk_has_no_room_for_a_cluster():
    with Machine() as machine:
        machine.tmpfs(machine.cluster.data, "size=8m")
        machine.refused(r"the disk of \S+ is full: less than \d+ MB are free", files=[])


def test_home_is_read_only():
    with Machine() as machine:
        home = os.path.join(machine.cluster.folder, "home")
        machine.tmpfs(home, "ro,size=1m")
        machine.cluster.kubeconfig = os.path.join(home, ".kube", "config")
        machine.refused(rf"the kubeconfig {machine.cluster.kubeconfig} cannot be written \({home}: Read-only file system\): choose another with --kubeconfig")
        machine.cluster.data = os.path.join(home, ".local", "share", "lateen")
        machine.refused(r"the data directory \S+ cannot be written \(.*Read-only file system\): choose another with --data-dir")


def test_home_belongs_to_another_user():
    need_unprivileged_user_namespaces()
    with Machine(user=NOBODY) as machine:
        home = os.path.join(machine.cluster.folder, "home")
        os.mkdir(home, 0o755)
        machine.cluster.kubeconfig = os.path.join(home, ".kube", "config")
        machine.refused(rf"the kubeconfig {machine.cluster.kubeconfig} cannot be written \({home}: Permission denied\): choose another with --kubeconfig")
        machine.cluster.data = os.path.join(home, "data")
        machine.refused(r"the data directory \S+ cannot be written \(.*Permission denied\): choose another with --data-dir")


def test_kubeconfig_is_not_yaml():
    with Machine() as machine:
        damaged = os.path.join(machine.cluster.folder, "damaged")
        with open(damaged, "w") as file:
            file.write("clusters: [}\n")
        machine.refused(rf"reading kubeconfig {damaged}", command=machine.cluster.up_command("--kubeconfig", damaged))
        assert_equal(open(damaged).read(), "clusters: [}\n")


def test_data_directory_is_a_file():
    with Machine() as machine:
        open(machine.cluster.data, "w").close()
        done = machine.cluster.up(check=False)
        assert_matches(r"^lateen up: the data directory \S+ cannot be written \(.*Not a directory\): choose another with --data-dir$", done.stderr)
        assert_equal((done.returncode, os.path.getsize(machine.cluster.data)), (1, 0))


def test_data_directory_of_a_newer_version():
    with Machine() as machine:
        os.mkdir(machine.cluster.data)
        with open(os.path.join(machine.cluster.data, "format"), "w") as file:
            file.write("99\n")
        machine.refused(r"\S+ was written by a newer Lateen \(format 99, this one knows \d+\): use that version, or another --data-dir", files=["format"])


def store_of(cluster):
    """The file of the API server's state: the SQLite database in the data directory."""
    for folder, _, files in os.walk(cluster.data):
        for file in files:
            path = os.path.join(folder, file)
            if os.path.getsize(path) and not os.path.islink(path) and open(path, "rb").read(15) == b"SQLite format 3":
                return path
    raise AssertionError(f"no database in {cluster.data}")


def test_store_file_is_damaged():
    for damage in ("header", "pages", "torn"):
        with Machine() as machine:
            cluster = machine.cluster
            cluster.up()
            cluster.out("create", "configmap", "kept", "--from-literal=a=b")
            cluster.down()
            os.unlink(cluster.kubeconfig)
            store = store_of(cluster)
            with sqlite3.connect(store) as database:
                database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            database.close()
            size = os.path.getsize(store)
            with open(store, "r+b") as file:
                if damage == "torn":
                    file.truncate(size // 2 // 4096 * 4096 + 100)
                else:
                    file.seek(0 if damage == "header" else 4096)
                    file.write(b"\xa5" * (4096 if damage == "header" else size - 4096))
            damaged = open(store, "rb").read()
            files = sorted(os.listdir(cluster.data))
            machine.refused(rf"{store}: the file is damaged \(.*\); restore it from a copy, or remove the data directory to start empty", files=files)
            assert_equal((damage, open(store, "rb").read() == damaged), (damage, True))


# Makes the kernel what others have: limits of a user namespace, and system calls answered as by a kernel without nf_tables.
def limited(name):
    return ["unshare", "--user", "--map-root-user", "sh", "-c", f'echo 0 > /proc/sys/user/{name} && exec "$@"', "sh"]


def test_kernel_has_no_user_namespaces():
    with Machine() as machine:
        machine.refused(r"this kernel does not let you make user namespaces: run as root, or set sysctl", [*limited("max_user_namespaces"), *machine.cluster.up_command()])


def test_kernel_has_no_network_namespaces():
    with Machine() as machine:
        machine.refused(r"this kernel lacks network namespaces", [*limited("max_net_namespaces"), *machine.cluster.up_command()])


def test_kernel_has_no_pid_or_mount_namespaces():
    for name in ("max_pid_namespaces", "max_mnt_namespaces"):
        with Machine() as machine:
            machine.refused(r"this kernel lacks mount, PID, UTS or IPC namespaces", [*limited(name), *machine.cluster.up_command()])


def without_nf_tables():
    """In a child before its exec: sockets of NETLINK_NETFILTER are refused, as where the module is missing."""
    load, equal, give = 0x20, 0x15, 0x06
    netlink, netfilter, refused, allowed = 16, 12, 0x50000 | 93, 0x7fff0000  # 93: EPROTONOSUPPORT
    socket_call = {"x86_64": 41, "aarch64": 198}[os.uname().machine]
    program = [(load, 0, 0, 0), (equal, 0, 5, socket_call), (load, 0, 0, 16), (equal, 0, 3, netlink), (load, 0, 0, 32), (equal, 0, 1, netfilter),
               (give, 0, 0, refused), (give, 0, 0, allowed)]
    code = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *step) for step in program))
    filter_of = struct.pack("HxxxxxxP", len(program), ctypes.addressof(code))
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(38, 1, 0, 0, 0) != 0 or libc.prctl(22, 2, ctypes.c_char_p(filter_of), 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "seccomp")


def test_kernel_has_no_nf_tables():
    with Machine() as machine:
        code = f"import sys; sys.path.insert(0, {os.path.dirname(__file__)!r}); sys.path.insert(0, {os.path.dirname(os.path.dirname(__file__))!r}); " \
               "import os, refusals_test; refusals_test.without_nf_tables(); os.execv(sys.argv[1], sys.argv[1:])"
        machine.refused(r"this kernel cannot do NAT in nftables: load the modules with `modprobe", [sys.executable, "-c", code, *machine.cluster.up_command()])


def test_two_ups_at_once_make_one_cluster():
    with Machine() as machine:
        cluster = machine.cluster
        both = [subprocess.Popen(cluster.up_command(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=cluster.env()) for _ in range(2)]
        said = [process.communicate(timeout=120) for process in both]
        assert_equal([(p.returncode, err) for p, (_, err) in zip(both, said)], [(0, ""), (0, "")])
        assert_equal(sorted("already runs" in out for out, _ in said), [False, True])
        assert_equal(len({p["pid"] for p in cluster.status()["parts"] if p["part"] == "supervisor"}), 1)
        cluster.down()
        eventually(lambda: not processes_with(cluster.data), limit=10, what="processes gone")


def bystander():
    return subprocess.Popen(["sleep", "600"])


def test_stale_pid_file_names_another_process():
    with Machine() as machine:
        cluster, other = machine.cluster, bystander()
        try:
            os.mkdir(cluster.data)
            with open(os.path.join(cluster.data, "lateen.pid"), "w") as file:
                file.write(f"{other.pid}\n")
            assert_matches("does not run", cluster.down().stdout)
            machine.works()
            assert_equal(other.poll(), None)
        finally:
            other.kill()
            other.wait()


def test_pid_file_that_is_locked_names_another_process():
    with Machine() as machine:
        cluster, other = machine.cluster, bystander()
        os.mkdir(cluster.data)
        try:
            with open(os.path.join(cluster.data, "lateen.pid"), "w") as file:
                file.write(f"{other.pid}\n")
                file.flush()
                fcntl.flock(file, fcntl.LOCK_EX)
                done = cluster.down(check=False)
                assert_matches(r"lateen down: \S+/lateen.pid is locked by a process that is not Lateen's", done.stderr)
                assert_equal((done.returncode, other.poll()), (1, None))
        finally:
            other.kill()
            other.wait()


def test_down_leaves_nothing_but_the_data_directory():
    with Machine() as machine:
        cluster = machine.cluster
        before = machine_state(cluster.folder)
        cluster.up()
        cluster.out("create", "deployment", "web", "--image=busybox", "--", "sleep", "1000")
        cluster.pods_ready("default")
        cluster.down()
        assert_equal(processes_with(cluster.data), {})
        assert_equal(machine_state(cluster.folder), before)
        for port in (cluster.api_port, cluster.http_port, cluster.https_port):
            listening(port).close()
        assert_equal(sorted(os.listdir(cluster.folder)), ["data", "kubeconfig"])
        cluster.run(cluster.command("lateen", "reset", "--yes", "--data-dir", cluster.data, "--kubeconfig", cluster.kubeconfig))
        assert_equal(os.path.exists(cluster.data), False)
