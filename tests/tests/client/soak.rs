//! The soak of scripts/soak-client in small.

use larder_tests::soak::{Options, run};

#[test]
fn no_reply_is_wrong_and_no_call_hangs_whatever_fails() {
    let report = run(&Options {
        calls: 30_000,
        tasks: 64,
        rate: 6_000,
        seed: None,
    })
    .expect("it runs");
    println!("{report}");
    assert!(report.is_good(), "{report}");
    let count = |outcome: &str| report.outcomes.get(outcome).copied().unwrap_or(0);
    assert!(count("answered") > report.calls / 4, "{report}");
    assert!(
        report.connections > 20 && count("given up") > 0 && count("lost") > 0,
        "{report}"
    );
}
