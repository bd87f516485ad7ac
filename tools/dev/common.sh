# shellcheck shell=bash
# What all verbs share: the build folder and small functions.
export LATEEN_BUILD_DIR=${LATEEN_BUILD_DIR:-$PWD/build}
say() { printf '\033[1m==> %s\033[0m\n' "$*"; }
configure() {
  if [ ! -f "$LATEEN_BUILD_DIR/build.ninja" ]; then
    cmake -S . -B "$LATEEN_BUILD_DIR" -G Ninja ${LATEEN_CMAKE_ARGS:-} >"$LATEEN_BUILD_DIR.cmake.log" 2>&1 ||
      { cat "$LATEEN_BUILD_DIR.cmake.log"; return 1; }
    rm -f "$LATEEN_BUILD_DIR.cmake.log"
  fi
}
