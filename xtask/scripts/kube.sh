#!/usr/bin/env bash
# Builds Kubernetes from its Go modules into $PEERS/bin. kube.sh [COMPONENT...], of kube-apiserver, kubectl (the default
# two), kube-controller-manager, kube-scheduler, kubelet, kube-proxy.
. "$(dirname "$0")/common.sh"
V=${KUBE_VERSION:-v1.35.4}
# The staging modules, v0.35.4 for v1.35.4: k8s.io/kubernetes refers to them by path, so each is replaced.
S=v0.${V#v1.}
[ $# -gt 0 ] || set -- kube-apiserver kubectl
staging="api apiextensions-apiserver apimachinery apiserver cli-runtime client-go cloud-provider cluster-bootstrap
 code-generator component-base component-helpers controller-manager cri-api cri-client csi-translation-lib
 dynamic-resource-allocation endpointslice externaljwt kms kube-aggregator kube-controller-manager kube-proxy
 kube-scheduler kubectl kubelet metrics mount-utils pod-security-admission sample-apiserver sample-cli-plugin sample-controller"
case $V in v1.3[6-9].*) staging="$staging cri-streaming streaming" ;; esac
{
  printf 'module peers/kube\n\ngo 1.25.0\n\nrequire k8s.io/kubernetes %s\n\nreplace (\n' "$V"
  for m in $staging; do printf '\tk8s.io/%s => k8s.io/%s %s\n' "$m" "$m" "$S"; done
  printf ')\n'
} | gomod "$SRC/kube"
v=k8s.io/component-base/version
minor=${V#v1.}
flags="-X $v.gitVersion=$V -X $v.gitMajor=1 -X $v.gitMinor=${minor%%.*} -X $v.gitTreeState=clean"
for c in "$@"; do
  if have "$c" "$V"; then echo "$c $V (already built)"; else build "$SRC/kube" "$c" "$V" "k8s.io/kubernetes/cmd/$c" "$flags"; fi
done
