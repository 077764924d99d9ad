#!/usr/bin/env bash
# Debian packages that cluster-up.sh and images.sh need; only those whose program is missing are installed (root).
# Never removes a package: where another container engine is in the way of containerd, apt's refusal is shown.
set -euo pipefail
missing=()
need() { [ -e "$1" ] || command -v "$1" >/dev/null || missing+=("$2"); }
PATH=$PATH:/usr/sbin:/sbin
need containerd containerd
need runc runc
need /usr/lib/cni/bridge containernetworking-plugins
need iptables iptables
need nft nftables
need ethtool ethtool
need socat socat
need conntrack conntrack
need ip iproute2
need sysctl procps
need openssl openssl
need curl curl
need python3 python3
need gcc gcc
need /usr/include/stdlib.h libc6-dev
[ "${#missing[@]}" -gt 0 ] || exit 0
if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
  echo "install these packages (needs root and apt): ${missing[*]}" >&2
  exit 1
fi
echo "installing the Debian packages ${missing[*]}"
# A source that cannot be reached need not be one that is used.
apt-get update -q >/dev/null || true
DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends --no-remove "${missing[@]}" >/dev/null
