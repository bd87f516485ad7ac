"""Processes under measurement: what they cost in CPU and memory, and how they are started and ended."""
import glob
import os
import re
import socket
import subprocess
import time


class Tls:
    """A CA and one certificate for both ends, P-256."""

    def __init__(self, folder):
        at = lambda name: os.path.join(folder, name)
        self.ca, self.cert, self.key, self.both = at("ca.pem"), at("cert.pem"), at("key.pem"), at("both.pem")
        run = lambda *command: subprocess.run(["openssl", *command], check=True, capture_output=True)
        curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
        run("req", "-x509", *curve, "-keyout", at("ca.key"), "-out", self.ca, "-days", "30", "-subj", "/O=bench")
        run("req", *curve, "-keyout", self.key, "-out", at("cert.csr"), "-subj", "/CN=localhost")
        with open(at("san"), "w") as names:
            names.write("subjectAltName=DNS:localhost,URI:spiffe://cluster.local/ns/default/sa/bench\n")
        run("x509", "-req", "-in", at("cert.csr"), "-CA", self.ca, "-CAkey", at("ca.key"), "-CAcreateserial", "-out", self.cert, "-days", "30", "-extfile", at("san"))
        with open(self.both, "w") as both:
            both.write(open(self.cert).read() + open(self.key).read())

    def files(self):
        return [self.cert, self.key, self.ca]


def listens(port):
    try:
        socket.create_connection(("127.0.0.1", port), 1).close()
        return True
    except OSError:
        return False


def wait_port(port, process, limit=120):  # Envoy with 10,000 clusters on a busy machine
    end = time.monotonic() + limit
    while not listens(port):
        if process.poll() is not None:
            raise SystemExit(f"{' '.join(process.args)}: ended with {process.returncode} before it listened")
        if time.monotonic() > end:
            raise SystemExit(f"{' '.join(process.args)}: does not listen on {port} after {limit} s")
        time.sleep(0.01)


class Running:
    """One proxy, or several in a row; `port` is where requests go in."""

    def __init__(self, name, commands, ports, log):
        self.name, self.port = name, ports[0]
        self.processes = []
        with open(log, "ab") as out:
            for command in commands:
                self.processes.append(subprocess.Popen(command, stdout=out, stderr=out))
        for process, port in zip(self.processes, ports):
            try:
                wait_port(port, process)
            except SystemExit:
                self.stop()
                raise

    def pids(self):
        out = []
        for process in self.processes:
            children = subprocess.run(["pgrep", "-P", str(process.pid)], capture_output=True, text=True).stdout.split()
            out += [process.pid, *map(int, children)]
        return out

    def cpu_seconds(self):
        """Of all threads, in nanoseconds' resolution, user and system."""
        total = 0
        for pid in self.pids():
            for path in glob.glob(f"/proc/{pid}/task/*/schedstat"):
                total += int(open(path).read().split()[0])
        return total / 1e9

    def rss_bytes(self):
        """Resident; of a program of several processes each page once."""
        pids, total = self.pids(), 0
        for pid in pids:
            if len(pids) > len(self.processes):
                total += int(re.search(r"Pss:\s+(\d+)", open(f"/proc/{pid}/smaps_rollup").read()).group(1))
            else:
                total += int(re.search(r"VmRSS:\s+(\d+)", open(f"/proc/{pid}/status").read()).group(1))
        return total * 1024

    def stop(self):
        for process in self.processes:
            process.terminate()
        for process in self.processes:
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
