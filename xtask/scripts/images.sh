#!/usr/bin/env bash
# Makes the image tars in $PEERS/images that cluster-up.sh gives to its nodes: pause, from a C file here, and the echo
# backend of the Gateway API conformance suite where gwapi-conformance.sh has built it. Needs no Docker.
. "$(dirname "$0")/common.sh"
here=$(cd "$(dirname "$0")" && pwd)
mkdir -p "$PEERS/images" "$SRC/pause"
image() { # image BINARY NAME...
  local tar=$PEERS/images/$1.tar
  [ "$tar" -nt "$BIN/$1" ] && { echo "image $1 (already made)"; return; }
  python3 "$here/mkimage.py" "$PEERS/images/.$1.tar" "$BIN/$1" "${@:2}"
  mv "$PEERS/images/.$1.tar" "$tar"
  echo "image $1: ${*:2}"
}
if [ ! -x "$BIN/pause" ]; then
  cat >"$SRC/pause/pause.c" <<'K'
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>
static void down(int s) { _exit(0); }
static void reap(int s) { while (waitpid(-1, 0, WNOHANG) > 0); }
int main(void) { signal(SIGTERM, down); signal(SIGINT, down); signal(SIGCHLD, reap); for (;;) pause(); }
K
  gcc -static -Os -s -o "$BIN/.pause.new" "$SRC/pause/pause.c"
  mv "$BIN/.pause.new" "$BIN/pause"
fi
image pause localhost/pause:1
if [ -x "$BIN/echo-basic" ]; then
  # Every name under which the suite's own manifests ask for it, and one that does not change with its version.
  suite=$(cd "$SRC/gwapi" && GOTOOLCHAIN=$(cat "$SRC/gwapi/.toolchain") go list -mod=mod -m -f '{{.Dir}}' sigs.k8s.io/gateway-api/conformance)
  mapfile -t names < <(grep -rhoE 'image: *[^ ]*/echo-basic:[^ ]+' "$suite/base" "$suite/tests" | sed 's/image: *//' | sort -u)
  image echo-basic localhost/echo-basic:1 "${names[@]}"
fi
if [ -x "$BIN/traefik" ]; then image traefik localhost/traefik:1; fi
