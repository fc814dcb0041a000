//! TLS against a real redis-server, with certificates made for the test.

use larder_client::{Client, Config, Error, cmd};
use larder_tests::server::{Kind, Server, free_port};
use std::path::{Path, PathBuf};
use std::process::Command;
use tempfile::TempDir;

/// Certificates: an authority, a server's for localhost, and a client's.
struct Certificates {
    dir: TempDir,
}

impl Certificates {
    fn new() -> Certificates {
        let dir = TempDir::with_prefix("larder-tls-").expect("a directory");
        let made = Certificates { dir };
        let authority = "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=authority \
                         -keyout ca.key -out ca.pem -addext basicConstraints=critical,CA:TRUE \
                         -addext keyUsage=critical,keyCertSign";
        made.openssl(authority);
        for (name, extension) in [
            ("server", "subjectAltName=DNS:localhost,IP:127.0.0.1"),
            ("client", "subjectAltName=DNS:app"),
        ] {
            made.openssl(&format!(
                "req -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -subj /CN={name} -keyout {name}.key -out {name}.csr"
            ));
            std::fs::write(made.path(&format!("{name}.ext")), extension).expect("a file");
            made.openssl(&format!(
                "x509 -req -in {name}.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 -extfile {name}.ext -out {name}.pem"
            ));
        }
        made
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn openssl(&self, args: &str) {
        let output = Command::new("openssl")
            .args(args.split_ascii_whitespace())
            .current_dir(self.dir.path())
            .output()
            .expect("openssl is installed");
        assert!(
            output.status.success(),
            "openssl {args}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
    }
}

fn text(path: &Path) -> &str {
    path.to_str().expect("a path in UTF-8")
}

fn start(certificates: &Certificates, clients: &str) -> (Server, u16) {
    let port = free_port();
    let [cert, key, ca] = ["server.pem", "server.key", "ca.pem"].map(|name| certificates.path(name));
    let flags = [
        "--tls-port",
        &port.to_string(),
        "--tls-cert-file",
        text(&cert),
        "--tls-key-file",
        text(&key),
        "--tls-ca-cert-file",
        text(&ca),
        "--tls-auth-clients",
        clients,
    ];
    (Server::start(Kind::Redis, &flags), port)
}

fn connect(host: &str, port: u16, change: impl FnOnce(&mut Config)) -> Client {
    let mut config = Config::default();
    change(&mut config);
    Client::connect_with(&format!("rediss://{host}:{port}"), config).expect("a client")
}

async fn refusal(client: &Client) -> String {
    match client.ping().await {
        Err(error @ (Error::Connect { .. } | Error::Lost { .. })) => error.to_string(),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn calls_go_over_tls_to_a_server_that_is_trusted() {
    let certificates = Certificates::new();
    let (_server, port) = start(&certificates, "no");
    for host in ["localhost", "127.0.0.1"] {
        let client = connect(host, port, |config| {
            config.tls_ca_file = Some(certificates.path("ca.pem"));
        });
        // Larger than what TLS and the socket hold at once, so that writing must stop and go on.
        let large = vec![b'x'; 16 << 20];
        client.set("large", &large).await.expect("set");
        assert!(
            client
                .get::<Vec<u8>>("large")
                .await
                .expect("a value")
                .is_some_and(|value| value == large)
        );
        let calls: Vec<_> = (0..200)
            .map(|number| {
                let client = client.clone();
                tokio::spawn(async move { client.query::<u32>(&cmd("ECHO").arg(number)).await })
            })
            .collect();
        for (number, call) in (0..).zip(calls) {
            assert_eq!(call.await.expect("no panic").expect("an echo"), number);
        }
        let mut news = client.subscribe("news").await.expect("subscribed");
        client.publish("news", "hello").await.expect("published");
        assert!(news.next().await.message().is_some());
        let popped = client
            .blpop::<(String, String)>("none", std::time::Duration::from_millis(10))
            .await;
        assert_eq!(popped.expect("no error"), None);
    }
}

#[tokio::test]
async fn a_server_that_is_not_trusted_is_not_talked_to() {
    let certificates = Certificates::new();
    let (_server, port) = start(&certificates, "no");
    // The system does not know the authority.
    let why = refusal(&connect("localhost", port, |_| {})).await;
    assert!(why.contains("certificate"), "{why}");
    let other = Certificates::new();
    let why = refusal(&connect("localhost", port, |config| {
        config.tls_ca_file = Some(other.path("ca.pem"));
    }))
    .await;
    assert!(why.contains("certificate"), "{why}");
    // The certificate is for another name.
    let why = refusal(&connect("127.0.0.2", port, |config| {
        config.tls_ca_file = Some(certificates.path("ca.pem"));
    }))
    .await;
    assert!(
        why.contains("127.0.0.2") || why.contains("certificate") || why.contains("refused"),
        "{why}"
    );
    let why = refusal(&connect("localhost", port, |config| {
        config.tls_ca_file = Some("/no/such/file".into());
    }))
    .await;
    assert!(why.contains("/no/such/file"), "{why}");
}

#[tokio::test]
async fn a_server_that_wants_a_certificate_gets_it() {
    let certificates = Certificates::new();
    let (_server, port) = start(&certificates, "yes");
    let ca = certificates.path("ca.pem");
    let without = connect("localhost", port, |config| config.tls_ca_file = Some(ca.clone()));
    refusal(&without).await;
    let with = connect("localhost", port, |config| {
        config.tls_ca_file = Some(ca.clone());
        config.tls_cert_file = Some(certificates.path("client.pem"));
        config.tls_key_file = Some(certificates.path("client.key"));
    });
    with.ping().await.expect("an answer");
}
