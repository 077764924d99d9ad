#!/usr/bin/env bash
# kube-user.sh DIR NAME SUBJECT: a client certificate from the CA of a control plane that kube-up.sh started in DIR, and
# DIR/NAME.kubeconfig for it. Does nothing when that is there. What the user may do is said by RBAC objects.
#   kube-user.sh run/k alice /O=developers/CN=alice
#   kube-user.sh run/k node1 /O=system:nodes/CN=system:node:node1
set -euo pipefail
D=$(cd "$1" && pwd) N=$2 S=$3
[ ! -f "$D/$N.kubeconfig" ] || exit 0
cd "$D/pki"
openssl ecparam -name prime256v1 -genkey -noout -out "user-$N.key" 2>/dev/null
openssl req -new -key "user-$N.key" -subj "$S" 2>/dev/null | openssl x509 -req -CA ca.crt -CAkey ca.key \
  -set_serial "0x$(openssl rand -hex 8)" -days 30 -out "user-$N.crt" \
  -extfile <(printf 'basicConstraints=CA:FALSE\nkeyUsage=digitalSignature\nextendedKeyUsage=clientAuth\n') 2>/dev/null
cat >"$D/.$N.kubeconfig" <<K
apiVersion: v1
kind: Config
clusters: [{name: test, cluster: {server: "$(sed -n 's/.*server: "\([^"]*\)".*/\1/p' "$D/kubeconfig")", certificate-authority-data: $(base64 -w0 ca.crt)}}]
users: [{name: "$N", user: {client-certificate-data: $(base64 -w0 "user-$N.crt"), client-key-data: $(base64 -w0 "user-$N.key")}}]
contexts: [{name: test, context: {cluster: test, user: "$N"}}]
current-context: test
K
mv "$D/.$N.kubeconfig" "$D/$N.kubeconfig"
