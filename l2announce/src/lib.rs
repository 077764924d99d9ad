//! Attracting: which node answers for a virtual address (ARP, NDP; later BGP). Knows addresses and links, nothing of
//! HTTP or of cluster objects. Empty until addresses are announced; what it will hold is in docs/ARCHITECTURE.md.
