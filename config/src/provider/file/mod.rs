//! A directory of YAML and JSON documents, hot-reloaded.
