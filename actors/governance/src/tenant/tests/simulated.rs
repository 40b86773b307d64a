//! What a simulation says of the systems whose clients a kill would lock out.

use orbital::{names::System, report::Use, testing::region};

use super::{levels::observed, *};
use crate::{
    fleet::Board,
    tenant::{decision::Seen, simulate::simulate},
};

#[test]
fn who_would_be_locked_out_is_summed_over_the_regions_that_have_said() {
    let mut b = Bench::new();
    let simulated = |b: &Bench| simulate(&b.tenant, &b.facts(), &Board::new([])).systems;
    let [unknown] = &simulated(&b)[..] else { panic!("the tenant has one system") };
    assert_eq!((unknown.callers, unknown.connections, unknown.per_minute), (1, None, None));
    let orders = unknown.system.clone();
    for (name, connections, last_ms) in [("eu-frankfurt", 2, Some(7)), ("us-east", 1, Some(9))] {
        let mut said = observed(&b, []);
        said.usage.insert(orders.clone(), Use { connections, per_minute: 60, last_ms });
        // What a region says of a system that the trust root does not name locks nobody of this tenant out.
        said.usage.insert(System::new("other").unwrap(), Use::default());
        b.seen
            .insert(region(name), Seen { observed: Some(said), at_ms: Some(b.now_ms), version: None, in_vain: false });
    }
    let [known] = &simulated(&b)[..] else { panic!("the tenant has one system") };
    assert_eq!((known.connections, known.per_minute, known.last_ms), (Some(3), Some(120), Some(9)));
    assert_eq!(known.regions, [region("eu-frankfurt"), region("us-east")].into());
}
