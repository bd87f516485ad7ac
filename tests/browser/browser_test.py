"""Runs the browser tests (node --test) and reports each of them; node, Chromium and playwright-core come from `./dev setup`."""
import os
import re
import shutil
import subprocess
import unittest

FOLDER = os.path.dirname(os.path.abspath(__file__))


def run_file(name):
    if not shutil.which("node") or not shutil.which("npm"):
        raise unittest.SkipTest("node and npm are not on this machine")
    chromium = os.environ.get("CHROMIUM", "/usr/bin/chromium")
    if not os.path.exists(chromium):
        raise unittest.SkipTest(f"{chromium} is not on this machine")
    if not os.path.isdir(os.path.join(FOLDER, "node_modules", "playwright-core")):
        subprocess.run(["npm", "ci", "--no-audit", "--no-fund", "--silent"], cwd=FOLDER, check=True, timeout=300,
                       env={**os.environ, "PLAYWRIGHT_SKIP_BROWSER_DOWNLOAD": "1"})
    done = subprocess.run(["node", "--test", "--test-reporter=tap", name], cwd=FOLDER, capture_output=True, text=True, timeout=600)
    passed = len(re.findall(r"^\s+ok \d+|^ok \d+", done.stdout, flags=re.M))
    if done.returncode != 0 or passed == 0:
        raise AssertionError(done.stdout[-6000:] + done.stderr[-2000:])


def test_bookinfo_in_chromium():
    run_file("bookinfo.test.mjs")


def test_console_in_chromium():
    run_file("console.test.mjs")
