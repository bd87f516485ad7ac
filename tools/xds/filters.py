"""Builds what filters.txt lists of Envoy's v3 API as a static library beside the one that build.py makes.

  filters.py --print-dir   prints the folder the library lives in (named by a hash of all that goes into it)
  filters.py               makes that folder unless it exists: include/, lib/libxds_filters.a

Files that build.py's library has already are left out. The same lock and the same rename as there.
"""

import hashlib
import pathlib
import subprocess
import sys

import build
import descriptors

LIST = build.HERE / "filters.txt"


def patterns():
    lines = (line.split("#")[0].strip() for line in LIST.read_text().splitlines())
    return [line for line in lines if line]


def target_folder():
    key = hashlib.sha256()
    for part in [build.target_folder().name.encode(), "\n".join(patterns()).encode(),
                 pathlib.Path(__file__).read_bytes()]:
        key.update(hashlib.sha256(part).digest())
    return build.cache_folder() / f"xds-filters-{key.hexdigest()[:16]}"


def generate(work, include, base):
    files = descriptors.files_of_wheel(build.download(work))
    files.update(build.well_known_files(work))
    names = descriptors.closure(files, patterns())
    (work / "descriptors.pb").write_bytes(descriptors.descriptor_set(files[name] for name in names))
    known = descriptors.files_of_set((base / "descriptors.pb").read_bytes())
    ours = [name for name in names if name not in known]
    subprocess.run(["protoc", f"--descriptor_set_in={work}/descriptors.pb", f"--cpp_out={include}", *ours], check=True)
    for path in include.rglob("*.pb.*"):
        build.rename_keywords(path)


def make(target):
    base = build.target_folder()
    build.build(base)

    def fill(work, include, library):
        generate(work, include, base)
        build.compile_all(work, include, library, [base / "include"])
    build.publish(target, "libxds_filters.a", "Building the filters' part of Envoy's API once for this machine", fill)


def main():
    target = target_folder()
    if sys.argv[1:] == ["--print-dir"]:
        print(target)
        return
    make(target)


if __name__ == "__main__":
    main()
