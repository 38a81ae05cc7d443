//! One connection: each direction is read as fast as it comes and written when it is due.

use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::net::tcp::{ReadHalf, WriteHalf};
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep, sleep_until};

use crate::proxy::Shared;
use crate::toxic::{Direction, Ending, Flow, Toxics};

/// Largest piece that is read at once.
const CHUNK: usize = 16 * 1024;
/// Chunks that may be in flight in one direction; after that the sender is no longer read.
const UNDER_WAY: usize = 64;

/// An early end of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Cut {
    Close,
    Reset,
}

enum Item {
    Chunk { due: Instant, bytes: Vec<u8> },
    Cut(Cut),
}

/// A connection's link to the proxy.
pub(crate) struct Link {
    shared: Arc<Shared>,
    /// Its own toxics; without them the standing ones hold.
    own: Option<Toxics>,
    number: u64,
    cuts: watch::Receiver<u64>,
}

impl Link {
    pub(crate) fn new(shared: Arc<Shared>, own: Option<Toxics>, number: u64) -> Self {
        Self {
            cuts: shared.cuts.subscribe(),
            shared,
            own,
            number,
        }
    }

    fn toxics(&self) -> Toxics {
        self.own.unwrap_or_else(|| self.shared.standing())
    }

    fn flow(&self, direction: Direction) -> Flow {
        self.toxics().flow(direction)
    }

    pub(crate) fn reset_at_once(&self) -> bool {
        self.toxics().reset_at_once
    }

    /// A separate random stream for each connection and direction, so that the order in which they
    /// run changes nothing.
    fn random(&self, direction: Direction) -> fastrand::Rng {
        let way = match direction {
            Direction::Up => 0,
            Direction::Down => 1,
        };
        let mut seeds = fastrand::Rng::with_seed(self.shared.seed);
        fastrand::Rng::with_seed(seeds.u64(..) ^ ((self.number << 1) | way))
    }

    async fn cut(&self) {
        // Marked as seen when this connection was made: only later cuts count.
        let mut cuts = self.cuts.clone();
        if cuts.changed().await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        self.shared.counters.ended();
    }
}

/// Carries a connection to its end.
pub(crate) async fn relay(mut client: TcpStream, mut server: TcpStream, link: &Link) {
    // Slices must leave as slices.
    let _ = (client.set_nodelay(true), server.set_nodelay(true));
    let ended = {
        let (from_client, to_client) = client.split();
        let (from_server, to_server) = server.split();
        let both = async {
            tokio::try_join!(
                carry(link, Direction::Up, from_client, to_server),
                carry(link, Direction::Down, from_server, to_client),
            )
        };
        tokio::select! {
            ended = both => ended.err(),
            () = link.cut() => Some(Cut::Reset),
        }
    };
    match ended {
        Some(Cut::Reset) => {
            let _ = (client.set_zero_linger(), server.set_zero_linger());
        }
        Some(Cut::Close) => {
            // A FIN goes first even if unread bytes make the kernel send a RST.
            let _ = (client.shutdown().await, server.shutdown().await);
        }
        None => {}
    }
}

async fn carry(
    link: &Link,
    direction: Direction,
    from: ReadHalf<'_>,
    to: WriteHalf<'_>,
) -> Result<(), Cut> {
    let (queue, queued) = mpsc::channel(UNDER_WAY);
    let taken = take_in(link, direction, from, queue);
    let passed = pass_on(link, direction, to, queued);
    tokio::try_join!(taken, passed).map(|_| ())
}

/// Reads to the end of the stream or to the limit.
async fn take_in(
    link: &Link,
    direction: Direction,
    mut from: ReadHalf<'_>,
    queue: mpsc::Sender<Item>,
) -> Result<(), Cut> {
    let mut random = link.random(direction);
    let mut buffer = vec![0; CHUNK];
    let mut passed = 0;
    let mut last_due = Instant::now();
    loop {
        let read = read(link, direction, &mut from, &mut buffer).await?;
        if read == 0 {
            return Ok(());
        }
        let flow = link.flow(direction);
        let (admitted, ending) = flow.admit(passed, read);
        passed += u64::try_from(admitted).unwrap_or(u64::MAX);
        // Later chunks do not overtake earlier ones.
        last_due = last_due.max(Instant::now() + flow.delay(&mut random));
        let bytes = buffer.get(..admitted).unwrap_or_default().to_vec();
        let chunk = Item::Chunk {
            due: last_due,
            bytes,
        };
        if queue.send(chunk).await.is_err() {
            return Ok(());
        }
        if let Some(ending) = ending {
            return end(link, direction, from, queue, ending).await;
        }
    }
}

/// The limit was reached: admitted bytes still pass, later ones do not.
async fn end(
    link: &Link,
    direction: Direction,
    from: ReadHalf<'_>,
    queue: mpsc::Sender<Item>,
    ending: Ending,
) -> Result<(), Cut> {
    let cut = match ending {
        Ending::HalfClose => {
            drop(queue);
            return swallow(link, direction, from).await;
        }
        Ending::Blackhole => {
            swallow(link, direction, from).await?;
            // Neither side has got an end of the stream so far.
            return Err(Cut::Close);
        }
        Ending::Close => Cut::Close,
        Ending::Reset => Cut::Reset,
    };
    // Queued behind the admitted bytes: the writer ends the connection.
    let _ = queue.send(Item::Cut(cut)).await;
    swallow(link, direction, from).await?;
    std::future::pending().await
}

async fn swallow(link: &Link, direction: Direction, mut from: ReadHalf<'_>) -> Result<(), Cut> {
    let mut buffer = vec![0; CHUNK];
    while read(link, direction, &mut from, &mut buffer).await? > 0 {}
    Ok(())
}

async fn read(
    link: &Link,
    direction: Direction,
    from: &mut ReadHalf<'_>,
    buffer: &mut [u8],
) -> Result<usize, Cut> {
    let read = from.read(buffer).await.map_err(|_| Cut::Reset)?;
    link.shared.counters.read(direction, read);
    Ok(read)
}

/// Writes each piece when it is due, and then the end of the stream.
async fn pass_on(
    link: &Link,
    direction: Direction,
    mut to: WriteHalf<'_>,
    mut queued: mpsc::Receiver<Item>,
) -> Result<(), Cut> {
    while let Some(item) = queued.recv().await {
        match item {
            Item::Chunk { due, bytes } => {
                sleep_until(due).await;
                write(link, direction, &mut to, &bytes).await?;
            }
            Item::Cut(cut) => return Err(cut),
        }
    }
    pause(link.flow(direction).slow_close).await;
    // The other side may be gone already.
    let _ = to.shutdown().await;
    Ok(())
}

async fn write(
    link: &Link,
    direction: Direction,
    to: &mut WriteHalf<'_>,
    bytes: &[u8],
) -> Result<(), Cut> {
    let mut rest = bytes;
    while !rest.is_empty() {
        let flow = link.flow(direction);
        let (piece, later) = rest.split_at(flow.piece(rest.len()));
        // Before the write: a reader of the bytes finds them counted.
        link.shared.counters.passed(direction, piece.len());
        to.write_all(piece).await.map_err(|_| Cut::Reset)?;
        pause(flow.pause(piece.len())).await;
        rest = later;
    }
    Ok(())
}

/// Avoids the timer if there is nothing to wait for.
async fn pause(time: Duration) {
    if !time.is_zero() {
        sleep(time).await;
    }
}
