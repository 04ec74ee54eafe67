//! Names that a person mistyped: "did you mean".

/// The names that are nearest to a mistyped one, best first, at most three, as a sentence; `None` if none is near.
pub fn did_you_mean<'a>(typed: &str, known: impl IntoIterator<Item = &'a str>) -> Option<String> {
    /// Longer than any name: comparing it would only cost time.
    const LONGEST: usize = 80;
    if typed.len() > LONGEST {
        return None;
    }
    let lower = typed.to_lowercase();
    let mut near: Vec<(f64, &str)> = known
        .into_iter()
        .filter_map(|name| {
            let score = strsim::jaro_winkler(&lower, name);
            let edits = strsim::damerau_levenshtein(&lower, name);
            // A short word has few letters to go wrong in; a long one may hold the other or miss a part.
            let part = lower.len() >= 4 && (name.contains(&lower) || lower.contains(name) && name.len() >= 4);
            (edits <= 1 + name.len() / 5 && edits < lower.len().min(name.len()) || score > 0.93 || part)
                .then_some((score, name))
        })
        .collect();
    near.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(b.1)));
    near.dedup();
    near.truncate(3);
    let quoted: Vec<String> = near.iter().map(|(_, name)| format!("`{name}`")).collect();
    match quoted.as_slice() {
        [] => None,
        [one] => Some(format!("did you mean {one}?")),
        [first @ .., last] => Some(format!("did you mean {} or {last}?", first.join(", "))),
    }
}

/// Names as a list in a sentence: "`a`, `b` or `c`".
#[must_use]
pub fn one_of(names: &[&str]) -> String {
    let quoted: Vec<String> = names.iter().map(|name| format!("`{name}`")).collect();
    match quoted.as_slice() {
        [] => "nothing".to_owned(),
        [one] => one.clone(),
        [first @ .., last] => format!("{} or {last}", first.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn near_names_are_suggested_and_far_ones_are_not() {
        let known = ["unity-connection", "cce-router", "cce-logger", "vvb"];
        let suggest = |typed| did_you_mean(typed, known);
        assert_eq!(suggest("unity-conection").as_deref(), Some("did you mean `unity-connection`?"));
        assert_eq!(suggest("router").as_deref(), Some("did you mean `cce-router`?"));
        assert_eq!(suggest("vbv").as_deref(), Some("did you mean `vvb`?"));
        assert_eq!(suggest("exchange"), None);
        assert_eq!(suggest(""), None);
    }

    #[test]
    fn a_list_reads_as_a_sentence() {
        assert_eq!(one_of(&["a"]), "`a`");
        assert_eq!(one_of(&["a", "b", "c"]), "`a`, `b` or `c`");
    }
}
