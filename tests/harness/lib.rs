//! Harness of the kernel suite.
