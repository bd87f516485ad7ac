# shellcheck shell=bash
# runs tests under clang's address and undefined sanitizers, or the one for threads: ./dev sanitize address|thread [PROGRAM[:FILTER]...]
kind=${1:-}
[ $# -gt 0 ] && shift
case $kind in
  address) clang_build build-asan address,undefined,fuzzer-no-link ;;
  thread) clang_build build-tsan thread ;;
  *) echo "usage: ./dev sanitize address|thread [PROGRAM[:FILTER]...]" >&2; exit 2 ;;
esac
# Without names: the data plane and all beneath it, and lateen-proxy with two workers under load.
[ $# -gt 0 ] || set -- base_test event_test data_test metrics_test net_test tls_test http_test grpc_test xds_test proxy_test mesh_scenario_test lateen-proxy
ninja -C "$LATEEN_BUILD_DIR" "${@%%:*}"
exec python3 tools/sanitize.py "$LATEEN_BUILD_DIR" "$@"
