//! What governance asks back for: the certificates of stops outlive a start, once they were kept.

use std::collections::BTreeSet;

use super::*;

#[tokio::test]
async fn the_certificate_of_a_stop_outlives_a_start() {
    let house = House::new();
    let run = house.served().await;
    let (kill, name) = house.kill();
    run.applied(&kill).await;
    let question = |known: BTreeSet<Digest>| Directive::Recall { tenant: house.world.tenant(), version: 1, known };
    let names = |run: &Run, known: BTreeSet<Digest>| -> Vec<Digest> {
        run.steward.told(&question(known)).iter().map(|told| Change::digest_of(&told.change)).collect()
    };
    assert!(names(&run, BTreeSet::new()).contains(&name));
    // What a crash takes is a copy: the stop is durable by itself.
    run.stop().await;
    let run = house.start().await;
    assert!(!names(&run, BTreeSet::new()).contains(&name));
    assert!(run.steward.knows(&house.world.tenant(), &name));
    run.applied(&kill).await;
    run.steward.store_leases().await;
    let before = run.shelf.tenants().unwrap();
    run.steward.store_leases().await;
    assert_eq!(run.shelf.tenants().unwrap(), before, "kept once");
    run.stop().await;
    let run = house.start().await;
    assert!(names(&run, BTreeSet::new()).contains(&name));
    assert!(!names(&run, [name].into()).contains(&name));
    // Any other directive asks for nothing, and one of a tenant that is not here neither.
    assert!(run.steward.told(&kill).is_empty());
    let stranger = Directive::Recall { tenant: TenantId(Digest([9; 32])), version: 1, known: BTreeSet::new() };
    assert!(run.steward.told(&stranger).is_empty());
}
