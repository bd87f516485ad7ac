# shellcheck shell=bash
# runs every fuzzer under libFuzzer with address and undefined sanitizers for SECONDS each
seconds=${1:?usage: ./dev fuzz SECONDS [NAME]}
for package in clang libclang-rt-14-dev; do
  dpkg-query -W "$package" >/dev/null 2>&1 || { say "Installing $package"; apt-get install -y -qq --no-install-recommends "$package" >/dev/null; }
done
export LATEEN_BUILD_DIR=$PWD/build-fuzz
export LATEEN_CMAKE_ARGS="-DCMAKE_C_COMPILER=clang -DCMAKE_CXX_COMPILER=clang++ -DLATEEN_LIBFUZZER=ON -DLATEEN_SANITIZE=address,undefined,fuzzer-no-link -DCMAKE_BUILD_TYPE=Release"
configure
names=$(find src tests -name '*_fuzz.cc' -printf '%f\n' | sed 's/\.cc$//' | grep -- "${2:-}" | sort)
# shellcheck disable=SC2086
ninja -C "$LATEEN_BUILD_DIR" $names
for name in $names; do
  say "$name"
  mkdir -p "$LATEEN_BUILD_DIR/corpus/$name"
  "$LATEEN_BUILD_DIR/fuzz/$name" -max_total_time="$seconds" -rss_limit_mb=2048 -timeout=10 "$LATEEN_BUILD_DIR/corpus/$name" "tests/corpus/${name%_fuzz}"
done
