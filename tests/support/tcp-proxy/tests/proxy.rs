//! Each toxic, as a client and a server see it.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::io::ErrorKind;
use std::time::Duration;

use tcp_proxy::{Ending, Flow, TcpProxy, Toxics};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{Instant, timeout};

const PATIENCE: Duration = Duration::from_secs(20);
/// Long enough to be sure that nothing comes.
const QUIET: Duration = Duration::from_millis(300);

const fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

/// A server and a proxy in front of it.
struct Pair {
    proxy: TcpProxy,
    server: TcpListener,
}

impl Pair {
    async fn new(toxics: Toxics) -> Self {
        let server = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let proxy = TcpProxy::start(server.local_addr().unwrap(), 1).unwrap();
        proxy.set(toxics);
        Self { proxy, server }
    }

    /// Both ends of a connection.
    async fn connect(&self) -> (TcpStream, TcpStream) {
        let client = TcpStream::connect(self.proxy.address());
        let both = async { tokio::try_join!(client, self.server.accept()) };
        let (client, (server, _)) = timeout(PATIENCE, both).await.unwrap().unwrap();
        client.set_nodelay(true).unwrap();
        server.set_nodelay(true).unwrap();
        (client, server)
    }
}

/// Everything up to the end, and the kind of end.
async fn rest(stream: &mut TcpStream) -> (Vec<u8>, Option<ErrorKind>) {
    let mut bytes = Vec::new();
    let ended = timeout(PATIENCE, stream.read_to_end(&mut bytes)).await;
    let error = ended.expect("the stream did not end").err();
    (bytes, error.map(|error| error.kind()))
}

async fn exactly(stream: &mut TcpStream, wanted: &[u8]) {
    let mut bytes = vec![0; wanted.len()];
    let read = timeout(PATIENCE, stream.read_exact(&mut bytes)).await;
    read.expect("too few bytes").unwrap();
    assert_eq!(bytes, wanted);
}

async fn silent(stream: &mut TcpStream) {
    let read = timeout(QUIET, stream.read_u8()).await;
    assert!(read.is_err(), "not silent: {read:?}");
}

#[tokio::test]
async fn without_toxics_everything_passes_and_is_counted() {
    let pair = Pair::new(Toxics::default()).await;
    let (mut client, mut server) = pair.connect().await;
    let request: Vec<u8> = (0..100_000u32).map(|n| n.to_le_bytes()[0]).collect();
    let sent = async {
        client.write_all(&request).await.unwrap();
        client.shutdown().await.unwrap();
    };
    let ((), (received, error)) = tokio::join!(sent, rest(&mut server));
    assert_eq!((received, error), (request, None));
    // The other direction outlives the first one's end.
    server.write_all(b"reply").await.unwrap();
    drop(server);
    assert_eq!(rest(&mut client).await, (b"reply".to_vec(), None));
    let ended = async {
        while pair.proxy.counts().open > 0 {
            tokio::time::sleep(ms(1)).await;
        }
    };
    timeout(PATIENCE, ended).await.unwrap();
    let counts = pair.proxy.counts();
    assert_eq!(counts.accepted, 1);
    assert_eq!((counts.up.read, counts.up.passed), (100_000, 100_000));
    assert_eq!((counts.down.read, counts.down.passed), (5, 5));
}

#[tokio::test]
async fn latency_delays_one_direction_and_chunks_do_not_wait_for_each_other() {
    let late = Flow::default().latency(ms(200)).jitter(ms(100));
    let pair = Pair::new(Toxics::up(late)).await;
    let (mut client, mut server) = pair.connect().await;
    let begin = Instant::now();
    for n in 0..10u8 {
        client.write_all(&[n]).await.unwrap();
        tokio::time::sleep(ms(5)).await;
    }
    exactly(&mut server, &[0, 1, 2, 3, 4, 5, 6, 7, 8, 9]).await;
    let took = begin.elapsed();
    // One after the other they would have taken two seconds.
    assert!(took >= ms(200) && took < ms(1500), "{took:?}");
    let begin = Instant::now();
    server.write_all(b"back").await.unwrap();
    exactly(&mut client, b"back").await;
    assert!(begin.elapsed() < ms(200), "{:?}", begin.elapsed());
}

#[tokio::test]
async fn bandwidth_takes_its_time() {
    let pair = Pair::new(Toxics::down(Flow::default().bandwidth(40_000))).await;
    let (mut client, mut server) = pair.connect().await;
    let begin = Instant::now();
    server.write_all(&[7; 20_000]).await.unwrap();
    exactly(&mut client, &[7; 20_000]).await;
    // The pause after the last piece is not waited for.
    assert!(begin.elapsed() >= ms(440), "{:?}", begin.elapsed());
}

