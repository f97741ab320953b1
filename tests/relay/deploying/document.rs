//! A section of docs/deploy.md, whose commands are all to be run.

use std::cell::RefCell;

use crate::harness::repository;

/// A section and its blocks. Dropped, it makes sure that each of them was taken.
pub struct Section {
    title: &'static str,
    pub text: String,
    blocks: Vec<(String, String)>,
    taken: RefCell<Vec<bool>>,
}

impl Section {
    /// The section of docs/deploy.md under this heading.
    pub fn read(title: &'static str) -> Self {
        let document = std::fs::read_to_string(repository("docs/deploy.md")).unwrap();
        let heading = format!("\n## {title}\n");
        let text = document.split_once(&heading).unwrap_or_else(|| panic!("docs/deploy.md has no section `{title}`")).1;
        let text = text.split("\n## ").next().unwrap().to_owned();
        let fences: Vec<&str> = text.split("```").collect();
        let blocks: Vec<(String, String)> = fences
            .chunks(2)
            .filter_map(|pair| pair.get(1)?.split_once('\n'))
            .map(|(language, block)| (language.to_owned(), block.to_owned()))
            .collect();
        let taken = RefCell::new(vec![false; blocks.len()]);
        Self { title, text, blocks, taken }
    }

    /// The next block that holds these words: a block is taken once.
    #[track_caller]
    pub fn block(&self, words: &str) -> String {
        let mut taken = self.taken.borrow_mut();
        let place = (0..self.blocks.len()).find(|&place| !taken[place] && self.blocks[place].1.contains(words));
        let place = place.unwrap_or_else(|| panic!("`{}` has no (further) block with `{words}`", self.title));
        taken[place] = true;
        self.blocks[place].1.clone()
    }
}

impl Drop for Section {
    fn drop(&mut self) {
        if std::thread::panicking() {
            return;
        }
        for ((_, block), taken) in self.blocks.iter().zip(self.taken.borrow().iter()) {
            assert!(taken, "no test has run this block of `{}`:\n{block}", self.title);
        }
    }
}
