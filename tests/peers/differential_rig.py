"""Two proxies with the same configuration, each before upstreams that write down what reaches them, and clients that send raw bytes."""
import ctypes
import ctypes.util
import json
import os
import re
import socket
import struct
import subprocess
import tempfile
import threading
import time

from harness import BIN, end, eventually, free_ports

PEERS = os.environ.get("LATEEN_PEERS", "/work/peers")
ENVOY = os.path.join(PEERS, "envoy/envoy/_bin/envoy")
TYPES = "type.googleapis.com/envoy.extensions"
LANES = 6
PROBE = b"GET /probe HTTP/1.1\r\nHost: probe\r\n\r\n"
PROFILES = {
    # As Envoy is by default.
    "plain": {"upgrade_configs": [{"upgrade_type": "websocket"}], "normalize_path": False},
    # As a gateway ought to be.
    "edge": {"use_remote_address": True, "normalize_path": True, "merge_slashes": True, "strip_any_host_port": True,
             "path_with_escaped_slashes_action": "UNESCAPE_AND_REDIRECT", "http_protocol_options": {"accept_http_10": True},
             "common_http_protocol_options": {"headers_with_underscores_action": "REJECT_REQUEST", "max_headers_count": 40}},
    # Refuses what it can.
    "strict": {"normalize_path": True, "merge_slashes": True, "path_with_escaped_slashes_action": "REJECT_REQUEST",
               "strip_trailing_host_dot": True, "max_request_headers_kb": 8,
               "common_http_protocol_options": {"headers_with_underscores_action": "DROP_HEADER"}},
    # As Istio configures a sidecar's inbound side.
    "sidecar": {"normalize_path": True, "http_protocol_options": {"accept_http_10": True}, "upgrade_configs": [{"upgrade_type": "websocket"}],
                "path_with_escaped_slashes_action": "KEEP_UNCHANGED", "forward_client_cert_details": "APPEND_FORWARD",
                "server_header_transformation": "PASS_THROUGH"},
}


def read_message(read_line, read_bytes, is_head_known_bodiless=False, is_response=False):
    """One HTTP/1 message: (start line, fields, body, trailers, how it is framed). ValueError when it is none."""
    line = read_line()
    if line is None:
        return None
    fields = read_fields(read_line)
    names = {}
    for name, value in fields:
        names.setdefault(name.lower(), []).append(value)
    body, trailers, framing = b"", [], "none"
    if is_head_known_bodiless:
        return line, fields, body, trailers, framing
    if "transfer-encoding" in names:
        if names["transfer-encoding"] != [b"chunked".decode()] or "content-length" in names:
            raise ValueError(f"framing {names}")
        framing = "chunked"
        while True:
            size_line = read_line()
            if size_line is None:
                raise ValueError("ends within chunks")
            if not re.fullmatch(r"[0-9a-fA-F]{1,15}", size_line):
                raise ValueError(f"chunk size {size_line!r}")
            size = int(size_line, 16)
            if size == 0:
                trailers = read_fields(read_line)
                break
            body += read_bytes(size)
            if read_bytes(2) != b"\r\n":
                raise ValueError("chunk end")
    elif "content-length" in names:
        lengths = names["content-length"]
        if len(lengths) != 1 or not re.fullmatch(r"[0-9]{1,30}", lengths[0]):
            raise ValueError(f"content-length {lengths}")
        framing, body = "length", read_bytes(int(lengths[0]))
    elif is_response:
        framing, body = "close", read_bytes(None)
    return line, fields, body, trailers, framing


def read_fields(read_line):
    fields = []
    while True:
        line = read_line()
        if line is None:
            raise ValueError("ends within fields")
        if line == "":
            return fields
        match = re.fullmatch(r"([!#$%&'*+\-.^_`|~0-9A-Za-z]+):[ \t]*(.*?)[ \t]*", line)
        if not match:
            raise ValueError(f"field {line!r}")
        fields.append((match.group(1), match.group(2)))


class Reader:
    """Bytes of a socket as lines and counts; `None` from line() at the end."""

    def __init__(self, sock):
        self.sock, self.buffer, self.is_over = sock, b"", False

    def fill(self):
        data = self.sock.recv(65536)
        if not data:
            self.is_over = True
            return False
        self.buffer += data
        return True

    def line(self):
        while b"\r\n" not in self.buffer:
            if not self.fill():
                if self.buffer:
                    raise ValueError(f"ends within a line: {self.buffer[:80]!r}")
                return None
        line, _, self.buffer = self.buffer.partition(b"\r\n")
        if b"\n" in line or b"\r" in line or b"\0" in line:
            raise ValueError(f"control characters in a line: {line!r}")
        return line.decode("latin-1")

    def bytes(self, count):
        while count is None or len(self.buffer) < count:
            if not self.fill():
                if count is None:
                    break
                raise ValueError("ends within a body")
        count = len(self.buffer) if count is None else count
        taken, self.buffer = self.buffer[:count], self.buffer[count:]
        return taken


