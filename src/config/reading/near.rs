//! Which of some names was probably meant by another: `did you mean`.

/// Words longer than this are not compared to find a near one.
const NEAR_BYTES_MAX: usize = 64;

/// What two names have in common at their beginning, up to the last end of a word in it: `data.` of `data.others` and `data.over`. It says
/// nothing of how near they are.
fn common_words(one: &str, other: &str) -> usize {
    let common = one.bytes().zip(other.bytes()).take_while(|(one, other)| one == other).count();
    let common = one.as_bytes().get(..common).unwrap_or_default();
    common.iter().rposition(|byte| matches!(byte, b'.' | b'-' | b'_' | b'/' | b' ')).map_or(0, |last| last + 1)
}

/// How many letters of a name may be wrong: one of two, if it is not the first, one of five, two of eight.
fn slips_max(word: &str, candidate: &str) -> usize {
    let longer = word.chars().count().max(candidate.chars().count());
    if longer < 3 { usize::from(word.chars().next() == candidate.chars().next()) } else { longer / 3 }
}

/// How far `word` is from `candidate`, both in small letters; `None` where it is no slip of it.
fn slips(word: &str, candidate: &str) -> Option<usize> {
    let common = common_words(word, candidate);
    let (word, candidate) = (word.get(common..)?, candidate.get(common..)?);
    let max = slips_max(word, candidate);
    // The difference in length alone is that distance at least.
    let is_worth_it = word.chars().count().abs_diff(candidate.chars().count()) <= max;
    is_worth_it.then(|| strsim::damerau_levenshtein(word, candidate)).filter(|distance| *distance <= max)
}

/// The one of `candidates` that `word` is probably a slip of.
pub(crate) fn near<'c>(word: &str, candidates: impl Iterator<Item = &'c str>) -> Option<&'c str> {
    if word.len() > NEAR_BYTES_MAX {
        return None;
    }
    let lower = word.to_lowercase();
    let candidates: Vec<&str> = candidates.collect();
    // `retries` is more like `replies` by its letters, and means `retry`.
    let is_plural = |candidate: &&&str| candidate.strip_suffix('y').is_some_and(|stem| lower.strip_prefix(stem) == Some("ies"));
    if let Some(singular) = candidates.iter().find(is_plural) {
        return Some(singular);
    }
    candidates
        .into_iter()
        .filter(|candidate| candidate.len() <= NEAR_BYTES_MAX)
        .filter_map(|candidate| Some((slips(&lower, &candidate.to_lowercase())?, candidate)))
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

#[cfg(test)]
mod tests {
    use super::near;

    #[test]
    fn only_what_is_near_is_suggested() {
        for (word, candidates, wanted) in [
            ("data.others", &["data.over", "data.status"][..], None),
            ("data.emial", &["data.email"], Some("data.email")),
            ("data.email_staus", &["data.email_status"], Some("data.email_status")),
            ("statuss.code", &["status.code"], Some("status.code")),
            ("datas.name", &["data.name"], Some("data.name")),
            ("slack-sales", &["slack-ops", "slack-log"], None),
            ("slack-opps", &["slack-ops", "slack-log"], Some("slack-ops")),
            ("crm-eu", &["crm-us", "crm-emea"], None),
            ("crm", &["cms", "crn"], Some("crn")),
            ("ci", &["to", "id"], None),
            ("tp", &["to"], Some("to")),
            ("too", &["to"], Some("to")),
            ("SLACK", &["slack"], Some("slack")),
            ("retries", &["replies", "retry"], Some("retry")),
        ] {
            assert_eq!(near(word, candidates.iter().copied()), wanted, "{word}");
        }
    }
}
