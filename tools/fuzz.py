#!/usr/bin/env python3
"""Runs libFuzzer's programs until each used so many seconds of CPU, on its corpus; prints a row of docs/internals/hostility.md's table for
each: fuzzer, CPU minutes, executions, findings. `./dev fuzz` builds them.

usage: fuzz.py BUILD_DIR SECONDS FUZZER...

New inputs go to BUILD_DIR/corpus/FUZZER and are where the next run starts; what fails is in BUILD_DIR/findings/FUZZER-*.
"""
import os
import re
import signal
import subprocess
import sys
import time

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
TICKS = os.sysconf("SC_CLK_TCK")


def used(pid):
    """Seconds of CPU, in all its threads; None once it ended."""
    try:
        fields = open(f"/proc/{pid}/stat").read().rsplit(")", 1)[1].split()
    except OSError:
        return None
    return None if fields[0] == "Z" else (int(fields[11]) + int(fields[12])) / TICKS


def fuzz(build, name, seconds):
    stem = name.removesuffix("_fuzz")
    own, findings = os.path.join(build, "corpus", name), os.path.join(build, "findings", "")
    for folder in (own, findings):
        os.makedirs(folder, exist_ok=True)
    given = os.path.join(ROOT, "tests", "corpus", stem)
    log_path = os.path.join(build, f"{name}.log")
    spent = 0.0
    with open(log_path, "wb") as log:
        program = subprocess.Popen(
            [os.path.join(build, "fuzz", name), "-rss_limit_mb=2560", "-timeout=25", "-print_final_stats=1", f"-artifact_prefix={findings}{name}-",
             own] + ([given] if os.path.isdir(given) else []), stdout=log, stderr=log, cwd=ROOT)
        while program.poll() is None and spent < seconds:
            time.sleep(0.5)
            spent = used(program.pid) or spent
        if program.poll() is None:
            program.send_signal(signal.SIGINT)
        try:
            program.wait(60)
        except subprocess.TimeoutExpired:
            program.kill()
            program.wait()
    text = open(log_path, errors="replace").read()
    runs = re.findall(r"(?:number_of_executed_units: |^#)(\d+)", text, flags=re.M)
    is_clean = "run interrupted" in text and "ERROR:" not in text
    print(f"| {name} | {spent / 60:.1f} | {int(runs[-1] if runs else 0):,} | {'none' if is_clean else 'FAILED: ' + log_path} |", flush=True)
    return is_clean


def main():
    build, seconds = os.path.abspath(sys.argv[1]), float(sys.argv[2])
    print("| fuzzer | CPU minutes | executions | findings |\n| --- | --- | --- | --- |", flush=True)
    return 0 if all([fuzz(build, name, seconds) for name in sys.argv[3:]]) else 1


if __name__ == "__main__":
    sys.exit(main())
