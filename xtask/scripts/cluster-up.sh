#!/usr/bin/env bash
# cluster-up.sh DIR [NODES]: a whole cluster on this machine, with its state in DIR. etcd, kube-apiserver,
# kube-controller-manager and kube-scheduler run in the root network namespace; each of NODES (1) nodes is a network
# namespace with its own containerd, kubelet and kube-proxy. Root; the packages of deps.sh; the images of images.sh.
# Undo: cluster-down.sh DIR, which also follows here when something fails half-way.
#   CLUSTER_NAME         prefix of namespaces and links, and the bridge's name, at most 8 letters (pk)
#   CLUSTER_NET          first three numbers of the nodes' /24: .1 is the bridge, node i is .(10+i) (172.31.250)
#   CLUSTER_POD_NET      first two numbers of the pods' /16: pods of node i are in .i.0/24 (10.244)
#   CLUSTER_PORT         of the API server, on the bridge (16443)
#   CLUSTER_HOST_PROXY   1: a kube-proxy in the root namespace too, so that Services are reached from there
#   KUBE_PROXY_MODE      nftables (the default) or iptables
# Pods are reached directly from the root namespace and from other nodes; Services only inside nodes, unless
# CLUSTER_HOST_PROXY says otherwise. Two clusters at once need names, nets and pod nets of their own.
set -euo pipefail
[ $# -ge 1 ] || { echo "usage: cluster-up.sh DIR [NODES]" >&2; exit 2; }
here=$(cd "$(dirname "$0")" && pwd)
PEERS=$(cd "${PEERS:?set PEERS to the folder for binaries and images, as cargo xtask does}" && pwd)
export PEERS_BIN=${PEERS_BIN:-$PEERS/bin}
BIN=$PEERS_BIN
NODES=${2:-1} NAME=${CLUSTER_NAME:-pk} NET=${CLUSTER_NET:-172.31.250} PODS=${CLUSTER_POD_NET:-10.244} PORT=${CLUSTER_PORT:-16443}
export PATH=$PATH:/usr/sbin:/sbin
. "$here/running.sh"
[ "$(id -u)" = 0 ] || { echo "cluster-up.sh: network namespaces and containerd need root" >&2; exit 1; }
[ ! -f "$1/cluster.env" ] || { echo "$1 holds a cluster already: take it down first" >&2; exit 1; }
! ip link show "$NAME" >/dev/null 2>&1 || { echo "a link $NAME is there already: another cluster? Set CLUSTER_NAME, CLUSTER_NET, CLUSTER_POD_NET" >&2; exit 1; }
t0=$(date +%s%N)
mkdir -p "$1"
D=$(cd "$1" && pwd)
umask 077
# Folders that kubelet, CNI and containerd's shims use whatever their flags say. Each node sees its own in their place.
own="/run/containerd /run/postern /var/lib/postern /var/lib/kubelet /var/lib/cni /var/log/containers"
made=
for folder in $own /run/netns; do [ -d "$folder" ] || made="$folder $made"; done
# What kubelet sets for the whole machine.
settings=$(sysctl vm.overcommit_memory vm.panic_on_oom kernel.panic kernel.panic_on_oops kernel.keys.root_maxkeys kernel.keys.root_maxbytes | tr -d ' ')
printf '%s=%q\n' NAME "$NAME" NODES "$NODES" NET "$NET" MADE "$made" SETTINGS "$settings" >"$D/cluster.env"
# shellcheck disable=SC2086 # a list of words
mkdir -p $own
undo() {
  local code=$?
  [ "$code" = 0 ] || "$here/cluster-down.sh" "$D" || true
  exit "$code"
}
trap undo EXIT
trap "exit 130" INT TERM HUP

control_plane() {
  ip link add "$NAME" type bridge
  ip addr add "$NET.1/24" dev "$NAME"
  ip link set "$NAME" up
  # Controllers are here, so pods get tokens, and the Service `kubernetes` an address that pods reach.
  KUBE_BIND=$NET.1 KUBE_APISERVER_ARGS="--endpoint-reconciler-type lease --kubelet-preferred-address-types InternalIP" \
    "$here/kube-up.sh" "$D" "$PORT"
  "$here/kube-user.sh" "$D" kcm /CN=system:kube-controller-manager
  "$here/kube-user.sh" "$D" sched /CN=system:kube-scheduler
  "$here/kube-user.sh" "$D" proxy /CN=system:kube-proxy
  start kcm "$BIN/kube-controller-manager" --kubeconfig "$D/kcm.kubeconfig" --leader-elect=false --secure-port 0 \
    --root-ca-file "$D/pki/ca.crt" --service-account-private-key-file "$D/pki/sa.key" --use-service-account-credentials \
    --cluster-signing-cert-file "$D/pki/ca.crt" --cluster-signing-key-file "$D/pki/ca.key" --allocate-node-cidrs=false \
    --service-cluster-ip-range 10.96.0.0/16 --concurrent-deployment-syncs 10 --concurrent-rc-syncs 10 --kube-api-qps 200 --kube-api-burst 400 \
    --flex-volume-plugin-dir "$D/plugins"
  start sched "$BIN/kube-scheduler" --kubeconfig "$D/sched.kubeconfig" --leader-elect=false --secure-port 0 --kube-api-qps 200 --kube-api-burst 400
}

inside() { local n=$1; shift; nsenter --net="/run/netns/$n" "$@"; }

network() { # network I: the namespace of node I, and the ways to its pods
  local i=$1 n=$NAME-node$1 j
  ip netns add "$n"
  ip link add "$NAME-v$i" type veth peer name eth0 netns "$n"
  ip link set "$NAME-v$i" master "$NAME" up
  inside "$n" ip link set lo up
  inside "$n" ip addr add "$NET.$((10 + i))/24" dev eth0
  inside "$n" ip link set eth0 up
  inside "$n" ip route add default via "$NET.1"
  inside "$n" sysctl -qw net.ipv4.ip_forward=1
  ip route replace "$PODS.$i.0/24" via "$NET.$((10 + i))"
  for j in $(seq "$NODES"); do
    [ "$j" = "$i" ] || inside "$n" ip route add "$PODS.$j.0/24" via "$NET.$((10 + j))"
  done
}

containers() { # containers I: containerd of node I; sockets lie in /run, since the kernel's limit on their paths is short
  local i=$1 n=$NAME-node$1 N=$D/node$1 cni=/usr/lib/cni
  [ -e "$cni/bridge" ] || cni=/opt/cni/bin
  mkdir -p "$N"/{cni,root,kubelet,pki,logs,cni-data}
  cat >"$N/cni/10-bridge.conflist" <<K
{"cniVersion":"1.0.0","name":"$NAME-pods","plugins":[
 {"type":"bridge","bridge":"cni0","isGateway":true,"hairpinMode":true,"ipMasq":false,
  "ipam":{"type":"host-local","dataDir":"$N/cni-data","ranges":[[{"subnet":"$PODS.$i.0/24"}]],"routes":[{"dst":"0.0.0.0/0"}]}},
 {"type":"portmap","capabilities":{"portMappings":true}}]}
K
  cat >"$N/containerd.toml" <<K
version = 2
root = "$N/root"
state = "/run/$n"
disabled_plugins = ["io.containerd.snapshotter.v1.btrfs","io.containerd.snapshotter.v1.zfs","io.containerd.snapshotter.v1.devmapper","io.containerd.snapshotter.v1.aufs"]
[grpc]
  address = "/run/$n/containerd.sock"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "localhost/pause:1"
  netns_mounts_under_state_dir = true
  restrict_oom_score_adj = true
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "$cni"
    conf_dir = "$N/cni"
  [plugins."io.containerd.grpc.v1.cri".containerd]
    snapshotter = "overlayfs"
    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
      runtime_type = "io.containerd.runc.v2"
K
  # Mounts of the node are seen by its own pods, and by nobody outside.
  # shellcheck disable=SC2016,SC2086 # for the shell inside; a list of words
  start "containerd$i" nsenter --net="/run/netns/$n" unshare --mount --propagation slave bash -euc \
    'mount --make-rshared /; for folder in "${@:2}"; do mount -t tmpfs -o mode=0755 tmpfs "$folder"; done; exec containerd -c "$1"' \
    containerd "$N/containerd.toml" $own
}

await_containers() { # await_containers I: until containerd answers, then its images
  local i=$1 s=/run/$NAME-node$1/containerd.sock deadline=$((SECONDS + 30)) tar
  until ctr -a "$s" version >/dev/null 2>&1; do
    running "containerd$i" >/dev/null || fail "containerd of node$i ended:" "containerd$i"
    [ "$SECONDS" -lt "$deadline" ] || fail "containerd of node$i does not answer after 30 s:" "containerd$i"
    sleep 0.05
  done
  for tar in "$PEERS"/images/*.tar; do ctr -a "$s" -n k8s.io images import "$tar" >/dev/null; done
}

node() { # node I: kubelet and kube-proxy
  local i=$1 n=$NAME-node$1 N=$D/node$1
  "$here/kube-user.sh" "$D" "node$i" "/O=system:nodes/CN=system:node:node$i"
  cat >"$N/kubelet.yaml" <<K
apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
authentication: {anonymous: {enabled: false}, webhook: {enabled: false}, x509: {clientCAFile: "$D/pki/ca.crt"}}
authorization: {mode: AlwaysAllow}
address: $NET.$((10 + i))
containerRuntimeEndpoint: unix:///run/$n/containerd.sock
cgroupDriver: cgroupfs
cgroupsPerQOS: false
enforceNodeAllocatable: []
failCgroupV1: false
failSwapOn: false
resolvConf: ""
clusterDNS: [10.96.0.10]
clusterDomain: cluster.local
podLogsDir: $N/logs
volumePluginDir: $N/plugins
imageGCHighThresholdPercent: 100
evictionHard: {memory.available: 50Mi, nodefs.available: 1%, imagefs.available: 1%}
serializeImagePulls: false
syncFrequency: 10s
registryPullQPS: 0
eventRecordQPS: 0
kubeAPIQPS: 200
kubeAPIBurst: 400
K
  start "kubelet$i" nsenter --net="/run/netns/$n" --mount="/proc/$(running "containerd$i")/ns/mnt" "$BIN/kubelet" --config "$N/kubelet.yaml" --kubeconfig "$D/node$i.kubeconfig" \
    --hostname-override "node$i" --root-dir "$N/kubelet" --cert-dir "$N/pki" --node-ip "$NET.$((10 + i))"
  service_proxy "node$i" >"$N/proxy.yaml"
  start "proxy$i" nsenter --net="/run/netns/$n" "$BIN/kube-proxy" --config "$N/proxy.yaml"
}

service_proxy() { # service_proxy NODE: configuration of a kube-proxy
  cat <<K
apiVersion: kubeproxy.config.k8s.io/v1alpha1
kind: KubeProxyConfiguration
mode: ${KUBE_PROXY_MODE:-nftables}
clusterCIDR: $PODS.0.0/16
hostnameOverride: $1
clientConnection: {kubeconfig: "$D/proxy.kubeconfig"}
healthzBindAddress: 127.0.0.1:10256
metricsBindAddress: 127.0.0.1:10249
conntrack: {maxPerCore: 0, min: 0}
K
}

nodes_ready() { # Ready, and Services are reached from in there
  local i
  [ "$("$BIN/kubectl" get nodes --no-headers 2>/dev/null | grep -cw Ready)" = "$NODES" ] || return 1
  for i in $(seq "$NODES"); do
    inside "$NAME-node$i" curl -sf --max-time 2 -o /dev/null http://127.0.0.1:10256/healthz || return 1
  done
}

control_plane
export KUBECONFIG=$D/kubeconfig
for i in $(seq "$NODES"); do network "$i"; containers "$i"; done
for i in $(seq "$NODES"); do await_containers "$i"; node "$i"; done
if [ "${CLUSTER_HOST_PROXY:-0}" = 1 ]; then
  service_proxy node1 >"$D/proxy-host.yaml"
  start proxyhost "$BIN/kube-proxy" --config "$D/proxy-host.yaml"
fi
deadline=$((SECONDS + 90))
until nodes_ready; do
  for n in kcm sched $(seq -f 'kubelet%g' "$NODES") $(seq -f 'proxy%g' "$NODES"); do running "$n" >/dev/null || fail "$n ended:" "$n"; done
  [ "$SECONDS" -lt "$deadline" ] || fail "the nodes are not ready after 90 s; kubelet of the first:" kubelet1
  sleep 0.2
done
"$BIN/kubectl" get nodes -o wide
echo "cluster with $NODES node(s) ready in $(since "$t0"), KUBECONFIG=$KUBECONFIG"
