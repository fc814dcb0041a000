//! Placement and slots against programs that Larder did not write, and against itself in another language.

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use larder_cluster::slot::slot_of;
use larder_tests::rng::{Rng, fresh_seed};
use larder_tests::server::Server;

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("tests/ lies in the root")
        .to_path_buf()
}

/// Runs a script of `tests/vectors`, which must print the file of the same name in `cluster/vectors`.
fn expect_vectors(name: &str) {
    let script = root().join(format!("tests/vectors/{name}.py"));
    let output = Command::new("python3")
        .arg(&script)
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .env("PYTHONIOENCODING", "utf-8")
        .stdin(Stdio::null())
        .output()
        .expect("python3 runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let file = root().join(format!("cluster/vectors/{name}.json"));
    let vectors = fs::read(&file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    assert!(
        output.stdout == vectors,
        "{} is not what {} prints",
        file.display(),
        script.display()
    );
}

#[test]
fn placement_in_python_gives_the_vectors() {
    expect_vectors("placement");
}

#[test]
fn ketama_in_python_gives_the_vectors() {
    expect_vectors("ketama");
}

#[test]
fn slots_are_those_of_a_redis_cluster() {
    let seed = fresh_seed();
    println!("LARDER_SEED={seed}");
    let mut rng = Rng::new(seed);
    let server = Server::redis(&["--cluster-enabled", "yes"]);
    let mut conn = server.connect();
    for _ in 0..3000 {
        let length = rng.below(40);
        // Braces often, so that there are tags of every kind.
        let key: String = (0..length)
            .map(|_| *rng.pick(&['{', '}', '{', '}', 'a', 'b', 'z', '0', ':', 'ä', '日']))
            .collect();
        let reply = conn.call_args(&["CLUSTER", "KEYSLOT", &key]);
        let slot = i64::from(slot_of(key.as_bytes()).number());
        assert_eq!(reply.integer(), Some(slot), "{key:?}");
    }
}
