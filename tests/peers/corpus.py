"""The corpus: configurations with the calls that show what they do. A case is a mapping in corpus/*.yaml:

name: unique; its namespace is case-NAME        task: the page of Istio's documentation that it comes from
services: {NAME: {ports: {NAME: [PORT, TARGET]}, versions: [v1, v2]}}   upstreams without sidecar
given: |  Istio's documents; ${ns} is the case's namespace, ${NAME-VERSION} an upstream's address
${token:NAME} is a token of tokens.json, ${file:NAME} a file of the CA's
needs: gateway-api  for cases that are left out where its kinds are not at hand
serial: true  for what touches the shared server, client or gateway: alone, and taken away again
calls: [{to: URL, from: client|outside|server, method, headers, host, body, times, want: {…}}]
differs: {WORLD: reason}  worlds in which a stated difference is expected

`want` knows status, by (workload, or list of those allowed), share {workload: [least, most]}, path, method, host, sent and
got (headers to the upstream, of the answer), attempts, seen, ms [least, most], error, body, protocol, tls, log {client|server|
gateway: a regular expression for an access log line with the call's path, or null for none}. A text that begins with ~ is a
regular expression, null means absent.
"""
import glob
import itertools
import json
import os
import re
import time
from urllib.parse import urlsplit

import yaml

from planes import gateway_api, namespace, service, workload
from world import GATEWAY, HERE, OUTSIDE, SERVER, UPSTREAMS

LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
GATEWAY_PORTS = {80: 8080, 443: 8443}
numbers = itertools.count(1)
with open(os.path.join(HERE, "corpus", "tokens.json")) as tokens:
    TOKENS = json.load(tokens)  # a key set as "jwks", and tokens that it verifies (or not) by name
# What differs from request to request, or names a world's own certificates.
VOLATILE = {"x-request-id", "date", "x-envoy-upstream-service-time", "x-call", "content-length", "transfer-encoding", "connection", "x-at",
            "x-b3-traceid", "x-b3-spanid", "x-b3-parentspanid", "x-b3-sampled", "traceparent", "tracestate", "x-envoy-peer-metadata",
            "x-envoy-peer-metadata-id", "x-envoy-decorator-operation", "x-do", "etag"}


def matches(want, got):
    if want is None:
        return got is None
    if isinstance(want, list):
        return any(matches(one, got) for one in want)
    if isinstance(want, str) and want.startswith("~"):
        return got is not None and re.search(want[1:], str(got)) is not None
    return str(got) == str(want)


def lines_with(world, role, text):
    with open(os.path.join(world.folder, f"{role}.log"), errors="replace") as log:
        return [line.strip()[:600] for line in log if f" {text} " in line]


def text_of(header):
    return ", ".join(header) if isinstance(header, list) else header


