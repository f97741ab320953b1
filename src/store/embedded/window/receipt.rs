//! What this engine writes on a claim: whether the delivery had a row of its own when it was claimed, from an earlier attempt, a
//! redrive or a batch. One without a row is known only from the window, so a claim on it is let go in another way.

use crate::delivery::Receipt;

/// On a delivery that has no row yet.
pub const FRESH: Receipt = Receipt(0);
/// On a delivery that has a row.
pub const HAS_ROW: Receipt = Receipt(1);
