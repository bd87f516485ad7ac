# shellcheck shell=bash
# runs every fuzzer, or those whose name holds NAME, under libFuzzer with address and undefined sanitizers for SECONDS of CPU each
seconds=${1:?usage: ./dev fuzz SECONDS [NAME]}
clang_build build-asan address,undefined,fuzzer-no-link
names=$(find src tests -name '*_fuzz.cc' -printf '%f\n' | sed 's/\.cc$//' | grep -- "${2:-}" | sort)
# shellcheck disable=SC2086
ninja -C "$LATEEN_BUILD_DIR" $names
# shellcheck disable=SC2086
exec python3 tools/fuzz.py "$LATEEN_BUILD_DIR" "$seconds" $names
