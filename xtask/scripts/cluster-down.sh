#!/usr/bin/env bash
# cluster-down.sh DIR [--purge]: stops what cluster-up.sh started in DIR and takes away what it left in the kernel: pods,
# mounts, namespaces, routes, bridge, settings. --purge removes DIR too; without it logs are kept. Root.
# Goes on whatever fails: it also cleans up after a cluster-up.sh that did not come to its end.
set -uo pipefail
here=$(cd "$(dirname "$0")" && pwd)
[ -d "${1:?usage: cluster-down.sh DIR [--purge]}" ] || exit 0
D=$(cd "$1" && pwd)
# Down already; its folder may still be there.
[ -f "$D/cluster.env" ] || exec "$here/kube-down.sh" "$D" "${@:2}"
export PATH=$PATH:/usr/sbin:/sbin
. "$here/running.sh"
. "$D/cluster.env"
[ "$(id -u)" = 0 ] || { echo "cluster-down.sh: needs root" >&2; exit 1; }

pods() { # pods I: every container of node I, then its containerd
  local i=$1 s=/run/$NAME-node$1/containerd.sock id
  if [ -S "$s" ]; then
    for id in $(timeout 10 ctr -a "$s" -n k8s.io tasks ls -q 2>/dev/null); do timeout 10 ctr -a "$s" -n k8s.io tasks rm -f "$id"; done
    for id in $(timeout 10 ctr -a "$s" -n k8s.io containers ls -q 2>/dev/null); do timeout 10 ctr -a "$s" -n k8s.io containers rm "$id"; done
  fi >/dev/null 2>&1
  stop TERM "containerd$i"
}
traces() { # traces I: what is left of node I; its mounts end with its last process
  local i=$1 n=$NAME-node$1 pid
  # Shims whose container did not end, and whatever a test has started in there.
  for pid in $(ip netns pids "$n" 2>/dev/null); do
    pkill -KILL -P "$pid"
    kill -KILL "$pid" 2>/dev/null
  done
  ip netns del "$n" 2>/dev/null
  ip link del "$NAME-v$i" 2>/dev/null
  rm -rf "/run/$n"
}
machine() { # what nodes share with the machine, as it was before
  local word
  for word in $SETTINGS; do sysctl -qw "$word"; done
  find /sys/fs/cgroup -depth -maxdepth 3 -type d -path '*/k8s.io*' -exec rmdir {} + 2>/dev/null
  for word in $MADE; do
    [ "$word" != /run/netns ] || [ -n "$(ip netns list)" ] || umount "$word"
    rmdir "$word"
  done 2>/dev/null
}

# shellcheck disable=SC2153 # NODES is of cluster.env
kubelets=() proxies=() nodes=$(seq "$NODES")
for i in $nodes; do kubelets+=("kubelet$i"); proxies+=("proxy$i"); done
stop TERM sched kcm proxyhost "${kubelets[@]}" "${proxies[@]}"
for i in $nodes; do pods "$i" & done
wait
for i in $nodes; do traces "$i"; done
[ ! -f "$D/proxy-host.yaml" ] || { nft delete table ip kube-proxy; nft delete table ip6 kube-proxy; } 2>/dev/null
"$here/kube-down.sh" "$D"
# Routes go with it.
ip link del "$NAME" 2>/dev/null
machine
rm -f "$D/cluster.env"
if [ "${2:-}" = --purge ]; then rm -rf -- "$D"; fi
