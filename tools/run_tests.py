#!/usr/bin/env python3
"""Runs every test and closes with "N passed, N failed[, N skipped]".

usage: run_tests.py BUILD_DIR [FILTER]

What it runs: the house rules (tools/tidy.py), each module's GoogleTest program, each fuzzer over its corpus, and the Python tests under tests/
(functions test_* of files *_test.py; a raised exception fails, SkipTest skips by name). FILTER keeps the tests whose
full name (program.Suite.Test, tidy.layers, tests/cluster/up_test.test_x) holds it.
"""
import concurrent.futures
import importlib.util
import json
import os
import re
import subprocess
import sys
import tempfile
import time
import traceback
import unittest

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
GTEST_LIMIT_SECONDS = 300
sys.path.insert(0, os.path.join(ROOT, "tools"))
sys.path.insert(0, os.path.join(ROOT, "tests"))


class Tally:
    def __init__(self):
        self.passed, self.failed, self.skipped = 0, [], []

    def add(self, name, problem=None, skipped=None):
        if skipped:
            self.skipped.append((name, skipped))
            print(f"SKIP {name}: {skipped}", flush=True)
        elif problem:
            self.failed.append(name)
            print(f"FAIL {name}\n{problem}", flush=True)
        else:
            self.passed += 1


def tests_of(program):
    out = subprocess.run([program, "--gtest_list_tests"], capture_output=True, text=True, timeout=60)
    names, suite = [], ""
    for line in out.stdout.splitlines():
        line = line.split("#")[0].rstrip()
        if line.endswith(".") and not line.startswith(" "):
            suite = line
        elif line.startswith("  "):
            names.append(suite + line.strip())
    return names


def run_gtest(program, keep):
    """Returns [(name, problem or None, skip reason or None)]."""
    base = os.path.basename(program)
    names = [n for n in tests_of(program) if keep(f"{base}.{n}")]
    if not names:
        return []
    with tempfile.NamedTemporaryFile(suffix=".json") as report:
        command = [program, f"--gtest_output=json:{report.name}", "--gtest_filter=" + ":".join(names)]
        try:
            done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, errors="replace", timeout=GTEST_LIMIT_SECONDS)
            output = done.stdout + done.stderr
        except subprocess.TimeoutExpired as late:
            output = f"{(late.stdout or b'').decode(errors='replace')[-4000:]}\ntimed out after {GTEST_LIMIT_SECONDS} s"
        results, seen = [], set()
        try:
            for suite in json.load(open(report.name))["testsuites"]:
                for test in suite["testsuite"]:
                    name = f"{suite['name']}.{test['name']}"
                    seen.add(name)
                    problem = "\n".join(f["failure"] for f in test.get("failures", [])) or None
                    skip = "skipped by itself" if test.get("result") == "SKIPPED" else None
                    results.append((f"{base}.{name}", problem, skip))
        except (json.JSONDecodeError, KeyError):
            pass
        for name in names:
            if name not in seen:
                results.append((f"{base}.{name}", "did not finish (crash or time-out):\n" + output[-3000:], None))
        return results


def tests_in(path):
    """Its test functions in order, with those of a module whose rows it takes over."""
    text = open(path).read()
    names = []
    for module in re.findall(r"^from (\w+) import \*", text, flags=re.M):
        names += tests_in(os.path.join(ROOT, "tests", f"{module}.py"))
    return names + re.findall(r"^def (test_\w+)", text, flags=re.M)


def python_tests(keep):
    for folder, _, files in sorted(os.walk(os.path.join(ROOT, "tests"))):
        for file in sorted(files):
            if not file.endswith("_test.py"):
                continue
            path = os.path.join(folder, file)
            name = os.path.relpath(path, ROOT)[:-3]
            found = [f for f in tests_in(path) if keep(f"{name}.{f}")]
            if found:
                yield path, name, found


def run_python(path, name, functions, tally):
    spec = importlib.util.spec_from_file_location(name.replace("/", "_"), path)
    module = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
        if hasattr(module, "setup"):
            module.setup()
    except unittest.SkipTest as why:
        for function in functions:
            tally.add(f"{name}.{function}", skipped=str(why))
        return
    except Exception:
        for function in functions:
            tally.add(f"{name}.{function}", problem=traceback.format_exc())
        if hasattr(module, "teardown"):
            module.teardown()
        return
    try:
        for function in functions:
            begin = time.monotonic()
            try:
                getattr(module, function)()
                tally.add(f"{name}.{function}")
                print(f"ok   {name}.{function} ({time.monotonic() - begin:.1f} s)", flush=True)
            except unittest.SkipTest as why:
                tally.add(f"{name}.{function}", skipped=str(why))
            except Exception:
                tally.add(f"{name}.{function}", problem=traceback.format_exc())
    finally:
        if hasattr(module, "teardown"):
            module.teardown()


def main():
    build = os.path.abspath(sys.argv[1])
    wanted = sys.argv[2] if len(sys.argv) > 2 else ""
    keep = lambda name: wanted in name
    os.environ["LATEEN_BUILD_DIR"] = build
    tally = Tally()

    import tidy
    for check in tidy.CHECKS:
        if keep(f"tidy.{check}"):
            tally.add(f"tidy.{check}", "\n".join(tidy.run(check)[:50]) or None)

    folder = os.path.join(build, "tests")
    programs = [os.path.join(folder, p) for p in sorted(os.listdir(folder)) if p.endswith("_test")] if os.path.isdir(folder) else []
    with concurrent.futures.ThreadPoolExecutor(max_workers=2) as pool:
        for program, results in zip(programs, pool.map(lambda p: run_gtest(p, keep), programs)):
            if results:
                failed = sum(1 for r in results if r[1])
                print(f"{'FAIL' if failed else 'ok  '} {os.path.basename(program)}: {len(results)} tests", flush=True)
            for result in results:
                tally.add(*result)

    folder = os.path.join(build, "fuzz")
    for fuzzer in sorted(os.listdir(folder)) if os.path.isdir(folder) else []:
        if keep(f"fuzz.{fuzzer}"):
            corpus = os.path.join(ROOT, "tests", "corpus", fuzzer[:-5])
            done = subprocess.run([os.path.join(folder, fuzzer), corpus], capture_output=True, text=True, errors="replace", timeout=GTEST_LIMIT_SECONDS)
            tally.add(f"fuzz.{fuzzer}", None if done.returncode == 0 else (done.stdout + done.stderr)[-3000:] or f"exit {done.returncode}")

    for path, name, functions in python_tests(keep):
        run_python(path, name, functions, tally)

    if tally.failed:
        print("failed: " + ", ".join(tally.failed))
    skipped = f", {len(tally.skipped)} skipped" if tally.skipped else ""
    print(f"{tally.passed} passed, {len(tally.failed)} failed{skipped}")
    return 1 if tally.failed or tally.passed == 0 else 0


if __name__ == "__main__":
    sys.exit(main())
