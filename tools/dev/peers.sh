# shellcheck shell=bash
# runs the tests on real peers: the real Envoy, a stock istiod and istioctl, kube-apiserver and etcd (tools/peers/build.sh builds them)
. tools/dev/setup.sh
configure
ninja -C "$LATEEN_BUILD_DIR" lateen lateen-proxy
LATEEN_PEERS_RUN=1 exec python3 tools/run_tests.py "$LATEEN_BUILD_DIR" "${1:-tests/peers/}"
