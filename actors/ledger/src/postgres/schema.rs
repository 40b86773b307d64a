//! The tables, and who may do what with them: printed for the owner of the database, never run by governance itself.
//!
//! Governance signs in as a role that owns nothing, so that a governance server in wrong hands can add to the ledger and not rewrite it:
//! the server refuses it `UPDATE`, `DELETE` and `TRUNCATE` on entries. It sees the rows of all tenants, as it must to verify the chain and
//! to feed every region. Other database roles see the entries of the one tenant that the owner entered for them (row security), which no
//! setting of their session changes.

const SCHEMA: &str = include_str!("schema.sql");
const READER: &str = include_str!("reader.sql");

/// SQL that makes an empty ledger which governance, signing in as `role`, can append to.
pub fn schema_sql(role: &str) -> String {
    SCHEMA.replace("`:role`", "ROLE").replace(":role", &identifier(role))
}

/// SQL after which the existing database role `role` reads the entries of one tenant.
pub fn reader_sql(role: &str, tenant: &str) -> String {
    // The names last: they must not be able to bring a part of the template with them.
    let mut text = String::new();
    let mut rest = READER;
    while let Some((before, after)) = rest.split_once(':') {
        text.push_str(before);
        let filled = [("role", identifier(role)), ("name", literal(role)), ("tenant", literal(tenant))]
            .into_iter()
            .find_map(|(word, value)| after.strip_prefix(word).map(|after| (after, value)));
        rest = match filled {
            Some((after, value)) => {
                text.push_str(&value);
                after
            }
            None => {
                text.push(':');
                after
            }
        };
    }
    text.push_str(rest);
    text
}

fn identifier(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

fn literal(text: &str) -> String {
    // A backslash means nothing special: standard_conforming_strings is on since PostgreSQL 9.1.
    format!("'{}'", text.replace('\'', "''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_stay_names() {
        let sql = reader_sql("a\"; drop table x; --:tenant", "o'neil");
        assert!(sql.contains("to \"a\"\"; drop table x; --:tenant\";"), "{sql}");
        assert!(sql.contains("values ('a\"; drop table x; --:tenant', 'o''neil');"), "{sql}");
        let schema = schema_sql("kcm");
        assert!(schema.contains("to \"kcm\" using (true)") && !schema.contains(":role"), "{schema}");
    }
}
