//! CLUSTER and what goes with it: a node that is in no cluster says so, as Redis does, so that clients fall back to
//! talking to one node.

use crate::call::{Call, Error, Outcome};

/// Any command that only a node in a cluster has an answer to.
pub fn disabled(_: &mut Call<'_>) -> Outcome {
    Err(Error::new("ERR This instance has cluster support disabled"))
}
