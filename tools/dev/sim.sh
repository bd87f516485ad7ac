# shellcheck shell=bash
# a mesh in virtual time with faults: `./dev sim [SEED] [SECONDS]`; without a seed, a random one that it prints
configure
ninja -C "$LATEEN_BUILD_DIR" mesh_sim >/dev/null
exec "$LATEEN_BUILD_DIR/tests/mesh_sim" "$@"
