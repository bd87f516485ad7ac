# shellcheck shell=bash
# builds the programs, or the ninja targets named (all: the tests and fuzzers too)
if [ -f tools/dev/web.sh ]; then . tools/dev/web.sh; fi
configure
ninja -C "$LATEEN_BUILD_DIR" "${@:-programs}"
