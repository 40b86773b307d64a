//! Genuine libmongocrypt against a demo: both flows work, and after a revocation neither does any more, for that tenant alone.

#[path = "support/foreign.rs"]
#[cfg(test)]
mod support;

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::support::{Client, Demo, Ran, bounded, script, venv};

    const FLOWS: [&str; 2] = ["local", "delegated"];

    fn mongocrypt(venv: &Path, client: &Client, flow: &str) -> Ran {
        let mut python = bounded(&venv.join("bin/python"));
        python.arg(script("mongocrypt.py")).args(["--flow", flow]);
        client.arguments(&mut python);
        Ran::of(&python.output().unwrap())
    }

    #[test]
    fn libmongocrypt_conforms_until_its_tenant_is_revoked() {
        let Some(venv) = venv("libmongocrypt") else { return };
        let demo = Demo::start();
        for flow in FLOWS {
            mongocrypt(&venv, &demo.client(0, "acme"), flow).ends_with(0).says(&["11 right, 0 skipped"]);
        }
        demo.revoke("acme");
        for (region, flow) in [(0, "delegated"), (1, "delegated"), (2, "local")] {
            let refused = mongocrypt(&venv, &demo.client(region, "acme"), flow);
            refused.ends_with(1).says(&["MongoCryptError", "Item Not Found"]);
            mongocrypt(&venv, &demo.client(region, "globex"), flow).ends_with(0).says(&["11 right"]);
        }
    }
}
