//! A run without sockets: what is sent when, and what it counts.

use super::*;
use crate::bench::keys::Keys;
use crate::bench::requests::Shape;

const HOUR: Duration = Duration::from_secs(3600);

fn engine(per_node: usize, clients: u64, members: &[&str]) -> Engine {
    let shape = Shape {
        prefix: "k:",
        get_share: 1.0,
        sizes: 1..=1,
        ttl_ms: None,
        seed: 3,
    };
    let generator = Generator::new(&shape, Keys::Uniform { count: 1000 });
    let members: Vec<_> = members
        .iter()
        .map(|name| larder_cluster::placement::Member::new(*name, 1))
        .collect();
    let table = (!members.is_empty()).then(|| Table::new(&members).expect("a table"));
    Engine::new(generator, table, per_node, clients, Duration::from_secs(1))
}

fn amount(requests: u64, limit: Option<Duration>, rate: Option<f64>) -> Amount {
    Amount { requests, limit, rate }
}

fn flights(engine: &Engine) -> Vec<usize> {
    engine.lanes.iter().map(|lane| lane.flights.len()).collect()
}

#[test]
fn a_closed_loop_keeps_every_client_busy_until_all_is_sent() {
    let mut engine = engine(2, 6, &[]);
    engine.begin(amount(10, None, None));
    assert_eq!(flights(&engine), [3, 3], "clients share the connections evenly");
    let mut answered = 0;
    while !engine.is_over() {
        let at = answered % 2;
        engine.settle(at, Reply::Value, 0).expect("one is in flight");
        engine.settled(at, 1, 0);
        answered += 1;
    }
    assert_eq!(answered, 10);
    assert_eq!(engine.phase.tally.hits, 10);
    assert!(engine.settle(0, Reply::Value, 0).is_err(), "nobody asked");
}

#[test]
fn keys_go_to_the_nodes_that_own_them() {
    let mut engine = engine(1, 300, &["a", "b", "c"]);
    engine.begin(amount(300, None, None));
    let counts = flights(&engine);
    assert_eq!(counts.iter().sum::<usize>(), 300);
    let members: Vec<_> = ["a", "b", "c"]
        .map(|name| larder_cluster::placement::Member::new(name, 1))
        .into();
    let table = Table::new(&members).expect("a table");
    for (node, lane) in engine.lanes.iter().enumerate() {
        let text = String::from_utf8(lane.out.clone()).expect("text");
        let keys = text.lines().filter(|line| line.starts_with("k:"));
        assert!(keys.clone().count() > 0);
        for key in keys {
            assert_eq!(table.owner_of(key.as_bytes()), node, "{key}");
        }
    }
}

#[test]
fn an_open_loop_counts_from_when_a_request_was_due() {
    let mut engine = engine(1, 1, &[]);
    engine.begin(amount(3, None, Some(1000.0)));
    let start_ns = engine.phase.start_ns;
    assert_eq!(flights(&engine), [0], "the pacer sends");
    engine.send_due();
    assert_eq!(flights(&engine), [1], "one client, one request in flight");
    // The reply takes 5 ms, so the next two requests are late by 4 and 3 ms.
    for late_ns in [5_000_000, 5_000_000, 5_000_000] {
        let now_ns = start_ns + late_ns;
        while engine.now_ns() < now_ns {
            std::hint::spin_loop();
        }
        engine.settle(0, Reply::Value, now_ns).expect("one is in flight");
        engine.settled(0, 1, now_ns);
        engine.send_due();
    }
    assert!(engine.is_over());
    let latencies = engine.phase.tally.all_latencies();
    let near = |quantile: f64, ms: f64| {
        let seen = latencies.value_at_quantile(quantile) as f64 / 1e6;
        assert!((seen - ms).abs() < 0.02, "{seen} ms, expected {ms}");
    };
    near(0.0, 3.0);
    near(0.5, 4.0);
    near(1.0, 5.0);
}

#[test]
fn replies_send_nothing_more_once_a_fixed_rate_is_over() {
    let mut engine = engine(1, 4, &[]);
    // The second request would be due after the end, which is far away.
    engine.begin(amount(u64::MAX, Some(HOUR), Some(1e-4)));
    assert_eq!(engine.send_due(), None);
    assert_eq!(flights(&engine), [1]);
    let now_ns = engine.now_ns();
    engine.settle(0, Reply::Value, now_ns).expect("one is in flight");
    engine.settled(0, 1, now_ns);
    assert_eq!(flights(&engine), [0]);
    assert!(engine.is_over());
}

#[test]
fn what_a_fixed_rate_could_not_send_counts_as_waiting() {
    let mut engine = engine(1, 1, &[]);
    engine.begin(amount(u64::MAX, Some(Duration::from_millis(20)), Some(1000.0)));
    engine.send_due();
    let end_ns = engine.phase.end_ns;
    while engine.now_ns() <= end_ns {
        std::hint::spin_loop();
    }
    assert_eq!(engine.send_due(), None);
    assert!(!engine.is_over(), "one is in flight");
    engine.settle(0, Reply::Nil, engine.now_ns()).expect("one is in flight");
    assert!(engine.is_over());
    let tally = &engine.phase.tally;
    assert_eq!((tally.operations(), tally.misses), (1, 1));
    assert!((18..=19).contains(&tally.unsent), "{}", tally.unsent);
    // The one that waited longest was due after 1 ms, and waited 19 ms.
    assert!(tally.all_latencies().max() >= 19_000_000);
}

#[test]
fn a_broken_connection_fails_its_requests_and_frees_its_clients() {
    let mut engine = engine(2, 4, &[]);
    engine.begin(amount(u64::MAX, Some(HOUR), None));
    engine.settle(0, Reply::Error("OOM too much"), 1).expect("in flight");
    engine.settled(0, 1, 1);
    engine.fail(0, "timeout");
    assert_eq!(engine.phase.tally.errors["timeout"], 2);
    assert_eq!(engine.phase.tally.errors["OOM"], 1);
    assert_eq!(flights(&engine).iter().sum::<usize>(), 4, "all clients go on");
}

#[test]
fn only_a_connection_that_owes_a_reply_is_silent() {
    let mut engine = engine(2, 1, &[]);
    engine.timeout_ns = 0;
    engine.begin(amount(1, None, None));
    for lane in &mut engine.lanes {
        lane.is_up = true;
    }
    while engine.now_ns() <= engine.lanes[0].heard_ns {
        std::hint::spin_loop();
    }
    engine.find_silent();
    let dead: Vec<_> = engine.lanes.iter().map(|lane| lane.is_dead).collect();
    assert_eq!(dead, [true, false]);
}

#[test]
fn codes_of_errors_are_words_in_capitals() {
    assert_eq!(error_code("OOM command not allowed"), "OOM");
    assert_eq!(error_code("oh no"), "error");
    assert_eq!(error_code(""), "error");
}
