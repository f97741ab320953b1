//! Which values a template prints, or works with, without a way out for the day when they are null or absent.
//!
//! The ways out are `default(..., true)`, `or`, and an `if` around it that asks for the value. What cannot be followed (what a
//! macro or a loop is given) is left out: a warning has to be right.

use crate::condition::Step;

use super::expression::{Argument, Node, Shape, Statement};
use super::reads::Read;

/// Reads the statements of a template in their order.
#[derive(Default)]
pub(super) struct Hazards {
    /// One for each open block: the paths that its conditions ask for.
    blocks: Vec<Vec<Path>>,
    /// What the conditions around the value ask for that is visited, within its own tag.
    asked: Vec<Path>,
    /// The names that stand for a path: `{% set name = data.name %}`.
    aliases: Vec<(String, Path)>,
    found: Vec<Read>,
}

/// A root name and the steps from it.
type Path = (String, Vec<Step>);

/// What a value may be where it stands.
#[derive(Clone, Copy)]
struct Bears {
    null: bool,
    absence: bool,
}

impl Bears {
    const NOTHING: Self = Self { null: false, absence: false };
    const BOTH: Self = Self { null: true, absence: true };
}

impl Hazards {
    /// The paths that were found, with their places in the scalar.
    pub(super) fn found(self) -> Vec<Read> {
        self.found
    }

    pub(super) fn read(&mut self, statement: &Statement<'_>, offset: &impl Fn(usize) -> usize) {
        match statement {
            Statement::Print(node) => self.visit(node, Bears::NOTHING, offset),
            Statement::If(condition) => {
                self.visit(condition, Bears::BOTH, offset);
                self.blocks.push(self.mentioned(condition));
            }
            // What an `if` asks for, its other branches know as well.
            Statement::ElseIf(condition) => {
                self.visit(condition, Bears::BOTH, offset);
                let mentioned = self.mentioned(condition);
                if let Some(block) = self.blocks.last_mut() {
                    block.extend(mentioned);
                }
            }
            Statement::For { targets, list, condition } => {
                self.visit(list, Bears::NOTHING, offset);
                self.aliases.retain(|(alias, _)| !targets.contains(&alias.as_str()));
                condition.iter().for_each(|condition| self.visit(condition, Bears::BOTH, offset));
                let mentioned = condition.as_ref().map_or_else(Vec::new, |condition| self.mentioned(condition));
                self.blocks.push(mentioned);
            }
            Statement::Bind { opens_block, pairs } => {
                for (targets, values) in pairs {
                    values.iter().for_each(|value| self.visit(value, Bears::BOTH, offset));
                    if let ([target], [value]) = (targets.as_slice(), values.as_slice()) {
                        self.aliases.retain(|(alias, _)| alias != target);
                        let path = self.path_of(value);
                        self.aliases.extend(path.map(|path| ((*target).to_owned(), path)));
                    }
                }
                self.blocks.extend(opens_block.then(Vec::new));
            }
            Statement::Evaluate { opens_block, nodes } => {
                nodes.iter().for_each(|node| self.visit(node, Bears::BOTH, offset));
                self.blocks.extend(opens_block.then(Vec::new));
            }
            Statement::End => {
                self.blocks.pop();
            }
            Statement::Else | Statement::Other => {}
        }
    }

