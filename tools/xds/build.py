"""Builds Envoy's v3 API as a static C++ library in a cache that all build folders of this machine share.

  build.py --print-dir   prints the folder the library lives in (named by a hash of all that goes into it)
  build.py               makes that folder unless it exists: include/, lib/libxds_api.a, descriptors.pb

The API comes from the PyPI package pinned in requirements.txt, whose Python modules carry the file descriptors;
protoc turns those into C++. A file lock makes concurrent builds wait for one; a rename publishes the result whole.
"""

import concurrent.futures
import fcntl
import hashlib
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

import descriptors

HERE = pathlib.Path(__file__).resolve().parent
COMPILER = os.environ.get("LATEEN_XDS_CXX", "g++")
FLAGS = "-std=gnu++20 -O1 -g0 -w -DNDEBUG -fno-plt -fno-omit-frame-pointer -ffunction-sections -fdata-sections".split()
# Parsed once for all files: without it most of the time goes into reading the same headers 230 times.
PRECOMPILED = """
google/protobuf/descriptor.h google/protobuf/extension_set.h google/protobuf/generated_message_reflection.h
google/protobuf/io/coded_stream.h google/protobuf/reflection_ops.h google/protobuf/wire_format.h
google/protobuf/wire_format_lite.h
envoy/config/core/v3/extension.pb.h envoy/config/core/v3/address.pb.h envoy/config/core/v3/base.pb.h
envoy/config/route/v3/route_components.pb.h
""".split()


# Words that C++20 took and protoc 3.21 does not know: it would name an accessor `requires`. They get its usual '_'.
NEW_KEYWORDS = re.compile(r"\b(requires|concept|co_await|co_return|co_yield|consteval|constinit|char8_t)\b")


def output_of(*command):
    return subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout


def patterns():
    lines = (line.split("#")[0].strip() for line in (HERE / "files.txt").read_text().splitlines())
    return [line for line in lines if line]


def cache_folder():
    home = os.environ.get("XDG_CACHE_HOME") or os.path.join(os.path.expanduser("~"), ".cache")
    return pathlib.Path(home) / "lateen"


def target_folder():
    key = hashlib.sha256()
    for part in [(HERE / "requirements.txt").read_bytes(), "\n".join(patterns()).encode(),
                 (HERE / "build.py").read_bytes(), (HERE / "descriptors.py").read_bytes(),
                 output_of("protoc", "--version"), output_of(COMPILER, "-dumpfullversion", "-dumpmachine")]:
        key.update(hashlib.sha256(part).digest())
    return cache_folder() / f"xds-{key.hexdigest()[:16]}"


def download(into):
    subprocess.run([sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps",
                    "--only-binary=:all:", "--require-hashes", "-r", str(HERE / "requirements.txt"), "-d", str(into)],
                   check=True, stdout=sys.stderr)
    return next(into.glob("*.whl"))


def well_known_files(work):
    """protobuf's own files are not in the package; protoc brings them."""
    include = next(path for path in ("/usr/local/include", "/usr/include")
                   if os.path.exists(f"{path}/google/protobuf/any.proto"))
    names = sorted(f"google/protobuf/{path.name}" for path in pathlib.Path(include, "google/protobuf").glob("*.proto"))
    subprocess.run(["protoc", f"-I{include}", f"-o{work}/known.pb", "--include_imports", *names], check=True)
    return descriptors.files_of_set((work / "known.pb").read_bytes())


def generate(work, include):
    files = descriptors.files_of_wheel(download(work))
    files.update(well_known_files(work))
    names = descriptors.closure(files, patterns())
    (work / "descriptors.pb").write_bytes(descriptors.descriptor_set(files[name] for name in names))
    ours = [name for name in names if not name.startswith("google/protobuf/")]
    subprocess.run(["protoc", f"--descriptor_set_in={work}/descriptors.pb", f"--cpp_out={include}", *ours], check=True)
    for path in include.rglob("*.pb.*"):
        rename_keywords(path)


def rename_keywords(path):
    text = path.read_text()
    if not NEW_KEYWORDS.search(text):
        return
    lines = text.splitlines(keepends=True)  # Literals stay: the encoded descriptor is one.
    path.write_text("".join(line if line.lstrip().startswith('"') else NEW_KEYWORDS.sub(r"\1_", line) for line in lines))


def compile_all(work, include, library, includes=()):
    """Compiles all of include/ into `library`, on all cores; the sources go."""
    prefix = work / "prefix.h"
    prefix.write_text("#include <algorithm>\n" + "".join(f"#include <{name}>\n" for name in PRECOMPILED))
    flags = [*FLAGS, f"-I{include}", *(f"-I{path}" for path in includes)]
    subprocess.run([COMPILER, "-x", "c++-header", *flags, str(prefix), "-o", f"{prefix}.gch"], check=True)
    sources = sorted(include.rglob("*.pb.cc"), key=lambda path: -path.stat().st_size)
    objects = work / "objects"
    objects.mkdir()

    def compile_one(source):
        target = objects / (str(source.relative_to(include)).replace("/", "__")[:-3] + ".o")
        done = subprocess.run([COMPILER, *flags, "-include", str(prefix), "-c", str(source), "-o", str(target)],
                              stderr=subprocess.PIPE, text=True)
        if done.returncode != 0:
            raise SystemExit(f"compiling {source} failed:\n{done.stderr}")
        return str(target)

    with concurrent.futures.ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        made = sorted(pool.map(compile_one, sources))
    subprocess.run(["ar", "rcsD", str(library), *made], check=True)
    for source in sources:
        source.unlink()


def publish(target, library, message, fill):
    """Makes the folder `target` unless lib/LIBRARY is in it. `fill(work, include, lib)` makes the contents."""
    target.parent.mkdir(parents=True, exist_ok=True)
    with open(target.parent / "xds.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if (target / "lib" / library).exists():
            return
        print(message, flush=True)
        work = pathlib.Path(tempfile.mkdtemp(prefix="xds-making-", dir=target.parent))
        try:
            made = work / "made"
            for name in ("include", "lib"):
                (made / name).mkdir(parents=True)
            fill(work, made / "include", made / "lib" / library)
            # ninja makes the folder of what a command is to make before it runs it.
            shutil.rmtree(target, ignore_errors=True)
            os.rename(made, target)
        finally:
            shutil.rmtree(work, ignore_errors=True)


def build(target):
    def fill(work, include, library):
        generate(work, include)
        compile_all(work, include, library)
        shutil.copy(work / "descriptors.pb", include.parent / "descriptors.pb")
    publish(target, "libxds_api.a", "Building Envoy's API once for this machine (some five minutes on two cores)", fill)


def main():
    target = target_folder()
    if sys.argv[1:] == ["--print-dir"]:
        print(target)
        return
    build(target)


if __name__ == "__main__":
    main()
