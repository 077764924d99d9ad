#!/usr/bin/env bash
# kube-up.sh DIR [PORT]: starts etcd and kube-apiserver with their state in DIR, waits until the API server is ready and
# writes DIR/kubeconfig (cluster-admin, by token). Needs no root. What already runs is left alone, so a second call
# starts again what was stopped, on the port and with the flags of the first. PORT is 16443 unless said otherwise; etcd
# is reached through sockets in DIR. Undo: kube-down.sh DIR
# Read on the first call, and kept in DIR/kube.env:
#   KUBE_BIND             address of the API server (127.0.0.1)
#   KUBE_SANS             more names of its certificate, as "IP:..." or "DNS:...", separated by commas
#   KUBE_SERVICE_CIDR     addresses of Services (10.96.0.0/16)
#   KUBE_APISERVER_ARGS   flags, separated by spaces, in place of those for a control plane that has no controllers
# Binaries are those of $PEERS_BIN, or $PEERS/bin.
set -euo pipefail
[ $# -ge 1 ] || { echo "usage: kube-up.sh DIR [PORT]" >&2; exit 2; }
here=$(cd "$(dirname "$0")" && pwd)
BIN=${PEERS_BIN:-${PEERS:?set PEERS, or PEERS_BIN, to where the binaries are}/bin}
BIN=$(cd "$BIN" && pwd)
mkdir -p "$1"
D=$(cd "$1" && pwd)
. "$here/running.sh"
t0=$(date +%s%N)
cd "$D"
umask 077
undo() {
  local code=$?
  [ "$code" = 0 ] || "$here/kube-down.sh" "$D"
  exit "$code"
}
trap undo EXIT
trap "exit 130" INT TERM HUP

if [ ! -f kube.env ]; then
  for v in PORT="${2:-16443}" BIND="${KUBE_BIND:-127.0.0.1}" SANS="${KUBE_SANS:-}" CIDR="${KUBE_SERVICE_CIDR:-10.96.0.0/16}" \
    ARGS="${KUBE_APISERVER_ARGS:---endpoint-reconciler-type none --disable-admission-plugins ServiceAccount}"; do printf '%s=%q\n' "${v%%=*}" "${v#*=}"; done >.kube.env
  mv .kube.env kube.env
fi
. ./kube.env
read -ra more <<<"$ARGS"

pki() { # into a folder aside first: what was cut short must not look complete
  rm -rf pki.new && mkdir pki.new && cd pki.new
  key() { openssl ecparam -name prime256v1 -genkey -noout -out "$1" 2>/dev/null; }
  leaf() { # leaf NAME SUBJECT USAGE [SANS]
    key "$1.key"
    openssl req -new -key "$1.key" -subj "$2" 2>/dev/null | openssl x509 -req -CA ca.crt -CAkey ca.key \
      -set_serial "0x$(openssl rand -hex 8)" -days 30 -out "$1.crt" -extfile <(
        printf 'basicConstraints=CA:FALSE\nkeyUsage=digitalSignature\nextendedKeyUsage=%s\n' "$3"
        [ -z "${4:-}" ] || echo "subjectAltName=$4"
      ) 2>/dev/null
  }
  key ca.key
  openssl req -x509 -new -key ca.key -subj /CN=test-kube-ca -days 30 -out ca.crt -addext keyUsage=critical,keyCertSign,cRLSign 2>/dev/null
  leaf apiserver /CN=kube-apiserver serverAuth "DNS:localhost,DNS:kubernetes,DNS:kubernetes.default,DNS:kubernetes.default.svc,DNS:kubernetes.default.svc.cluster.local,IP:127.0.0.1,IP:$BIND,IP:${CIDR%.*}.1${SANS:+,$SANS}"
  leaf kubelet-client /O=system:masters/CN=kube-apiserver-kubelet-client clientAuth
  leaf front-proxy /CN=front-proxy-client clientAuth
  key sa.key
  openssl ec -in sa.key -pubout -out sa.pub 2>/dev/null
  openssl rand -hex 16 >admin.token
  echo "$(cat admin.token),admin,admin,\"system:masters\"" >tokens.csv
  cd "$D" && mv pki.new pki
}
[ -d pki ] || pki

HOST=$BIND
[ "$BIND" != 0.0.0.0 ] || HOST=127.0.0.1
cat >.kubeconfig <<K
apiVersion: v1
kind: Config
clusters: [{name: test, cluster: {server: "https://$HOST:$PORT", certificate-authority-data: $(base64 -w0 pki/ca.crt)}}]
users: [{name: admin, user: {token: $(cat pki/admin.token)}}]
contexts: [{name: test, context: {cluster: test, user: admin}}]
current-context: test
K
mv .kubeconfig kubeconfig

# Sockets by a name in the working folder, since a path could be longer than the kernel takes; etcd wants the `:0`.
running etcd >/dev/null || start etcd "$BIN/etcd" --data-dir "$D/etcd" --name test --unsafe-no-fsync --log-level warn \
  --listen-client-urls unix://etcd.sock:0 --advertise-client-urls unix://etcd.sock:0 \
  --listen-peer-urls unix://peer.sock:0 --initial-advertise-peer-urls unix://peer.sock:0 --initial-cluster test=unix://peer.sock:0
running apiserver >/dev/null || start apiserver "$BIN/kube-apiserver" --etcd-servers unix://etcd.sock:0 \
  --bind-address "$BIND" --advertise-address "$HOST" --secure-port "$PORT" \
  --tls-cert-file pki/apiserver.crt --tls-private-key-file pki/apiserver.key --client-ca-file pki/ca.crt --token-auth-file pki/tokens.csv \
  --service-account-issuer https://kubernetes.default.svc --service-account-key-file pki/sa.pub --service-account-signing-key-file pki/sa.key \
  --kubelet-client-certificate pki/kubelet-client.crt --kubelet-client-key pki/kubelet-client.key \
  --requestheader-client-ca-file pki/ca.crt --requestheader-allowed-names front-proxy-client --requestheader-username-headers X-Remote-User \
  --requestheader-group-headers X-Remote-Group --requestheader-extra-headers-prefix X-Remote-Extra- \
  --proxy-client-cert-file pki/front-proxy.crt --proxy-client-key-file pki/front-proxy.key \
  --authorization-mode Node,RBAC --service-cluster-ip-range "$CIDR" --allow-privileged \
  "${more[@]}"

ready() { curl -sf --max-time 5 --cacert pki/ca.crt -H @<(printf 'Authorization: Bearer %s' "$(cat pki/admin.token)") "https://$HOST:$PORT/readyz" >/dev/null; }
until ready; do
  for n in etcd apiserver; do running "$n" >/dev/null || fail "$n ended:" "$n"; done
  [ "$(date +%s%N)" -lt $((t0 + 90 * 1000000000)) ] || fail "kube-apiserver is not ready after 90 s:" apiserver
  sleep 0.05
done
echo "API server ready in $(since "$t0"), KUBECONFIG=$D/kubeconfig"