class Upstream:
    """Writes down each request. /reply/N answers with the N-th of `replies`, raw, and closes if told so."""

    def __init__(self, replies):
        self.replies, self.seen, self.lock = replies, [], threading.Lock()
        self.server = socket.socket()
        self.server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.server.bind(("127.0.0.1", 0))
        self.server.listen(128)
        self.port = self.server.getsockname()[1]
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            try:
                connection, _ = self.server.accept()
            except OSError:
                return
            threading.Thread(target=self.serve, args=(connection,), daemon=True).start()

    def note(self, what):
        with self.lock:
            self.seen.append(what)

    def take(self):
        with self.lock:
            taken, self.seen = self.seen, []
        return taken

    def serve(self, connection):
        reader = Reader(connection)
        try:
            connection.settimeout(30)
            while True:
                message = read_message(reader.line, reader.bytes)
                if message is None:
                    return
                line, fields, body, trailers, framing = message
                method, path = line.split(" ")[0], line.split(" ")[1]
                is_probe = path == "/probe" and ("host", "probe") in fields
                if not is_probe:
                    self.note({"line": line, "fields": fields, "body": body.decode("latin-1"), "trailers": trailers, "framing": framing})
                if any(name.lower() == "upgrade" for name, _ in fields):
                    connection.sendall(b"HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n")
                    while data := reader.bytes(len(reader.buffer)) or connection.recv(65536):
                        connection.sendall(data)
                    return
                match = re.fullmatch(r"/reply/(\d+)", path)
                if match:
                    raw, is_closing = self.replies[int(match.group(1))]
                    connection.sendall(raw)
                    if is_closing:
                        return
                    continue
                extra = b"x-probe: 1\r\n" if is_probe else b"x-answer: 1\r\n"
                body = b"" if method == "HEAD" else b"hello"
                connection.sendall(b"HTTP/1.1 200 OK\r\n" + extra + b"content-length: 5\r\n\r\n" + body)
        except ValueError as problem:
            # Truncated by the proxy's own cancellation is no malformed request.
            if "ends within" not in str(problem):
                self.note({"malformed": str(problem)})
            else:
                self.note({"cut": True})
        except OSError:
            pass
        finally:
            connection.close()

    def close(self):
        self.server.close()


def address(port):
    return {"socket_address": {"address": "127.0.0.1", "port_value": port}}


def manager(profile, lane):
    routes = [{"match": {"path_separated_prefix": "/admin"}, "direct_response": {"status": 403, "body": {"inline_string": "forbidden"}}},
              {"match": {"prefix": "/"}, "route": {"cluster": f"up{lane}", "timeout": "8s"}}]
    filters = [
        {"name": "rbac", "typed_config": {"@type": f"{TYPES}.filters.http.rbac.v3.RBAC", "rules": {"action": "DENY", "policies": {
            "secret": {"permissions": [{"url_path": {"path": {"prefix": "/secret"}}}], "principals": [{"any": True}]}}}}},
        {"name": "router", "typed_config": {"@type": f"{TYPES}.filters.http.router.v3.Router"}}]
    return {"@type": f"{TYPES}.filters.network.http_connection_manager.v3.HttpConnectionManager", "stat_prefix": profile, "codec_type": "AUTO",
            "route_config": {"virtual_hosts": [
                {"name": "private", "domains": ["private.test", "private.test:*"], "routes": [
                    {"match": {"prefix": "/"}, "direct_response": {"status": 418, "body": {"inline_string": "private"}}}]},
                {"name": "all", "domains": ["*"], "routes": routes}]},
            "http_filters": filters, "stream_idle_timeout": "20s", **PROFILES[profile]}


