//! Policy: who may propose, approve and read at governance, and which caller may do which KMIP operation at a region.
//!
//! Both planes use this crate and nothing else knows Cedar. The story, in the order in which the modules tell it:
//!
//! 1. [`Bundle`]: policies, schema and entities that passed strict validation. There is no other way to make one, so what can be
//!    proposed, stored or evaluated is validated (PROTOCOL §3). Its digest stands in the trust root.
//! 2. [`Question`] and [`Actor`]: what can be asked, in the product's words, with the [`Circumstances`]; `pose` turns them into Cedar's.
//! 3. [`Evaluator`]: asks Cedar. Cedar skips a policy that errs, a `forbid` too; here any error refuses.
//! 4. [`DecisionCache`]: the region's answers of one policy epoch, read without a lock; a positive one is a [`Permitted`].
//!
//! At governance Cedar may only refuse earlier: the validity of a certificate is the trust root's rules alone, and the stops that
//! approvers hand straight to a region pass no policy at all.

mod bundle;
mod cache;
mod circumstances;
mod evaluate;
mod finding;
mod pose;
mod question;
mod reach;
mod text;

pub use bundle::{ACTIONS_MAX, Bundle, CHECKS_MAX, ENTITIES_MAX, ENVIRONMENTS_MAX, POLICIES_MAX};
pub use cache::{DECISIONS_MAX, DecisionCache, Permitted};
pub use circumstances::{Circumstances, LEASE_S_MAX, ObjectNow, ObjectState, USES};
pub use evaluate::{Decision, Evaluator};
pub use finding::{FINDINGS_MAX, Finding, Part, Place, PolicyError};
pub use question::{Actor, CHANGE_KINDS, Operation, Question, Realm, Target};
pub use text::{BUNDLE_PART_BYTES_MAX, CLAUSE_OPERATORS_MAX, CLAUSES_MAX, NESTING_MAX, SCHEMA_DECLARATIONS_MAX};
