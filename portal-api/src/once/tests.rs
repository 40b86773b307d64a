//! Keys, answers and limits.

use super::*;

fn limits() -> OnceLimits {
    OnceLimits { keys_per_caller: 2, keys: 3, bytes_per_caller: 100, ..OnceLimits::default() }
}

fn call(caller: &str, key: &str) -> Call {
    let headers = HeaderMap::from_iter([(HEADER, key.parse().unwrap())]);
    Call::of(&headers, Some(PeerId::named(caller)), "POST /v1/things".into())
}

/// The answer's text, and whether it is the one from before; or the problem's code.
async fn run(once: &Arc<Once>, call: Call, body: &str, answer: &str) -> Result<(String, bool), &'static str> {
    let answer = answer.to_owned();
    let response = once.run(call, body.as_bytes(), async { Ok(answer.into_response()) }).await.map_err(|p| p.code)?;
    let again = response.headers().contains_key(&REPLAYED);
    let bytes = response.into_body().collect().await.unwrap().to_bytes();
    Ok((String::from_utf8(bytes.to_vec()).unwrap(), again))
}

#[tokio::test]
async fn the_same_call_is_done_once_and_another_under_its_key_is_refused() {
    let once = Once::new(limits());
    assert_eq!(run(&once, call("a", "k"), "x", "first").await, Ok(("first".into(), false)));
    assert_eq!(run(&once, call("a", "k"), "x", "second").await, Ok(("first".into(), true)));
    assert_eq!(run(&once, call("a", "k"), "y", "second").await, Err("idempotency-key-reused"));
    assert_eq!(
        run(&once, call("b", "k"), "y", "theirs").await,
        Ok(("theirs".into(), false)),
        "a key is its caller's own"
    );
    let none = Call::of(&HeaderMap::new(), None, String::new());
    assert_eq!(run(&once, none, "x", "free").await, Ok(("free".into(), false)));
}

#[tokio::test]
async fn what_was_refused_is_not_remembered() {
    let once = Once::new(limits());
    let no = async { Err(Problem::not_found("thing", &"x")) };
    assert_eq!(once.run(call("a", "k"), b"x", no).await.unwrap_err().code, "not-found");
    assert_eq!(run(&once, call("a", "k"), "y", "done").await, Ok(("done".into(), false)));
}

#[tokio::test]
async fn while_it_is_done_it_is_not_begun_again_and_an_end_frees_the_key() {
    let once = Once::new(limits());
    let endless = once.run(call("a", "k"), b"x", std::future::pending());
    {
        tokio::pin!(endless);
        assert!(futures::poll!(&mut endless).is_pending());
        assert_eq!(run(&once, call("a", "k"), "x", "second").await, Err("idempotency-key-busy"));
    }
    assert_eq!(run(&once, call("a", "k"), "x", "third").await, Ok(("third".into(), false)));
}

#[tokio::test]
async fn a_caller_pushes_out_its_own_oldest_and_memory_is_bounded() {
    let once = Once::new(limits());
    for key in ["1", "2", "3"] {
        run(&once, call("a", key), "x", key).await.unwrap();
    }
    assert!(run(&once, call("a", "2"), "x", "no").await.unwrap().1);
    assert!(!run(&once, call("a", "1"), "x", "new").await.unwrap().1, "the oldest is forgotten");
    for caller in ["b", "c", "d"] {
        run(&once, call(caller, "k"), "x", "one").await.unwrap();
    }
    assert_eq!(once.kept().rows.len(), 3, "all together");
    // By the bytes, too: two answers of 60 are more than 100.
    let once = Once::new(limits());
    let long = "x".repeat(60);
    for key in ["1", "2"] {
        run(&once, call("a", key), "x", &long).await.unwrap();
    }
    let held = |kept: MutexGuard<'_, Kept>| (kept.rows.len(), kept.bytes);
    assert_eq!(held(once.kept()), (1, 60));
    assert!(run(&once, call("a", "2"), "x", "no").await.unwrap().1);
}

#[tokio::test]
async fn after_its_time_a_key_is_forgotten() {
    let once = Once::new(OnceLimits { kept: Duration::from_secs(10), ..limits() });
    run(&once, call("a", "k"), "x", "first").await.unwrap();
    let (long, later) = (Duration::from_secs(10), Instant::now().checked_add(Duration::from_secs(11)).unwrap());
    once.kept().forget_before(Instant::now(), long);
    assert_eq!(once.kept().rows.len(), 1);
    once.kept().forget_before(later, long);
    assert_eq!(run(&once, call("a", "k"), "y", "second").await, Ok(("second".into(), false)));
    assert_eq!(once.kept().order.len(), 1);
}

#[test]
fn a_key_is_given_once_and_reads() {
    let of = |values: &[&str]| {
        let mut headers = HeaderMap::new();
        values.iter().for_each(|v| _ = headers.append(HEADER, v.parse().unwrap()));
        key(&headers).map_err(|p| p.code)
    };
    assert_eq!(of(&["\"a-b\""]).unwrap().as_deref(), Some("a-b"));
    assert_eq!(of(&[]), Ok(None));
    for bad in [&["a", "b"][..], &[""], &["a b"], &[&"x".repeat(KEY_BYTES_MAX + 1)]] {
        assert_eq!(of(bad), Err("bad-idempotency-key"), "{bad:?}");
    }
}
