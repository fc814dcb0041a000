//! What a pipeline is made of, without a server.

use super::*;
use crate::command::cmd;

fn client() -> Client {
    // Nobody listens there, and nobody is asked.
    Client::connect("127.0.0.1:1").expect("a client")
}

fn usage(pipe: &Pipeline) -> String {
    match &pipe.error {
        Some(Error::Usage(why)) => why.clone(),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn commands_and_their_keys_are_kept_apart() {
    let client = client();
    let mut pipe = client.pipeline();
    pipe.get("a")
        .add(&cmd("DEL").arg(["b", "c"]))
        .add(&cmd("PING"))
        .set("d", 1);
    assert_eq!(pipe.len(), 4);
    let keys: Vec<Vec<&[u8]>> = (0..4)
        .map(|command| pipe.keys_of(command).map(|number| pipe.key(number)).collect())
        .collect();
    let expected: [&[&[u8]]; 4] = [&[b"a"], &[b"b", b"c"], &[], &[b"d"]];
    assert_eq!(keys, expected);
    assert_eq!(pipe.encoded(0), b"*2\r\n$3\r\nGET\r\n$1\r\na\r\n");
    assert_eq!(pipe.name(1), "DEL");
}

#[tokio::test]
async fn what_cannot_be_taken_in_is_told_when_it_is_sent() {
    let client = client();
    let mut pipe = client.pipeline();
    pipe.get("a").expire("a", std::time::Duration::ZERO).get("b");
    assert_eq!(pipe.len(), 1);
    assert!(matches!(pipe.query::<()>().await, Err(Error::Usage(_))));

    let mut pipe = client.pipeline();
    assert!(usage(pipe.add(&cmd("SUBSCRIBE a"))).contains("Client::subscribe"));
    let mut pipe = client.pipeline();
    assert!(usage(pipe.add(&cmd("BLPOP a 0"))).contains("send it alone"));
    let mut pipe = client.pipeline();
    pipe.atomic().add(&cmd("BLPOP a 0"));
    assert!(pipe.error.is_none());
}

#[tokio::test]
async fn a_pipeline_is_bounded_in_commands_and_bytes() {
    let client = client();
    let mut pipe = client.pipeline();
    for _ in 0..=MAX_COMMANDS {
        pipe.ping();
    }
    assert!(usage(&pipe).contains("65536 commands"));
    let mut pipe = client.pipeline();
    pipe.set("a", vec![b'x'; MAX_BYTES]);
    assert!(usage(&pipe).contains("bytes"));
    assert!(pipe.out.is_empty());
}

#[tokio::test]
async fn an_empty_pipeline_sends_nothing() {
    let replies: Vec<Value> = client().pipeline().query().await.expect("no server is needed");
    assert!(replies.is_empty());
}

#[tokio::test]
async fn what_a_transaction_answers_is_told_apart() {
    let client = client();
    let mut pipe = client.pipeline();
    pipe.atomic().incr("a").get("b");
    let request = Transacted(&pipe);
    assert_eq!(request.replies(), 4);
    let ok = || Value::Status("OK".into());
    let queued = || Value::Status("QUEUED".into());
    let error = |text: &str| Value::Error(ServerError::new(text));
    let answer = |answers: Vec<Value>| request.replies_of(Value::Array(answers));

    let done = answer(vec![
        ok(),
        queued(),
        queued(),
        Value::Array(vec![Value::Int(1), Value::Nil]),
    ]);
    assert_eq!(done.expect("done"), Some(vec![Value::Int(1), Value::Nil]));
    let changed = answer(vec![ok(), queued(), queued(), Value::Nil]);
    assert_eq!(changed.expect("watched"), None);
    let aborted = answer(vec![ok(), queued(), error("OOM no"), error("EXECABORT no")]);
    match aborted {
        Err(Error::Server(error)) => {
            assert_eq!(error.code(), "EXECABORT");
            assert!(error.message().ends_with("as GET was refused: OOM no"), "{error}");
        }
        other => panic!("{other:?}"),
    }
    let unknown = answer(vec![
        error("NOAUTH no"),
        error("NOAUTH no"),
        error("NOAUTH no"),
        error("NOAUTH no"),
    ]);
    assert!(matches!(unknown, Err(Error::Server(error)) if error.code() == "NOAUTH"));
}

#[test]
fn an_error_among_the_replies_is_told_unless_there_is_a_place_for_it() {
    let replies = || vec![Value::Int(1), Value::Error(ServerError::new("WRONGTYPE no"))];
    let code = |result: Result<()>| match result {
        Err(Error::Server(error)) => error.code().to_string(),
        other => panic!("{other:?}"),
    };
    assert_eq!(code(read_all(replies())), "WRONGTYPE");
    assert_eq!(code(read_all::<(i64, i64)>(replies()).map(|_| ())), "WRONGTYPE");
    let (first, second): (i64, std::result::Result<i64, ServerError>) = read_all(replies()).expect("a place");
    assert_eq!((first, second.is_err()), (1, true));
}
