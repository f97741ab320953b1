//! `retention`: how long the past is kept.

use std::time::Duration;

use crate::config::reading::decode::Decoder;
use crate::config::yaml::Node;
pub use crate::names::Retention;

pub(in crate::config) const KEPT_MIN: Duration = Duration::from_secs(60);
/// Ten years: far from where arithmetic on times overflows.
pub(in crate::config) const KEPT_MAX: Duration = Duration::from_secs(3650 * 24 * 60 * 60);
pub(in crate::config) const SIZE_BYTES_MIN: u64 = 16 << 20;
pub(in crate::config) const SIZE_BYTES_MAX: u64 = 1 << 50;

pub(in crate::config) fn decode(decoder: &mut Decoder<'_>, node: &Node) -> Option<Retention> {
    let mut table = decoder.table(node, "`retention`")?;
    let delivered = table.take("delivered");
    let dead = table.take("dead");
    let parked = table.take("parked");
    let size = table.take("size");
    table.finish(decoder);
    let default = Retention::default();
    let mut kept = |node: Option<_>, default| match node {
        Some(node) => decoder.duration(node, KEPT_MIN..=KEPT_MAX),
        None => Some(default),
    };
    let delivered = kept(delivered.map(AsRef::as_ref), default.delivered);
    let dead = kept(dead.map(AsRef::as_ref), default.dead);
    let parked = kept(parked.map(AsRef::as_ref), default.parked);
    let size = match size {
        Some(node) => decoder.size(node, SIZE_BYTES_MIN..=SIZE_BYTES_MAX),
        None => Some(default.size),
    };
    Some(Retention { delivered: delivered?, dead: dead?, parked: parked?, size: size? })
}
