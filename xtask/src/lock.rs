//! One run at a time: the second waits, and says for whom.

use cluster::{Lease, Mode};

use crate::ctx::{Ctx, say};
use crate::exit::Failure;

/// Held for as long as a run goes on; it ends with its process, however that ends.
pub(crate) fn one_run_at_a_time(ctx: &Ctx, run_id: &str, what: &str) -> Result<Lease, Failure> {
    Ok(Lease::take(&ctx.fixtures().locks(), "_run", Mode::Exclusive, what, Some(run_id), &say)?)
}