#[tokio::test]
async fn a_slicer_writes_one_byte_at_a_time() {
    let slices = Flow::default().slices(1, ms(20));
    let pair = Pair::new(Toxics::down(slices)).await;
    let (mut client, mut server) = pair.connect().await;
    let begin = Instant::now();
    server.write_all(b"0123456789").await.unwrap();
    let mut buffer = [0; 64];
    let first = timeout(PATIENCE, client.read(&mut buffer)).await;
    let first = first.unwrap().unwrap();
    // A busy reader may find more than one; not all.
    assert!((1..10).contains(&first), "{first}");
    exactly(&mut client, &b"0123456789"[first..]).await;
    assert!(begin.elapsed() >= ms(9 * 20), "{:?}", begin.elapsed());
    assert_eq!(pair.proxy.counts().down.passed, 10);
}

#[tokio::test]
async fn a_slow_close_holds_the_end_back_and_not_the_bytes() {
    let pair = Pair::new(Toxics::down(Flow::default().slow_close(ms(400)))).await;
    let (mut client, mut server) = pair.connect().await;
    server.write_all(b"bytes").await.unwrap();
    drop(server);
    let begin = Instant::now();
    exactly(&mut client, b"bytes").await;
    assert!(begin.elapsed() < ms(350), "{:?}", begin.elapsed());
    assert_eq!(rest(&mut client).await, (Vec::new(), None));
    assert!(begin.elapsed() >= ms(350), "{:?}", begin.elapsed());
}

#[tokio::test]
async fn a_limit_closes_both_sides_after_its_bytes() {
    let limit = Flow::default().latency(ms(50)).limit(4, Ending::Close);
    let pair = Pair::new(Toxics::down(limit)).await;
    let (mut client, mut server) = pair.connect().await;
    server.write_all(b"0123456789").await.unwrap();
    assert_eq!(rest(&mut client).await, (b"0123".to_vec(), None));
    assert!(rest(&mut server).await.0.is_empty());
    let down = pair.proxy.counts().down;
    assert_eq!((down.read, down.passed), (10, 4));
}

#[tokio::test]
async fn a_limit_resets_both_sides_after_its_bytes() {
    let pair = Pair::new(Toxics::up(Flow::default().limit(4, Ending::Reset))).await;
    let (mut client, mut server) = pair.connect().await;
    client.write_all(b"0123456789").await.unwrap();
    let reset = Some(ErrorKind::ConnectionReset);
    assert_eq!(rest(&mut client).await.1, reset);
    // A reset may overtake the bytes before it.
    let (received, error) = rest(&mut server).await;
    assert!(b"0123".starts_with(&received), "{received:?}");
    assert_eq!(error, reset);
}

#[tokio::test]
async fn a_half_close_ends_one_direction_only() {
    let pair = Pair::new(Toxics::up(Flow::default().limit(4, Ending::HalfClose))).await;
    let (mut client, mut server) = pair.connect().await;
    client.write_all(b"0123456789").await.unwrap();
    assert_eq!(rest(&mut server).await, (b"0123".to_vec(), None));
    server.write_all(b"answer").await.unwrap();
    exactly(&mut client, b"answer").await;
    // Bytes sent from here on are read and dropped.
    client.write_all(b"more").await.unwrap();
    drop(server);
    assert_eq!(rest(&mut client).await, (Vec::new(), None));
}

#[tokio::test]
async fn a_blackhole_says_nothing_until_a_side_leaves() {
    let pair = Pair::new(Toxics::down(Flow::default().limit(0, Ending::Blackhole))).await;
    let (mut client, mut server) = pair.connect().await;
    client.write_all(b"request").await.unwrap();
    exactly(&mut server, b"request").await;
    server.write_all(b"reply").await.unwrap();
    silent(&mut client).await;
    drop(client);
    assert_eq!(rest(&mut server).await, (Vec::new(), None));
    assert_eq!(pair.proxy.counts().down.passed, 0);
}

#[tokio::test]
async fn toxics_change_under_open_connections_and_next_ones_keep_their_own() {
    let pair = Pair::new(Toxics::default()).await;
    let (mut client, mut server) = pair.connect().await;
    client.write_all(b"before").await.unwrap();
    exactly(&mut server, b"before").await;
    pair.proxy
        .next(Toxics::up(Flow::default().limit(1, Ending::Close)));
    let (mut own, mut own_server) = pair.connect().await;
    let (mut other, mut other_server) = pair.connect().await;
    pair.proxy
        .set(Toxics::up(Flow::default().limit(8, Ending::Close)));
    // Six bytes have passed: two are left.
    client.write_all(b"after").await.unwrap();
    assert_eq!(rest(&mut server).await, (b"af".to_vec(), None));
    own.write_all(b"own").await.unwrap();
    assert_eq!(rest(&mut own_server).await, (b"o".to_vec(), None));
    other.write_all(b"standing toxics").await.unwrap();
    assert_eq!(rest(&mut other_server).await, (b"standing".to_vec(), None));
}
