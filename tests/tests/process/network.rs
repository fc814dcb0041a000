//! What peers see of the network side: who may connect, and how batches are answered.

use larder_tests::reply::escape;
use larder_tests::server::Server;
use larder_tests::wait::PATIENCE;
use larder_tests::wire::encode;
use std::io::{Read, Write};
use std::net::{IpAddr, TcpStream, UdpSocket};

/// An address of this machine that others could reach, if it has one. Nothing is sent to find it.
fn outside_address() -> Option<IpAddr> {
    let socket = UdpSocket::bind("0.0.0.0:0").ok()?;
    socket.connect("192.0.2.1:9").ok()?;
    let address = socket.local_addr().ok()?.ip();
    (!address.is_loopback() && !address.is_unspecified()).then_some(address)
}

fn ask(address: IpAddr, port: u16, bytes: &[u8]) -> std::io::Result<String> {
    let mut stream = TcpStream::connect((address, port))?;
    stream.set_read_timeout(Some(PATIENCE))?;
    // A refusal may come before this is written.
    let _ = stream.write_all(bytes);
    let mut reply = vec![0; 4096];
    let length = stream.read(&mut reply)?;
    Ok(escape(&reply[..length]))
}

#[test]
fn protected_mode_refuses_other_machines_while_there_is_no_password() {
    let Some(address) = outside_address() else {
        println!("not run: this machine has no address but loopback, so nobody else could connect");
        return;
    };
    // Bound to loopback, which is the default, nobody hears the others.
    let closed = Server::larder(&[]);
    assert!(TcpStream::connect((address, closed.port())).is_err());
    for server in [
        Server::redis(&["--bind", "0.0.0.0"]),
        Server::larder(&["--bind", "0.0.0.0"]),
    ] {
        let kind = server.kind();
        let refusal = ask(address, server.port(), b"PING\r\n").expect("a reply");
        assert!(refusal.starts_with("-DENIED "), "{kind:?}: {refusal}");
        let mut conn = server.connect();
        assert_eq!(conn.call("PING").text(), "PONG", "{kind:?}");
        assert_eq!(conn.call("CONFIG SET requirepass secret").text(), "OK");
        let reply = ask(address, server.port(), b"PING\r\n").expect("a reply");
        assert_eq!(reply, "-NOAUTH Authentication required.\\r\\n", "{kind:?}");
        assert_eq!(conn.call_args(&["CONFIG", "SET", "requirepass", ""]).text(), "OK");
        assert_eq!(conn.call("CONFIG SET protected-mode no").text(), "OK");
        assert_eq!(
            ask(address, server.port(), b"PING\r\n").expect("a reply"),
            "+PONG\\r\\n",
            "{kind:?}"
        );
    }
}

#[test]
fn a_batch_is_read_once_and_answered_with_few_writes() {
    let server = Server::larder(&["--threads", "1"]);
    let mut conn = server.connect();
    let mut count = |batch: usize| {
        let number = |field: &str| {
            server
                .info(field)
                .and_then(|text| text.parse::<usize>().ok())
                .expect(field)
        };
        let before = [number("total_reads_processed"), number("total_writes_processed")];
        let empty = [number("total_reads_processed"), number("total_writes_processed")];
        conn.send(&encode(&["INCR", "n"]).repeat(batch))
            .expect("the server reads");
        (0..batch).for_each(|_| drop(conn.read_raw().expect("a reply")));
        let after = [number("total_reads_processed"), number("total_writes_processed")];
        // Asking costs reads and writes, too: as many as it did before.
        [0, 1].map(|at| (after[at] - empty[at]).saturating_sub(empty[at] - before[at]))
    };
    let [reads, writes] = count(100);
    assert!(
        reads <= 6 && writes <= 2,
        "{reads} reads, {writes} writes for one batch of 100"
    );
    // Turns end after 128 commands, and 5,000 commands arrive in several pieces.
    let [reads, writes] = count(5000);
    assert!(
        reads <= 80 && writes <= 80,
        "{reads} reads, {writes} writes for a batch of 5,000"
    );
}
