"""A real kube-apiserver on a real etcd in the place of our API server, with the parts of harness.Cluster that the peers tests use."""
import base64
import os
import shutil
import ssl
import subprocess
import tempfile
import urllib.request

from harness import eventually, free_port, run
from world import PEERS

ETCD = os.path.join(PEERS, "bin/etcd")
APISERVER = os.path.join(PEERS, "bin/kube-apiserver")
TOKEN = "peers-admin"


class RealCluster:
    def __init__(self):
        self.folder = tempfile.mkdtemp(prefix="lateen-kube-")
        self.kubeconfig = os.path.join(self.folder, "kubeconfig")
        self.port, self.processes = free_port(), []

    def at(self, name):
        return os.path.join(self.folder, name)

    def spawn(self, command, name):
        out = open(self.at(f"{name}.log"), "wb")
        self.processes.append(subprocess.Popen(command, stdout=out, stderr=out))

    def up(self):
        client, peer = free_port(), free_port()
        self.spawn([ETCD, "--data-dir", self.at("etcd"), f"--listen-client-urls=http://127.0.0.1:{client}", f"--advertise-client-urls=http://127.0.0.1:{client}",
                    f"--listen-peer-urls=http://127.0.0.1:{peer}", f"--initial-advertise-peer-urls=http://127.0.0.1:{peer}",
                    f"--initial-cluster=default=http://127.0.0.1:{peer}", "--unsafe-no-fsync"], "etcd")
        run(["openssl", "genrsa", "-out", self.at("accounts.key"), "2048"])
        run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", self.at("tls.key"), "-out", self.at("tls.crt"),
             "-days", "30", "-subj", "/CN=kube-apiserver", "-addext", "subjectAltName=IP:127.0.0.1"])
        with open(self.at("tokens.csv"), "w") as out:
            out.write(f'{TOKEN},admin,admin,"system:masters"\n')
        # Webhooks of istiod are on this machine's loopback, under the name that their certificates have.
        with open(self.at("hosts"), "w") as out:
            out.write("127.0.0.1 localhost istiod.istio-system.svc\n")
        self.spawn(["unshare", "-m", "sh", "-c", f'mount --bind {self.at("hosts")} /etc/hosts && exec "$@"', "sh", APISERVER, f"--etcd-servers=http://127.0.0.1:{client}", "--bind-address=127.0.0.1", f"--secure-port={self.port}",
                    f"--tls-cert-file={self.at('tls.crt')}", f"--tls-private-key-file={self.at('tls.key')}", "--authorization-mode=RBAC",
                    f"--token-auth-file={self.at('tokens.csv')}", "--service-cluster-ip-range=10.96.0.0/16", "--service-account-issuer=https://kubernetes.default.svc",
                    f"--service-account-key-file={self.at('accounts.key')}", f"--service-account-signing-key-file={self.at('accounts.key')}",
                    "--disable-admission-plugins=ServiceAccount", "--advertise-address=127.0.0.1", "--endpoint-reconciler-type=none"], "kube-apiserver")
        ca = base64.b64encode(open(self.at("tls.crt"), "rb").read()).decode()
        with open(self.kubeconfig, "w") as out:
            out.write(f"""apiVersion: v1
kind: Config
current-context: peers
clusters: [{{name: peers, cluster: {{server: "https://127.0.0.1:{self.port}", certificate-authority-data: {ca}}}}}]
users: [{{name: peers, user: {{token: {TOKEN}}}}}]
contexts: [{{name: peers, context: {{cluster: peers, user: peers}}}}]
""")
        context = ssl._create_unverified_context()

        def ready():
            request = urllib.request.Request(f"https://127.0.0.1:{self.port}/readyz", headers={"Authorization": f"Bearer {TOKEN}"})
            return urllib.request.urlopen(request, timeout=5, context=context).status == 200
        try:
            eventually(ready, 120, what="kube-apiserver ready")
        except AssertionError as problem:
            raise AssertionError(f"{problem}\n{open(self.at('kube-apiserver.log')).read()[-2000:]}")

    def destroy(self):
        for process in reversed(self.processes):
            process.terminate()
            try:
                process.wait(15)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        shutil.rmtree(self.folder, ignore_errors=True)
