//! Rules of the engine that no single part can show.
