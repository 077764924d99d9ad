//! Objects → (Snapshot, Report), incrementally. Pure, and cannot fail: one broken object costs only itself.
