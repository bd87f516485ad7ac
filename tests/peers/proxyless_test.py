"""gRPC applications without a proxy, on discovery alone: grpcio and grpc-js take listeners, routes, clusters and endpoints from our
control plane (and from a stock istiod, when LATEEN_PEERS_RUN is set and one is there), follow VirtualServices, speak mutual TLS by
certificate providers and obey AuthorizationPolicies."""
import json
import os
import sys
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

import grpc_kit
from harness import assert_equal, eventually, free_port, run

HOST, PORT, NS = "echo.grpc.test", 7070, "proxyless"
V1, V2 = "127.8.0.2", "127.8.0.3"
control, planes, servers, certificates = None, [], [], ""


def setup():
    global control, certificates
    try:
        import yaml  # noqa: F401
    except ImportError:
        raise unittest.SkipTest("needs Python's yaml")
    if os.geteuid() != 0:
        raise unittest.SkipTest("needs root, as its cluster has")
    grpc_kit.need("py")
    from planes import PILOT, Control, namespace
    control = Control()
    control.start()
    planes.append(control.plane("ours"))
    if os.environ.get("LATEEN_PEERS_RUN") and os.path.exists(PILOT):
        planes.append(control.plane("stock"))
    for plane in planes:
        plane.ready()
    certificates = os.path.join(control.folder, "workloads")
    os.makedirs(certificates)
    for name in ("client", "echo"):
        issue(name)
    control.api.put(namespace(NS))
    port = free_port()
    for version, address in (("v1", V1), ("v2", V2)):
        servers.append(grpc_kit.Server("py", f"{address}:{port}", env={"PEER_NAME": version}))
    control.api.put(entry("echo", HOST, port))


def teardown():
    for server in servers:
        server.close()
    if control:
        control.close()


def issue(name):
    """A workload's certificate, as its agent would have fetched it."""
    at, ca = (lambda file: os.path.join(certificates, file)), (lambda file: os.path.join(control.authority, file))
    run(["openssl", "req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", at(f"{name}.key"), "-out", at(f"{name}.csr"), "-subj", "/O=peers"])
    with open(at("ext"), "w") as out:
        out.write(f"subjectAltName=critical,URI:spiffe://cluster.local/ns/{NS}/sa/{name}\nextendedKeyUsage=clientAuth,serverAuth\nkeyUsage=digitalSignature\n"
                  "basicConstraints=critical,CA:false\n")
    run(["openssl", "x509", "-req", "-in", at(f"{name}.csr"), "-CA", ca("ca-cert.pem"), "-CAkey", ca("ca-key.pem"), "-CAcreateserial", "-out", at(f"{name}.pem"),
         "-days", "2", "-extfile", at("ext")])
    with open(at(f"{name}-chain.pem"), "w") as out:
        out.write(open(at(f"{name}.pem")).read() + open(ca("ca-cert.pem")).read())


def entry(name, host, port, label=False, versions=(("v1", V1), ("v2", V2))):
    tls = {"security.istio.io/tlsMode": "istio" if label else "disabled"}
    return {"apiVersion": "networking.istio.io/v1", "kind": "ServiceEntry", "metadata": {"name": name, "namespace": NS},
            "spec": {"hosts": [host], "ports": [{"number": PORT, "name": "grpc", "protocol": "GRPC"}], "resolution": "STATIC", "location": "MESH_INTERNAL",
                     "endpoints": [{"address": a, "ports": {"grpc": port}, "serviceAccount": "echo", "labels": {"app": name, "version": v, **tls}} for v, a in versions]}}


def config(kind, name, **spec):
    group = "security" if kind in ("AuthorizationPolicy", "PeerAuthentication") else "networking"
    return {"apiVersion": f"{group}.istio.io/v1", "kind": kind, "metadata": {"name": name, "namespace": NS}, "spec": spec}


class given:
    """Objects that are there within a `with`."""

    def __init__(self, *objects):
        self.objects = objects

    def __enter__(self):
        for obj in self.objects:
            control.api.put(obj)

    def __exit__(self, *problem):
        for obj in self.objects:
            control.api.remove(obj)


def bootstrap(plane, name, address="127.8.0.1", is_mutual=False):
    labels = {"app": name, **({"security.istio.io/tlsMode": "istio"} if is_mutual else {})}
    at = lambda file: os.path.join(certificates, file)
    files = {"certificate_file": at(f"{name}-chain.pem"), "private_key_file": at(f"{name}.key"), "ca_certificate_file": os.path.join(control.authority, "root-cert.pem"),
             "refresh_interval": "600s"}
    return {"GRPC_XDS_BOOTSTRAP_CONFIG": json.dumps({
        "xds_servers": [{"server_uri": f"127.0.0.1:{plane.grpc}", "channel_creds": [{"type": "insecure"}], "server_features": ["xds_v3"]}],
        "node": {"locality": {}, "id": f"sidecar~{address}~{name}-1.{NS}~{NS}.svc.cluster.local",
                 "metadata": {"GENERATOR": "grpc", "NAMESPACE": NS, "CLUSTER_ID": "Kubernetes", "SERVICE_ACCOUNT": name, "LABELS": labels, "INSTANCE_IPS": address,
                              "ISTIO_VERSION": "1.24.0"}},
        "certificate_providers": {"default": {"plugin_name": "file_watcher", "config": files}},
        "server_listener_resource_name_template": "xds.istio.io/grpc/lds/inbound/%s"})}


