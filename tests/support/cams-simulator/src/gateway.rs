//! The gateway: reads the requests of a connection one by one, and delivers the replies.

use std::sync::Arc;

use tokio::net::TcpStream;

use crate::exchange::{Exchange, Outcome};
use crate::fault::{Drop, Stage};
use crate::http::Connection;
use crate::ledger::Delivery;
use crate::state::Shared;

/// Serves a connection to its end.
pub async fn serve(shared: Arc<Shared>, stream: TcpStream, connection: u64) {
    let mut wire = Connection::new(stream);
    loop {
        let Ok(Some(request)) = wire.read().await else {
            return wire.close().await;
        };
        let stays = request.keep_alive;
        let mut exchange = Exchange::begin(&shared, &request, connection);
        let outcome = exchange.run().await;
        match exchange.deliver(&mut wire, outcome, !stays).await {
            Some(how) => return end(wire, how).await,
            None if !stays => return wire.close().await,
            None => {}
        }
    }
}

async fn end(wire: Connection, how: Drop) {
    match how {
        Drop::Close => wire.close().await,
        Drop::Reset => wire.reset(),
        Drop::Blackhole => wire.blackhole().await,
    }
}

impl Exchange<'_> {
    /// Sends the outcome. Returns how the connection has to end, if it has to.
    async fn deliver(&self, wire: &mut Connection, outcome: Outcome, close: bool) -> Option<Drop> {
        let (reply, late) = match outcome {
            Outcome::Drop(how) => {
                self.delivered(how.into());
                return Some(how);
            }
            Outcome::Reply { reply, late } => (reply, late),
        };
        self.update(|entry| {
            entry.reply_status = Some(reply.status);
            entry.reply_code.clone_from(&reply.code);
        });
        let half = if late {
            self.shared.take(Stage::HalfReplied, &self.facts)
        } else {
            Vec::new()
        };
        let written = if half.is_empty() {
            wire.write(&reply, close).await
        } else {
            match wire.write_half(&reply, close).await {
                Ok(from) => {
                    if let Some(how) = self.perform(Stage::HalfReplied, half).await.drop {
                        self.delivered(Delivery::Half);
                        return Some(how);
                    }
                    wire.write_rest(&reply.body, from).await
                }
                Err(error) => Err(error),
            }
        };
        if written.is_err() {
            self.delivered(Delivery::ClientGone);
            return Some(Drop::Close);
        }
        self.delivered(Delivery::Complete);
        None
    }

    fn delivered(&self, delivery: Delivery) {
        let now = self.shared.clock.now_us();
        self.update(|entry| {
            entry.delivery = delivery;
            entry.replied_us = Some(now);
        });
    }
}
