//! The Unix socket: what works over TCP works there, for those who may.

use super::larder;
use larder_tests::server::{Kind, Launch, Server};
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::process::Command;

const SOCKET: &str = "node.sock";

fn both(perm: &str) -> [Server; 2] {
    [Kind::Redis, Kind::Larder].map(|kind| Server::start(kind, &["--unixsocket", SOCKET, "--unixsocketperm", perm]))
}

fn tool(program: &str, socket: &Path, args: &[&str]) -> String {
    let output = Command::new(program).arg("-s").arg(socket).args(args).output();
    let output = output.unwrap_or_else(|error| panic!("{program}: {error}"));
    assert!(output.status.success(), "{program} {args:?}: {output:?}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[test]
fn redis_cli_and_redis_benchmark_work_over_the_socket() {
    for server in both("700") {
        let socket = server.dir().join(SOCKET);
        assert_eq!(tool("redis-cli", &socket, &["SET", "k", "v"]), "OK\n");
        assert_eq!(server.connect().call("GET k").text(), "v", "{:?}", server.kind());
        let large = "x".repeat(100_000);
        assert_eq!(tool("redis-cli", &socket, &["APPEND", "k", &large]), "100001\n");
        assert_eq!(tool("redis-cli", &socket, &["GET", "k"]).len(), 100_002);
        let me = tool("redis-cli", &socket, &["CLIENT", "LIST"]);
        let line = me.lines().find(|line| line.contains("cmd=client")).unwrap_or_default();
        let field = |name: &str| {
            let word = line.split(' ').find_map(|word| word.strip_prefix(name));
            word.unwrap_or_else(|| panic!("no {name} in {line}")).to_string()
        };
        assert!(
            field("addr=").ends_with(&format!("{SOCKET}:0")),
            "{:?}: {line}",
            server.kind()
        );
        assert_eq!(field("flags="), "U", "{:?}: {line}", server.kind());
        let csv = tool(
            "redis-benchmark",
            &socket,
            &["-t", "set,get", "-q", "--csv", "-n", "5000", "-P", "8"],
        );
        assert!(csv.contains("\"SET\"") && csv.contains("\"GET\""), "{csv}");
    }
}

#[test]
fn its_permissions_are_those_of_unixsocketperm() {
    for perm in ["700", "770", "755", "600"] {
        for server in both(perm) {
            let meta = std::fs::metadata(server.dir().join(SOCKET)).expect("the socket exists");
            assert!(meta.file_type().is_socket());
            let expected = u32::from_str_radix(perm, 8).expect("an octal number");
            assert_eq!(
                meta.permissions().mode() & 0o777,
                expected,
                "{:?} with {perm}",
                server.kind()
            );
        }
    }
}

#[test]
fn a_socket_that_a_killed_server_left_behind_is_no_obstacle() {
    let folder = tempfile::tempdir().expect("a temp dir");
    let path = folder.path().join(SOCKET);
    drop(UnixListener::bind(&path).expect("a socket"));
    assert!(path.exists(), "a socket stays when its listener is gone");
    let name = path.to_str().expect("a path in UTF-8");
    let server = larder(&Launch {
        args: &["--unixsocket", name],
        ..Launch::default()
    });
    assert_eq!(tool("redis-cli", &path, &["PING"]), "PONG\n");
    drop(server);
}

#[test]
fn without_tcp_the_socket_is_enough() {
    let folder = tempfile::tempdir().expect("a temp dir");
    let path = folder.path().join(SOCKET);
    let (name, port) = (path.to_str().expect("UTF-8"), larder_tests::server::free_port());
    // The harness waits for TCP, so the process is started beside another that has the harness's port.
    let program = std::env::var_os(larder_tests::server::SERVER_VARIABLE).map_or_else(
        || larder_tests::server::built_program("larder-server").expect("it is built"),
        Into::into,
    );
    let mut child = Command::new(program)
        .args(["--port", "0", "--unixsocket", name, "--save", ""])
        .current_dir(folder.path())
        .stdout(std::process::Stdio::null())
        .spawn()
        .expect("it starts");
    let up = larder_tests::wait::wait_until(larder_tests::wait::PATIENCE, || {
        std::os::unix::net::UnixStream::connect(&path).is_ok()
    });
    let answer = tool("redis-cli", &path, &["SET", "k", "v"]);
    let tcp = std::net::TcpStream::connect(("127.0.0.1", port)).is_ok();
    let ended = tool("redis-cli", &path, &["SHUTDOWN"]);
    let code = child.wait().ok().and_then(|status| status.code());
    assert!(
        up && !tcp && answer == "OK\n" && ended.trim().is_empty(),
        "{answer} {ended}"
    );
    assert_eq!(code, Some(0));
    assert!(!path.exists());
}
