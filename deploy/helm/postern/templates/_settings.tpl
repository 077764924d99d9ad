{{/* What the values say together: what no schema of a single value can. */}}
{{- define "postern.refuse" -}}
{{- if hasKey .Values "crds" -}}
{{- fail "crds: CustomResourceDefinitions are never part of this release, since uninstalling it would delete every Gateway and route of the cluster with them. Remove `crds`; the chart's README says how Gateway API's are installed." -}}
{{- end -}}
{{- range $path, $value := dict "admin.socket" "the chart chooses it, since its probes ask there" "metrics.address" "set `metrics.enabled`, `metrics.address` and `metrics.port` instead, which the Service and ServiceMonitor follow" "handover" "the chart sets it: the new pod of a node takes the sockets of the old one, which the kubelet then stops" "kubernetes.watch" "it is always true in this chart" "peers.service" "the chart names the Service that it makes" "manifests" "objects come from the cluster in this chart" "roles" "set `control.separate` instead, which gives each role its rights" -}}
{{- $at := $.Values.config -}}
{{- range splitList "." $path -}}{{- if kindIs "map" $at -}}{{- $at = get $at . -}}{{- end -}}{{- end -}}
{{- if $at -}}{{- fail (printf "config.%s: remove it; %s" $path $value) -}}{{- end -}}
{{- end -}}
{{- if and .Values.metrics.serviceMonitor.enabled (not .Values.metrics.enabled) -}}
{{- fail "metrics.serviceMonitor.enabled: there is nothing to collect from unless metrics.enabled is true" -}}
{{- end -}}
{{- if and .Values.service.enabled (not .Values.service.ports) -}}
{{- fail "service.ports: a Service has at least one port; set service.enabled to false for none" -}}
{{- end -}}
{{- end }}

{{/* Namespaces whose objects are read; empty for all. */}}
{{- define "postern.namespaces" -}}
{{- $kubernetes := default dict .Values.config.kubernetes -}}
{{- $namespaces := default list $kubernetes.namespaces -}}
{{- if kindIs "string" $namespaces -}}{{- $namespaces = splitList "," ($namespaces | nospace) -}}{{- end -}}
{{- toJson $namespaces -}}
{{- end }}

{{/*
How long a pod may take to end: the drain, then what Postern gives connections that it breaks off (5 s), the Lease that
is given back (2 s), and the rest for the kubelet. A duration is read by adding it to a date.
*/}}
{{- define "postern.gracePeriod" -}}
{{- $deadline := default "30s" .Values.config.drainDeadline | toString -}}
{{- $start := toDate "2006-01-02T15:04:05Z07:00" "2000-01-01T00:00:00Z" -}}
{{- $end := mustDateModify (printf "+%s" $deadline) $start -}}
{{- $least := add (sub (unixEpoch $end | int64) (unixEpoch $start | int64)) 15 -}}
{{- $said := .Values.terminationGracePeriodSeconds -}}
{{- if kindIs "invalid" $said -}}
{{- $least -}}
{{- else if lt (int64 $said) (int64 $least) -}}
{{- fail (printf "terminationGracePeriodSeconds: %d is less than config.drainDeadline (%s) and 15 seconds, so connections would be cut off; leave it out or give it at least %d" (int64 $said) $deadline (int64 $least)) -}}
{{- else -}}
{{- int64 $said -}}
{{- end -}}
{{- end }}

{{- define "postern.configuration" -}}
{{- toYaml .Values.config }}
{{- end }}

{{- define "postern.metricsAddress" -}}
{{- if contains ":" .Values.metrics.address -}}[{{ .Values.metrics.address }}]{{- else -}}{{ .Values.metrics.address }}{{- end -}}:{{ .Values.metrics.port }}
{{- end }}

{{/* Of both containers. The probes below read the socket from here, and so does `kubectl exec`. */}}
{{- define "postern.env" -}}
- name: POSTERN_ADMIN_SOCKET
  value: /run/admin/postern.sock
- name: POSTERN_METRICS_ADDRESS
  value: {{ if .Values.metrics.enabled }}{{ include "postern.metricsAddress" . | quote }}{{ else }}"off"{{ end }}
- name: POSTERN_NODE
  valueFrom: {fieldRef: {fieldPath: spec.nodeName}}
- name: POSTERN_PEERS_NAME
  valueFrom: {fieldRef: {fieldPath: metadata.name}}
- name: POSTERN_PEERS_ADDRESS
  value: ":{{ .Values.peers.port }}"
- name: POSTERN_PEERS_SERVICE
  value: {{ include "postern.fullname" . }}-peers
{{- end }}

{{- define "postern.probes" -}}
# Until the process answers. Whether it has objects to serve is the readiness probe's question: without an API server
# a restart would not help.
startupProbe:
  exec: {command: [/postern, probe, live]}
  periodSeconds: 1
  timeoutSeconds: 5
  failureThreshold: 60
readinessProbe:
  exec: {command: [/postern, probe, ready]}
  periodSeconds: 5
  timeoutSeconds: 5
  failureThreshold: 2
livenessProbe:
  exec: {command: [/postern, probe, live]}
  periodSeconds: 20
  timeoutSeconds: 5
  failureThreshold: 3
{{- end }}
