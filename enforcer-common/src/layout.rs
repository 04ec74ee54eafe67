//! Layouts of what lives in BPF maps.
