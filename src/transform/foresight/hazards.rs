//! Which values a template prints, or works with, without a way out for the day when they are null or absent.
//!
//! The ways out are `default(..., true)`, `or`, and an `if` around it that holds only where the value is there (`assurance`).
//! What cannot be followed (what a macro or a loop is given) is left out: a warning has to be right.

use crate::condition::Step;

use super::asks::items_of;
use super::assurance::{Known, Path};
use super::reads::Read;
use crate::transform::expression::{Argument, Node, Shape, Statement};
use crate::transform::names::scope::Scope;

/// Reads the statements of a template in their order.
#[derive(Default)]
pub(in crate::transform) struct Hazards {
    blocks: Vec<Block>,
    /// What the conditions around the value say that is visited, within its own tag.
    under: Vec<Known>,
    /// The names that stand for a path: `{% set name = data.name %}`.
    aliases: Vec<(String, Path)>,
    found: Vec<Read>,
    /// What is printed keeps its type, so a null is one.
    is_typed: bool,
    /// Whether what a loop goes over is followed: in a batch's body, where that is all there is.
    follows_loops: bool,
}

/// An open block: what its conditions say.
#[derive(Default)]
struct Block {
    /// In the branch that is read.
    here: Known,
    /// In the branches that follow, where none of the conditions before them holds.
    otherwise: Known,
}

/// What a value may be where it stands.
#[derive(Clone, Copy)]
struct Bears {
    null: bool,
    absence: bool,
    /// Of a list or an object that is written there: whether all that is in it may be null or absent.
    items: bool,
}

impl Bears {
    const NOTHING: Self = Self { null: false, absence: false, items: false };
    const BOTH: Self = Self { null: true, absence: true, items: true };
    /// JSON has a null, and nothing for what is absent.
    const JSON: Self = Self { null: true, absence: false, items: false };
    /// A list, of which the template itself looks at each item.
    const ANY_ITEMS: Self = Self { null: false, absence: false, items: true };

    /// The same of the items.
    fn of_items(self) -> Self {
        if self.items { Self::BOTH } else { Self::NOTHING }
    }

    /// For a list of which this is required of the items.
    fn as_list(self) -> Self {
        Self { items: self.null && self.absence, ..Self::NOTHING }
    }
}

impl Hazards {
    /// Of a template that nothing was read of. `is_typed`: what it prints keeps its type.
    pub(in crate::transform) fn new(is_typed: bool, scope: Scope) -> Self {
        Self { is_typed, follows_loops: scope.of_batch, ..Self::default() }
    }

    /// The paths that were found, with their places in the scalar.
    pub(in crate::transform) fn found(self) -> Vec<Read> {
        self.found
    }

    pub(in crate::transform) fn read(&mut self, statement: &Statement<'_>, offset: &impl Fn(usize) -> usize) {
        match statement {
            Statement::Print(node) => self.visit(node, if self.is_typed { Bears::JSON } else { Bears::NOTHING }, offset),
            Statement::If(condition) => {
                self.visit(condition, Bears::BOTH, offset);
                let block = Block { here: self.known(condition, true), otherwise: self.known(condition, false) };
                self.blocks.push(block);
            }
            Statement::ElseIf(condition) => {
                self.go_on();
                self.visit(condition, Bears::BOTH, offset);
                let (holds, fails) = (self.known(condition, true), self.known(condition, false));
                if let Some(block) = self.blocks.last_mut() {
                    block.here = std::mem::take(&mut block.here).and(holds);
                    block.otherwise = std::mem::take(&mut block.otherwise).and(fails);
                }
            }
            Statement::Else => self.go_on(),
            Statement::For { targets, list, condition } => {
                self.visit(list, Bears::ANY_ITEMS, offset);
                self.aliases.retain(|(alias, _)| !targets.contains(&alias.as_str()));
                if let ([target], Some(path), true) = (targets.as_slice(), items_of(list), self.follows_loops) {
                    self.aliases.push(((*target).to_owned(), path));
                }
                condition.iter().for_each(|condition| self.visit(condition, Bears::BOTH, offset));
                let here = condition.as_ref().map_or_else(Known::default, |condition| self.known(condition, true));
                self.blocks.push(Block { here, otherwise: Known::default() });
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
                self.blocks.extend(opens_block.then(Block::default));
            }
            Statement::Evaluate { opens_block, nodes } => {
                nodes.iter().for_each(|node| self.visit(node, Bears::BOTH, offset));
                self.blocks.extend(opens_block.then(Block::default));
            }
            Statement::End => {
                self.blocks.pop();
            }
            Statement::Other => {}
        }
    }

    /// To the next branch of a block.
    fn go_on(&mut self) {
        if let Some(block) = self.blocks.last_mut() {
            block.here = block.otherwise.clone();
        }
    }

