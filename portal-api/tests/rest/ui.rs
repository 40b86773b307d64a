//! The portal's page as a browser gets it: what it may do, and that it is whole.

use crate::house::House;

#[tokio::test]
async fn the_page_and_its_parts_may_do_what_they_need_and_nothing_else() {
    let house = House::new().await;
    for (path, kind) in [
        ("/portal", "text/html; charset=utf-8"),
        ("/portal/style.css", "text/css; charset=utf-8"),
        ("/portal/app.js", "text/javascript; charset=utf-8"),
    ] {
        let said = house.get(path).await;
        let header = |name: &str| said.headers[name].to_str().unwrap().to_owned();
        assert_eq!((said.status, header("content-type")), (200, kind.to_owned()), "{path}");
        let policy = header("content-security-policy");
        let rules: Vec<&str> = policy.split(';').map(str::trim).collect();
        for rule in [
            "default-src 'none'",
            "script-src 'self'",
            "style-src 'self'",
            "connect-src 'self'",
            "base-uri 'none'",
            "form-action 'none'",
            "frame-ancestors 'none'",
            "require-trusted-types-for 'script'",
            "trusted-types 'none'",
        ] {
            assert!(rules.contains(&rule), "{path}: {rule} in {policy}");
        }
        assert_eq!(rules.len(), 9, "{policy}");
        let permissions = header("permissions-policy");
        for feature in ["publickey-credentials-get=(self)", "publickey-credentials-create=(self)", "camera=()"] {
            assert!(permissions.contains(feature), "{path}: {feature} in {permissions}");
        }
        assert_eq!(
            ["x-content-type-options", "x-frame-options", "referrer-policy", "cache-control"].map(header),
            ["nosniff", "DENY", "no-referrer", "no-store"],
            "{path}"
        );
    }
    for nothing in ["/portal/index.html", "/portal/..%2Fapp.js", "/portal/nothing.js"] {
        let said = house.get(nothing).await;
        assert_eq!((said.status, said.code()), (404, "not-found"), "{nothing}");
        assert!(!said.headers.contains_key("permissions-policy"));
    }
}
