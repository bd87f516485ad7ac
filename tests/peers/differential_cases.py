"""What differential_test.py sends: each case is raw bytes, made by hand or from a seed, so every run sends the same."""
import random
from dataclasses import dataclass, field

from differential_rig import (CONTINUATION, DATA, END_HEADERS, END_STREAM, GOAWAY, HEADERS, PING, PRIORITY, PROFILES, PUSH, RESET, SETTINGS, WINDOW,
                              fields_block, frame)

ALL = tuple(PROFILES)
SEED = 20261124
RANDOM_HTTP1, RANDOM_HTTP2 = 500, 250


@dataclass
class Case:
    name: str
    data: bytes
    is_h2: bool = False
    is_head: bool = False
    streams: int = 1  # that get an answer
    profiles: tuple = field(default=("plain",))


def h1(name, start, fields=b"Host: a.test\r\n", body=b"", profiles=("plain",)):
    return Case(name, start + b"\r\n" + fields + b"\r\n" + body, is_head=start.startswith(b"HEAD"), profiles=profiles)


# Answers of an upstream that does not keep to the protocol: (raw bytes, closes afterwards).
REPLIES = [
    (b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello", False),
    (b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n", True),
    (b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\ncontent-length: 6\r\n\r\nhello!", True),
    (b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\ncontent-length: 5\r\n\r\nhello", True),
    (b"HTTP/1.1 200 OK\r\ncontent-length: 5, 5\r\n\r\nhello", True),
    (b"HTTP/1.1 200 OK\r\ncontent-length: +5\r\n\r\nhello", True),
    (b"HTTP/1.1 200 OK\r\ncontent-length: -1\r\n\r\nhello", True),
    (b"HTTP/1.1 200 OK\r\ncontent-length: 99999999999999999999999\r\n\r\nhello", True),
    (b"HTTP/1.1 200 OK\ncontent-length: 5\n\nhello", True),
    (b"HTTP/1.1 200 OK\r\nfolded: a\r\n b\r\ncontent-length: 5\r\n\r\nhello", True),
    (b"HTTP/1.1 200 OK\r\nx y: a\r\ncontent-length: 5\r\n\r\nhello", True),
    (b"HTTP/1.1 200 OK\r\nx : a\r\ncontent-length: 5\r\n\r\nhello", True),
    (b"HTTP/1.1 200 OK\r\nx: a\0b\r\ncontent-length: 5\r\n\r\nhello", True),
    (b"HTTP/1.1 200 OK\r\nx: a\rb\r\ncontent-length: 5\r\n\r\nhello", True),
    (b"HTTP/1.1 200 OK\r\n: a\r\ncontent-length: 5\r\n\r\nhello", True),
    (b"HTTP/1.1 200\r\ncontent-length: 5\r\n\r\nhello", True),
    (b"HTTP/1.1 200 \r\ncontent-length: 5\r\n\r\nhello", True),
    (b"HTTP/1.1 2000 OK\r\ncontent-length: 5\r\n\r\nhello", True),
    (b"HTTP/1.1 20 OK\r\ncontent-length: 5\r\n\r\nhello", True),
    (b"HTTP/1.1 099 OK\r\ncontent-length: 5\r\n\r\nhello", True),
    (b"HTTP/1.1 999 OK\r\ncontent-length: 5\r\n\r\nhello", True),
    (b"HTTP/1.0 200 OK\r\ncontent-length: 5\r\n\r\nhello", True),
    (b"HTTP/1.0 200 OK\r\n\r\nhello until the end", True),
    (b"HTTP/1.1 200 OK\r\n\r\nhello until the end", True),
    (b"HTTP/2.0 200 OK\r\ncontent-length: 5\r\n\r\nhello", True),
    (b"ICY 200 OK\r\ncontent-length: 5\r\n\r\nhello", True),
    (b"HTTP/1.1 204 No Content\r\n\r\n", False),
    (b"HTTP/1.1 204 No Content\r\ncontent-length: 5\r\n\r\nhello", True),
    (b"HTTP/1.1 204 No Content\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n", True),
    (b"HTTP/1.1 304 Not Modified\r\ncontent-length: 5\r\n\r\n", False),
    (b"HTTP/1.1 205 Reset\r\ncontent-length: 0\r\n\r\n", False),
    (b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello", False),
    (b"HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello", False),
    (b"HTTP/1.1 102 Processing\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello", False),
    (b"HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: upgrade\r\n\r\nhello", True),
    (b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n", False),
    (b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nx-trailer: 1\r\n\r\n", False),
    (b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5;ext=1\r\nhello\r\n0\r\n\r\n", False),
    (b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\nhello\r\n0\r\n\r\n", True),
    (b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\nhello\r\n0\r\n\r\n", True),
    (b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n-5\r\nhello\r\n0\r\n\r\n", True),
    (b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhelloX\r\n0\r\n\r\n", True),
    (b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhel", True),
    (b"HTTP/1.1 200 OK\r\ntransfer-encoding: gzip, chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n", True),
    (b"HTTP/1.1 200 OK\r\ntransfer-encoding: identity\r\ncontent-length: 5\r\n\r\nhello", True),
    (b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n", True),
    (b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhello", True),
    (b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 5\r\n\r\nhello", True),
    (b"HTTP/1.1 200 OK\r\nconnection: x-private, keep-alive\r\nkeep-alive: timeout=5\r\nx-private: 1\r\ncontent-length: 5\r\n\r\nhello", False),
    (b"HTTP/1.1 200 OK\r\nproxy-connection: keep-alive\r\nupgrade: h2c\r\nconnection: upgrade\r\ncontent-length: 5\r\n\r\nhello", False),
    (b"HTTP/1.1 200 OK\r\nset-cookie: a=1\r\nset-cookie: b=2\r\nx: 1\r\nx: 2\r\ncontent-length: 5\r\n\r\nhello", False),
    (b"HTTP/1.1 200 OK\r\n" + b"".join(b"x-%d: y\r\n" % n for n in range(120)) + b"content-length: 5\r\n\r\nhello", True),
    (b"HTTP/1.1 200 OK\r\nbig: " + b"b" * 70000 + b"\r\ncontent-length: 5\r\n\r\nhello", True),
    (b"\r\nHTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello", True),
    (b"garbage\r\n\r\n", True),
    (b"", True),
    (b"HTTP/1.1 200 O\0K\r\ncontent-length: 5\r\n\r\nhello", True),
    (b"HTTP/1.1 200 " + b"long " * 500 + b"\r\ncontent-length: 5\r\n\r\nhello", False),
    (b"HTTP/1.1 200 OK\r\nhost: b\r\n:status: 500\r\ncontent-length: 5\r\n\r\nhello", True),
    (b"HTTP/1.1 200 OK\r\nserver: app\r\ndate: now\r\nvia: 1.1 x\r\nte: trailers\r\nexpect: 100-continue\r\ncontent-length: 5\r\n\r\nhello", False),
]


def replies():
    for n in range(len(REPLIES)):
        yield h1(f"reply {n}", b"GET /reply/%d HTTP/1.1" % n, profiles=("plain", "sidecar"))
        yield Case(f"h2 reply {n}", request(1, path=b"/reply/%d" % n), is_h2=True)
        if n in (0, 4, 22, 26, 29, 35, 36):
            yield h1(f"head reply {n}", b"HEAD /reply/%d HTTP/1.1" % n)
            yield h1(f"HTTP/1.0 reply {n}", b"GET /reply/%d HTTP/1.0" % n, profiles=("sidecar",))


def start_lines():
    get = b"GET / HTTP/1.1"
    lines = [b"GET / HTTP/1.1", b"HEAD / HTTP/1.1", b"OPTIONS * HTTP/1.1", b"OPTIONS / HTTP/1.1", b"GET * HTTP/1.1", b"TRACE / HTTP/1.1",
             b"PURGE / HTTP/1.1",
             b"get / HTTP/1.1", b"G\x01T / HTTP/1.1", b"GE(T / HTTP/1.1", b"PRI * HTTP/2.0", b"PRI / HTTP/1.1", b"GET  / HTTP/1.1", b"GET /  HTTP/1.1",
             b"GET\t/ HTTP/1.1", b"GET /\tHTTP/1.1", b" GET / HTTP/1.1", b"GET / HTTP/1.1 ", b"GET / HTTP/1.1\t", b"GET /a b HTTP/1.1", b"GET / HTTP/1.2",
             b"GET / HTTP/1.9", b"GET / HTTP/2.0", b"GET / HTTP/0.9", b"GET /", b"GET / http/1.1", b"GET / HTTP/1.10", b"GET / HTTP/01.1",
             b"GET / HTTP/1,1",
             b"GET / HTTP/1", b"GET / HTTPS/1.1", b"GET / XTTP/1.1", b"GET", b"", b"GET / HTTP/1.1\0", b"GET /\0 HTTP/1.1", b"GET /\x7f HTTP/1.1",
             b"GET /\x80\xff HTTP/1.1", b"GET /\xc3\xa9 HTTP/1.1", b"GET /a\x0bb HTTP/1.1", b"GET /\"<>^`{|} HTTP/1.1", b"GET a HTTP/1.1",
             b"GET a/b HTTP/1.1",
             b"GET ?a HTTP/1.1", b"GET http://b.test/p?q HTTP/1.1", b"GET http://b.test HTTP/1.1", b"GET http://b.test?q HTTP/1.1",
             b"GET HTTP://b.test/ HTTP/1.1",
             b"GET https://b.test/ HTTP/1.1", b"GET ftp://b.test/ HTTP/1.1", b"GET http:// HTTP/1.1", b"GET http:///p HTTP/1.1", b"GET http:/p HTTP/1.1",
             b"GET http://u:p@b.test/ HTTP/1.1", b"GET http://b.test:80/ HTTP/1.1", b"GET http://b.test:/ HTTP/1.1", b"GET http://b.test:99999/ HTTP/1.1",
             b"GET http://private.test/ HTTP/1.1", b"GET http://PRIVATE.test/ HTTP/1.1", b"GET http://private.test:1/ HTTP/1.1",
             b"GET http://[::1]/ HTTP/1.1",
             b"GET http://b.test#f HTTP/1.1", b"GET http://b.test\\@c.test/ HTTP/1.1", b"GET //b.test/p HTTP/1.1", b"GET ///p HTTP/1.1",
             b"CONNECT b.test:443 HTTP/1.1", b"CONNECT / HTTP/1.1", b"CONNECT b.test HTTP/1.1", b"POST / HTTP/1.1", b"DELETE / HTTP/1.1",
             b"M-SEARCH / HTTP/1.1",
             b"GET / HTTP/1.1\r", b"\r\nGET / HTTP/1.1", b"\r\n\r\nGET / HTTP/1.1", b"\nGET / HTTP/1.1", b"\r\n\r\n\r\n\r\n\r\n\r\nGET / HTTP/1.1",
             b"X" * 100 + b" / HTTP/1.1", b"GET /" + b"l" * 9000 + b" HTTP/1.1", b"GET /" + b"l" * 70000 + b" HTTP/1.1", b"GET / HTTP/1.0"]
    for line in lines:
        yield h1(f"line {line[:60]!r}", line, profiles=("plain", "edge", "sidecar"))
    yield h1("no host", get, b"", profiles=ALL)
    for host in (b"", b" ", b"a.test:80", b"a.test:", b"a.test:x", b"a.test:99999", b"a.test:-1", b"a b", b"a,b", b"a/b", b"u@a.test", b"a.test#f",
                 b"a.test?q", b"[::1]",
                 b"[::1]:80", b"[::1", b"::1", b"a.test.", b"A.TEST", b"private.test", b"private.test.", b"PRIVATE.TEST", b"private.test:80",
                 b"private.test:x",
                 b"private.test:80:80", b" private.test ", b"\tprivate.test", b"a\\b", b"a%00b", b"%70rivate.test", b"a\xffb", b"a\0b", b"a\x01b",
                 b"a..test",
                 b"l" * 300, b"<a>", b"'a'", b"a;b", b"a_b", b"127.0.0.1", b"0x7f.1", b"private.test\x20x"):
        yield h1(f"host {host[:40]!r}", get, b"Host: " + host + b"\r\n", profiles=ALL)
    for more in (b"Host: a.test\r\nHost: a.test\r\n", b"Host: a.test\r\nHost: private.test\r\n", b"Host: private.test\r\nHost: a.test\r\n",
                 b"Host: a\r\nhost : b\r\n",
                 b"Host: a.test\r\n:authority: private.test\r\n", b"Host: a.test\r\n:path: /admin\r\n",
                 b"Host: a.test\r\nX-Forwarded-Host: private.test\r\n"):
        yield h1(f"hosts {more!r}", get, more, profiles=("plain", "edge"))
        yield h1(f"hosts, absolute {more!r}", b"GET http://a.test/ HTTP/1.1", more, profiles=("plain", "edge"))


def fields():
    get, host = b"GET / HTTP/1.1", b"Host: a.test\r\n"
    kinds = [b"x: 1", b"x:1", b"x:", b"x: ", b"x:  1  ", b"x:\t1\t", b"x : 1", b"x\t: 1", b" x: 1", b"\tx: 1", b"x 1", b"x", b": 1", b":", b"x y: 1",
             b"x(y): 1", b"x\0: 1",
             b"x: a\0b", b"x: a\x01b", b"x: a\x7fb", b"x: a\x80\xffb", b"x\x80: 1", b"x: a\rb", b"x: a\nb", b"x: a\r b", b"x: 1\r\n y",
             b"x: 1\r\n\ty", b"x:\r\n y",
             b"x: 1\r\r\n", b"x: 1\n", b"x_y: 1", b"x-y: 1", b"X-UPPER: Value", b"x.y: 1", b"x/y: 1", b"x,y: 1", b"x;y: 1", b"x@y: 1", b"x[y]: 1",
             b"x{y}: 1", b"x\"y: 1",
             b"!#$%&'*+-.^_`|~: 1", b"x: a\x0bb", b"x: a\x0cb", b"x: \"a", b"x: 1\r\nx: 2", b"content_length: 5", b"transfer_encoding: chunked",
             b"cookie: a=1\r\ncookie: b=2", b"x: " + b"v" * 7000, b"x: " + b"v" * 61000, b"x: " + b"v" * 100000, b"n" * 5000 + b": v",
             b"\r\n".join(b"x-%d: v" % n for n in range(39)), b"\r\n".join(b"x-%d: v" % n for n in range(99)),
             b"\r\n".join(b"x-%d: v" % n for n in range(150)),
             b"x-envoy-internal: true", b"x-envoy-original-path: /x", b"x-envoy-upstream-rq-timeout-ms: 1000", b"x-envoy-retry-on: 5xx",
             b"x-envoy-external-address: 1.2.3.4",
             b"x-envoy-decorator-operation: x", b"x-envoy-unknown: x", b"x-envoy-expected-rq-timeout-ms: 77", b"x-envoy-attempt-count: 7",
             b"x-envoy-force-trace: 1",
             b"x-forwarded-for: 1.2.3.4", b"x-forwarded-for: 1.2.3.4, 5.6.7.8", b"x-forwarded-for: evil\r\nx-forwarded-for: 1.1.1.1",
             b"x-forwarded-proto: https",
             b"x-forwarded-proto: gopher", b"x-forwarded-host: private.test", b"x-forwarded-port: 1", b"x-forwarded-client-cert: By=spiffe://evil;Hash=1",
             b"forwarded: for=1.2.3.4", b"x-real-ip: 1.2.3.4", b"x-request-id: fixed", b"via: 1.1 x", b"max-forwards: 0", b"x-http-method-override: DELETE",
             b"x-original-url: /admin", b"x-rewrite-url: /admin", b"early-data: 1"]
    for kind in kinds:
        yield h1(f"field {kind[:60]!r}", get, host + kind + b"\r\n", profiles=("plain", "edge", "strict"))
        yield h1(f"field first {kind[:60]!r}", get, kind + b"\r\n" + host)
    yield Case("bare LF everywhere", b"GET / HTTP/1.1\nHost: a.test\n\n")
    yield Case("bare LF at the end", b"GET / HTTP/1.1\r\nHost: a.test\r\n\n")
    yield Case("bare LF after the line", b"GET / HTTP/1.1\nHost: a.test\r\n\r\n")
    yield Case("LF hides a field", b"GET / HTTP/1.1\r\nHost: a.test\r\nx: 1\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n")
    yield Case("CR hides a field", b"GET / HTTP/1.1\r\nHost: a.test\r\nx: 1\rTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n")
    yield Case("CR at the end", b"GET / HTTP/1.1\r\nHost: a.test\r\n\r\r\n\r\n")
    yield Case("nothing", b"")
    yield Case("TLS hello", bytes.fromhex("16030100050100000100"))


def paths():
    for path in (b"/admin", b"/admin/", b"//admin", b"/./admin", b"/x/../admin", b"/x/..%2fadmin", b"/x/%2e%2e/admin", b"/%2e/admin", b"/x/..;/admin",
                 b"/;/admin", b"/admin;x",
                 b"/%61dmin", b"/%61%64min", b"/ADMIN", b"/admin%2f", b"/admin%2Fx", b"/admin%5cx", b"/admin\\x", b"/\\admin", b"/x\\..\\admin",
                 b"/x/..\\admin", b"/admin#x", b"/x#/../admin",
                 b"/admin?x", b"/x?/../admin", b"/x%3f/../admin", b"/x%23/../admin", b"/admin%00", b"/admin%00.txt", b"/%00/admin", b"/admin%20",
                 b"/admin.", b"/admin/.", b"/admin/..",
                 b"/..", b"/../..", b"/../admin", b"/.../admin", b"/a/b/../../admin", b"/a//../admin", b"/a///../admin", b"//", b"///", b"/a//b",
                 b"/a/./b", b"/a/.", b"/a/..", b"/a/../", b"/a/b/..",
                 b"/%", b"/%1", b"/%zz", b"/a%2", b"/%252fadmin", b"/%252e%252e/admin", b"/a%2fb", b"/a%2Fb", b"/a%5Cb", b"/a%2f..%2fadmin",
                 b"/%2fadmin", b"/%2f%2fadmin", b"/secret",
                 b"/x/../secret", b"//secret", b"/%73ecret", b"/x/..%2fsecret", b"/secret%2fx", b"/a/%2e%2e%2fsecret", b"/a\\..\\secret",
                 b"/a/..%5csecret", b"/a%5c..%5csecret", b"/\xc3\xa9",
                 b"/a|b", b"/a\"b", b"/a<b>", b"/a^b", b"/a`b", b"/a{b}", b"/a'b", b"/a*b", b"/a;b", b"/a:b", b"/a@b", b"/a=b&c", b"/a+b", b"/a~b",
                 b"/%7e", b"/%41", b"/%2D", b"/%2d", b"/?",
                 b"/?#", b"/#", b"/a??b", b"/a?b#c", b"/a?%2f..", b"/a?b=//", b"/a?b/../c", b"/a;jsessionid=1/../admin", b"/%c0%af",
                 b"/%c0%ae%c0%ae/admin", b"/%u002e", b"/a/%2e", b"/a/%2e/", b"/a/%2E%2E",
                 b"/.a", b"/a.", b"/..a", b"/a/.b/..c", b"/a/" + b"../" * 40 + b"admin", b"/" + b"a/" * 200):
        yield h1(f"path {path[:50]!r}", b"GET " + path + b" HTTP/1.1", profiles=ALL)
        yield Case(f"h2 path {path[:50]!r}", request(1, path=path), is_h2=True, profiles=ALL)


def framings():
    post, host, smuggled = b"POST /p HTTP/1.1", b"Host: a.test\r\n", b"GET /smuggled HTTP/1.1\r\nHost: a.test\r\n\r\n"
    lengths = [b"5", b"05", b"+5", b"-5", b" 5", b"5 ", b"5,5", b"5, 5", b"5,6", b"5 5", b"0x5", b"5.0", b"5;x", b"", b"a", b"\x355",
               b"00000000000000000005", b"18446744073709551616",
               b"18446744073709551621", b"9223372036854775808", b"4294967301", b"\"5\"", b"5\t", b"\v5", b"5\0", b"1e1", b"5_0", b"\xef\xbc\x95"]
    for length in lengths:
        yield h1(f"length {length!r}", post, host + b"Content-Length: " + length + b"\r\n", b"hello", profiles=("plain", "edge"))
    pairs = [(b"5", b"5"), (b"5", b"6"), (b"5", b"0"), (b"0", b"5"), (b"0", b"0"), (b"5", b""), (b"5", b"x")]
    for first, second in pairs:
        yield h1(f"lengths {first!r} {second!r}", post, host + b"Content-Length: " + first + b"\r\nContent-Length: " + second + b"\r\n",
                 b"hello" + smuggled)
        yield h1(f"lengths apart {first!r} {second!r}", post, b"Content-Length: " + first + b"\r\n" + host + b"content-length: " + second + b"\r\n",
                 b"hello" + smuggled)
    encodings = [b"chunked", b"Chunked", b"CHUNKED", b"chunked, chunked", b"gzip, chunked", b"chunked, gzip", b"identity", b"identity, chunked",
                 b"chunked, identity", b"xchunked", b"chunkedx",
                 b" chunked", b"chunked ", b"\tchunked", b"chunked\t", b"\vchunked", b"chunked\0", b"\"chunked\"", b"chunked;q=1", b",chunked",
                 b"chunked,", b"", b"gzip", b"x", b"chu\x00nked",
                 b"chunked\r\n ", b"\r\n chunked", b"trailers", b"deflate"]
    for encoding in encodings:
        for name, other in (("", b""), ("with length 5 ", b"Content-Length: 5\r\n"), ("with length 0 ", b"Content-Length: 0\r\n")):
            text = host + other + b"Transfer-Encoding: " + encoding + b"\r\n"
            yield h1(f"encoding {name}{encoding!r}", post, text, b"0\r\n\r\n" + smuggled, profiles=("plain", "edge") if not name else ("plain",))
    for lines in (b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n", b"Transfer-Encoding: chunked\r\nTransfer-Encoding: x\r\n",
                  b"Transfer-Encoding: x\r\nTransfer-Encoding: chunked\r\n",
                  b"Transfer-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n", b"Transfer-Encoding : chunked\r\n",
                  b"Transfer-Encoding\t: chunked\r\n", b" Transfer-Encoding: chunked\r\n",
                  b"X: y\r\n Transfer-Encoding: chunked\r\n", b"Transfer\xadEncoding: chunked\r\n", b"Transfer_Encoding: chunked\r\n",
                  b"Transfer-Encoding\0: chunked\r\n", b"Content-Length : 5\r\n",
                  b"Content-Length\t: 5\r\n", b"Content-Length: 5\r\nConnection: content-length\r\n",
                  b"Transfer-Encoding: chunked\r\nConnection: transfer-encoding\r\n",
                  b"Content-Length: 5\r\nContent_Length: 0\r\n", b"CONTENT-LENGTH: 5\r\n", b"Content-Encoding: chunked\r\n", b"TE: chunked\r\n"):
        yield h1(f"framing {lines!r}", post, host + lines, b"0\r\n\r\n" + smuggled, profiles=("plain", "edge"))
    for method in (b"GET", b"HEAD", b"DELETE", b"OPTIONS", b"TRACE", b"CONNECT", b"PATCH"):
        target = b" a.test:80 " if method == b"CONNECT" else b" / "
        yield h1(f"{method} with a body", method + target + b"HTTP/1.1", host + b"Content-Length: 5\r\n", b"hello")
        yield h1(f"{method} in chunks", method + target + b"HTTP/1.1", host + b"Transfer-Encoding: chunked\r\n", b"5\r\nhello\r\n0\r\n\r\n")
        yield h1(f"{method} with what is no body", method + target + b"HTTP/1.1", host, smuggled)
    for line in (b"POST /p HTTP/1.0",):
        yield h1("HTTP/1.0 with a body", line, host + b"Content-Length: 5\r\n", b"hello", profiles=("edge", "sidecar"))
        yield h1("HTTP/1.0 in chunks", line, host + b"Transfer-Encoding: chunked\r\n", b"5\r\nhello\r\n0\r\n\r\n", profiles=("edge", "sidecar"))
        yield h1("HTTP/1.0 keep-alive", line, host + b"Connection: keep-alive\r\nContent-Length: 5\r\n", b"hello", profiles=("edge", "sidecar"))
        yield h1("HTTP/1.0 without length", line, host, profiles=("edge", "sidecar"))
    chunks = [b"5\r\nhello\r\n0\r\n\r\n", b"05\r\nhello\r\n0\r\n\r\n", b"0000000000000000000000005\r\nhello\r\n0\r\n\r\n",
              b"5 \r\nhello\r\n0\r\n\r\n", b" 5\r\nhello\r\n0\r\n\r\n", b"5\t\r\nhello\r\n0\r\n\r\n",
              b"0x5\r\nhello\r\n0\r\n\r\n", b"+5\r\nhello\r\n0\r\n\r\n", b"-5\r\nhello\r\n0\r\n\r\n", b"5;a\r\nhello\r\n0\r\n\r\n",
              b"5;a=b\r\nhello\r\n0\r\n\r\n", b"5;a=\"b\"\r\nhello\r\n0\r\n\r\n",
              b"5;a=\"\r\nhello\r\n0\r\n\r\n", b"5; a = b\r\nhello\r\n0\r\n\r\n", b"5 ;a\r\nhello\r\n0\r\n\r\n", b"5;\r\nhello\r\n0\r\n\r\n",
              b"5;a\nhello\r\n0\r\n\r\n", b"5;a\rb\r\nhello\r\n0\r\n\r\n",
              b"5;a\0\r\nhello\r\n0\r\n\r\n", b"5;" + b"e" * 5000 + b"\r\nhello\r\n0\r\n\r\n", b"5;" + b"e" * 20000 + b"\r\nhello\r\n0\r\n\r\n",
              b"5\nhello\r\n0\r\n\r\n", b"5\r\nhello\n0\r\n\r\n",
              b"5\r\nhello\r\n0\n\r\n", b"5\r\nhello\r\n0\r\n\n", b"5\rhello\r\n0\r\n\r\n", b"5\r\nhelloX\r\n0\r\n\r\n", b"5\r\nhello0\r\n\r\n",
              b"5\r\nhell\r\n0\r\n\r\n", b"g\r\nhello\r\n0\r\n\r\n", b"\r\nhello\r\n0\r\n\r\n",
              b"ffffffffffffffff\r\nhello", b"10000000000000005\r\nhello\r\n0\r\n\r\n", b"100000005\r\nhello", b"7fffffffffffffff\r\nhello",
              b"fffffffffffffffb\r\nhello\r\n0\r\n\r\n",
              b"5\r\nhello\r\n0;x\r\n\r\n", b"5\r\nhello\r\n00\r\n\r\n", b"5\r\nhello\r\n0\r\nx: 1\r\n\r\n", b"5\r\nhello\r\n0\r\nx : 1\r\n\r\n",
              b"5\r\nhello\r\n0\r\n x: 1\r\n\r\n", b"5\r\nhello\r\n0\r\nx: 1\r\n y\r\n\r\n",
              b"5\r\nhello\r\n0\r\nx: 1\n\r\n", b"5\r\nhello\r\n0\r\nx\r\n\r\n", b"5\r\nhello\r\n0\r\nContent-Length: 5\r\n\r\n",
              b"5\r\nhello\r\n0\r\nTransfer-Encoding: chunked\r\n\r\n", b"5\r\nhello\r\n0\r\nHost: b\r\n\r\n",
              b"5\r\nhello\r\n0\r\nx: a\0b\r\n\r\n", b"5\r\nhello\r\n0\r\n" + b"x: y\r\n" * 200 + b"\r\n",
              b"5\r\nhello\r\n0\r\nx: " + b"y" * 70000 + b"\r\n\r\n", b"1\r\nh\r\n1\r\ne\r\n1\r\nl\r\n1\r\nl\r\n1\r\no\r\n0\r\n\r\n",
              b"A\r\n0123456789\r\na\r\n0123456789\r\n0\r\n\r\n", b"5\r\nhello\r\n0\r\n\r\n" + smuggled, b"0\r\n\r\n", b"0\r\n\r\n\r\n\r\n",
              b"5\r\nhello\r\n\r\n0\r\n\r\n", b"5\r\nhello\r\n0\r\nTrailer: x\r\nauthorization: x\r\n\r\n"]
    for chunk in chunks:
        yield h1(f"chunks {chunk[:70]!r}", post, host + b"Transfer-Encoding: chunked\r\n", chunk, profiles=("plain", "edge"))
    yield h1("chunks with TE", post, host + b"TE: trailers\r\nConnection: te\r\nTrailer: x\r\nTransfer-Encoding: chunked\r\n",
             b"5\r\nhello\r\n0\r\nx: 1\r\n\r\n")


def connection_fields():
    host, get = b"Host: a.test\r\n", b"GET / HTTP/1.1"
    for lines in (b"Connection: close\r\n", b"Connection: keep-alive\r\n", b"Connection: Close\r\n", b"Connection: close, keep-alive\r\n",
                  b"Connection: x\r\nx: 1\r\n", b"Connection: x, close\r\nx: 1\r\n",
                  b"Connection: host\r\n", b"Connection: :authority\r\n", b"Connection: :path\r\n",
                  b"Connection: x-forwarded-for, x-forwarded-proto\r\nx-forwarded-for: 1.1.1.1\r\n",
                  b"Connection: authorization\r\nAuthorization: x\r\n", b"Connection: cookie\r\nCookie: a=1\r\n",
                  b"Connection: content-length\r\nContent-Length: 0\r\n", b"Connection: te\r\nTE: trailers\r\n",
                  b"TE: trailers\r\n", b"TE: gzip\r\n", b"TE: trailers, gzip;q=0.5\r\n", b"Connection: te\r\nTE: gzip, trailers\r\n",
                  b"Connection: ,,,\r\n", b"Connection:\r\n", b"Connection: \"x\"\r\n", b"Connection: " + b"x," * 300 + b"\r\n",
                  b"Keep-Alive: timeout=5\r\n", b"Proxy-Connection: close\r\n", b"Proxy-Connection: keep-alive\r\n", b"Proxy-Authorization: x\r\n",
                  b"Proxy-Authenticate: x\r\n", b"Trailer: x\r\n", b"Connection: upgrade\r\n",
                  b"Upgrade: websocket\r\n", b"Connection: upgrade\r\nUpgrade: websocket\r\n", b"Connection: Upgrade\r\nUpgrade: WebSocket\r\n",
                  b"Connection: upgrade\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA\r\n",
                  b"Connection: upgrade, http2-settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA\r\n",
                  b"Connection: upgrade\r\nUpgrade: foo\r\n", b"Connection: upgrade\r\nUpgrade: TLS/1.2\r\n",
                  b"Connection: upgrade\r\nUpgrade: websocket, foo\r\n", b"Connection: upgrade\r\nUpgrade: foo, websocket\r\n",
                  b"Connection: upgrade\r\nUpgrade: websocket\r\nUpgrade: foo\r\n",
                  b"Connection: upgrade, close\r\nUpgrade: websocket\r\n",
                  b"Connection: keep-alive, Upgrade\r\nUpgrade: websocket\r\nContent-Length: 0\r\n"):
        yield h1(f"connection {lines[:80]!r}", get, host + lines, profiles=("plain", "edge", "sidecar"))
        yield h1(f"HTTP/1.0 connection {lines[:80]!r}", b"GET / HTTP/1.0", host + lines, profiles=("sidecar",))
    yield h1("upgrade with a body", b"POST / HTTP/1.1", host + b"Connection: upgrade\r\nUpgrade: websocket\r\nContent-Length: 5\r\n", b"hello")
    yield h1("upgrade with chunks", b"POST / HTTP/1.1", host + b"Connection: upgrade\r\nUpgrade: websocket\r\nTransfer-Encoding: chunked\r\n",
             b"5\r\nhello\r\n0\r\n\r\n")
    for expect in (b"100-continue", b"100-Continue", b"200-ok", b"100-continue, x", b"", b" 100-continue "):
        yield h1(f"expect {expect!r}", b"POST / HTTP/1.1", host + b"Expect: " + expect + b"\r\nContent-Length: 5\r\n", b"hello", profiles=("plain", "edge"))
        yield h1(f"expect without body {expect!r}", get, host + b"Expect: " + expect + b"\r\n", profiles=("plain",))
    yield h1("pipelined", get, host, b"GET /2 HTTP/1.1\r\nHost: a.test\r\n\r\nGET /3 HTTP/1.1\r\nHost: a.test\r\n\r\n")
    yield h1("pipelined after close", get, host + b"Connection: close\r\n", b"GET /2 HTTP/1.1\r\nHost: a.test\r\n\r\n")
    yield h1("pipelined with refusal", b"GET /admin HTTP/1.1", host, b"GET /2 HTTP/1.1\r\nHost: a.test\r\n\r\n")
    yield h1("refused with a body", b"POST /admin HTTP/1.1", host + b"Content-Length: 5\r\n", b"hello")
    yield h1("refused with chunks", b"POST /admin HTTP/1.1", host + b"Transfer-Encoding: chunked\r\n", b"5\r\nhello\r\n0\r\n\r\n")
    yield h1("refused with bad chunks", b"POST /admin HTTP/1.1", host + b"Transfer-Encoding: chunked\r\n", b"z\r\nhello\r\n0\r\n\r\n")
    yield h1("spaces between requests", get, host, b" GET /2 HTTP/1.1\r\nHost: a.test\r\n\r\n")
    yield h1("line ends between requests", get, host, b"\r\n\r\nGET /2 HTTP/1.1\r\nHost: a.test\r\n\r\n")


def random_http1():
    """Whole requests with a few bytes or tokens changed."""
    seeded = random.Random(SEED)
    bases = [b"GET /a/b?c=d HTTP/1.1\r\nHost: a.test\r\nx: 1\r\n\r\n",
             b"POST /p HTTP/1.1\r\nHost: a.test\r\nContent-Length: 5\r\nx-y: z\r\n\r\nhello",
             b"POST /p HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n3;x=y\r\nabc\r\n0\r\nt: 1\r\n\r\n",
             b"GET http://a.test/x/../admin HTTP/1.1\r\nHost: a.test\r\nConnection: x, keep-alive\r\nx: 1\r\n\r\n",
             b"PUT /p HTTP/1.1\r\nHost: a.test\r\nExpect: 100-continue\r\nContent-Length: 5\r\nTE: trailers\r\n\r\nhello"]
    tokens = [b"\r", b"\n", b"\r\n", b"\0", b" ", b"\t", b":", b",", b";", b"\x0b", b"\x7f", b"\x80", b"\xff", b"%2f", b"..", b"/", b"\\", b"#", b"?",
              b"0", b"-", b"+", b"_", b"Transfer-Encoding: chunked\r\n",
              b"Content-Length: 0\r\n", b"Content-Length: 5\r\n", b"Host: private.test\r\n", b"Connection: close\r\n", b"chunked", b"HTTP/1.0",
              b"HTTP/1.1", b"\r\n\r\n", b"\"", b"("]
    for number in range(RANDOM_HTTP1):
        data = bytearray(seeded.choice(bases))
        for _ in range(seeded.choice((1, 1, 1, 2, 3))):
            at = seeded.randrange(len(data))
            edit = seeded.randrange(4)
            if edit == 0:
                data[at:at] = seeded.choice(tokens)
            elif edit == 1:
                data[at:at + 1] = seeded.choice(tokens)
            elif edit == 2:
                del data[at:at + seeded.randrange(1, 4)]
            else:
                other = seeded.randrange(len(data))
                data[at:at] = data[other:other + seeded.randrange(1, 24)]
        yield Case(f"random {number} {bytes(data)[:150]!r}", bytes(data), profiles=(("plain", "edge", "strict", "sidecar")[number % 4],))


def request(stream, method=b"GET", scheme=b"http", path=b"/", authority=b"a.test", more=(), flags=END_STREAM | END_HEADERS):
    pseudo = [(b":method", method), (b":scheme", scheme), (b":path", path), (b":authority", authority)]
    return frame(HEADERS, flags, stream, fields_block([f for f in pseudo if f[1] is not None] + list(more)))


def h2(name, data, profiles=("plain", "edge"), streams=1):
    return Case(f"h2 {name}", data, is_h2=True, profiles=profiles, streams=streams)


def head(fields, flags=END_STREAM | END_HEADERS):
    return frame(HEADERS, flags, 1, fields_block(fields))


def http2():
    method, scheme, path, authority = (b":method", b"GET"), (b":scheme", b"http"), (b":path", b"/"), (b":authority", b"a.test")
    good = [method, scheme, path, authority]
    yield h2("plain", head(good))
    for dropped in good:
        yield h2(f"without {dropped[0]}", head([f for f in good if f != dropped]))
        yield h2(f"twice {dropped[0]}", head(good + [dropped]))
        yield h2(f"twice, other {dropped[0]}", head(good + [(dropped[0], b"/admin")]))
        yield h2(f"empty {dropped[0]}", head([f if f != dropped else (f[0], b"") for f in good]))
        yield h2(f"late {dropped[0]}", head([f for f in good if f != dropped] + [(b"x", b"1"), dropped]))
    yield h2("reversed", head(good[::-1]))
    for more in ((b":status", b"200"), (b":x", b"1"), (b":protocol", b"websocket"), (b":", b"x"), (b"", b"x"), (b"X", b"1"), (b"x Y", b"1"),
                 (b"x y", b"1"), (b"x:y", b"1"), (b"x\0", b"1"), (b"x\r\ny: z", b"1"), (b"x\n", b"1"),
                 (b"x", b"a\r\nb: c"), (b"x", b"a\nb"), (b"x", b"a\0b"), (b"x", b"a\rb"), (b"x", b" a "), (b"x", b"\ta"), (b"x", b""),
                 (b"x", b"\x80\xff"), (b"x", b"a\x01b"), (b"x", b"a\x7fb"), (b"x\x80", b"1"), (b"x_y", b"1"),
                 (b"connection", b"close"), (b"connection", b"keep-alive"), (b"keep-alive", b"1"), (b"proxy-connection", b"x"),
                 (b"transfer-encoding", b"chunked"), (b"transfer-encoding", b"identity"), (b"upgrade", b"websocket"),
                 (b"te", b"trailers"), (b"te", b"gzip"), (b"te", b"trailers, gzip"), (b"host", b"a.test"), (b"host", b"private.test"),
                 (b"Host", b"a.test"), (b"content-length", b"0"), (b"content-length", b"5"), (b"content-length", b"-1"),
                 (b"content-length", b"x"), (b"content-length", b"0, 0"), (b"cookie", b"a=1"), (b"expect", b"100-continue"), (b"expect", b"x"),
                 (b"http2-settings", b"AAMAAABkAARAAAAAAAIAAAAA"), (b"x-forwarded-for", b"1.2.3.4"),
                 (b"x-envoy-internal", b"true"), (b"x-forwarded-client-cert", b"x"), (b"trailer", b"x"), (b"x" * 9000, b"1"), (b"x", b"v" * 9000),
                 (b"x", b"v" * 15000), (b"content_length", b"5")):
        yield h2(f"field {more[0][:30]!r} {more[1][:30]!r}", head(good + [more]), ALL)
    for hosts in ([(b"host", b"a.test"), (b"host", b"a.test")], [(b"host", b"a.test"), (b"host", b"private.test")]):
        yield h2(f"hosts {hosts}", head(good + hosts))
        yield h2(f"hosts without authority {hosts}", head([f for f in good if f != authority] + hosts))
    yield h2("host alone", head([method, scheme, path, (b"host", b"private.test")]))
    for value in (b"a.test:80", b"private.test", b"PRIVATE.test", b"private.test:x", b"private.test.", b"u@private.test", b"a b", b"a/b", b"a,b",
                  b"a#b", b"a?b", b"a\\b", b"[::1]", b"a\r\nb: c", b"a\0b", b"a\xffb", b"", b" private.test", b"private.test ", b"<a>"):
        yield h2(f"authority {value!r}", head([method, scheme, path, (b":authority", value)]), ALL)
    for value in (b"get", b"G ET", b"GET\r\n", b"G\0T", b"GET /x HTTP/1.1\r\nx: y\r\n\r\n", b"PRI", b"OPTIONS", b"TRACE", b"HEAD", b"CONNECT",
                  b"POST", b"G(T", b"\x80", b"GET "):
        yield h2(f"method {value!r}", head([(b":method", value), scheme, path, authority]))
    for value in (b"https", b"HTTP", b"ftp", b"", b"http://x", b"ht tp", b"http\r\n", b"1http", b"h\0"):
        yield h2(f"scheme {value!r}", head([method, (b":scheme", value), path, authority]))
    for value in (b"*", b"x", b"", b"/ x", b"/x y", b"/x\ty", b"/\r\nx: y", b"/\0", b"/x HTTP/1.1\r\nHost: b\r\n\r\n", b"http://b.test/x", b"/\xff",
                  b"/\x7f", b"?x", b"#", b"/\x01"):
        yield h2(f"path {value!r}", head([method, scheme, (b":path", value), authority]))
    yield h2("OPTIONS *", request(1, b"OPTIONS", path=b"*"))
    yield h2("CONNECT alone", head([(b":method", b"CONNECT"), (b":authority", b"a.test:80")]))
    yield h2("extended CONNECT", head([(b":method", b"CONNECT"), (b":protocol", b"websocket"), scheme, path, authority], END_HEADERS))
    open_post = request(1, b"POST", flags=END_HEADERS)
    yield h2("body", open_post + frame(DATA, END_STREAM, 1, b"hello"))
    yield h2("body in pieces", open_post + frame(DATA, 0, 1, b"hel") + frame(DATA, 0, 1) + frame(DATA, END_STREAM, 1, b"lo"))
    yield h2("empty body", open_post + frame(DATA, END_STREAM, 1))
    yield h2("padded body", open_post + frame(DATA, END_STREAM | 8, 1, b"\x03hello\0\0\0"))
    yield h2("padding too long", open_post + frame(DATA, END_STREAM | 8, 1, b"\x09hello"))
    for length, body in ((b"5", b"hello"), (b"4", b"hello"), (b"6", b"hello"), (b"0", b"hello"), (b"5", b""), (b"x", b"hello"), (b"+5", b"hello"),
                         (b"5,5", b"hello"), (b"99999999999999999999", b"hello")):
        yield h2(f"length {length} of {len(body)}", request(1, b"POST", more=[(b"content-length", length)], flags=END_HEADERS) + frame(DATA,
            END_STREAM, 1, body))
    yield h2("lengths", request(1, b"POST", more=[(b"content-length", b"5"), (b"content-length", b"5")], flags=END_HEADERS) + frame(DATA, END_STREAM,
        1, b"hello"))
    yield h2("lengths differ", request(1, b"POST", more=[(b"content-length", b"5"), (b"content-length", b"6")], flags=END_HEADERS) + frame(DATA,
        END_STREAM, 1, b"hello"))
    yield h2("GET with a body", request(1, b"GET", flags=END_HEADERS) + frame(DATA, END_STREAM, 1, b"hello"))
    yield h2("body that smuggles", request(1, b"POST", more=[(b"content-length", b"0")], flags=END_HEADERS) + frame(DATA, END_STREAM, 1,
        b"GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n"))
    for fields_of in ([(b"x", b"1")], [(b"X", b"1")], [(b":path", b"/x")], [(b":status", b"200")], [(b"content-length", b"5")],
                      [(b"transfer-encoding", b"chunked")], [(b"connection", b"x")], [(b"host", b"b")], [(b"x", b"a\r\nb")], [(b"te", b"trailers")], []):
        yield h2(f"trailers {fields_of}", open_post + frame(DATA, 0, 1, b"hello") + frame(HEADERS, END_STREAM | END_HEADERS, 1, fields_block(fields_of)))
    yield h2("trailers without end", open_post + frame(DATA, 0, 1, b"hello") + frame(HEADERS, END_HEADERS, 1, fields_block([(b"x", b"1")])))
    yield h2("data after trailers", open_post + frame(HEADERS, END_STREAM | END_HEADERS, 1, fields_block([(b"x", b"1")])) + frame(DATA, END_STREAM, 1,
        b"x"))
    yield h2("two streams", request(1, path=b"/1") + request(3, path=b"/3"), streams=2)
    yield h2("stream ids fall", request(3, path=b"/3") + request(1, path=b"/1"))
    yield h2("even stream id", request(2))
    yield h2("stream zero", request(0))
    yield h2("stream used twice", request(1) + request(1))
    yield h2("data on an idle stream", frame(DATA, END_STREAM, 5, b"x"))
    yield h2("data on stream zero", frame(DATA, END_STREAM, 0, b"x"))
    yield h2("reset idle", frame(RESET, 0, 5, b"\0\0\0\x08"))
    yield h2("reset at once", request(1, b"POST", flags=END_HEADERS) + frame(RESET, 0, 1, b"\0\0\0\x08") + request(3))
    yield h2("window of an idle stream", frame(WINDOW, 0, 5, b"\0\0\0\x01"))
    yield h2("window by zero", request(1, b"POST", flags=END_HEADERS) + frame(WINDOW, 0, 1, b"\0\0\0\0"))
    yield h2("window overflows", frame(WINDOW, 0, 0, b"\x7f\xff\xff\xff") + frame(WINDOW, 0, 0, b"\x7f\xff\xff\xff"))
    yield h2("push from a client", frame(PUSH, END_HEADERS, 1, b"\0\0\0\x02" + fields_block(good)))
    yield h2("unknown frame", frame(0x77, 0xff, 0, b"whatever") + request(1))
    yield h2("unknown setting", frame(SETTINGS, 0, 0, b"\xff\xff\0\0\0\x01") + request(1))
    yield h2("bad setting", frame(SETTINGS, 0, 0, b"\0\x05\0\0\0\x01") + request(1))
    yield h2("settings of 5 bytes", frame(SETTINGS, 0, 0, b"\0\x05\0\0\0"))
    yield h2("settings on a stream", frame(SETTINGS, 0, 1))
    yield h2("push allowed by client", frame(SETTINGS, 0, 0, b"\0\x02\0\0\0\x01") + request(1))
    yield h2("ping of 7", frame(PING, 0, 0, b"1234567"))
    yield h2("ping on a stream", frame(PING, 0, 1, b"12345678"))
    yield h2("priority on itself", frame(PRIORITY, 0, 1, b"\0\0\0\x01\x10") + request(1))
    yield h2("goaway from client", frame(GOAWAY, 0, 0, b"\0" * 8) + request(1))
    yield h2("too large a frame", frame(DATA, 0, 1, b"x" * 20000))
    yield h2("continuation alone", frame(CONTINUATION, END_HEADERS, 1, b""))
    block = fields_block(good)
    yield h2("continued", frame(HEADERS, END_STREAM, 1, block[:9]) + frame(CONTINUATION, END_HEADERS, 1, block[9:]))
    yield h2("continued on another stream", frame(HEADERS, END_STREAM, 1, block[:9]) + frame(CONTINUATION, END_HEADERS, 3, block[9:]))
    yield h2("interrupted by ping", frame(HEADERS, END_STREAM, 1, block[:9]) + frame(PING, 0, 0, b"12345678") + frame(CONTINUATION, END_HEADERS, 1,
        block[9:]))
    yield h2("bad HPACK index", frame(HEADERS, END_STREAM | END_HEADERS, 1, b"\xff\xff\xff"))
    yield h2("HPACK index zero", frame(HEADERS, END_STREAM | END_HEADERS, 1, b"\x80"))
    yield h2("HPACK cut short", frame(HEADERS, END_STREAM | END_HEADERS, 1, block[:-3]))
    yield h2("HPACK table too large", frame(HEADERS, END_STREAM | END_HEADERS, 1, b"\x3f\xe1\xff\x03" + block))
    yield h2("HPACK Huffman padding", frame(HEADERS, END_STREAM | END_HEADERS, 1, block + b"\x00\x01x\x82\xff\xff"))
    yield h2("many fields", head(good + [(b"x-%d" % n, b"v") for n in range(95)]), ALL)
    yield h2("too many fields", head(good + [(b"x-%d" % n, b"v") for n in range(130)]), ALL)
    yield h2("crumbs", head(good + [(b"cookie", b"a=1"), (b"cookie", b"b=2")]), ALL)


def random_http2():
    """Header lists put together at random from good and bad parts."""
    seeded = random.Random(SEED + 1)
    names = [b"x", b"X", b"x-y", b"host", b"cookie", b"te", b"connection", b"content-length", b"transfer-encoding", b"x:", b":path", b":authority",
             b"x_y", b"x\x0b", b"x-forwarded-for", b"upgrade", b"expect"]
    values = [b"1", b"", b"a.test", b"private.test", b"trailers", b"chunked", b"close", b"5", b"0", b"a\x00", b"a\r", b" a", b"a,b", b"\xff",
              b"/admin", b"/x/../admin", b"websocket"]
    for number in range(RANDOM_HTTP2):
        fields_of = [(b":method", seeded.choice((b"GET", b"GET", b"POST", b"HEAD"))), (b":scheme", seeded.choice((b"http", b"http", b"https", b"x"))),
                     (b":path", seeded.choice((b"/", b"/a//b", b"/x/../admin", b"/%2e%2e/secret", b"/a%2fb", b"/a?b#c"))),
                     (b":authority", seeded.choice((b"a.test", b"a.test:8", b"private.test", b"")))]
        if seeded.random() < 0.1:
            seeded.shuffle(fields_of)
        if seeded.random() < 0.1:
            del fields_of[seeded.randrange(4)]
        for _ in range(seeded.choice((0, 1, 1, 2, 3))):
            fields_of.insert(len(fields_of) if seeded.random() < 0.9 else seeded.randrange(4), (seeded.choice(names), seeded.choice(values)))
        body = seeded.choice((None, None, b"", b"hello"))
        data = head(fields_of, END_HEADERS | (END_STREAM if body is None else 0))
        if body is not None:
            data += frame(DATA, 0 if seeded.random() < 0.3 else END_STREAM, 1, body)
            if not data[-len(body) - 5] & END_STREAM:
                data += frame(HEADERS, END_STREAM | END_HEADERS, 1, fields_block([(seeded.choice(names), seeded.choice(values))]))
        yield Case(f"h2 random {number} {fields_of} {body}", data, is_h2=True, profiles=(("plain", "edge", "strict", "sidecar")[number % 4],))


def load():
    cases = [case for make in (replies, start_lines, fields, paths, framings, connection_fields, random_http1, http2, random_http2) for case in make()]
    return cases
