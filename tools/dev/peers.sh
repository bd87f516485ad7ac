# shellcheck shell=bash
# runs the tests on real peers: the real Envoy, a stock istiod and istioctl, kube-apiserver and etcd; `corpus [FILES [CASES]]`: the corpus alone, with a summary
. tools/dev/setup.sh
configure
ninja -C "$LATEEN_BUILD_DIR" lateen lateen-proxy
if [ "${1:-}" = corpus ]; then
  shift
  exec python3 tests/peers/matrix.py "$@"
fi
LATEEN_PEERS_RUN=1 exec python3 tools/run_tests.py "$LATEEN_BUILD_DIR" "${1:-tests/peers/}"
