"""One end of gRPC calls: a server of peers.Echo, and a client that goes through the interop cases and prints what came of each.

usage: grpc_peer.py serve ADDRESS [xds]    prints "ready", ends with standard input
       grpc_peer.py call TARGET [CASE,…]   prints {case: "ok" or what is wrong}
       grpc_peer.py ask TARGET PATH COUNT  unary calls; prints [who answered, or the status's name]
Messages are bytes; where a call needs parameters they are JSON. TARGET "xds:///…" reads GRPC_XDS_BOOTSTRAP_CONFIG.
"""
import concurrent.futures
import json
import os
import sys
import threading
import time

import grpc
import grpc.experimental

SERVICE = "peers.Echo"
ODD_TEXT = "\t\ntest with whitespace\r\nand Unicode BMP ☺ and non-BMP 😈\t\n"
LARGE = 3 * 1024 * 1024
WAIT = 60  # seconds for any call that should come back


class Echo(grpc.GenericRpcHandler):
    def __init__(self, name):
        self.name, self.cancelled = name.encode(), 0
        self.lock = threading.Lock()

    def service(self, details):
        service, _, method = details.method.strip("/").partition("/")
        kinds = {"Unary": grpc.unary_unary_rpc_method_handler, "Fail": grpc.unary_unary_rpc_method_handler, "Slow": grpc.unary_unary_rpc_method_handler,
                 "Cancelled": grpc.unary_unary_rpc_method_handler, "Deadline": grpc.unary_unary_rpc_method_handler, "Who": grpc.unary_unary_rpc_method_handler,
                 "Secret": grpc.unary_unary_rpc_method_handler, "Collect": grpc.stream_unary_rpc_method_handler, "Stream": grpc.unary_stream_rpc_method_handler,
                 "Chat": grpc.stream_stream_rpc_method_handler, "Headers": grpc.unary_unary_rpc_method_handler}
        if service != SERVICE or method not in kinds:
            return None
        return kinds[method](getattr(self, method))

    def Who(self, request, context):
        return self.name

    Secret = Who

    def Headers(self, request, context):
        return json.dumps({k: v if isinstance(v, str) else v.hex() for k, v in context.invocation_metadata()}).encode()

    def Unary(self, request, context):
        sent = dict(context.invocation_metadata())
        if "x-echo-initial" in sent:
            context.send_initial_metadata((("x-echo-initial", sent["x-echo-initial"]),))
        if "x-echo-trailing-bin" in sent:
            context.set_trailing_metadata((("x-echo-trailing-bin", sent["x-echo-trailing-bin"]),))
        return request

    def Stream(self, request, context):
        asked = json.loads(request)
        for size in asked["sizes"]:
            yield b"x" * size
        if "code" in asked:
            context.set_trailing_metadata((("x-last", "yes"),))
            context.abort(grpc.StatusCode[asked["code"]], "at the end")

    def Collect(self, requests, context):
        return str(sum(len(r) for r in requests)).encode()

    def Chat(self, requests, context):
        for request in requests:
            yield request

    def Fail(self, request, context):
        asked = json.loads(request)
        context.set_trailing_metadata((("grpc-status-details-bin", b"\x08\x05\x12\x03abc\x00\xff"), ("x-reason", "asked for")))
        context.abort(grpc.StatusCode[asked["code"]], asked["text"])

    def Slow(self, request, context):
        ended = threading.Event()
        context.add_callback(ended.set)
        if ended.wait(WAIT):
            with self.lock:
                self.cancelled += 1
        return b""

    def Cancelled(self, request, context):
        with self.lock:
            return str(self.cancelled).encode()

    def Deadline(self, request, context):
        left = context.time_remaining()
        return json.dumps(None if left is None or left > 1e6 else left).encode()


def serve(address, is_xds):
    name = os.environ.get("PEER_NAME", address)
    server = grpc.server(concurrent.futures.ThreadPoolExecutor(64), handlers=(Echo(name),), xds=is_xds, options=(("grpc.so_reuseport", 0),))
    if is_xds:
        server.add_secure_port(address, grpc.xds_server_credentials(grpc.insecure_server_credentials()))
    elif server.add_insecure_port(address) == 0:
        raise SystemExit(f"{address} is taken")
    server.start()
    print("ready", flush=True)
    sys.stdin.read()
    server.stop(0)


