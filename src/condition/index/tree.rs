//! From the equalities that hold to the conditions that can.
//!
//! At each node, every condition goes where the rarest thing that it requires leads: of `type == "individual_reveal" and
//! data.company_domain == "example.com"` the second, if many conditions require the first. Where too many still come
//! together, the next thing that they require divides them further. One that requires one of several equalities goes
//! several ways.

use std::cmp::Reverse;
use std::collections::binary_heap::PeekMut;
use std::collections::{BTreeMap, BinaryHeap, HashMap};

use super::equalities::EqualityId;
use super::requirement::Requirement;

/// So few conditions at one node are not divided further: evaluating them costs no more.
const UNDIVIDED_MAX: usize = 4;
/// How often conditions are divided. Each time they are several times fewer, or nothing divides them.
const DEPTH_MAX: usize = 8;
/// At how many nodes one condition may stand, but for the equalities of one `in` or `or`, which the text holds anyway.
const COPIES_MAX: usize = 32;
/// Of how many requirements of one condition the rarest is sought.
const CLAUSES_MAX: usize = 32;

type NodeId = u32;
const ROOT: NodeId = 0;

pub(super) struct Tree {
    nodes: Vec<Node>,
    children: HashMap<(NodeId, EqualityId), NodeId>,
}

#[derive(Default)]
struct Node {
    /// The conditions that can hold wherever this node is reached, ascending.
    conditions: Vec<u32>,
    leads_on: bool,
}

/// A condition on its way down.
#[derive(Clone)]
struct Pending<'c> {
    condition: u32,
    clauses: &'c [Vec<EqualityId>],
    /// Bits of the clauses that led here.
    used: u32,
    copies: usize,
}

impl<'c> Pending<'c> {
    fn unused(&self) -> impl Iterator<Item = (usize, &'c Vec<EqualityId>)> + use<'_, 'c> {
        self.clauses.iter().enumerate().filter(|(place, _)| self.used & (1 << place) == 0)
    }

    /// The clause that fewest of the conditions around require.
    fn rarest(&self, counts: &HashMap<EqualityId, usize>) -> Option<(usize, &'c Vec<EqualityId>)> {
        self.unused()
            .filter(|(_, clause)| self.copies == 1 || self.copies * clause.len() <= COPIES_MAX)
            .min_by_key(|(_, clause)| weight(counts, clause))
    }
}

fn weight(counts: &HashMap<EqualityId, usize>, clause: &[EqualityId]) -> usize {
    clause.iter().filter_map(|equality| counts.get(equality)).sum()
}

impl Tree {
    pub fn new(requirements: &[Requirement]) -> Self {
        let mut counts = HashMap::new();
        for requirement in requirements {
            requirement.each_equality(&mut |equality| *counts.entry(equality).or_insert(0) += 1);
        }
        let clauses_of = |requirement: &Requirement| {
            let mut clauses = requirement.clauses(&|clause| weight(&counts, clause));
            clauses.sort_by_cached_key(|clause| weight(&counts, clause));
            clauses.truncate(CLAUSES_MAX);
            clauses
        };
        let clauses: Vec<_> = requirements.iter().map(clauses_of).collect();
        let pending = (0..).zip(&clauses).map(|(condition, clauses)| Pending { condition, clauses, used: 0, copies: 1 }).collect();
        let mut tree = Self { nodes: Vec::new(), children: HashMap::new() };
        tree.grow(pending, 0);
        tree
    }

    /// How often all conditions stand at nodes together.
    #[cfg(test)]
    pub fn size(&self) -> usize {
        self.nodes.iter().map(|node| node.conditions.len()).sum()
    }

    /// Makes the node where these conditions come together, and everything below it.
    fn grow(&mut self, pending: Vec<Pending<'_>>, depth: usize) -> NodeId {
        let id = NodeId::try_from(self.nodes.len()).unwrap_or(NodeId::MAX);
        self.nodes.push(Node::default());
        let mut node = Node::default();
        let mut ways: BTreeMap<EqualityId, Vec<Pending<'_>>> = BTreeMap::new();
        let divided = depth < DEPTH_MAX && (depth == 0 || pending.len() > UNDIVIDED_MAX);
        let mut counts = HashMap::new();
        if divided {
            for equality in pending.iter().flat_map(Pending::unused).flat_map(|(_, clause)| clause) {
                *counts.entry(*equality).or_insert(0) += 1;
            }
        }
        for condition in pending {
            let Some((place, clause)) = condition.rarest(&counts).filter(|_| divided) else {
                node.conditions.push(condition.condition);
                continue;
            };
            for equality in clause {
                let copies = condition.copies * clause.len();
                let way = Pending { used: condition.used | (1 << place), copies, ..condition };
                ways.entry(*equality).or_default().push(way);
            }
        }
        node.leads_on = !ways.is_empty();
        for (equality, pending) in ways {
            let child = self.grow(pending, depth + 1);
            self.children.insert((id, equality), child);
        }
        if let Some(place) = self.nodes.get_mut(id as usize) {
            *place = node;
        }
        id
    }

    /// The conditions at the nodes that these equalities lead to.
    pub fn reached(&self, holding: &[EqualityId]) -> Merged<'_> {
        let mut merged = Merged { lists: Vec::new(), heads: BinaryHeap::new(), last: None };
        let mut next = vec![ROOT];
        while let Some(id) = next.pop() {
            let Some(node) = self.nodes.get(id as usize) else { continue };
            merged.add(&node.conditions);
            if node.leads_on {
                next.extend(holding.iter().filter_map(|equality| self.children.get(&(id, *equality))));
            }
        }
        merged
    }
}

/// Several ascending lists as one, each number once.
pub(super) struct Merged<'t> {
    /// What is left of each list behind its head.
    lists: Vec<&'t [u32]>,
    /// The lists' heads, each with its list's place.
    heads: BinaryHeap<Reverse<(u32, usize)>>,
    last: Option<u32>,
}

impl<'t> Merged<'t> {
    fn add(&mut self, list: &'t [u32]) {
        if let Some((first, rest)) = list.split_first() {
            self.heads.push(Reverse((*first, self.lists.len())));
            self.lists.push(rest);
        }
    }
}

impl Iterator for Merged<'_> {
    type Item = u32;

    fn next(&mut self) -> Option<u32> {
        loop {
            let mut head = self.heads.peek_mut()?;
            let Reverse((first, place)) = *head;
            match self.lists.get_mut(place).and_then(|list| list.split_off_first()) {
                Some(second) => *head = Reverse((*second, place)),
                None => {
                    PeekMut::pop(head);
                }
            }
            if self.last.replace(first) != Some(first) {
                return Some(first);
            }
        }
    }
}
