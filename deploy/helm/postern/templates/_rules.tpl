{{/*
What Postern may do, one rule per need. Kinds are those of config/src/kubernetes/object; a test starts Postern with
these rights and no more, and asks for each kind.
*/}}
{{- define "postern.readNamespaced" -}}
# Routes of every API that is served.
- apiGroups: [networking.k8s.io]
  resources: [ingresses]
  verbs: [get, list, watch]
- apiGroups: [gateway.networking.k8s.io]
  resources: [gateways, httproutes, grpcroutes, tlsroutes, backendtlspolicies, referencegrants]
  verbs: [get, list, watch]
- apiGroups: [traefik.io]
  resources: [middlewares, middlewaretcps, ingressroutes, ingressroutetcps, serverstransports]
  verbs: [get, list, watch]
# Addresses to give out, and who announces them.
- apiGroups: [metallb.io]
  resources: [ipaddresspools, l2advertisements]
  verbs: [get, list, watch]
# Where routes lead to, and who wants an address.
- apiGroups: [""]
  resources: [services]
  verbs: [get, list, watch]
- apiGroups: [discovery.k8s.io]
  resources: [endpointslices]
  verbs: [get, list, watch]
# Certificates, credentials and authorities that routes name, wherever they are. Lists and watches are of metadata
# alone, and content is asked for only where an object refers to it; RBAC cannot tell these apart.
- apiGroups: [""]
  resources: [secrets, configmaps]
  verbs: [get, list, watch]
{{- end }}

{{- define "postern.readCluster" -}}
# Which classes are ours.
- apiGroups: [networking.k8s.io]
  resources: [ingressclasses]
  verbs: [get, list, watch]
- apiGroups: [gateway.networking.k8s.io]
  resources: [gatewayclasses]
  verbs: [get, list, watch]
# Labels, by which listeners choose the namespaces whose routes they take.
- apiGroups: [""]
  resources: [namespaces]
  verbs: [get, list, watch]
# Which nodes may announce addresses.
- apiGroups: [""]
  resources: [nodes]
  verbs: [get, list, watch]
# Whether another edge runs, once at each start: without it Postern observes unless it is told to own.
- apiGroups: [""]
  resources: [pods]
  verbs: [list]
# Whether a kind that the API server does not find is really not installed, and of which release Gateway API is.
- apiGroups: [apiextensions.k8s.io]
  resources: [customresourcedefinitions]
  resourceNames:
    - gatewayclasses.gateway.networking.k8s.io
    - gateways.gateway.networking.k8s.io
    - httproutes.gateway.networking.k8s.io
    - grpcroutes.gateway.networking.k8s.io
    - tlsroutes.gateway.networking.k8s.io
    - backendtlspolicies.gateway.networking.k8s.io
    - referencegrants.gateway.networking.k8s.io
    - middlewares.traefik.io
    - ingressroutes.traefik.io
    - ingressroutetcps.traefik.io
    - middlewaretcps.traefik.io
    - serverstransports.traefik.io
    - ipaddresspools.metallb.io
    - l2advertisements.metallb.io
  verbs: [get]
{{- end }}

{{- define "postern.writeNamespaced" -}}
# Addresses and conditions. Only of the kinds whose status says something of us.
- apiGroups: [networking.k8s.io]
  resources: [ingresses/status]
  verbs: [update, patch]
- apiGroups: [gateway.networking.k8s.io]
  resources: [gateways/status, httproutes/status, grpcroutes/status, tlsroutes/status, backendtlspolicies/status]
  verbs: [update, patch]
# The addresses of Services, with the annotation that names their pool, and how much of a pool is in use.
- apiGroups: [""]
  resources: [services/status]
  verbs: [update, patch]
- apiGroups: [metallb.io]
  resources: [ipaddresspools/status]
  verbs: [update, patch]
# Which node announces which Service, as MetalLB's users look it up; nothing is decided by it.
- apiGroups: [metallb.io]
  resources: [servicel2statuses]
  verbs: [list, create, delete]
- apiGroups: [metallb.io]
  resources: [servicel2statuses/status]
  verbs: [patch]
# What happened, where a person looks first; patched when it happens again.
- apiGroups: [events.k8s.io]
  resources: [events]
  verbs: [create, patch]
{{- end }}

{{- define "postern.writeCluster" -}}
# That a class is ours.
- apiGroups: [gateway.networking.k8s.io]
  resources: [gatewayclasses/status]
  verbs: [update, patch]
# Whether another Postern speaks for the same classes: two would quarrel over status. Its namespace is not known.
- apiGroups: [coordination.k8s.io]
  resources: [leases]
  verbs: [list]
{{- end }}

{{- define "postern.readOwn" -}}
# The key of the link between nodes.
- apiGroups: [""]
  resources: [secrets]
  resourceNames: [postern-peer-key]
  verbs: [get, list, watch]
# The other nodes' Posterns.
- apiGroups: [discovery.k8s.io]
  resources: [endpointslices]
  verbs: [get, list, watch]
{{- end }}

{{- define "postern.readLease" -}}
# The Lease whose holder the others speak to.
- apiGroups: [coordination.k8s.io]
  resources: [leases]
  resourceNames: [postern]
  verbs: [get, list, watch]
{{- end }}

{{- define "postern.writeLease" -}}
# The Lease whose holder writes. A name cannot limit who creates.
- apiGroups: [coordination.k8s.io]
  resources: [leases]
  verbs: [create]
- apiGroups: [coordination.k8s.io]
  resources: [leases]
  resourceNames: [postern]
  verbs: [get, update, patch]
{{- end }}

{{- define "postern.writeOwn" -}}
# The key of the link between nodes, made once and changed now and then.
- apiGroups: [""]
  resources: [secrets]
  verbs: [create]
- apiGroups: [""]
  resources: [secrets]
  resourceNames: [postern-peer-key]
  verbs: [get, update, patch]
{{- end }}

{{/* Given the name of a Service. */}}
{{- define "postern.adopt" -}}
# To lead the adopted Service to the nodes that run Postern: EndpointSlices of its own beside those that are there.
- apiGroups: [""]
  resources: [services]
  resourceNames: [{{ . }}]
  verbs: [get, list, watch]
- apiGroups: [discovery.k8s.io]
  resources: [endpointslices]
  verbs: [get, list, watch, create]
- apiGroups: [discovery.k8s.io]
  resources: [endpointslices]
  resourceNames: [postern-{{ . }}-ipv4, postern-{{ . }}-ipv6]
  verbs: [update, delete]
{{- end }}