class Proxy:
    """One of the two, with its upstreams; `ports[profile][lane]` is where to send to."""

    def __init__(self, name, binary, replies, folder, ports):
        self.name = name
        self.upstreams = [Upstream(replies) for _ in range(LANES)]
        self.ports = {profile: ports[n * LANES:(n + 1) * LANES] for n, profile in enumerate(PROFILES)}
        listeners = [{"name": f"{profile}-{lane}", "address": address(port), "filter_chains": [
            {"filters": [{"name": "http", "typed_config": manager(profile, lane)}]}]}
            for profile, ports in self.ports.items() for lane, port in enumerate(ports)]
        clusters = [{"name": f"up{lane}", "type": "STATIC", "connect_timeout": "5s", "load_assignment": {
            "cluster_name": f"up{lane}", "endpoints": [{"lb_endpoints": [{"endpoint": {"address": address(upstream.port)}}]}]}}
            for lane, upstream in enumerate(self.upstreams)]
        config = os.path.join(folder, f"{name}.json")
        with open(config, "w") as out:
            json.dump({"node": {"id": name, "cluster": "differential"}, "static_resources": {"listeners": listeners, "clusters": clusters}}, out)
        self.log = open(os.path.join(folder, f"{name}.log"), "wb")
        self.process = subprocess.Popen([binary, "-c", config, "--concurrency", "1", "--disable-hot-restart", "-l", "warning"],
                                        stderr=self.log, stdout=self.log)

    def wait(self):
        def is_up():
            if self.process.poll() is not None:
                raise AssertionError(f"{self.name} ended: {open(self.log.name, errors='replace').read()[-2000:]}")
            for ports in self.ports.values():
                with socket.create_connection(("127.0.0.1", ports[-1]), timeout=5):
                    pass
            return True
        eventually(is_up, what=f"{self.name} listens")

    def close(self):
        end(self.process)
        for upstream in self.upstreams:
            upstream.close()
        self.log.close()


class TwoProxies:
    def __init__(self, replies):
        self.folder = tempfile.TemporaryDirectory(prefix="lateen-differential-")
        # Both share their ports with whoever else listens there (SO_REUSEPORT): no two may be one.
        count = len(PROFILES) * LANES
        ports = free_ports(2 * count)
        self.ours = Proxy("ours", os.path.join(BIN, "lateen-proxy"), replies, self.folder.name, ports[:count])
        self.envoy = Proxy("envoy", ENVOY, replies, self.folder.name, ports[count:])
        self.ours.wait()
        self.envoy.wait()

    def close(self):
        self.ours.close()
        self.envoy.close()
        self.folder.cleanup()


def exchange_h1(port, data, patience, is_head=False):
    """Sends the bytes and a probe behind them; says what came back until the probe's answer, the end, or nothing more."""
    answers, end = [], "waiting"
    with socket.create_connection(("127.0.0.1", port), timeout=patience) as sock:
        reader = Reader(sock)
        try:
            sock.sendall(data + PROBE)
        except OSError:
            pass  # Refused early: the answer may still be there.
        limit = time.monotonic() + patience
        sock.settimeout(patience)
        try:
            while time.monotonic() < limit:
                message = read_response(reader, is_head and not any(int(a["status"]) >= 200 for a in answers))
                if message is None:
                    end = "closed"
                    break
                if ("x-probe", "1") in message["fields"]:
                    end = "kept"
                    break
                answers.append(message)
                if message["status"] == "101":
                    sock.settimeout(0.5)
                    tunnel = b""
                    try:
                        while not tunnel.endswith(PROBE):
                            if not (reader.buffer or reader.fill()):
                                break
                            tunnel += reader.bytes(len(reader.buffer))
                    except OSError:
                        pass
                    answers.append({"status": "tunnel", "fields": [], "body": tunnel.decode("latin-1"), "trailers": [], "framing": ""})
                    end = "tunnel"
                    break
        except socket.timeout:
            pass
        except OSError:
            end = "closed"
        except ValueError as problem:
            end = "cut" if "ends within" in str(problem) else f"malformed answer: {problem}"
    return {"answers": answers, "end": end}


def read_response(reader, is_head):
    first = reader.line()
    if first is None:
        return None
    if not re.match(r"HTTP/1\.[01] \d{3}", first):
        raise ValueError(f"status line {first!r}")
    status = first.split(" ")[1]
    lines = iter([first])
    bodiless = is_head or status[0] == "1" or status in ("204", "304")

    def line():
        return next(lines, None) or reader.line()
    _, fields, body, trailers, framing = read_message(line, reader.bytes, bodiless, True)
    return {"status": status, "fields": [(n.lower(), v) for n, v in fields], "body": body.decode("latin-1"), "trailers": trailers, "framing": framing}


# HTTP/2 in bare frames.
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, PRIORITY, RESET, SETTINGS, PUSH, PING, GOAWAY, WINDOW, CONTINUATION = range(10)
END_STREAM, END_HEADERS = 1, 4


def frame(kind, flags, stream, payload=b""):
    return struct.pack(">I", len(payload))[1:] + bytes([kind, flags]) + struct.pack(">I", stream) + payload


def integer(value, prefix_bits=7, first=0):
    most = (1 << prefix_bits) - 1
    if value < most:
        return bytes([first | value])
    out, value = [first | most], value - most
    while value >= 128:
        out.append(value % 128 + 128)
        value //= 128
    return bytes(out + [value])


def fields_block(fields):
    """Literal fields, never indexed, no Huffman code: any bytes can be said so."""
    out = b""
    for name, value in fields:
        out += b"\x00" + integer(len(name)) + name + integer(len(value)) + value
    return out


