#!/usr/bin/env bash
# Removes the bookstore and the mesh configuration made for it. usage: [NAMESPACE=ns] cleanup.sh
set -euo pipefail
here=$(dirname "$(readlink -f "$0")")
namespace=${NAMESPACE:-default}
for kind in destinationrules virtualservices gateways.networking.istio.io authorizationpolicies; do
  kubectl -n "$namespace" get "$kind" -o name 2>/dev/null | while read -r name; do
    kubectl -n "$namespace" delete "$name" --ignore-not-found
  done
done
kubectl -n "$namespace" delete --ignore-not-found -f "$here/bookinfo.yaml"
