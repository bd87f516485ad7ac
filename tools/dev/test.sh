# shellcheck shell=bash
# runs all tests, or those whose name holds FILTER; installs and builds what is missing first
. tools/dev/setup.sh
if [ -f tools/dev/web.sh ]; then . tools/dev/web.sh; fi
configure
say "Building"
ninja -C "$LATEEN_BUILD_DIR" || { echo "0 passed, 1 failed"; exit 1; }
exec python3 tools/run_tests.py "$LATEEN_BUILD_DIR" "$@"