    fn visit(&mut self, node: &Node<'_>, bears: Bears, offset: &impl Fn(usize) -> usize) {
        if let Some(path) = self.path_of(node) {
            match plain(node) {
                // Of what is null or absent nothing can be asked, not even whether it is there.
                Shape::Attribute { of, .. } | Shape::Item { of, .. } if bears.null && bears.absence => {
                    self.visit(of, Bears::NOTHING, offset);
                }
                _ => self.note(node, path, bears, offset),
            }
            return;
        }
        match &node.shape {
            Shape::Number | Shape::Quoted(_) | Shape::Boolean(_) | Shape::Null | Shape::Name(_) => {}
            Shape::Group(inner) => self.visit(inner, bears, offset),
            // Of what a filter or a call gives; what an index is made of may be anything.
            Shape::Attribute { of, .. } => self.visit(of, Bears::ANY_ITEMS, offset),
            Shape::Item { of, index } => {
                self.visit(of, Bears::ANY_ITEMS, offset);
                self.visit(index, Bears::BOTH, offset);
            }
            Shape::Slice { of, bounds } => {
                self.visit(of, Bears { items: bears.items, ..Bears::NOTHING }, offset);
                bounds.iter().for_each(|bound| self.visit(bound, Bears::NOTHING, offset));
            }
            Shape::Call { callee, arguments } => {
                self.visit(callee, Bears::BOTH, offset);
                let is_literal = matches!(callee.shape, Shape::Name("dict"));
                self.arguments(arguments, if is_literal { bears.of_items() } else { Bears::BOTH }, offset);
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
            // Two lists can be added.
            Shape::Arithmetic { left, right, .. } => {
                let operand = Bears { items: bears.items, ..Bears::NOTHING };
                self.visit(left, operand, offset);
                self.visit(right, operand, offset);
            }
            Shape::Joined { left, right } => {
                self.visit(left, Bears::NOTHING, offset);
                self.visit(right, Bears::NOTHING, offset);
            }
            // Where the left side counts as false, it is the result.
            Shape::And(left, right) => {
                self.visit(left, bears, offset);
                self.under(left, true, |hazards| hazards.visit(right, bears, offset));
            }
            Shape::Or(left, right) => {
                self.visit(left, Bears::BOTH, offset);
                self.under(left, false, |hazards| hazards.visit(right, bears, offset));
            }
            Shape::Comparison { first, rest } => {
                let mut left = first.as_ref();
                let mut bears = Bears::BOTH;
                for (_, operator, right) in rest {
                    let is_in = matches!(*operator, "in" | "not in");
                    // Only a text can be in a text, and nothing is in a null.
                    let left_bears = if is_in && matches!(right.shape, Shape::Quoted(_)) { Bears::NOTHING } else { bears };
                    self.visit(left, left_bears, offset);
                    left = right;
                    bears = if is_in { Bears::ANY_ITEMS } else { Bears::BOTH };
                }
                self.visit(left, bears, offset);
            }
            Shape::Conditional { then, condition, otherwise } => {
                self.visit(condition, Bears::BOTH, offset);
                self.under(condition, true, |hazards| hazards.visit(then, bears, offset));
                self.under(condition, false, |hazards| otherwise.iter().for_each(|node| hazards.visit(node, bears, offset)));
            }
            Shape::Collection(items) => items.iter().for_each(|item| self.visit(item, bears.of_items(), offset)),
        }
    }

    fn arguments(&mut self, arguments: &[Argument<'_>], bears: Bears, offset: &impl Fn(usize) -> usize) {
        arguments.iter().for_each(|argument| self.visit(&argument.value, bears, offset));
    }

    /// Visits what is evaluated only where a condition holds, or does not.
    fn under(&mut self, condition: &Node<'_>, holds: bool, visit: impl FnOnce(&mut Self)) {
        let known = self.known(condition, holds);
        self.under.push(known);
        visit(self);
        self.under.pop();
    }

    fn known(&self, condition: &Node<'_>, holds: bool) -> Known {
        Known::from(condition, holds, &|node| self.path_of(node))
    }

    fn note(&mut self, node: &Node<'_>, path: Path, bears: Bears, offset: &impl Fn(usize) -> usize) {
        if bears.null && bears.absence {
            return;
        }
        let all = self.blocks.iter().map(|block| &block.here).chain(&self.under);
        if all.cloned().fold(Known::default(), Known::and).ensures(&path) {
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
}

/// What stands in the parentheses.
fn plain<'n, 't>(node: &'n Node<'t>) -> &'n Shape<'t> {
    match &node.shape {
        Shape::Group(inner) => plain(inner),
        shape => shape,
    }
}

/// What a filter's input and its arguments may be, in a place where its result may be `bears`.
fn filter_bears(name: &str, arguments: &[Argument<'_>], bears: Bears) -> [Bears; 2] {
    match name {
        "default" | "d" => {
            let also_null = arguments.get(1).is_some_and(|second| matches!(second.value.shape, Shape::Boolean(true)));
            [Bears { null: also_null || bears.null, absence: true, items: bears.items }, bears]
        }
        "int" | "float" if arguments.iter().any(|argument| argument.name.is_none_or(|name| name == "default")) => {
            [Bears::BOTH, Bears::BOTH]
        }
        "tojson" => [Bears::JSON, Bears::NOTHING],
        // These drop what is null, or are told what to do with it.
        "select" | "reject" | "selectattr" | "rejectattr" | "map" | "groupby" => [Bears::ANY_ITEMS, Bears::BOTH],
        "batch" | "slice" => [Bears { items: bears.items, ..Bears::NOTHING }, Bears::BOTH],
        "length" | "count" => [Bears::ANY_ITEMS, Bears::NOTHING],
        "list" | "reverse" | "sort" | "unique" => [Bears { items: bears.items, ..Bears::NOTHING }, Bears::NOTHING],
        "first" | "last" => [bears.as_list(), Bears::NOTHING],
        _ => [Bears::NOTHING, Bears::NOTHING],
    }
}
