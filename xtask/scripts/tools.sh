#!/usr/bin/env bash
# Builds test tools from Go modules, at pinned versions. tools.sh NAME... of: h2spec helm vegeta
. "$(dirname "$0")/common.sh"
for t in "$@"; do
  case $t in
    h2spec) m=github.com/summerwind/h2spec v=${H2SPEC_VERSION:-v2.2.1+incompatible} p=$m/cmd/h2spec ;;
    helm) m=helm.sh/helm/v3 v=${HELM_VERSION:-v3.20.2} p=$m/cmd/helm ;;
    vegeta) m=github.com/tsenart/vegeta/v12 v=${VEGETA_VERSION:-v12.12.0} p=$m ;;
    *) echo "unknown: $t" >&2; exit 2 ;;
  esac
  printf 'module peers/%s\n\ngo 1.25.0\n\nrequire %s %s\n' "$t" "$m" "$v" | gomod "$SRC/$t"
  have "$t" "$v" || build "$SRC/$t" "$t" "$v" "$p" || { echo "$t: not built"; continue; }
  echo "$t $v"
done
