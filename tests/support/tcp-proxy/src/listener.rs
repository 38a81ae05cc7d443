//! A port that stays reserved while no socket listens on it.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};

use tokio::net::{TcpListener, TcpSocket};

/// Connections that wait to be accepted.
const BACKLOG: u32 = 1024;

/// A reserved port on 127.0.0.1. Its socket is bound and never listens, so the kernel refuses
/// connections while no other socket of this process listens, and gives the port to no other
/// process.
#[derive(Debug)]
pub(crate) struct Port {
    _reserved: TcpSocket,
    address: SocketAddr,
}

impl Port {
    pub(crate) fn reserve() -> io::Result<Self> {
        let reserved = bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)))?;
        Ok(Self {
            address: reserved.local_addr()?,
            _reserved: reserved,
        })
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Needs a runtime with I/O.
    pub(crate) fn listen(&self) -> io::Result<TcpListener> {
        bind(self.address)?.listen(BACKLOG)
    }
}

fn bind(address: SocketAddr) -> io::Result<TcpSocket> {
    let socket = TcpSocket::new_v4()?;
    // Only sockets of one user that all ask for it share a port.
    socket.set_reuseport(true)?;
    // Needed while connections of an earlier listener still linger.
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    Ok(socket)
}
