//! What this node has in force, as it is said to the holder of the Lease: everything first, then what changes.

use std::sync::Arc;

use postern_config::{
    kubernetes::announced::Account,
    provider::{
        InForce,
        kubernetes::{
            News,
            peers::{Acknowledgement, Problem},
        },
    },
};
use tokio::io::{AsyncRead, AsyncWrite};

use super::{
    account,
    frame::{Hello, Message, PORTION},
    stream::{Stream, StreamError},
};

/// See the module.
pub(super) struct Own {
    pub(super) hello: Hello,
    /// Grows over all streams of this boot.
    pub(super) counter: u64,
    in_force: Option<InForce>,
    unbound: Vec<Problem>,
    account: Option<Arc<Account>>,
    /// Whether everything was said on the stream at hand.
    reported: bool,
}

impl Own {
    /// Nothing is in force yet.
    pub(super) fn new(hello: Hello) -> Self {
        Self { hello, counter: 0, in_force: None, unbound: Vec::new(), account: None, reported: false }
    }

    /// Remembers news that nobody is told at the moment.
    pub(super) fn learn(&mut self, news: News) {
        match news {
            News::InForce(in_force) => self.in_force = Some(in_force),
            News::Unbound(problems) => self.unbound = problems,
            News::Account(account) => self.account = Some(account),
        }
    }

    /// Says everything, on a stream where nothing was said; later what is learned, by [`Own::tell`].
    pub(super) async fn report<T>(&mut self, stream: &mut Stream<T>) -> Result<(), StreamError>
    where
        T: AsyncRead + AsyncWrite + Unpin,
    {
        self.reported = false;
        // A node that does not serve may announce all the same.
        self.account_for(stream).await?;
        let Some(in_force) = self.in_force.as_ref().filter(|_| self.hello.serves) else { return Ok(()) };
        let all: Vec<_> = in_force.acknowledge_all().collect();
        acknowledge(stream, &mut self.counter, &all).await?;
        stream.say(&mut self.counter, Message::Unbound(self.unbound.clone())).await?;
        stream.say(&mut self.counter, Message::Reported).await?;
        self.reported = true;
        Ok(())
    }

    /// Learns `news` and says what is new.
    pub(super) async fn tell<T>(&mut self, stream: &mut Stream<T>, news: News) -> Result<(), StreamError>
    where
        T: AsyncRead + AsyncWrite + Unpin,
    {
        let changed: Vec<_> = match &news {
            News::InForce(in_force) => in_force.acknowledge_touched().collect(),
            News::Unbound(_) | News::Account(_) => Vec::new(),
        };
        let is_unbound = matches!(news, News::Unbound(_));
        let is_account = matches!(news, News::Account(_));
        self.learn(news);
        if is_account {
            return self.account_for(stream).await;
        }
        if !self.reported {
            return self.report(stream).await;
        }
        acknowledge(stream, &mut self.counter, &changed).await?;
        if is_unbound {
            stream.say(&mut self.counter, Message::Unbound(self.unbound.clone())).await?;
        }
        Ok(())
    }
}

impl Own {
    async fn account_for<T>(&mut self, stream: &mut Stream<T>) -> Result<(), StreamError>
    where
        T: AsyncRead + AsyncWrite + Unpin,
    {
        for portion in self.account.as_deref().map(account::portions).unwrap_or_default() {
            stream.say(&mut self.counter, Message::Account(portion)).await?;
        }
        Ok(())
    }
}

async fn acknowledge<T>(stream: &mut Stream<T>, counter: &mut u64, all: &[Acknowledgement]) -> Result<(), StreamError>
where
    T: AsyncRead + AsyncWrite + Unpin,
{
    for portion in all.chunks(PORTION) {
        stream.say(counter, Message::Acknowledged(portion.to_vec())).await?;
    }
    Ok(())
}