class Pair(ctypes.Structure):
    _fields_ = [("name", ctypes.POINTER(ctypes.c_ubyte)), ("value", ctypes.POINTER(ctypes.c_ubyte)), ("name_length", ctypes.c_size_t),
                ("value_length", ctypes.c_size_t), ("flags", ctypes.c_ubyte)]


class Inflater:
    """HPACK by libnghttp2, which building us needs anyway."""
    FINAL, EMIT = 1, 2

    def __init__(self):
        self.library = ctypes.CDLL(ctypes.util.find_library("nghttp2"))
        self.library.nghttp2_hd_inflate_hd2.restype = ctypes.c_ssize_t
        self.state = ctypes.c_void_p()
        if self.library.nghttp2_hd_inflate_new(ctypes.byref(self.state)) != 0:
            raise MemoryError

    def fields(self, block):
        out, pair, flags = [], Pair(), ctypes.c_int()
        while True:
            used = self.library.nghttp2_hd_inflate_hd2(self.state, ctypes.byref(pair), ctypes.byref(flags), block, ctypes.c_size_t(len(block)), 1)
            if used < 0:
                raise ValueError("malformed answer: HPACK")
            block = block[used:]
            if flags.value & self.EMIT:
                out.append((ctypes.string_at(pair.name, pair.name_length).decode("latin-1"), ctypes.string_at(pair.value,
                    pair.value_length).decode("latin-1")))
            if flags.value & self.FINAL:
                self.library.nghttp2_hd_inflate_end_headers(self.state)
                return out
            if used == 0 and not flags.value & self.EMIT:
                raise ValueError("malformed answer: HPACK ends early")

    def __del__(self):
        self.library.nghttp2_hd_inflate_del(self.state)


PROBE_STREAM = 1001
PROBE_FIELDS = [(b":method", b"GET"), (b":scheme", b"http"), (b":path", b"/probe"), (b":authority", b"probe")]


def exchange_h2(port, data, patience, expected):
    """Frames after the preface and our settings, then a probe on a stream of its own."""
    decoder, streams, end = Inflater(), {}, "waiting"
    probe = frame(HEADERS, END_STREAM | END_HEADERS, PROBE_STREAM, fields_block(PROBE_FIELDS))
    with socket.create_connection(("127.0.0.1", port), timeout=patience) as sock:
        reader = Reader(sock)
        try:
            sock.sendall(PREFACE + frame(SETTINGS, 0, 0) + data + probe)
        except OSError:
            pass
        sock.settimeout(patience)
        block = b""
        try:
            while end == "waiting":
                if not reader.buffer and not reader.fill():
                    end = "closed"
                    break
                head = reader.bytes(9)
                payload = reader.bytes(struct.unpack(">I", b"\0" + head[:3])[0])
                kind, flags, stream = head[3], head[4], struct.unpack(">I", head[5:])[0]
                at = streams.setdefault(stream, {"heads": [], "body": "", "reset": None, "is_over": False}) if stream else None
                if kind in (HEADERS, CONTINUATION):
                    block += payload
                    if flags & END_HEADERS:
                        at["heads"].append(decoder.fields(block))
                        block = b""
                elif kind == DATA:
                    at["body"] += payload.decode("latin-1")
                elif kind == RESET:
                    at["reset"] = struct.unpack(">I", payload)[0]
                elif kind == GOAWAY and struct.unpack(">I", payload[4:8])[0] != 0:
                    end = f"goaway {struct.unpack('>I', payload[4:8])[0]}"
                elif kind == SETTINGS and not flags & 1:
                    sock.sendall(frame(SETTINGS, 1, 0))
                if at is not None and (flags & END_STREAM and kind in (DATA, HEADERS) or kind == RESET):
                    at["is_over"] = True
                if PROBE_STREAM in streams and streams[PROBE_STREAM]["is_over"]:
                    others = [s for n, s in streams.items() if n != PROBE_STREAM]
                    if len(others) >= expected and all(s["is_over"] for s in others):
                        end = "kept"
        except socket.timeout:
            if PROBE_STREAM in streams and streams[PROBE_STREAM]["is_over"]:
                end = "kept, unanswered"
        except OSError:
            end = "closed"
        except ValueError:
            end = "closed"
    streams.pop(PROBE_STREAM, None)
    answers = []
    for number in sorted(streams):
        at = streams[number]
        for head in at["heads"]:
            status = dict(head).get(":status", "trailers")
            answers.append({"status": status, "fields": [f for f in head if f[0] != ":status"], "body": "", "trailers": [], "framing": ""})
        if answers and at["heads"]:
            answers[-1]["body"] = at["body"]
        if at["reset"] is not None:
            answers.append({"status": f"reset {at['reset']}", "fields": [], "body": "", "trailers": [], "framing": ""})
    return {"answers": answers, "end": end}

