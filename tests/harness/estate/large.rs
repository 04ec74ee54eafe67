//! An estate of hundreds of hosts, made of several deployments like the reference estate.

use std::fmt::Write as _;

/// Copies of the hosts of the reference estate beside them, each a deployment of its own, and so many more prefixes under `outside:`.
///
/// # Panics
/// When the reference estate is not written as it was.
#[must_use]
pub fn large(reference: &str, copies: usize, prefixes: usize) -> String {
    let (head, rest) = reference.split_once("\nhosts:\n").expect("it lists hosts");
    let (hosts, tail) = rest.split_once("\nlimit:\n").expect("`limit` follows the hosts");
    let mut text = String::new();
    let nets: Vec<String> =
        (0..prefixes).map(|number| format!("100.{}.{}.0/24", 64 + number / 100, number % 100 * 2)).collect();
    let (phones, workstations) = nets.split_at(prefixes / 2);
    for line in head.lines() {
        let more = match line.split_once(": [").map(|(name, _)| name.trim()) {
            Some("phones") => phones,
            Some("client-workstations") => workstations,
            _ => &[],
        };
        let more: String = more.iter().map(|net| format!(", {net}")).collect();
        // Writing to a string cannot fail.
        let _ =
            writeln!(text, "{}", if more.is_empty() { line.to_owned() } else { line.replacen(']', &(more + "]"), 1) });
    }
    text += "hosts:\n";
    for copy in 0..=copies {
        hosts.lines().for_each(|line| text += &(moved(line, copy) + "\n"));
    }
    text + "limit:\n" + tail
}

/// A line of a host, for another deployment.
fn moved(line: &str, copy: usize) -> String {
    if copy == 0 || line.trim_start().starts_with('#') {
        return line.to_owned();
    }
    let mut line = line.replace("10.10.", &format!("10.{}.", 100 + copy));
    line =
        line.replace("2001:db8:1:", &format!("2001:db8:{}:", copy + 1)).replace("0a:00:0", &format!("0a:{copy:02x}:0"));
    let is_host = line.starts_with("  ") && !line.starts_with("   ");
    if is_host && let Some((name, rest)) = line.split_once(':') {
        line = format!("{name}-{copy}:{rest}");
    }
    for key in ["host: ", "cluster: ", "network: "] {
        line = with_values(&line, key, |name| format!("{name}-{copy}"));
    }
    with_values(&line, "instance: ", |number| {
        number.parse().map_or(number.to_owned(), |old: usize| (old + 2 * copy).to_string())
    })
}

/// A line with the values behind a key changed.
fn with_values(line: &str, key: &str, change: impl Fn(&str) -> String) -> String {
    let mut parts = line.split(key);
    let mut changed = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let end = part.find([',', '}', ']']).unwrap_or(part.len());
        changed += key;
        changed += &change(&part[..end]);
        changed += &part[end..];
    }
    changed
}