    fn visit(&mut self, node: &Node<'_>, bears: Bears, offset: &impl Fn(usize) -> usize) {
        if let Some(path) = self.path_of(node) {
            self.note(node, path, bears, offset);
            return;
        }
        match &node.shape {
            Shape::Number | Shape::Quoted(_) | Shape::Boolean | Shape::Null | Shape::Name(_) => {}
            Shape::Group(inner) => self.visit(inner, bears, offset),
            // Of what a filter or a call gives; what an index is made of may be anything.
            Shape::Attribute { of, .. } => self.visit(of, Bears::NOTHING, offset),
            Shape::Item { of, index } => {
                self.visit(of, Bears::NOTHING, offset);
                self.visit(index, Bears::BOTH, offset);
            }
            Shape::Slice { of, bounds } => {
                self.visit(of, Bears::NOTHING, offset);
                bounds.iter().for_each(|bound| self.visit(bound, Bears::NOTHING, offset));
            }
            Shape::Call { callee, arguments } => {
                self.visit(callee, Bears::BOTH, offset);
                self.arguments(arguments, Bears::BOTH, offset);
            }
            Shape::Filter { input, name, arguments } => {
                let [input_bears, arguments_bear] = filter_bears(name.text, arguments, bears);
                input.iter().for_each(|input| self.visit(input, input_bears, offset));
                self.arguments(arguments, arguments_bear, offset);
            }
            Shape::Test { subject, arguments, .. } => {
                self.visit(subject, Bears::BOTH, offset);
                self.arguments(arguments, Bears::BOTH, offset);
            }
            Shape::Not(operand) => self.visit(operand, Bears::BOTH, offset),
            Shape::Negative(operand) => self.visit(operand, Bears::NOTHING, offset),
            Shape::Arithmetic { left, right, .. } | Shape::Joined { left, right } => {
                self.visit(left, Bears::NOTHING, offset);
                self.visit(right, Bears::NOTHING, offset);
            }
            Shape::And(left, right) | Shape::Or(left, right) => {
                self.visit(left, Bears::BOTH, offset);
                self.under(left, |hazards| hazards.visit(right, bears, offset));
            }
            Shape::Comparison { first, rest } => {
                self.visit(first, Bears::BOTH, offset);
                rest.iter().for_each(|(.., operand)| self.visit(operand, Bears::BOTH, offset));
            }
            Shape::Conditional { then, condition, otherwise } => {
                self.visit(condition, Bears::BOTH, offset);
                self.under(condition, |hazards| {
                    hazards.visit(then, bears, offset);
                    otherwise.iter().for_each(|node| hazards.visit(node, bears, offset));
                });
            }
            // `[data.a, data.b] | select | join` drops what is null.
            Shape::Collection(items) => items.iter().for_each(|item| self.visit(item, Bears::BOTH, offset)),
        }
    }