class Case:
    def __init__(self, data, file):
        self.data, self.file, self.name = data, file, data["name"]
        self.ns = f"case-{self.name}"
        self.is_serial = data.get("serial", False)
        self.calls = data["calls"]
        self.differs = data.get("differs", {})
        self.addresses, self.names, self.ports = {}, {f"{SERVER}": "server"}, {}
        for name, spec in (data.get("services") or {}).items():
            for version in (spec or {}).get("versions", ["v1"]):
                number = next(numbers)
                address = f"{UPSTREAMS}.{number // 250}.{number % 250 + 1}"
                self.addresses[f"{name}-{version}"] = address
                self.names[address] = f"{name}-{version}"
        for number in range(1, 30):
            self.names[f"{UPSTREAMS}.255.{number}"] = f"up{number}"
        self.cluster_ips = {}

    def fill(self, text):
        text = text.replace("${ns}", self.ns)
        text = re.sub(r"\$\{token:(\w+)\}", lambda m: TOKENS[m.group(1)], text)
        for name, address in self.addresses.items():
            text = text.replace("${" + name + "}", address)
        return text

    def objects(self, authority):
        out = [namespace(self.ns)]
        for name, spec in (self.data.get("services") or {}).items():
            spec = spec or {}
            ports = [(p, *(a if isinstance(a, list) else [a, 8080])) for p, a in spec.get("ports", {"http": [80, 8080]}).items()]
            out.append(service(self.ns, name, ports, {"app": name}))
            for version in spec.get("versions", ["v1"]):
                extra = {"locality": spec["locality"][version]} if version in spec.get("locality", {}) else {}
                labels = {"app": name, "version": version, **spec.get("labels", {}).get(version, {})}
                out.append(workload(self.ns, f"{name}-{version}", self.addresses[f"{name}-{version}"], labels, None, **extra))
        text = self.fill(self.data.get("given") or "")
        text = re.sub(r"\$\{file:([\w.-]+)\}", lambda m: json.dumps(open(os.path.join(authority, m.group(1))).read()), text)
        for obj in yaml.load_all(text, LOADER):
            if obj:
                if obj["kind"] != "Namespace":
                    obj["metadata"].setdefault("namespace", self.ns)
                out.append(obj)
        return out

    def command(self, call, world, most_ms=8000):
        """What a peer is asked to do for `call`; `x-call` ties what the upstreams saw to it."""
        url = urlsplit(call["to"])
        port = url.port or {"https": 443, "h2s": 443, "tls": 443, "tcp": 9000}.get(url.scheme, 80)
        host, address, sender = url.hostname, call.get("at"), call.get("from", "client")
        if host == "gateway":
            address, port, sender = address or GATEWAY, GATEWAY_PORTS.get(port, port), call.get("from", "outside")
        elif host == "server" and sender == "outside":
            address, port = SERVER, {80: 8080, 81: 8081}.get(port, port)
        elif host in self.cluster_ips:
            address = address or self.cluster_ips[host]
            host = f"{host}.{'server' if host == 'server' else self.ns}"
        address = self.fill(address or "10.79.0.9")
        authority = call.get("host", host if port in (80, 8080) or host == "gateway" else f"{host}:{port}")
        path = (url.path or "/") + (f"?{url.query}" if url.query else "")
        headers = {k.lower(): self.fill(str(v)) for k, v in (call.get("headers") or {}).items()}
        headers = {"host": self.fill(authority), **headers, "x-call": call["id"]}
        protocol = {"http": "http1", "https": "http1", "h2": "http2", "h2s": "http2", "grpc": "http2", "tcp": "tcp", "tls": "tcp"}[url.scheme]
        if url.scheme == "grpc":
            headers = {"content-type": "application/grpc", "te": "trailers", **headers}
        out = {"op": "call", "address": address, "port": port, "protocol": protocol, "method": call.get("method", "POST" if url.scheme == "grpc" else "GET"),
               "path": self.fill(call.get("path", path)), "headers": headers, "limit": min(call.get("limit", 8000), most_ms)}
        if protocol == "tcp":
            out["body"] = call.get("body", "hello there\n")
        elif "body" in call:
            out["body"] = str(call["body"])
        if url.scheme in ("https", "h2s", "tls") or call.get("tls"):
            tls = dict(call.get("tls") or {})
            tls.setdefault("sni", self.fill(authority).split(":")[0])
            tls.setdefault("alpn", ["h2"] if url.scheme == "h2s" else ["http/1.1"] if url.scheme == "https" else [])
            for key in ("ca", "cert", "key"):
                if key in tls:
                    tls[key] = os.path.join(world.authority, tls[key])
            out["tls"] = tls
        return sender, out

    def perform(self, world, call, most_ms=8000):
        """Makes a call (`times` times) and tells what came of it."""
        slots = []
        for turn in range(call.get("times", 1)):
            sender, command = self.command({**call, "id": f"{self.name}-{next(numbers)}"}, world, most_ms)
            if call.get("one_by_one") and slots:
                world.peers[sender].end(slots[-1][2], 60)
            slots.append((command["headers"]["x-call"], sender, world.peers[sender].begin(command)))
        answers = []
        for number, sender, slot in slots:
            answer = dict(world.peers[sender].end(slot, 60))
            try:
                answer["told"] = json.loads(answer.get("body") or "null")
            except ValueError:
                answer["told"] = None
            if not isinstance(answer["told"], dict) or "at" not in answer["told"]:
                answer["told"] = None
            answer["by"] = self.who(answer)
            if "seen" in call.get("want", {}):
                time.sleep(0.05)  # mirrored requests are nobody's to wait for; a wrong count is asked again
                answer["seen"] = [self.name_of(s["at"]) for place in ("outside", "server")
                                  for s in world.peers[place].ask({"op": "seen", "call": number})["seen"]]
            answer["log"] = {role: lines_with(world, role, urlsplit(call["to"]).path) for role in call.get("want", {}).get("log", {})}
            answers.append(answer)
        return answers

    def name_of(self, at):
        return self.names.get(at.rsplit(":", 1)[0], at)

    def who(self, answer):
        if answer["told"]:
            return self.name_of(answer["told"]["at"])
        header = (answer.get("headers") or {}).get("x-at")
        if header:
            return self.name_of(header)
        first = re.search(r"(\d+\.\d+\.\d+\.\d+)", answer.get("body") or "")
        return self.names.get(first.group(1)) if first else None

    def judge(self, call, answers):
        """What is not as wanted, as text; empty when all is."""
        want, wrong = call.get("want", {}), []
        share = want.get("share")
        if share:
            for name, (least, most) in share.items():
                part = sum(1 for a in answers if a["by"] == name) / len(answers)
                if not least <= part <= most:
                    wrong.append(f"{name} answered {part:.2f} of the calls, wanted {least} to {most}")
        if "statuses" in want:
            for status, (least, most) in want["statuses"].items():
                part = sum(1 for a in answers if a.get("status") == status) / len(answers)
                if not least <= part <= most:
                    wrong.append(f"status {status}: {part:.2f} of the calls, wanted {least} to {most}")
        if want.get("same") and len({a["by"] for a in answers}) != 1:
            wrong.append(f"not always the same upstream: {sorted({str(a['by']) for a in answers})}")
        if "distinct" in want and len({a["by"] for a in answers}) < want["distinct"]:
            wrong.append(f"only {sorted({str(a['by']) for a in answers})} answered")
        for answer in answers:
            wrong += self.judge_one(want, answer)
        return wrong[:4]

    def judge_one(self, want, answer):
        wrong, told = [], answer["told"] or {}
        say = lambda what, expected, got: wrong.append(f"{what} is {got!r}, wanted {expected!r}")
        if want.get("error"):
            if not answer.get("error"):
                say("error", want["error"], f"status {answer.get('status')}")
            return wrong
        if answer.get("error") and not ("share" in want or "statuses" in want):
            return [f"failed: {answer['error']}"]
        if "status" not in want and not want.keys() & {"statuses", "share"}:
            want = {"status": 200, **want}
        got = {"status": answer.get("status"), "by": answer["by"], "body": answer.get("body"), "attempts": told.get("attempt"),
               "path": told.get("path"), "method": told.get("method"), "host": told.get("host"), "protocol": told.get("protocol"),
               "tls": told.get("tls"), "sni": told.get("sni"), "peer": told.get("peer"), "cert": answer.get("peer"), "bytes": told.get("bytes")}
        for what in want.keys() & got.keys():
            if not matches(want[what], got[what]):
                say(what, want[what], got[what] if what != "body" else str(got[what])[:200])
        for part, headers in (("sent", told.get("headers") or {}), ("got", answer.get("headers") or {})):
            for name, value in (want.get(part) or {}).items():
                if not matches(value, text_of(headers.get(name.lower()))):
                    say(f"{part} header {name}", value, headers.get(name.lower()))
        if "ms" in want and not want["ms"][0] <= answer.get("ms", -1) <= want["ms"][1]:
            say("duration", want["ms"], answer.get("ms"))
        for role, pattern in want.get("log", {}).items():
            lines = answer["log"][role]
            if lines if pattern is None else not any(re.search(pattern, line) for line in lines):
                say(f"access log of {role}", pattern, lines[-3:])
        if "seen" in want and sorted(want["seen"]) != sorted(answer["seen"]):
            say("upstreams that saw it", want["seen"], answer["seen"])
        return wrong

    def check(self, world, most_ms=8000):
        """Runs all calls once, each for `most_ms` at most: ([what is wrong], [what was observed])."""
        wrong, observed = [], []
        for index, call in enumerate(self.calls):
            answers = self.perform(world, call, most_ms)
            wrong += [f"call {index + 1} ({call['to']}): {problem}" for problem in self.judge(call, answers)]
            observed.append(self.observe(call, answers))
        return wrong, observed

    def observe(self, call, answers):
        """What must be the same in every world, whatever the case says."""
        if call.get("times", 1) > 1 or call.get("loose"):
            return None
        answer = answers[0]
        told = answer["told"] or {}
        headers = lambda h: {k: scrub(k, v) for k, v in sorted((h or {}).items()) if k not in VOLATILE and not k.startswith(":")}
        return {"status": answer.get("status"), "failed": bool(answer.get("error")), "sent": headers(told.get("headers")),
                "got": headers(answer.get("headers")), "path": told.get("path"), "attempts": told.get("attempt"), "protocol": told.get("protocol"),
                "body": None if told else (answer.get("body") or "")[:300]}


def scrub(name, value):
    value = str(value)
    if name == "x-forwarded-client-cert":
        value = re.sub(r"(Hash=)[0-9a-f]+", r"\1…", re.sub(r'(Cert|Chain)="[^"]*"', r"\1=…", value))
    return value


def load(pattern="*"):
    cases = []
    for path in sorted(glob.glob(os.path.join(HERE, "corpus", f"{pattern}.yaml"))):
        with open(path) as text:
            cases += [Case(data, os.path.basename(path)) for data in yaml.load(text, LOADER)]
    if not any(gateway_api()):
        cases = [c for c in cases if c.data.get("needs") != "gateway-api"]
    names = [c.name for c in cases]
    twice = {n for n in names if names.count(n) > 1}
    if twice:
        raise AssertionError(f"cases named twice: {twice}")
    return cases