def channel_to(target):
    if target.startswith("xds:"):
        return grpc.secure_channel(target, grpc.xds_channel_credentials(grpc.experimental.insecure_channel_credentials()))
    authority = os.environ.get("PEER_AUTHORITY")
    return grpc.insecure_channel(target, options=(("grpc.default_authority", authority),) if authority else ())


class Cases:
    """Each method is a case: returns nothing when all is well, raises otherwise."""

    def __init__(self, target):
        self.channel = channel_to(target)
        at = lambda name: f"/{SERVICE}/{name}"
        self.unary, self.fail, self.slow = (self.channel.unary_unary(at(n)) for n in ("Unary", "Fail", "Slow"))
        self.cancelled, self.deadline = self.channel.unary_unary(at("Cancelled")), self.channel.unary_unary(at("Deadline"))
        self.stream, self.collect, self.chat = self.channel.unary_stream(at("Stream")), self.channel.stream_unary(at("Collect")), self.channel.stream_stream(at("Chat"))

    @staticmethod
    def same(got, want):
        if got != want:
            raise AssertionError(f"got {got!r:.200}, want {want!r:.200}")

    def fails(self, code, call):
        try:
            got = call()
        except grpc.RpcError as problem:
            self.same(problem.code().name, code)
            return problem
        raise AssertionError(f"no error but {got!r:.100}")

    def empty_unary(self):
        self.same(self.unary(b"", timeout=WAIT), b"")

    def large_unary(self):
        self.same(self.unary(b"a" * LARGE, timeout=WAIT), b"a" * LARGE)

    def compressed_unary(self):
        self.same(self.unary(b"a" * 100000, timeout=WAIT, compression=grpc.Compression.Gzip), b"a" * 100000)

    def client_streaming(self):
        sizes = [27182, 8, 1828, 45904]
        self.same(self.collect((b"x" * s for s in sizes), timeout=WAIT), str(sum(sizes)).encode())

    def server_streaming(self):
        sizes = [31415, 9, 2653, 58979, 0]
        self.same([len(m) for m in self.stream(json.dumps({"sizes": sizes}).encode(), timeout=WAIT)], sizes)

    def large_server_streaming(self):
        self.same([len(m) for m in self.stream(json.dumps({"sizes": [LARGE] * 4}).encode(), timeout=WAIT)], [LARGE] * 4)

    def ping_pong(self):
        gate, answers = threading.Semaphore(1), []

        def requests():
            for number in range(20):
                if not gate.acquire(timeout=WAIT):
                    return
                yield str(number).encode()
        for answer in self.chat(requests(), timeout=WAIT):
            answers.append(int(answer))
            gate.release()
        self.same(answers, list(range(20)))

    def empty_stream(self):
        self.same(list(self.chat(iter(()), timeout=WAIT)), [])

    def many_at_once(self):
        calls = [self.unary.future(str(n).encode(), timeout=WAIT) for n in range(100)]
        self.same([c.result() for c in calls], [str(n).encode() for n in range(100)])

    def custom_metadata(self):
        answer, call = self.unary.with_call(b"m", timeout=WAIT, metadata=(("x-echo-initial", "test_initial"), ("x-echo-trailing-bin", b"\xab\xab\xab\x00")))
        self.same(dict(call.initial_metadata()).get("x-echo-initial"), "test_initial")
        self.same(dict(call.trailing_metadata()).get("x-echo-trailing-bin"), b"\xab\xab\xab\x00")

    def status_code_and_message(self):
        problem = self.fails("FAILED_PRECONDITION", lambda: self.fail(json.dumps({"code": "FAILED_PRECONDITION", "text": "test status message"}).encode(), timeout=WAIT))
        self.same(problem.details(), "test status message")

    def special_status_message(self):
        self.same(self.fails("UNKNOWN", lambda: self.fail(json.dumps({"code": "UNKNOWN", "text": ODD_TEXT}).encode(), timeout=WAIT)).details(), ODD_TEXT)

    def error_details(self):
        problem = self.fails("INVALID_ARGUMENT", lambda: self.fail(json.dumps({"code": "INVALID_ARGUMENT", "text": "x"}).encode(), timeout=WAIT))
        trailing = dict(problem.trailing_metadata())
        self.same(trailing.get("grpc-status-details-bin"), b"\x08\x05\x12\x03abc\x00\xff")
        self.same(trailing.get("x-reason"), "asked for")

    def error_after_messages(self):
        answers = self.stream(json.dumps({"sizes": [5, 6], "code": "DATA_LOSS"}).encode(), timeout=WAIT)
        got = []
        problem = self.fails("DATA_LOSS", lambda: got.extend(len(m) for m in answers))
        self.same([got, dict(problem.trailing_metadata()).get("x-last")], [[5, 6], "yes"])

    def unimplemented_method(self):
        self.fails("UNIMPLEMENTED", lambda: self.channel.unary_unary(f"/{SERVICE}/Missing")(b"", timeout=WAIT))

    def unimplemented_service(self):
        self.fails("UNIMPLEMENTED", lambda: self.channel.unary_unary("/peers.Missing/Missing")(b"", timeout=WAIT))

    def deadline_exceeded(self):
        begin = time.monotonic()
        self.fails("DEADLINE_EXCEEDED", lambda: self.slow(b"", timeout=0.5))
        self.same(time.monotonic() - begin < WAIT / 2, True)

    def deadline_is_passed_on(self):
        left = json.loads(self.deadline(b"", timeout=WAIT))
        self.same(left is not None and 0 < left < WAIT + 1, True)
        self.same(json.loads(self.deadline(b"")), None)

    def cancel_after_begin(self):
        # Several servers may answer, each with a count of its own: one of them must change.
        counts = lambda: {int(self.cancelled(b"", timeout=WAIT)) for _ in range(6)}
        before = counts()
        call = self.slow.future(b"", timeout=WAIT)
        time.sleep(0.2)
        call.cancel()
        self.fails("CANCELLED", lambda: self.raise_of(call))
        end = time.monotonic() + WAIT
        while counts() == before:
            self.same(time.monotonic() < end, True)
            time.sleep(0.05)

    @staticmethod
    def raise_of(call):
        try:
            return call.result()
        except grpc.FutureCancelledError:
            class Cancelled(grpc.RpcError):
                def code(self):
                    return grpc.StatusCode.CANCELLED
            raise Cancelled()

    def cancel_after_first_response(self):
        answers = self.stream(json.dumps({"sizes": [10] * 100000}).encode(), timeout=WAIT)
        self.same(len(next(answers)), 10)
        answers.cancel()
        self.fails("CANCELLED", lambda: list(answers))
        self.same(self.unary(b"after", timeout=WAIT), b"after")


CASES = [name for name in vars(Cases) if not name.startswith("_") and name not in ("same", "fails", "raise_of")]


def call(target, wanted):
    cases, out = Cases(target), {}
    for name in wanted:
        try:
            getattr(cases, name)()
            out[name] = "ok"
        except grpc.RpcError as problem:
            out[name] = f"{problem.code().name}: {problem.details()}"
        except AssertionError as problem:
            out[name] = str(problem)
    print(json.dumps(out), flush=True)


def ask(target, path, count):
    unary, out = channel_to(target).unary_unary(path), []
    for _ in range(int(count)):
        try:
            out.append(unary(b"", timeout=20, wait_for_ready=False).decode())
        except grpc.RpcError as problem:
            out.append(problem.code().name)
            sys.stderr.write(f"{problem.details()}\n")
    print(json.dumps(out), flush=True)


if __name__ == "__main__":
    if sys.argv[1] == "serve":
        serve(sys.argv[2], "xds" in sys.argv[3:])
    elif sys.argv[1] == "call":
        call(sys.argv[2], sys.argv[3].split(",") if len(sys.argv) > 3 else CASES)
    else:
        ask(*sys.argv[2:5])
