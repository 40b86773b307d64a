//! The first screen of `kcm --help`: commands in groups, as people look for them. A test holds it against the commands that exist.

/// clap's template; `{options}` are the global ones.
pub(crate) const TEMPLATE: &str = "\
{about}

Usage: kcm [OPTIONS] <COMMAND>

Start        demo        three regions, portal, KMIP and sample data on this machine
             run         run the node that a topology file describes
             topology    check, plan, propose, apply
             soft-l1     state, disable, enable, deny, allow
Govern       tenant      genesis, sign, provision, list, show, trust, block, unblock, terminate,
                         withdraw, pin
             key         list, link, probe, restore, suspend, resume
             l1          permissions
             system      register, retire, list
             caller      add, remove, list
             actor       keygen, enrol, list, add, passkeys, remove, join, bind, delegate, leave
             quorum      show, set
             lease       show, set
             residency   show, set
             notify      show, set, test, log, replay
             policy      new, check, test, what-if, replay, set
             proposal    list, show, approve, reject, confirm, fire, withdraw, note, watch,
                         certificate
Emergency    revoke      simulate, propose, watch, sign, fire, deliver
Databases    kmip        client, ping, conf
Evidence     audit       list, search, tail, export, checkpoint, prove, verify, reconcile
             ledger      schema, reader
             backup      keygen, create, verify, restore, settle
             evidence    pack, verify
             witness     watch the ledger grow, and cosign its checkpoints
             trust       verify, compare, settle, recovery
             certificate verify
Run          region      list
             status      whether everything is in order

Options:
{options}

Exit codes: 0 done · 2 usage · 3 proposal created, waits for approval · 4 denied
5 timed out or unconfirmed · 6 not healthy · 10 plan has changes
`kcm <COMMAND> --help` says more, with an example.
";
