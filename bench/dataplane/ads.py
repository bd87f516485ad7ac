"""A control plane for measuring: N EDS clusters of 10 endpoints each over ADS, and endpoints changed one at a time.

Protobuf by hand, so that the bench needs only grpcio (from $LATEEN_GRPC, a folder that holds it, or what is installed).
"""
import os
import queue
import sys
import threading
from concurrent import futures

sys.path.insert(0, os.environ.get("LATEEN_GRPC", "/work/peers/grpc"))

TYPES = "type.googleapis.com/"
CLUSTER = TYPES + "envoy.config.cluster.v3.Cluster"
ENDPOINT = TYPES + "envoy.config.endpoint.v3.ClusterLoadAssignment"


def varint(value):
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def field(number, value):
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    if isinstance(value, str):
        value = value.encode()
    return varint(number << 3 | 2) + varint(len(value)) + value


def read_fields(message):
    """{number: [values]} of one message: integers and bytes."""
    out, at = {}, 0

    def number():
        nonlocal at
        value = shift = 0
        while True:
            byte = message[at]
            at += 1
            value |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                return value

    while at < len(message):
        key = number()
        if key & 7 == 0:
            value = number()
        else:
            size = number() if key & 7 == 2 else {1: 8, 5: 4}[key & 7]
            value = message[at:at + size]
            at += size
        out.setdefault(key >> 3, []).append(value)
    return out


def cluster(name):
    ads = field(1, field(3, b"") + field(6, 2))  # eds_config {ads {}, resource_api_version V3}
    return field(1, name) + field(2, 3) + field(3, ads)


def assignment(name, index, size, moved=0):
    """`moved` changes the port of the last endpoint."""
    out = field(1, name)
    for i in range(size):
        port = 8080 + (moved if i == size - 1 else 0)
        address = field(1, field(2, f"10.{index >> 8 & 255}.{index & 255}.{i + 1}") + field(3, port))
        out += field(2, field(2, field(1, field(1, address))))
    return out


class ControlPlane:
    """Incremental ADS on `port`. `synced` is set once every cluster's endpoints were acknowledged."""

    def __init__(self, port, clusters, size=10):
        import grpc
        self.names = [f"outbound|80||service-{i}.default.svc.cluster.local" for i in range(clusters)]
        self.size, self.nonce = size, 0
        self.places = {name: i for i, name in enumerate(self.names)}
        self.waiting = {}  # nonce of endpoints: how many
        self.known = 0
        self.synced, self.changed = threading.Event(), threading.Condition()
        self.streams, self.errors = [], []
        handler = grpc.stream_stream_rpc_method_handler(self._stream, lambda b: b, lambda b: b)
        service = grpc.method_handlers_generic_handler("envoy.service.discovery.v3.AggregatedDiscoveryService", {"DeltaAggregatedResources": handler})
        self.server = grpc.server(futures.ThreadPoolExecutor(8), options=[("grpc.max_send_message_length", -1)])
        self.server.add_generic_rpc_handlers((service,))
        if self.server.add_insecure_port(f"127.0.0.1:{port}") == 0:
            raise SystemExit(f"cannot listen on {port}")
        self.server.start()

    def _send(self, out, kind, resources):
        with self.changed:
            self.nonce += 1
            nonce = str(self.nonce)
            if kind == ENDPOINT:
                self.waiting[nonce] = len(resources)
        message = [field(1, nonce)]
        for name, resource in resources:
            message.append(field(2, field(1, nonce) + field(2, field(1, kind) + field(2, resource)) + field(3, name)))
        message.append(field(4, kind) + field(5, nonce))
        out.put(b"".join(message))
        return nonce

    def _answer(self, request, out):
        kind = request.get(2, [b""])[0].decode()
        if 7 in request:
            self.errors.append(read_fields(request[7][0]).get(2, [b"?"])[0].decode(errors="replace"))
        if 6 in request:
            with self.changed:
                self.known += self.waiting.pop(request[6][0].decode(), 0)
                self.changed.notify_all()
            if self.known >= len(self.names):
                self.synced.set()
        names = [name.decode() for name in request.get(3, [])]
        if kind == CLUSTER and 6 not in request:
            self._send(out, CLUSTER, [(name, cluster(name)) for name in self.names])
        elif kind == ENDPOINT and names:
            self._send(out, ENDPOINT, [(n, assignment(n, self.places[n], self.size)) for n in names if n in self.places])

    def _stream(self, requests, context):
        out = queue.Queue()
        self.streams.append(out)

        def read():
            try:
                for message in requests:
                    self._answer(read_fields(message), out)
            except Exception as problem:  # noqa: BLE001: the stream is cancelled when the proxy ends
                self.errors.append(str(problem))
            out.put(None)

        threading.Thread(target=read, daemon=True).start()
        while True:
            message = out.get()
            if message is None:
                return
            yield message

    def move_endpoint(self, index, by, limit=30):
        """Sends one cluster's endpoints, one of them changed, and waits for the acknowledgement."""
        name = self.names[index]
        for stream in self.streams:
            nonce = self._send(stream, ENDPOINT, [(name, assignment(name, index, self.size, by))])
        with self.changed:
            if not self.changed.wait_for(lambda: nonce not in self.waiting, limit):
                raise SystemExit("the change was not acknowledged")

    def stop(self):
        self.server.stop(0)
