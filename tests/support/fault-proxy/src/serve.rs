//! The listener and its connections.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::{TcpSocket, TcpStream};
use tokio::sync::watch;
use tokio_rustls::TlsAcceptor;

use crate::exchange::{Shared, exchange};

/// A socket bound to `address`. Several may be bound: one only reserves the port, so that no other
/// process gets it while nothing listens, and one listens.
pub(crate) fn bind(address: SocketAddr) -> io::Result<TcpSocket> {
    let socket = TcpSocket::new_v4()?;
    socket.set_reuseaddr(true)?;
    socket.set_reuseport(true)?;
    socket.bind(address)?;
    Ok(socket)
}

/// The orders to the listener and its connections.
pub(crate) struct Orders {
    /// Whether connections are wanted.
    pub(crate) wanted: watch::Receiver<bool>,
    /// Whether the listener accepts connections.
    pub(crate) listening: watch::Sender<bool>,
    /// Changes when all connections have to end.
    pub(crate) cuts: watch::Receiver<u64>,
}

/// Accepts connections while they are wanted; refuses them (nothing listens) while they are not.
/// Ends when the sender is dropped.
pub(crate) async fn listen(
    address: SocketAddr,
    tls: TlsAcceptor,
    shared: Arc<Shared>,
    mut orders: Orders,
) -> io::Result<()> {
    while orders.wanted.wait_for(|wanted| *wanted).await.is_ok() {
        let listener = bind(address)?.listen(1024)?;
        orders.listening.send_replace(true);
        loop {
            tokio::select! {
                _ = orders.wanted.wait_for(|wanted| !*wanted) => break,
                accepted = listener.accept() => {
                    // An error means that the connection is already gone.
                    let Ok((socket, _)) = accepted else { continue };
                    let mut cuts = orders.cuts.clone();
                    cuts.mark_unchanged();
                    let (tls, shared) = (tls.clone(), Arc::clone(&shared));
                    tokio::spawn(async move {
                        tokio::select! {
                            _ = cuts.changed() => {}
                            () = serve(socket, tls, shared) => {}
                        }
                    });
                }
            }
        }
        drop(listener);
        orders.listening.send_replace(false);
    }
    Ok(())
}

async fn serve(socket: TcpStream, tls: TlsAcceptor, shared: Arc<Shared>) {
    // Errors are clients that left, and replies that a rule cut off.
    let _ = socket.set_nodelay(true);
    if let Ok(socket) = tls.accept(socket).await {
        let service = service_fn(move |request| exchange(Arc::clone(&shared), request));
        let _ = http1::Builder::new()
            .serve_connection(TokioIo::new(socket), service)
            .await;
    }
}
