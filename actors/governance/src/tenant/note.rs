//! Notes on a proposal: what people tell each other about it. They are written down, and decide nothing.

use orbital::{canon::Text, names::ProposalId};

use super::{decision::Decision, record::Record, state::Tenant};
use crate::error::{Error, Refusal};

/// Most notes of one proposal.
pub(crate) const NOTES_MAX: usize = 64;

/// The note, if the proposal is there and has room for it. A word that says nothing is none.
pub(crate) fn note(tenant: &Tenant, id: &ProposalId, by: String, text: Text) -> Result<Decision, Error> {
    let proposal = tenant.proposals.get(id).ok_or_else(|| Refusal::UnknownProposal(id.clone()))?;
    if text.as_str().trim().is_empty() {
        return Err(Refusal::EmptyNote.into());
    }
    if proposal.notes.len() >= NOTES_MAX {
        return Err(Refusal::TooManyNotes { id: id.clone(), max: NOTES_MAX }.into());
    }
    let record = Record::Noted { proposal: id.clone(), by, text };
    Ok(Decision { records: vec![record], ..Decision::default() })
}

#[cfg(test)]
mod tests {
    use orbital::change::Action;

    use super::{super::tests::Bench, *};

    #[test]
    fn notes_are_kept_in_their_order_up_to_a_number_and_change_nothing_else() {
        let mut bench = Bench::new();
        let id = bench.propose(Action::RevokeL1 {}, "carol").unwrap();
        let before = bench.tenant.proposals[&id].clone();
        let said = |bench: &Bench, text: &str| note(&bench.tenant, &id, "heidi".into(), Text::new(text).unwrap());
        for n in 0..NOTES_MAX {
            let decision = said(&bench, &format!("note {n}")).unwrap();
            bench.commit(decision);
        }
        assert_eq!(said(&bench, "one more").unwrap_err().code(), "too-many-notes");
        assert_eq!(said(&bench, " ").unwrap_err().code(), "empty-note");
        let after = bench.tenant.proposals[&id].clone();
        let texts: Vec<_> = after.notes.iter().map(|n| n.text.as_str().to_owned()).collect();
        assert_eq!((texts.len(), texts[0].as_str(), texts[1].as_str()), (NOTES_MAX, "note 0", "note 1"));
        assert_eq!(crate::tenant::file::Proposal { notes: Vec::new(), ..after }, before);
        assert_eq!(bench.replayed(), bench.tenant);
        let unknown = ProposalId::new("none").unwrap();
        let absent = note(&bench.tenant, &unknown, "heidi".into(), Text::new("x").unwrap());
        assert_eq!(absent.unwrap_err().code(), "unknown-proposal");
    }
}
