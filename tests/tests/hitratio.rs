//! The comparison of hit ratios works from end to end, with real servers.

use larder_tests::rng::Rng;
use larder_tests::server::{SERVER_VARIABLE, built_program};
use std::fmt::Write as _;
use std::path::PathBuf;
use std::process::{Command, Output};
use tempfile::TempDir;

/// Runs `larder-hitratio` on a small trace with `args` after the ones every test wants.
fn hitratio(dir: &TempDir, args: &[&str]) -> Output {
    let trace = dir.path().join("small.csv");
    let mut text = "seconds,key,size\n".to_owned();
    let mut rng = Rng::new(1);
    for second in 0..20_000 {
        // Few keys often, many keys seldom: 8 MB in all.
        let key = if rng.chance(50) {
            rng.below(500)
        } else {
            rng.below(8000)
        };
        writeln!(text, "{second},{key},1000").expect("a String takes all");
    }
    std::fs::write(&trace, text).expect("written");
    let server = std::env::var_os(SERVER_VARIABLE).map_or_else(
        || built_program("larder-server").expect("built"),
        |name| PathBuf::from("/usr/bin").join(name),
    );
    Command::new(env!("CARGO_BIN_EXE_larder-hitratio"))
        .arg(trace)
        .arg("--server")
        .arg(server)
        .args(["--skip", "memcached", "--skip", "valkey", "--policies", "allkeys-lru"])
        .args(["--peer-policies", "allkeys-lru"])
        .args(args)
        .output()
        .expect("it starts")
}

#[test]
fn hit_ratios_of_larder_and_redis_come_out_as_table_picture_and_json() {
    let dir = TempDir::new().expect("a directory");
    let json = dir.path().join("all.json");
    let folder = dir.path().to_string_lossy().into_owned();
    let done = hitratio(&dir, &["3mb", "--plot", &folder, "--json", &json.to_string_lossy()]);
    let (output, errors) = (
        String::from_utf8_lossy(&done.stdout),
        String::from_utf8_lossy(&done.stderr),
    );
    assert!(done.status.success(), "{output}\n{errors}");
    for expected in [
        "| larder allkeys-lru |",
        "| redis allkeys-lru  |",
        "- not measured: memcached: left out",
    ] {
        assert!(output.contains(expected), "no {expected} in\n{output}");
    }
    assert!(dir.path().join("hitratio-small.svg").is_file(), "no picture");
    let json = std::fs::read_to_string(json).expect("JSON");
    let document: serde_json::Value = serde_json::from_str(&json).expect("JSON");
    let cells = document["traces"][0]["cells"].as_array().expect("cells");
    for cell in cells {
        let run = &cell["run"];
        // Half of the requests are for keys that fit easily; the others mostly are not found again.
        let hit_ratio = run["hit_ratio"].as_f64().expect("a number");
        assert!((0.3..0.8).contains(&hit_ratio), "{cell}");
        assert!(
            run["entries"]
                .as_u64()
                .is_some_and(|entries| (1000..3500).contains(&entries)),
            "{cell}"
        );
        assert!(
            run["peak_above_idle"].as_u64().is_some_and(|bytes| bytes > 1 << 20),
            "{cell}"
        );
    }
    assert_eq!(cells.len(), 2);
}

#[test]
fn what_cannot_be_measured_is_said_and_is_a_failure() {
    let dir = TempDir::new().expect("a directory");
    let done = hitratio(&dir, &["3mb", "--skip", "redis", "--policies", "allkeys-whatever"]);
    let output = String::from_utf8_lossy(&done.stdout);
    assert!(
        !done.status.success() && output.contains("not measured: ends at once"),
        "{output}"
    );

    let done = hitratio(&dir, &["/no/such/trace.csv.zst", "3mb"]);
    let errors = String::from_utf8_lossy(&done.stderr);
    assert!(
        !done.status.success() && errors.contains("no trace at /no/such/trace.csv.zst"),
        "{errors}"
    );
}
