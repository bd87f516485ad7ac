#!/usr/bin/env python3
"""Runs programs of a build folder with sanitizers: module tests by their name, `lateen-proxy` with two workers under the load and the changes of
bench/soak.py. Whatever a sanitizer says is a failure and is printed. `./dev sanitize` builds them.

usage: sanitize.py BUILD_DIR PROGRAM[:FILTER]...
"""
import glob
import os
import subprocess
import sys
import time

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
LIMIT_SECONDS = 1800
SOAK_MINUTES = "2"


def command(build, program, wanted):
    if program == "lateen-proxy":
        return [sys.executable, os.path.join(ROOT, "bench", "soak.py"), wanted or SOAK_MINUTES]
    return [os.path.join(build, "tests", program), "--gtest_brief=1"] + ([f"--gtest_filter={wanted}"] if wanted else [])


def run(build, what):
    program, _, wanted = what.partition(":")
    reports = os.path.join(build, "reports", f"{program}.")
    os.makedirs(os.path.dirname(reports), exist_ok=True)
    for old in glob.glob(f"{reports}*"):
        os.unlink(old)
    options = f"log_path={reports[:-1]}"
    env = {**os.environ, "LATEEN_BUILD_DIR": build, "ASAN_OPTIONS": f"{options}:detect_stack_use_after_return=1:strict_string_checks=1",
           "UBSAN_OPTIONS": f"{options}:print_stacktrace=1", "LSAN_OPTIONS": f"suppressions={ROOT}/tools/suppressions/leak.txt",
           "TSAN_OPTIONS": f"{options}:second_deadlock_stack=1:history_size=4:suppressions={ROOT}/tools/suppressions/thread.txt"}
    begin = time.monotonic()
    try:
        done = subprocess.run(command(build, program, wanted), cwd=ROOT, env=env, capture_output=True, text=True, errors="replace", timeout=LIMIT_SECONDS)
        said, code = done.stdout + done.stderr, done.returncode
    except subprocess.TimeoutExpired as late:
        said, code = f"{(late.stdout or b'')[-2000:]}\ntimed out", -1
    found = [open(path, errors="replace").read() for path in sorted(glob.glob(f"{reports}*"))]
    is_clean = code == 0 and not found
    print(f"{'ok  ' if is_clean else 'FAIL'} {what}: {len(found)} reports, exit {code}, {time.monotonic() - begin:.0f} s", flush=True)
    if not is_clean:
        print("\n".join(text[:6000] for text in found[:3]) or said[-3000:], flush=True)
    return is_clean


def main():
    build = os.path.abspath(sys.argv[1])
    return 0 if all([run(build, what) for what in sys.argv[2:]]) else 1


if __name__ == "__main__":
    sys.exit(main())
