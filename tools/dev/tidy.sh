# shellcheck shell=bash
# checks layers, sizes, banned calls and formatting
exec python3 tools/tidy.py "$@"
