"""gRPC's interop cases, grpcio and grpc-js on either end, through one of our proxies (the client's sidecar), two (the server's too)
and a gateway: unary and streaming calls, large messages, metadata, deadlines, cancelling, errors with details."""
import os
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

import grpc_kit
from harness import assert_equal, eventually
from world import need_worlds

PORT, PLAIN = 7171, "10.78.9.9"
matrix, world, addresses, servers = None, None, {}, []


def setup():
    global matrix, world
    need_worlds()
    grpc_kit.need("py")
    from matrix import Matrix
    matrix = Matrix()
    matrix.start(("ours-ours",))
    world = matrix.worlds[0]
    from planes import namespace, service, workload
    api = matrix.control.api
    for obj in (namespace("interop"), workload("interop", "plain", PLAIN, {"app": "plain"}), service("interop", "plain", [("grpc", PORT, PORT)], {"app": "plain"}),
                service("server", "interop", [("grpc", PORT, PORT)], {"app": "server"}), *GATEWAY):
        answer = api.put(obj)
        if obj["kind"] == "Service":
            addresses[obj["metadata"]["name"]] = answer["spec"]["clusterIP"]


GATEWAY = [
    {"apiVersion": "networking.istio.io/v1", "kind": "Gateway", "metadata": {"name": "grpc", "namespace": "interop"},
     "spec": {"selector": {"istio": "ingressgateway"}, "servers": [{"port": {"number": 80, "name": "http", "protocol": "HTTP"}, "hosts": ["grpc.example"]}]}},
    {"apiVersion": "networking.istio.io/v1", "kind": "VirtualService", "metadata": {"name": "grpc", "namespace": "interop"},
     "spec": {"hosts": ["grpc.example"], "gateways": ["grpc"],
              "http": [{"route": [{"destination": {"host": "interop.server.svc.cluster.local", "port": {"number": PORT}}}]}]}}]


def teardown():
    for server in servers:
        server.close()
    if matrix:
        matrix.close()


# Name, where the client is, what it dials, the host it says, where the server is.
PATHS = {"one proxy": ("client", lambda: f"{addresses['plain']}:{PORT}", None, "outside", f"{PLAIN}:{PORT}"),
         "two proxies": ("client", lambda: f"{addresses['interop']}:{PORT}", None, "server", f"0.0.0.0:{PORT}"),
         "the gateway": ("outside", lambda: "10.77.0.40:8080", "grpc.example", "server", f"0.0.0.0:{PORT}")}


def run_through(path, client, server):
    """All cases; what failed is in the assertion."""
    sender, target, authority, place, address = PATHS[path]
    serving = grpc_kit.Server(server, address, space=world.space(place))
    servers.append(serving)
    env = {"PEER_AUTHORITY": authority} if authority else {}
    try:
        eventually(lambda: grpc_kit.run_client(client, "ask", target(), "/peers.Echo/Who", "1", space=world.space(sender), env=env)[0] == address, 60,
                   what=f"{client} reaches {server} through {path}")
        out = grpc_kit.run_client(client, "call", target(), space=world.space(sender), env=env)
        assert_equal({name: said for name, said in out.items() if said != "ok"}, {})
    finally:
        servers.remove(serving)
        serving.close()


def test_grpcio_through_one_proxy():
    run_through("one proxy", "py", "py")


def test_grpcio_through_two_proxies():
    run_through("two proxies", "py", "py")


def test_grpcio_through_the_gateway():
    run_through("the gateway", "py", "py")


def test_grpc_js_through_one_proxy():
    grpc_kit.need("js")
    run_through("one proxy", "js", "js")


def test_grpc_js_through_two_proxies():
    grpc_kit.need("js")
    run_through("two proxies", "js", "js")


def test_grpcio_to_grpc_js():
    grpc_kit.need("js")
    run_through("two proxies", "py", "js")


def test_grpc_js_to_grpcio():
    grpc_kit.need("js")
    run_through("two proxies", "js", "py")
