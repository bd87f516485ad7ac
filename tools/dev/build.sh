# shellcheck shell=bash
# builds all programs, or the ninja targets named
if [ -f tools/dev/web.sh ]; then . tools/dev/web.sh; fi
configure
ninja -C "$LATEEN_BUILD_DIR" "$@"
