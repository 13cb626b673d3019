//! The parts of the engine that every request goes through.

fn main() {}
