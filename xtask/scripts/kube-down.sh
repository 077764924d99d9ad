#!/usr/bin/env bash
# kube-down.sh DIR [--apiserver | --purge]: stops what kube-up.sh started in DIR. --apiserver stops only the API server
# (an outage; kube-up.sh DIR ends it); --purge removes DIR too. What does not run is passed over.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
[ -d "${1:?usage: kube-down.sh DIR [--apiserver | --purge]}" ] || exit 0
D=$(cd "$1" && pwd)
. "$here/running.sh"
case ${2:-} in
  --apiserver) stop TERM apiserver ;;
  # Nothing of it is kept, so nobody need tidy up.
  --purge)
    stop KILL apiserver etcd
    if [ -f "$D/kube.env" ]; then rm -rf -- "$D"; fi
    ;;
  '') stop TERM apiserver; stop TERM etcd ;;
  *) echo "kube-down.sh: unknown: $2" >&2; exit 2 ;;
esac