def ask(plane, kind="py", path="/peers.Echo/Who", count=1, host=HOST):
    return grpc_kit.run_client(kind, "ask", f"xds:///{host}:{PORT}", path, str(count), env=bootstrap(plane, "client"))


def answers(plane, want, **what):
    """Eventually, as configuration takes its time on its way."""
    def probe():
        got = ask(plane, **what)
        if not want(got):
            raise AssertionError(f"{plane.kind}: {got}")
        return True
    eventually(probe, 30, what=f"{plane.kind}: {what}")


def test_endpoints_are_found_and_balanced():
    for plane in planes:
        answers(plane, lambda got: set(got) == {"v1", "v2"}, count=12)


def test_all_cases_of_interop():
    for plane in planes:
        out = grpc_kit.run_client("py", "call", f"xds:///{HOST}:{PORT}", env=bootstrap(plane, "client"))
        assert_equal({name: said for name, said in out.items() if said != "ok"}, {})


def test_an_unknown_host_fails_at_once_or_soon():
    for plane in planes:
        answers(plane, lambda got: got[0] in ("UNAVAILABLE", "DEADLINE_EXCEEDED"), host="nobody.grpc.test")


SUBSETS = config("DestinationRule", "echo", host=HOST, subsets=[{"name": v, "labels": {"version": v}} for v in ("v1", "v2")])


def virtual_service(subset):
    return config("VirtualService", "echo", hosts=[HOST], http=[
        {"match": [{"uri": {"prefix": "/peers.Echo/Secret"}}], "route": [{"destination": {"host": HOST, "subset": "v2" if subset == "v1" else "v1"}}]},
        {"route": [{"destination": {"host": HOST, "subset": subset}}]}])


def test_virtual_services_route():
    for plane in planes:
        with given(SUBSETS, virtual_service("v2")):
            answers(plane, lambda got: set(got) == {"v2"}, count=6)
            answers(plane, lambda got: set(got) == {"v1"}, count=6, path="/peers.Echo/Secret")
            control.api.put(virtual_service("v1"))
            answers(plane, lambda got: set(got) == {"v1"}, count=6)


def test_weights():
    route = [{"destination": {"host": HOST, "subset": v}, "weight": w} for v, w in (("v1", 90), ("v2", 10))]
    for plane in planes:
        with given(SUBSETS, config("VirtualService", "echo", hosts=[HOST], http=[{"route": route}])):
            answers(plane, lambda got: 120 <= got.count("v1") <= 199, count=200)


def test_faults():
    fault = {"abort": {"percentage": {"value": 100}, "grpcStatus": "RESOURCE_EXHAUSTED"}}
    for plane in planes:
        with given(config("VirtualService", "echo", hosts=[HOST], http=[{"fault": fault, "route": [{"destination": {"host": HOST}}]}])):
            answers(plane, lambda got: set(got) == {"RESOURCE_EXHAUSTED"}, count=2)


def test_grpc_js():
    grpc_kit.need("js")
    for plane in planes:
        answers(plane, lambda got: set(got) == {"v1", "v2"}, kind="js", count=12)
        with given(SUBSETS, virtual_service("v2")):
            answers(plane, lambda got: set(got) == {"v2"}, kind="js", count=6)


def test_mutual_tls_and_authorization():
    """A server that takes its listener from the control plane too: certificates of the bootstrap's provider on both sides."""
    host, port = "secure.grpc.test", free_port()
    for plane in planes:
        with given(entry("secure", host, port, True, [("v1", V1)]), config("DestinationRule", "secure", host=host, trafficPolicy={"tls": {"mode": "ISTIO_MUTUAL"}}),
                   config("PeerAuthentication", "strict", mtls={"mode": "STRICT"})):  # gRPC servers know no PERMISSIVE
            server = grpc_kit.Server("py", f"{V1}:{port}", env={**bootstrap(plane, "echo", V1, is_mutual=True), "PEER_NAME": "secure"}, flags=["xds"])
            try:
                answers(plane, lambda got: "secure" in got, host=host, count=4)
                plain = grpc_kit.run_client("py", "ask", f"{V1}:{port}", "/peers.Echo/Who", "1")
                assert_equal(plain, ["UNAVAILABLE"])
                rule = {"from": [{"source": {"principals": [f"cluster.local/ns/{NS}/sa/client"]}}], "to": [{"operation": {"paths": ["/peers.Echo/Who"]}}]}
                with given(config("AuthorizationPolicy", "allow", rules=[rule])):
                    answers(plane, lambda got: "PERMISSION_DENIED" in got, host=host, path="/peers.Echo/Secret", count=4)
                    answers(plane, lambda got: "secure" in got, host=host, count=4)
            finally:
                server.close()


def test_nothing_is_rejected():
    for plane in planes:
        assert_equal(plane.rejections()[:5], [])
