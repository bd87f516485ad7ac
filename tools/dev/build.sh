# shellcheck shell=bash
# builds all programs, or the ninja targets named
configure
ninja -C "$LATEEN_BUILD_DIR" "$@"