    fn arguments(&mut self, arguments: &[Argument<'_>], bears: Bears, offset: &impl Fn(usize) -> usize) {
        arguments.iter().for_each(|argument| self.visit(&argument.value, bears, offset));
    }

    /// Visits what is evaluated only after a condition was.
    fn under(&mut self, condition: &Node<'_>, visit: impl FnOnce(&mut Self)) {
        let before = self.asked.len();
        let mentioned = self.mentioned(condition);
        self.asked.extend(mentioned);
        visit(self);
        self.asked.truncate(before);
    }

    fn note(&mut self, node: &Node<'_>, path: Path, bears: Bears, offset: &impl Fn(usize) -> usize) {
        let is_asked = self.blocks.iter().flatten().chain(&self.asked).any(|asked| covers(asked, &path));
        if is_asked || (bears.null && bears.absence) {
            return;
        }
        let (root, steps) = path;
        // The last character stands in the text even where an escape stands before it.
        let span = offset(node.start)..offset(node.end.saturating_sub(1)) + 1;
        self.found.push(Read::new(root, steps, span));
    }

    /// The path that a node is, as far as it is one.
    fn path_of(&self, node: &Node<'_>) -> Option<Path> {
        match &node.shape {
            Shape::Name(name) => {
                let alias = self.aliases.iter().find(|(alias, _)| alias == name);
                Some(alias.map_or_else(|| ((*name).to_owned(), Vec::new()), |(_, path)| path.clone()))
            }
            Shape::Group(inner) => self.path_of(inner),
            Shape::Attribute { of, name } => {
                let (root, mut steps) = self.path_of(of)?;
                let is_index = name.bytes().all(|byte| byte.is_ascii_digit());
                steps.push(if is_index { Step::Element } else { Step::Name((*name).to_owned()) });
                Some((root, steps))
            }
            Shape::Item { of, index } => {
                let (root, mut steps) = self.path_of(of)?;
                steps.push(match &index.shape {
                    Shape::Quoted(text) if !text.contains('\\') => Step::Name(text.trim_matches(['"', '\'']).to_owned()),
                    Shape::Number | Shape::Negative(_) => Step::Element,
                    _ => return None,
                });
                Some((root, steps))
            }
            _ => None,
        }
    }

    /// All paths in a condition.
    fn mentioned(&self, condition: &Node<'_>) -> Vec<Path> {
        let mut paths = Vec::new();
        self.mention(condition, &mut paths);
        paths
    }

    fn mention(&self, node: &Node<'_>, paths: &mut Vec<Path>) {
        if let Some(path) = self.path_of(node) {
            paths.push(path);
            return;
        }
        let mut arguments = |list: &[Argument<'_>]| list.iter().for_each(|argument| self.mention(&argument.value, paths));
        match &node.shape {
            Shape::Call { arguments: list, .. } => arguments(list),
            Shape::Filter { input, arguments: list, .. } => {
                arguments(list);
                input.iter().for_each(|input| self.mention(input, paths));
            }
            Shape::Test { subject, arguments: list, .. } => {
                arguments(list);
                self.mention(subject, paths);
            }
            Shape::Attribute { of: inner, .. } | Shape::Slice { of: inner, .. } | Shape::Item { of: inner, .. } => {
                self.mention(inner, paths)
            }
            Shape::Group(inner) | Shape::Not(inner) | Shape::Negative(inner) => self.mention(inner, paths),
            Shape::Arithmetic { left, right, .. } | Shape::Joined { left, right } | Shape::And(left, right) | Shape::Or(left, right) => {
                self.mention(left, paths);
                self.mention(right, paths);
            }
            Shape::Comparison { first, rest } => {
                self.mention(first, paths);
                rest.iter().for_each(|(.., operand)| self.mention(operand, paths));
            }
            Shape::Conditional { then, condition, otherwise } => {
                [then, condition].into_iter().chain(otherwise).for_each(|node| self.mention(node, paths));
            }
            Shape::Collection(items) => items.iter().for_each(|item| self.mention(item, paths)),
            Shape::Number | Shape::Quoted(_) | Shape::Boolean | Shape::Null | Shape::Name(_) => {}
        }
    }
}

/// What a filter's input and its arguments may be, in a place where its result may be `bears`.
fn filter_bears(name: &str, arguments: &[Argument<'_>], bears: Bears) -> [Bears; 2] {
    match name {
        "default" | "d" => {
            let also_null = arguments.get(1).is_some_and(|second| matches!(second.value.shape, Shape::Boolean));
            [Bears { null: also_null || bears.null, absence: true }, bears]
        }
        "int" | "float" if arguments.iter().any(|argument| argument.name.is_none_or(|name| name == "default")) => {
            [Bears::BOTH, Bears::BOTH]
        }
        "tojson" => [Bears { null: true, absence: false }, Bears::NOTHING],
        "select" | "reject" | "selectattr" | "rejectattr" | "map" | "batch" | "slice" | "groupby" => [Bears::NOTHING, Bears::BOTH],
        _ => [Bears::NOTHING, Bears::NOTHING],
    }
}

/// Whether asking for one path tells something of the other: of the same, of what leads to it, of what it leads to.
fn covers(asked: &Path, path: &Path) -> bool {
    let names = |path: &Path| -> Vec<String> {
        let explicit = if path.0 == "payload" { None } else { Some(path.0.clone()) };
        let steps = path.1.iter().filter_map(|step| if let Step::Name(name) = step { Some(name.clone()) } else { None });
        explicit.into_iter().chain(steps).collect()
    };
    let (asked, path) = (names(asked), names(path));
    // `{% if data %}` says nothing of what is in it.
    asked.len() > 1 && asked.iter().zip(&path).all(|(asked, path)| asked == path)
}
