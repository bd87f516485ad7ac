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
# What `./dev sanitize` and `./dev fuzz` share: a build folder of clang's with FLAGS, at -O1 (CMakeLists.txt).
clang_build() {  # FOLDER FLAGS
  for package in clang libclang-rt-14-dev; do
    dpkg-query -W "$package" >/dev/null 2>&1 || { say "Installing $package"; apt-get install -y -qq --no-install-recommends "$package" >/dev/null; }
  done
  export LATEEN_BUILD_DIR=$PWD/$1
  export LATEEN_CMAKE_ARGS="-DCMAKE_C_COMPILER=clang -DCMAKE_CXX_COMPILER=clang++ -DLATEEN_LIBFUZZER=ON -DLATEEN_SANITIZE=$2 -DCMAKE_BUILD_TYPE=Release"
  configure
}
