#!/usr/bin/env bash
# Puts the CustomResourceDefinitions of MetalLB, cert-manager and external-dns into $PEERS/crds/NAME, out of the archives
# of their Go modules (nothing is built). Those of Gateway API and Traefik are fetched by `cargo xtask` itself, which
# also holds our types against them. Needs unzip. Apply with `kubectl apply --server-side`.
. "$(dirname "$0")/common.sh"
get() { # get NAME MODULE VERSION PATH
  local name=$1 inside=$2@$3 answer zip
  [ "$(cat "$PEERS/crds/$name/.module" 2>/dev/null)" != "$inside" ] || { echo "$name: $inside (already there)"; return; }
  # A module whose go.mod asks for a newer Go is fetched all the same, with an error beside it.
  answer=$(cd "${TMPDIR:-/tmp}" && go mod download -json "$inside") || true
  zip=$(sed -n 's/^\t"Zip": "\(.*\)",\?$/\1/p' <<<"$answer")
  [ -n "$zip" ] || { echo "$name: $answer" >&2; return 1; }
  rm -rf "$SRC/crds" "$PEERS/crds/$name" && mkdir -p "$SRC/crds" "$PEERS/crds"
  unzip -q "$zip" "$inside/$4/*" "$inside/LICENSE*" -d "$SRC/crds"
  mv "$SRC/crds/$inside/$4" "$PEERS/crds/$name"
  mv "$SRC/crds/$inside"/LICENSE* "$PEERS/crds/$name/"
  echo "$inside" >"$PEERS/crds/$name/.module"
  rm -rf "$SRC/crds"
  echo "$name: $inside"
}
get metallb go.universe.tf/metallb "${METALLB_VERSION:-v0.16.2}" config/crd/bases
get cert-manager github.com/cert-manager/cert-manager "${CERTMANAGER_VERSION:-v1.21.2}" deploy/crds
get external-dns sigs.k8s.io/external-dns "${EXTERNALDNS_VERSION:-v0.23.0}" config/crd
