//! What the node says of its tenants.

use super::*;

#[tokio::test]
async fn a_hello_speaks_of_its_span_and_one_tenant_that_cannot_be_said_silences_no_other() {
    let house = House::new();
    let run = house.served().await;
    let whole = run.steward.hello(Load::default(), None);
    assert_eq!((whole.span, whole.tenants.len(), whole.unsaid.len()), (Span::default(), 1, 0));
    let rest = run.steward.hello(Load::default(), Some(run.tenant));
    assert_eq!((rest.span, rest.tenants.len()), (Span { after: Some(run.tenant), until: None }, 0));
    // Known to the steward alone: the keeper has no lease of it to draw a nonce for.
    let other = World::founded("test", "other", |_| {});
    let cell = run.steward.cell(&run.tenant).unwrap();
    let cells = BTreeMap::from([(run.tenant, cell.clone()), (other.tenant(), cell)]);
    run.steward.tenants.store(Arc::new(cells));
    let both = run.steward.hello(Load::default(), None);
    assert_eq!((both.tenants.keys().collect::<Vec<_>>(), both.unsaid), (vec![&run.tenant], [other.tenant()].into()));
    run.stop().await;
}
