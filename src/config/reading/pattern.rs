//! An entry of `include`: a path, in which `*` and `?` may stand for what a name holds.

use super::units::Unreadable;
use crate::config::findings::finding::quoted;

/// What the name of an included file ends with. A secret's file that is named by mistake would be shown line by line in findings.
const ENDINGS: [&str; 3] = [".yaml", ".yml", ".json"];
/// What the name of a file of tests ends with: `wiza-relay test` reads those by itself.
pub const TESTS_ENDING: &str = ".test.yaml";
/// Steps of a path. Each with a `*` in it is a walk through a folder.
const STEPS_MAX: usize = 32;

/// A path that may stand for several.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pattern {
    /// As it is written.
    pub text: String,
    /// From the root of the file system, and not from the folder of routes.yaml.
    pub is_absolute: bool,
    /// The names on the way, the file's last.
    pub steps: Vec<Step>,
}

/// A name on the way of a [`Pattern`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// This name.
    Name(String),
    /// Every name that fits.
    Glob(String),
}

impl Pattern {
    pub(in crate::config) fn parse(text: &str) -> Result<Self, Unreadable> {
        let wrong = |reason: &str, hint: String| Err(Unreadable { reason: reason.to_owned(), hint });
        if text.chars().any(char::is_control) {
            return wrong("holds a control character", "write the path of a file".to_owned());
        }
        if text.contains("://") {
            return wrong("is a URL", "only files are included; bring it here first".to_owned());
        }
        let name = text.rsplit('/').next().unwrap_or_default();
        if matches!(name, "" | "." | "..") {
            let folder = text.trim_end_matches('/');
            return wrong("is a folder", format!("`{folder}/*.yaml` takes the files in it"));
        }
        if text.contains("**") {
            return wrong("holds `**`", "`*` stands for a name on one level: `teams/*/routes.yaml`".to_owned());
        }
        if let Some(character) = text.chars().find(|c| "[]{}".contains(*c)) {
            let reason = format!("holds {}", quoted(&character.to_string()));
            return wrong(&reason, "only `*` and `?` have a meaning in a path; name other files one by one".to_owned());
        }
        if !ENDINGS.iter().any(|ending| name.ends_with(ending)) {
            let reason = "does not end as a file of rules does";
            return wrong(reason, format!("`.yaml`, `.yml` or `.json`: `{}.yaml`", text.trim_end_matches(['.', '*'])));
        }
        let step = |name: &str| if name.contains(['*', '?']) { Step::Glob(name.to_owned()) } else { Step::Name(name.to_owned()) };
        let steps: Vec<Step> = text.split('/').filter(|name| !matches!(*name, "" | ".")).map(step).collect();
        if steps.len() > STEPS_MAX {
            return wrong(&format!("has more than {STEPS_MAX} names"), "take a shorter path".to_owned());
        }
        Ok(Self { text: text.to_owned(), is_absolute: text.starts_with('/'), steps })
    }

    /// Whether it may stand for several files.
    pub fn is_glob(&self) -> bool {
        self.steps.iter().any(|step| matches!(step, Step::Glob(_)))
    }
}

impl Step {
    /// Whether it stands for this name. A `*` or `?` stands for no hidden one: in a folder that Kubernetes fills, `..data` leads to the
    /// same files a second time.
    pub fn fits(&self, name: &str) -> bool {
        match self {
            Self::Name(own) => own == name,
            Self::Glob(glob) => (!name.starts_with('.') || glob.starts_with('.')) && fits(glob, name),
        }
    }
}

/// `*` is any text, `?` any character. Goes back to the last `*` only, so that the time grows with the product of the lengths at most.
fn fits(glob: &str, name: &str) -> bool {
    let (glob, name): (Vec<char>, Vec<char>) = (glob.chars().collect(), name.chars().collect());
    let (mut g, mut n) = (0, 0);
    let mut back: Option<(usize, usize)> = None;
    while n < name.len() {
        match glob.get(g) {
            Some('*') => {
                back = Some((g, n));
                g += 1;
            }
            Some(character) if *character == '?' || name.get(n) == Some(character) => {
                g += 1;
                n += 1;
            }
            _ => match back {
                Some((star, taken)) => {
                    back = Some((star, taken + 1));
                    (g, n) = (star + 1, taken + 1);
                }
                None => return false,
            },
        }
    }
    glob.iter().skip(g).all(|character| *character == '*')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn globs_stand_for_names() {
        for (glob, fitting, others) in [
            ("*.yaml", vec!["a.yaml", "crm.eu.yaml"], vec!["a.yml", ".yaml", ".a.yaml", "..data.yaml", "yaml"]),
            ("crm-*.yaml", vec!["crm-.yaml", "crm-a.yaml"], vec!["crm.yaml", "a-crm-.yaml"]),
            ("?.yaml", vec!["a.yaml", "\u{e9}.yaml"], vec![".yaml", "ab.yaml"]),
            ("*a*b.yaml", vec!["ab.yaml", "aab.yaml", "xaxabxb.yaml"], vec!["ba.yaml", "a.yaml"]),
            (".*.yaml", vec![".a.yaml"], vec!["a.yaml"]),
        ] {
            let step = Step::Glob(glob.to_owned());
            assert!(fitting.iter().all(|name| step.fits(name)), "{glob}");
            assert!(!others.iter().any(|name| step.fits(name)), "{glob}");
        }
        let hostile = Step::Glob("*a".repeat(60) + ".yaml");
        assert!(!hostile.fits(&"a".repeat(255)));
    }

    #[test]
    fn only_files_of_rules_can_be_named() {
        for fine in ["crm.yaml", "crm/*.yaml", "./a.yml", "../shared/a.json", "/etc/wiza-relay/routes.d/*.yaml", "teams/*/routes.yaml"] {
            assert!(Pattern::parse(fine).is_ok(), "{fine}");
        }
        for (wrong, words) in [
            ("", "is a folder"),
            ("crm/", "is a folder"),
            ("..", "is a folder"),
            ("crm/*", "does not end"),
            ("/run/secrets/token", "does not end"),
            ("crm/**/*.yaml", "`**`"),
            ("crm/[ab].yaml", "`[`"),
            ("https://h/a.yaml", "is a URL"),
            ("a\n.yaml", "a control character"),
        ] {
            let error = Pattern::parse(wrong).unwrap_err();
            assert!(error.reason.contains(words), "{wrong}: {}", error.reason);
        }
    }
}
