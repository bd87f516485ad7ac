# shellcheck shell=bash
# ends the cluster; its data stays
exec "$LATEEN_BUILD_DIR/bin/lateen" down "$@"
