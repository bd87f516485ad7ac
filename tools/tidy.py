#!/usr/bin/env python3
"""House rules that a machine can check. Prints what breaks them; exit status 1 when anything does.

usage: tidy.py [--list] [CHECK ...]
"""
import os
import re
import subprocess
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
MAX_FILE_LINES = 600
MAX_README_LINES = 40
MAX_LINE_CHARS = 160  # clang-format keeps code at 100; tables and strings may run over

# The control plane's world: plain blocking code on threads of its own.
BLOCKING = ("src/cli", "src/bin", "src/cluster", "src/kube", "src/install", "src/operator", "src/linux")

# (pattern, where it is allowed, what to do instead)
BANNED = [
    (r"\bthrow\b", (), "return an Error"),
    (r"\.(at|as_object|as_array|as_string|as_int64|as_bool|as_double|get_object|get_array|get_string|get_int64)\(\)",
     (), "use if_*() or the functions of data/json.h"),
    (r"\b(usleep|std::this_thread::sleep_for|sleep)\(", (*BLOCKING, "src/proxy/server/server_test.cc"),
     "use a Timer, or wait for the event itself"),
    (r"\bsystem\(|\bpopen\(", (), "use linux/process.h"),
    (r"\bstrcpy\(|\bsprintf\(|\bstrcat\(|\bgets\(", (), "use std::string or fmt"),
    (r"\busing namespace\b(?! std::chrono_literals)", ("src/bin",), "name what you use"),
    (r"system_clock::now\(|steady_clock::now\(|\btime\(nullptr\)",
     ("src/base/clock.cc", *BLOCKING), "take a Clock"),
]
PRIVATE_HEADERS = [
    (r"#include [<\"](openssl|nghttp2)/", ("src/tls/openssl.h", "src/tls/context_state.h", "src/http")),
    (r"#include [<\"]sqlite3", ()),
    (r"#include .*\.pb\.h", ("src/xds", "src/proxy", "src/discovery")),
]


def tracked(*suffixes):
    out = subprocess.run(["git", "ls-files", "-co", "--exclude-standard"], cwd=ROOT, capture_output=True, text=True, check=True)
    return [p for p in out.stdout.splitlines() if p.endswith(suffixes) and os.path.exists(os.path.join(ROOT, p))]


def read(path):
    with open(os.path.join(ROOT, path), encoding="utf-8", errors="replace") as f:
        return f.read()


def strip_comments(text):
    text = re.sub(r"/\*.*?\*/", lambda m: "\n" * m.group().count("\n"), text, flags=re.S)
    text = re.sub(r'R"(\w*)\(.*?\)\1"', lambda m: '""' + "\n" * m.group().count("\n"), text, flags=re.S)
    text = re.sub(r'"(\\.|[^"\\\n])*"', '""', text)
    return re.sub(r"//[^\n]*", "", text)


def allowed(path, places):
    return any(path.startswith(place) for place in places)


def check_layers():
    rules = {}
    for line in read("tools/layers.txt").splitlines():
        line = line.split("#")[0].strip()
        if line:
            name, _, rest = line.partition(":")
            rules[name] = set(rest.split())
    for path in tracked(".cc", ".h"):
        parts = path.split("/")
        if parts[0] != "src" or parts[1] in ("bin", "embedded"):
            continue
        module = parts[1]
        if module not in rules:
            yield f"{path}: module {module} is not in tools/layers.txt"
            continue
        for number, line in enumerate(read(path).splitlines(), 1):
            match = re.match(r'#include "([a-z0-9_]+)/', line)
            if match and match.group(1) != module and match.group(1) in rules and match.group(1) not in rules[module]:
                yield f"{path}:{number}: {module} may not include {match.group(1)}"


def check_sizes():
    for path in tracked(".cc", ".h", ".py", ".ts"):
        if path.startswith(("src/", "web/src", "tools/", "tests/")):
            lines = read(path).count("\n")
            if lines > MAX_FILE_LINES:
                yield f"{path}: {lines} lines; split it (at most {MAX_FILE_LINES})"
    for path in tracked("README.md"):
        if path.startswith("src/") and read(path).count("\n") > MAX_README_LINES:
            yield f"{path}: over {MAX_README_LINES} lines"


def check_banned():
    for path in tracked(".cc", ".h"):
        if not path.startswith("src/"):
            continue
        text = strip_comments(read(path))
        for number, line in enumerate(text.splitlines(), 1):
            for pattern, places, instead in BANNED:
                if re.search(pattern, line) and not allowed(path, places):
                    yield f"{path}:{number}: {line.strip()[:80]}: {instead}"


def check_headers():
    for path in tracked(".h"):
        if not path.startswith("src/"):
            continue
        text = read(path)
        if "#pragma once" not in text:
            yield f"{path}: no #pragma once"
        if not text.startswith("//"):
            yield f"{path}: opens without a paragraph of purpose"
        for pattern, places in PRIVATE_HEADERS:
            if re.search(pattern, text) and not allowed(path, places):
                yield f"{path}: includes what headers must not: {pattern}"


def check_readmes():
    for name in sorted(os.listdir(os.path.join(ROOT, "src"))):
        folder = os.path.join(ROOT, "src", name)
        if name in ("bin", "embedded") or not os.path.isdir(folder):
            continue
        has_code = any(f.endswith((".cc", ".h")) for _, _, files in os.walk(folder) for f in files)
        if has_code and not os.path.exists(os.path.join(folder, "README.md")):
            yield f"src/{name}: no README.md"


def check_format():
    files = [p for p in tracked(".cc", ".h") if p.startswith(("src/", "bench/", "tests/"))]
    for start in range(0, len(files), 50):
        out = subprocess.run(["clang-format", "--dry-run", "-Werror", "--ferror-limit=1", *files[start:start + 50]],
                             cwd=ROOT, capture_output=True, text=True)
        for line in out.stderr.splitlines():
            match = re.match(r"(\S+?):(\d+):\d+: error", line)
            if match:
                yield f"{match.group(1)}:{match.group(2)}: not formatted; run ./dev fmt"


CHECKS = {"layers": check_layers, "sizes": check_sizes, "banned": check_banned, "headers": check_headers,
          "readmes": check_readmes, "format": check_format}


def run(name):
    return list(CHECKS[name]())


def main():
    names = sys.argv[1:] or list(CHECKS)
    bad = 0
    for name in names:
        for line in run(name):
            print(f"{name}: {line}")
            bad += 1
    print(f"tidy: {bad} broken rules" if bad else "tidy: clean")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
