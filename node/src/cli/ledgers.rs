//! `kcm ledger`: SQL for the owner of the database that a ledger in PostgreSQL lies in. It is printed, never run: the role that governance
//! signs in with may not do what it says.

use clap::Subcommand;
use orbital::names::TenantId;
use serde_json::json;

use super::exit::{Failure, Report};

#[derive(Clone, Debug, Subcommand)]
pub enum LedgerCommand {
    /// Print the SQL that makes an empty ledger, for the owner of the database to run
    #[command(after_help = "Example: kcm ledger schema --role kcm")]
    Schema {
        /// The database role that governance signs in as
        #[arg(long, value_name = "ROLE", value_parser = role)]
        role: String,
    },
    /// Print the SQL that lets a database role read the entries of one tenant
    #[command(
        after_help = "Example: kcm ledger reader --role acme_audit --tenant DAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAw"
    )]
    Reader {
        /// The database role
        #[arg(long, value_name = "ROLE", value_parser = role)]
        role: String,
        /// The tenant's id
        #[arg(long, value_name = "ID", allow_hyphen_values = true)]
        tenant: TenantId,
    },
}

/// PostgreSQL cuts longer names off, and another role may be called by what is left.
const ROLE_BYTES_MAX: usize = 63;

fn role(text: &str) -> Result<String, String> {
    if text.is_empty() || text.len() > ROLE_BYTES_MAX || text.chars().any(char::is_control) {
        return Err(format!("a database role has 1 to {ROLE_BYTES_MAX} printable bytes"));
    }
    Ok(text.to_owned())
}

pub(crate) fn perform(command: LedgerCommand) -> Result<Report, Failure> {
    let sql = match command {
        LedgerCommand::Schema { role } => ledger::schema_sql(&role),
        LedgerCommand::Reader { role, tenant } => ledger::reader_sql(&role, &tenant.to_string()),
    };
    Ok(Report::new(json!({ "sql": sql }), sql.trim_end()))
}
