//! A TCP relay between the operator and the simulator that passes on half of one request.

use std::net::SocketAddr;
use std::sync::Arc;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::*;

/// Forwards everything except the second half of the first submission: the rest of that connection
/// is silence until its client is gone.
pub struct Relay {
    /// For `--cams-endpoint`.
    pub url: String,
    halved: watch::Receiver<bool>,
    task: JoinHandle<()>,
}

impl Relay {
    pub async fn start(world: &World) -> Self {
        let (to, listener) = (world.sim.address(), TcpListener::bind("127.0.0.1:0"));
        let listener = listener.await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let (tell, halved) = watch::channel(false);
        let tell = Arc::new(tell);
        let task = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                tokio::spawn(pass(client, to, Arc::clone(&tell)));
            }
        });
        Self { url, halved, task }
    }

    /// Waits until half of a submission is out.
    pub async fn halved(&self) {
        let mut halved = self.halved.clone();
        let there = tokio::time::timeout(PATIENCE, halved.wait_for(|halved| *halved));
        there.await.expect("no submission came").unwrap();
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn pass(mut client: TcpStream, to: SocketAddr, halved: Arc<watch::Sender<bool>>) {
    let head = head(&mut client).await;
    let mut server = TcpStream::connect(to).await.unwrap();
    let is_submission = String::from_utf8_lossy(&head).contains(VERIFIED);
    if is_submission && !halved.send_replace(true) {
        server.write_all(&head[..head.len() / 2]).await.unwrap();
        let mut silence = Vec::new();
        // Ends with the client, however that one ends.
        let _ = client.read_to_end(&mut silence).await;
        return;
    }
    server.write_all(&head).await.unwrap();
    // Errors mean that a connection ended.
    let _ = tokio::io::copy_bidirectional(&mut client, &mut server).await;
}

/// A request's head; requests have no bodies.
async fn head(client: &mut TcpStream) -> Vec<u8> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        match client.read_buf(&mut head).await {
            Ok(0) | Err(_) => break,
            Ok(_) => {}
        }
    }
    head
}
