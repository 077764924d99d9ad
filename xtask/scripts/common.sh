# shellcheck shell=bash
# Sourced by the scripts here that build. Everything lands under $PEERS, which `cargo xtask` sets to target/peers.
set -euo pipefail
PEERS=${PEERS:?set PEERS to the folder for binaries, as cargo xtask does}
BIN=${PEERS_BIN:-$PEERS/bin}
SRC=$PEERS/src
export GOFLAGS=${PEERS_GOFLAGS:-}
export GOTOOLCHAIN=${PEERS_GOTOOLCHAIN:-local} CGO_ENABLED=0
mkdir -p "$BIN" "$SRC"
# have FILE VERSION: true when bin/FILE is there and was built at VERSION
have() { [ -x "$BIN/$1" ] && [ "$(cat "$BIN/.$1.version" 2>/dev/null)" = "$2" ]; }
# gomod DIR < go.mod text; keeps go.sum / go.mod of an earlier run when the text has not changed
gomod() {
  mkdir -p "$1"; local t; t=$(cat)
  if [ ! -f "$1/go.mod" ] || [ "$(cat "$1/.go.mod.in" 2>/dev/null)" != "$t" ]; then
    rm -f "$1/go.sum"; printf '%s\n' "$t" > "$1/go.mod"; printf '%s\n' "$t" > "$1/.go.mod.in"
  fi
}
# build DIR NAME VERSION PKG [LDFLAGS]
build() {
  local s=$SECONDS
  echo "building $2 $3"
  ( cd "$1" && go build -mod=mod -trimpath -ldflags "-s -w ${5:-}" -o "$BIN/.$2.new" "$4" ) >&2 || return 1
  mv "$BIN/.$2.new" "$BIN/$2"; echo "$3" > "$BIN/.$2.version"
  echo "built $2 $3 in $((SECONDS-s)) s, $(stat -c %s "$BIN/$2") bytes"
}
