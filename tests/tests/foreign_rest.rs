//! A foreign tool reads the description of the REST interface, makes requests of it, sound ones and broken ones, and holds each answer to what
//! the description says: no status, header, media type or body that it does not know, and no fault of the server.

#[path = "support/foreign.rs"]
#[cfg(test)]
mod support;

#[cfg(test)]
mod tests {
    use std::{fs, path::Path};

    use serde_json::Value;

    use super::support::{Demo, Ran, bounded_by, venv};

    /// A stream has no end that the tool could wait for; `portal-api/tests/rest` holds it to the description.
    const ENDLESS: &str = "/v1/events";
    /// Requests of each operation beyond those that follow from the description alone.
    const EXAMPLES: &str = "8";
    const CHECKS: &str = "not_a_server_error,status_code_conformance,content_type_conformance,response_headers_conformance,\
                          response_schema_conformance,unsupported_method";
    const TIMEOUT_S: u32 = 480;

    #[test]
    fn each_answer_is_one_that_the_description_knows() {
        let Some(venv) = venv("each_answer_is_one_that_the_description_knows") else { return };
        let demo = Demo::start();
        let words = ["revoke", "propose", "--tenant", "acme", "--reason", "described"];
        let (proposal, tenant) = (demo.propose("carol", &words), demo.json["tenants"][0]["id"].as_str().unwrap());
        // What there is, so that more than refusals is answered.
        let there = [("tenant", tenant), ("id", proposal.as_str()), ("file", "app.js")];
        let there: String = there.iter().map(|(name, value)| format!("\"path.{name}\" = \"{value}\"\n")).collect();
        fs::write(demo.dir.join("schemathesis.toml"), format!("[parameters]\n{there}")).unwrap();
        let description = Path::new(env!("CARGO_MANIFEST_DIR")).join("../portal-api/openapi.json");
        let portal = |name: &str| demo.json["portal"][name].as_str().unwrap();
        let mut tool = bounded_by(TIMEOUT_S, &venv.join("bin/schemathesis"));
        tool.args(["--config-file", "schemathesis.toml", "run"])
            .arg(&description)
            .args(["--url", portal("url"), "--tls-verify", portal("ca")])
            .args(["--request-cert", portal("cert"), "--request-cert-key", portal("key")])
            .args(["--exclude-path", ENDLESS, "--checks", CHECKS, "--max-examples", EXAMPLES])
            .args(["--phases", "coverage,fuzzing", "--seed", "1", "--request-timeout", "30", "--warnings", "off"]);
        let ran = Ran::of(&tool.current_dir(&demo.dir).output().unwrap()).ends_with(0);
        let all = operations(&serde_json::from_slice(&fs::read(&description).unwrap()).unwrap());
        ran.says(&[&format!("Tested: {}\n", all - 1)]);
        // Nothing of all that decided anything, and the ledger holds.
        assert_eq!(demo.json("carol", &["proposal", "show", &proposal]).ends_with(0).json()["state"], "open");
        demo.kcm("carol", &["audit", "verify"]).ends_with(0);
    }

    fn operations(description: &Value) -> usize {
        let methods = ["get", "post", "put", "delete", "patch"];
        let of = |path: &Value| methods.iter().filter(|method| path.get(**method).is_some()).count();
        description["paths"].as_object().unwrap().values().map(of).sum()
    }
}
