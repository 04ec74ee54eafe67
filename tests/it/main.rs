//! The one test binary of the kernel suite.
