//! Development tasks: `cargo xtask setup|test|demo|bench`.
fn main() {}
