//! The `larder-server` binary: reads the settings and runs a node until it is told to stop.

fn main() {}
