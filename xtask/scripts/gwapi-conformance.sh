#!/usr/bin/env bash
# Builds the Gateway API conformance suite as a binary, and its echo backend, into $PEERS/bin. Version 1.7 asks for
# Go 1.27, which the go command fetches by itself.
# The suite's go.mod asks for conformance-images v0.2.0, which cannot be had; v0.1.0 has the same packages and serves.
export PEERS_GOTOOLCHAIN=${PEERS_GOTOOLCHAIN:-go1.27.0}
. "$(dirname "$0")/common.sh"
V=${GWAPI_VERSION:-v1.7.0} I=${GWAPI_IMAGES_VERSION:-v0.1.0} m=sigs.k8s.io/gateway-api-conformance-images
gomod "$SRC/gwapi" <<K
module peers/gwapi

go 1.27.0

require (
	sigs.k8s.io/gateway-api/conformance $V
	sigs.k8s.io/gateway-api $V
	$m $I
)

replace $m => $m $I
K
echo "$GOTOOLCHAIN" >"$SRC/gwapi/.toolchain"
if have echo-basic "$V"; then echo "echo-basic $V (already built)"; else build "$SRC/gwapi" echo-basic "$V" "$m/echo-basic"; fi
suite=gwapi-conformance.test
have "$suite" "$V" && { echo "$suite $V (already built)"; exit 0; }
s=$SECONDS
echo "building $suite $V"
( cd "$SRC/gwapi" && go test -mod=mod -trimpath -ldflags "-s -w" -c -o "$BIN/.$suite.new" sigs.k8s.io/gateway-api/conformance ) >&2
mv "$BIN/.$suite.new" "$BIN/$suite"
echo "$V" >"$BIN/.$suite.version"
echo "built $suite $V in $((SECONDS - s)) s, $(stat -c %s "$BIN/$suite") bytes"
