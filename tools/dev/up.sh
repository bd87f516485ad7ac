# shellcheck shell=bash
# installs packages, builds, starts the cluster with the mesh, Bookinfo and the console
. tools/dev/setup.sh
if [ -f tools/dev/web.sh ]; then . tools/dev/web.sh; fi
configure
say "Building (the first time takes some minutes)"
ninja -C "$LATEEN_BUILD_DIR" programs
say "Starting"
exec "$LATEEN_BUILD_DIR/bin/lateen" up "$@"
