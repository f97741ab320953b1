//! The files that rules are made of: routes.yaml, and those that it includes. Reading them is [`crate::rules_file`]'s.

use sha2::{Digest, Sha256};

use super::finding::Severity;

/// Files that `include` may bring: a file a team, or a file a customer.
pub const INCLUDED_MAX: usize = 500;
/// Bytes of all files together: room for ten thousand routes of 400 bytes, in however many files. (A Kubernetes ConfigMap holds 1 MiB.)
pub const BYTES_MAX: usize = 4 * 1024 * 1024;

/// One of the files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RuleFile {
    /// How it is named in findings: as it was given, or as `include` leads to it.
    pub name: String,
    /// What it holds.
    pub text: String,
}

/// What is wrong with an entry of `include`, as far as it takes a look at the disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trouble {
    /// The entry's place in the list.
    pub entry: usize,
    /// Whether the rules can do without it.
    pub severity: Severity,
    /// What is wrong.
    pub message: String,
    /// How to mend it.
    pub hint: Option<String>,
}

/// A routes.yaml with the files that it includes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RuleFiles {
    /// routes.yaml itself.
    pub main: RuleFile,
    /// The included ones, in the order of their routes.
    pub included: Vec<RuleFile>,
    /// What kept others from being read.
    pub troubles: Vec<Trouble>,
}

impl RuleFiles {
    /// A routes.yaml by itself: what it includes is not read.
    pub fn one(name: impl Into<String>, text: impl Into<String>) -> Self {
        Self { main: RuleFile { name: name.into(), text: text.into() }, included: Vec::new(), troubles: Vec::new() }
    }

    /// All of them, routes.yaml first.
    pub fn iter(&self) -> impl Iterator<Item = &RuleFile> {
        std::iter::once(&self.main).chain(&self.included)
    }

    /// What a file of this name holds; empty where there is none.
    pub fn text_of(&self, name: &str) -> &str {
        self.iter().find(|file| file.name == name).map_or("", |file| file.text.as_str())
    }

    /// The version of these rules: the first 12 hexadecimal digits of the SHA-256 of routes.yaml. Where it includes others: of each one's
    /// name and text, and of what is wrong with `include`, so that a file that comes or goes makes another version.
    pub fn version(&self) -> String {
        let mut digest = Sha256::new();
        digest.update(self.main.text.as_bytes());
        for RuleFile { name, text } in &self.included {
            // The lengths keep `ab` and `c` apart from `a` and `bc`.
            digest.update(format!("\0{} {} {name}", name.len(), text.len()).as_bytes());
            digest.update(text.as_bytes());
        }
        for Trouble { entry, message, .. } in &self.troubles {
            digest.update(format!("\0{entry} {message}").as_bytes());
        }
        digest.finalize().iter().take(6).map(|byte| format!("{byte:02x}")).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn files(included: &[(&str, &str)]) -> RuleFiles {
        let included = included.iter().map(|(name, text)| RuleFile { name: (*name).into(), text: (*text).into() });
        RuleFiles { included: included.collect(), ..RuleFiles::one("routes.yaml", "main") }
    }

    #[test]
    fn every_difference_makes_another_version() {
        let missing = Trouble { entry: 0, severity: Severity::Error, message: "no file".into(), hint: None };
        let versions = [
            files(&[]),
            files(&[("a", "bc")]),
            files(&[("ab", "c")]),
            files(&[("a", "b"), ("c", "")]),
            files(&[("a", ""), ("bc", "")]),
            files(&[("bc", ""), ("a", "")]),
            RuleFiles { troubles: vec![missing], ..files(&[]) },
        ];
        let distinct: std::collections::BTreeSet<String> = versions.iter().map(RuleFiles::version).collect();
        assert_eq!(distinct.len(), versions.len());
        assert_eq!(files(&[]).version(), crate::config::version("main"), "a file by itself has the version of its text");
    }
}
