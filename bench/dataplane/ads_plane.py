"""A control plane for bench/soak.py: aggregated discovery, state of the world, by Python's gRPC. Resources are text of Envoy's API, encoded by protoc
with the descriptors that the build uses; each change of them is one push of their type to every proxy."""
import concurrent.futures
import glob
import os
import queue
import subprocess
import threading

import grpc

from dataplane.ads import read_fields

V3 = {"lds": "type.googleapis.com/envoy.config.listener.v3.Listener", "cds": "type.googleapis.com/envoy.config.cluster.v3.Cluster",
      "rds": "type.googleapis.com/envoy.config.route.v3.RouteConfiguration",
      "eds": "type.googleapis.com/envoy.config.endpoint.v3.ClusterLoadAssignment",
      "sds": "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.Secret"}
MOST_WAITING = 100


def encode(message, text):
    cache = os.path.join(os.environ.get("XDG_CACHE_HOME", os.path.expanduser("~/.cache")), "lateen", "xds-[0-9a-f]*", "descriptors.pb")
    done = subprocess.run(["protoc", f"--descriptor_set_in={max(glob.glob(cache), key=os.path.getmtime)}", f"--encode={message}"],
                          input=text.encode(), capture_output=True)
    if done.returncode != 0:
        raise ValueError(f"{done.stderr.decode()}\n{text}")
    return done.stdout


class Plane:
    def __init__(self, resources):
        """resources: {kind: [text of each resource]}."""
        self.lock, self.streams, self.version, self.answers = threading.Lock(), [], 0, {}
        self.rejections, self.acknowledged = [], 0
        for kind, texts in resources.items():
            self.push(kind, texts)
        self.server = grpc.server(concurrent.futures.ThreadPoolExecutor(32))
        self.server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("envoy.service.discovery.v3.AggregatedDiscoveryService", {
            "StreamAggregatedResources": grpc.stream_stream_rpc_method_handler(self.stream)}),))
        self.port = self.server.add_insecure_port("127.0.0.1:0")
        self.server.start()

    def push(self, kind, texts):
        with self.lock:
            self.version += 1
            held = " ".join(f"resources {{ [{V3[kind]}] {{ {text} }} }}" for text in texts)
            self.answers[kind] = encode("envoy.service.discovery.v3.DiscoveryResponse",
                                        f'version_info: "{self.version}" nonce: "{self.version}" type_url: "{V3[kind]}" {held}')
            for subscribed, waiting in self.streams:
                if kind in subscribed and waiting.qsize() < MOST_WAITING:
                    waiting.put(self.answers[kind])

    def stream(self, requests, _):
        subscribed, waiting = set(), queue.Queue()
        with self.lock:
            self.streams.append((subscribed, waiting))

        def read():
            try:
                for request in requests:
                    fields = {number: values[-1] for number, values in read_fields(request).items()}
                    kind = next(k for k, url in V3.items() if url.encode() == fields[4])
                    with self.lock:
                        if 6 in fields:
                            self.rejections.append(f"{kind}: {fields[6][:300]!r}")
                        elif fields.get(5):
                            self.acknowledged += 1
                        if kind not in subscribed or not fields.get(5):
                            subscribed.add(kind)
                            waiting.put(self.answers[kind])
            except grpc.RpcError:
                pass  # The proxy ended.
            waiting.put(None)
        threading.Thread(target=read, daemon=True).start()
        try:
            while (answer := waiting.get()) is not None:
                yield answer
        finally:
            with self.lock:
                self.streams.remove((subscribed, waiting))

    def close(self):
        self.server.stop(1)
