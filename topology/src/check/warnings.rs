//! T0301, regions without governance (T0106), and the warnings: T0402, T0503 and T0504. A warning never keeps a file from being used.

use crate::{
    file::{File, RegionPart},
    finding::{At, Code, Finding},
    reader::wrong,
    units::{Size, Span},
};

/// From here on, the time that a cut-off region may serve a revoked key is worth a word (the default lease, DESIGN §2.8).
pub(super) const AUTONOMY_WARN: Span = Span::hours(24);
/// Locked memory below this holds no tenant.
pub(super) const LOCKED_MEMORY_MIN: Size = Size::new(64 * 1024);

pub(super) fn check(file: &File, findings: &mut Vec<Finding>) {
    operators(file, findings);
    governed(file, findings);
    for (name, region) in file.regions() {
        let name = name.value.as_str();
        listens(name, region, findings);
        autonomy(name, region, findings);
        memory(region, findings);
        // One process a region is what a demo is.
        if let ([(only, _)], false) = (region.value.nodes(), file.is_development()) {
            let message = format!("region `{name}` has one node: a restart drops every cached key until L1 answers");
            let help = "Add a second node in another zone.";
            findings.push(Finding::new(Code::SinglePoint, message, help).at(&only.place, "the only node"));
        }
    }
}

/// A region takes its decisions from somewhere; one that is founded without governance is not part of this version.
fn governed(file: &File, findings: &mut Vec<Finding>) {
    let Some((_, region)) = file.regions().first().filter(|_| file.governance.is_none()) else { return };
    let message = "there is no `[governance]`: a region without it does not start";
    let help = "Add `[governance]` with its addresses and public keys, as `topology/samples/production.toml` has it.";
    findings.push(Finding::new(Code::Missing, message, help).at(&region.place, "obeys nobody"));
}

fn operators(file: &File, findings: &mut Vec<Finding>) {
    let Some(governance) = &file.governance else { return };
    if governance.value.operators.as_ref().is_some_and(|all| !all.value.is_empty()) {
        return;
    }
    let place = governance.value.operators.as_ref().map_or(&governance.place, |none| &none.place);
    let message = "governance has no `operators`: nobody can found a tenant over REST";
    let help = "Add `operators = [\"spiffe://DEPLOYMENT/person/NAME\"]` with the names (SAN URI, else CN) in the REST certificates of those who run the site.";
    findings.push(Finding::new(Code::NoOperators, message, help).at(place, "names nobody"));
}

fn listens(name: &str, region: &At<RegionPart>, findings: &mut Vec<Finding>) {
    if region.value.nodes().iter().any(|(_, node)| node.value.kmip.is_some()) {
        return;
    }
    let message = format!("region `{name}` has no node with `kmip`: nobody could use its keys");
    let help = format!("Add `kmip` and `kmip_tls` to a `[region.{name}.node.…]`, or remove the region.");
    findings.push(Finding::new(Code::NoKmip, message, help).at(&region.place, "serves nobody"));
}

fn autonomy(name: &str, region: &At<RegionPart>, findings: &mut Vec<Finding>) {
    let Some(span) = region.value.autonomy.as_ref().and_then(|a| a.value.serve_cached.as_ref()) else { return };
    if span.value == Span::ms(0) {
        findings.push(wrong(
            &span.place,
            "must be longer than nothing: a region that may never serve is a region to remove",
        ));
    }
    if span.value > AUTONOMY_WARN {
        let message = format!(
            "`serve_cached = {}`: a cut-off region `{name}` may serve a revoked key for {}",
            span.value, span.value
        );
        let help = "Shorten it if that is too long; a tenant's lease may be shorter still. Every simulation shows this number.";
        findings.push(Finding::new(Code::Autonomy, message, help).at(&span.place, "longer than a day"));
    }
}

fn memory(region: &At<RegionPart>, findings: &mut Vec<Finding>) {
    let size = region.value.cache.as_ref().and_then(|c| c.value.locked_memory.as_ref());
    if let Some(size) = size.filter(|s| s.value < LOCKED_MEMORY_MIN) {
        findings.push(wrong(&size.place, &format!("must be {LOCKED_MEMORY_MIN} or more, found {}", size.value)));
    }
}
