//! Which files the entries of `include` stand for.

use std::collections::HashSet;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use super::folder_of;
use crate::config::{self, Pattern, Step, TESTS_ENDING};

/// Names of folders that are looked at for one reading. `include: [/*/*/*.yaml]` would look at half of the disk.
const NAMES_MAX: usize = 20_000;
/// Names that are compared with one that is not there.
const NEAR_MAX: usize = 1000;

/// A place on the disk at which something may make a difference.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Looked {
    /// The folder.
    pub folder: PathBuf,
    /// The names in it that count.
    pub step: Step,
}

impl Looked {
    pub(super) fn file(path: &Path) -> Self {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        Self { folder: folder_of(path).to_owned(), step: Step::Name(name) }
    }
}

/// Finds files, and each once.
pub(super) struct Finder {
    /// The folder of routes.yaml, as its path is written; empty where it has none.
    base: PathBuf,
    /// Where links lead to: of routes.yaml itself, and of what was found.
    main: Option<PathBuf>,
    taken: HashSet<PathBuf>,
    names_left: usize,
}

/// What a pattern stands for.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Found {
    /// In order, without those that were found before.
    pub paths: Vec<PathBuf>,
    /// Whether there is any, also found before.
    pub any: bool,
}

impl Finder {
    pub fn new(main: &Path) -> Self {
        Self {
            base: main.parent().map(Path::to_owned).unwrap_or_default(),
            main: main.canonicalize().ok(),
            taken: HashSet::new(),
            names_left: NAMES_MAX,
        }
    }

    /// The files that a pattern stands for, in the order of their paths. Notes where it looked.
    ///
    /// # Errors
    /// Where a file is not there that is named in full, or a folder cannot be read: the reason, and how to mend it.
    pub fn find(&mut self, pattern: &Pattern, looked: &mut Vec<Looked>) -> Result<Found, (String, Option<String>)> {
        let mut paths = vec![if pattern.is_absolute { PathBuf::from("/") } else { self.base.clone() }];
        for (place, step) in pattern.steps.iter().enumerate() {
            let is_last = place + 1 == pattern.steps.len();
            let mut next = Vec::new();
            for folder in &paths {
                looked.push(Looked { folder: shown(folder), step: step.clone() });
                match step {
                    Step::Name(name) => next.push(folder.join(name)),
                    Step::Glob(_) => {
                        let names = self.names(&shown(folder), step).map_err(|reason| (reason, None))?;
                        let fits = |path: &PathBuf| if is_last { path.is_file() && !is_of_tests(path) } else { path.is_dir() };
                        next.extend(names.into_iter().map(|name| folder.join(name)).filter(fits));
                    }
                }
            }
            paths = next;
        }
        let mut found = Found::default();
        for path in paths {
            let canonical = match path.canonicalize() {
                Ok(canonical) if canonical.is_file() => canonical,
                // A link of a folder that is just being changed.
                _ if pattern.is_glob() => continue,
                Ok(canonical) if canonical.is_dir() => {
                    let hint = format!("`{}/*.yaml` takes the files in it", pattern.text);
                    return Err((format!("`{}` is a folder", pattern.text), Some(hint)));
                }
                Ok(_) => return Err((format!("`{}` is not a file", pattern.text), None)),
                Err(error) if error.kind() == ErrorKind::NotFound => {
                    return Err((format!("there is no file `{}`", pattern.text), self.near(pattern)));
                }
                Err(error) => return Err((format!("cannot read `{}`: {error}", pattern.text), None)),
            };
            if self.main.as_ref() == Some(&canonical) {
                if pattern.is_glob() {
                    continue;
                }
                return Err((format!("`{}` is this file itself", pattern.text), Some("take it out".to_owned())));
            }
            found.any = true;
            if self.taken.insert(canonical) {
                found.paths.push(path);
            }
        }
        Ok(found)
    }

    /// What may help where a pattern stands for nothing.
    pub fn near(&self, pattern: &Pattern) -> Option<String> {
        let mut folder = if pattern.is_absolute { PathBuf::from("/") } else { self.base.clone() };
        let (last, before) = pattern.steps.split_last()?;
        for step in before {
            let Step::Name(name) = step else { return None };
            folder.push(name);
            if !shown(&folder).exists() {
                let from = if pattern.is_absolute { "" } else { "; paths begin in the folder of this file" };
                return Some(format!("there is no folder `{}`{from}", folder.display()));
            }
        }
        let every = Step::Glob("*".to_owned());
        let mut finder = Self { base: PathBuf::new(), main: None, taken: HashSet::new(), names_left: NEAR_MAX };
        let names = finder.names(&shown(&folder), &every).ok()?;
        let is_of_rules = |name: &&String| [".yaml", ".yml", ".json"].iter().any(|ending| name.ends_with(ending));
        let others = |name: &&String| {
            let path = folder.join(name);
            path.is_file() && path.canonicalize().ok() != self.main && !is_of_tests(&path)
        };
        let names: Vec<&str> = names.iter().filter(is_of_rules).filter(others).map(String::as_str).collect();
        match last {
            Step::Name(name) => match config::near(name, names.iter().copied()) {
                Some(near) => Some(format!("did you mean `{}`?", written(pattern, near))),
                None if names.is_empty() => Some(format!("the folder `{}` holds no other files of rules", shown(&folder).display())),
                None => Some(format!("the folder `{}` holds {}", shown(&folder).display(), config::listed(&names))),
            },
            Step::Glob(_) if names.is_empty() => Some("that is fine where files are yet to come".to_owned()),
            Step::Glob(_) => Some(format!("the folder `{}` holds {}", shown(&folder).display(), config::listed(&names))),
        }
    }

    /// The names in a folder that fit, in order.
    fn names(&mut self, folder: &Path, step: &Step) -> Result<Vec<String>, String> {
        let cannot = |error: std::io::Error| format!("cannot read the folder {}: {error}", folder.display());
        let entries = match std::fs::read_dir(folder) {
            Ok(entries) => entries,
            Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => return Ok(Vec::new()),
            Err(error) => return Err(cannot(error)),
        };
        let mut names = Vec::new();
        for entry in entries {
            self.names_left = self
                .names_left
                .checked_sub(1)
                .ok_or_else(|| format!("its folders hold more than {NAMES_MAX} names, of {} the last", folder.display()))?;
            // A name that is not UTF-8 fits no pattern, which is text.
            names.extend(entry.map_err(cannot)?.file_name().into_string().ok().filter(|name| step.fits(name)));
        }
        names.sort_unstable();
        Ok(names)
    }
}

/// An empty path is the folder that the relay was started in.
fn shown(folder: &Path) -> PathBuf {
    if folder.as_os_str().is_empty() { PathBuf::from(".") } else { folder.to_owned() }
}

fn is_of_tests(path: &Path) -> bool {
    path.file_name().is_some_and(|name| name.to_string_lossy().ends_with(TESTS_ENDING))
}

/// The path of another file in the same folder.
fn written(pattern: &Pattern, name: &str) -> String {
    match pattern.text.rsplit_once('/') {
        Some((folder, _)) => format!("{folder}/{name}"),
        None => name.to_owned(),
    }
}
