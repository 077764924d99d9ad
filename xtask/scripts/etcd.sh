#!/usr/bin/env bash
# Builds etcd from its Go module (the server module holds the main package) into $PEERS/bin.
. "$(dirname "$0")/common.sh"
V=${ETCD_VERSION:-v3.6.16}
have etcd "$V" && { echo "etcd $V (already built)"; exit 0; }
printf 'module peers/etcd\n\ngo 1.25.0\n\nrequire go.etcd.io/etcd/server/v3 %s\n' "$V" | gomod "$SRC/etcd"
build "$SRC/etcd" etcd "$V" go.etcd.io/etcd/server/v3
