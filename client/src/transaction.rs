//! Optimistic transactions: read, decide, and write only if nobody changed what was read (`WATCH`).

use crate::client::Client;
use crate::command::{Cmd, Request, cmd};
use crate::dedicated::Lease;
use crate::error::{Error, Result};
use crate::pipeline::{Pipeline, Transacted, read_all};
use crate::resp::{FromValue, ToArgs, Value};
use std::time::Duration;

/// How often a transaction is tried.
pub(crate) const MAX_ATTEMPTS: u32 = 16;
/// The wait before the second attempt is up to this; it doubles with each, up to [`BACKOFF_MAX`].
const BACKOFF_MIN: Duration = Duration::from_millis(1);
const BACKOFF_MAX: Duration = Duration::from_millis(50);

/// A transaction under way: it has the methods of a [`Client`], which read on the connection that watches the keys;
/// see [`Client::transaction`].
#[derive(Debug)]
pub struct Transaction {
    client: Client,
    lease: Lease,
    place: usize,
    watched: Vec<u8>,
}

impl Client {
    /// Reads, decides and writes, as if nobody else were there: `body` reads what it needs and returns the commands that
    /// are to be run in one piece. If one of the keys was changed meanwhile, nothing is run, and `body` is called
    /// again, up to 16 times in all, with short waits in between.
    ///
    /// Each transaction under way has a connection of its own. All keys must be on one node. Writes that `body` makes
    /// itself, through `tx` or elsewhere, are not undone.
    ///
    /// ```no_run
    /// # async fn example(client: larder_client::Client) -> larder_client::Result<()> {
    /// let (left,): (i64,) = client
    ///     .transaction("stock", async |tx| {
    ///         let stock: i64 = tx.get("stock").await?.unwrap_or(0);
    ///         let mut commands = tx.pipeline();
    ///         commands.decr_by("stock", stock.min(3));
    ///         Ok(commands)
    ///     })
    ///     .await?;
    /// # let _ = left;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`Error::Conflict`] if the keys were changed during every attempt, [`Error::CrossNode`] if they are on several
    /// nodes, [`Error::Busy`] if too many transactions and blocking commands are under way, what `body` returns, and
    /// what [`Pipeline::query`] does.
    pub async fn transaction<T: FromValue>(
        &self,
        keys: impl ToArgs,
        mut body: impl AsyncFnMut(&mut Transaction) -> Result<Pipeline>,
    ) -> Result<T> {
        let watch = cmd("WATCH").key(&keys);
        for attempt in 0..MAX_ATTEMPTS {
            wait_before(attempt).await;
            let mut transaction = Transaction::begin(self, &watch).await?;
            let commands = body(&mut transaction).await?;
            if let Some(replies) = transaction.commit(&commands).await? {
                return read_all(replies);
            }
        }
        Err(Error::Conflict { attempts: MAX_ATTEMPTS })
    }
}

/// Waits before all attempts but the first, so that those who compete do not go on in step.
pub(crate) async fn wait_before(attempt: u32) {
    let Some(doublings) = attempt.checked_sub(1) else {
        return;
    };
    let ceiling = BACKOFF_MIN.saturating_mul(1 << doublings.min(16)).min(BACKOFF_MAX);
    tokio::time::sleep(ceiling.mul_f64(fastrand::f64())).await;
}

impl Transaction {
    /// Watches the keys of `watch`, which is a `WATCH`.
    pub(crate) async fn begin(client: &Client, watch: &Cmd) -> Result<Transaction> {
        let watch = watch.of_our_own();
        let Some(first) = watch.key() else {
            return Err(Error::Usage("a transaction needs keys to watch".to_string()));
        };
        let place = client.place_of(&watch)?;
        client.mind(&watch).await?;
        let mut lease = client.dedicated(place)?.lease().await?;
        let reply = lease.session.call(&watch, Some(client.timeout())).await?;
        reply.into_result()?;
        Ok(Transaction {
            client: client.clone(),
            lease,
            place,
            watched: first.to_vec(),
        })
    }

    pub(crate) async fn run(&mut self, request: &impl Request) -> Result<Value> {
        if let Some(key) = request.key() {
            self.check_place(key, &request.name())?;
        }
        Ok(self.call(request).await?.into_result()?)
    }

    async fn call(&mut self, request: &impl Request) -> Result<Value> {
        self.client.mind(request).await?;
        let timeout = self.client.timeout();
        let result = self.lease.session.call(request, Some(timeout)).await;
        result.inspect_err(|error| self.client.mind_failure(request, error))
    }

    fn check_place(&self, key: &[u8], command: &str) -> Result<()> {
        if self.client.place(key) == self.place {
            return Ok(());
        }
        let shown = |key: &[u8]| String::from_utf8_lossy(key).into_owned();
        Err(Error::CrossNode {
            command: command.to_string(),
            first: shown(&self.watched),
            second: shown(key),
        })
    }

    /// Sends a command that was written by hand; see [`Client::query`]. It must not block.
    ///
    /// # Errors
    /// As [`Client::query`].
    pub async fn query<T: FromValue>(&mut self, cmd: &Cmd) -> Result<T> {
        let reply = self.run(&cmd.check()?).await?;
        Ok(T::from_value(reply)?)
    }

    /// An empty pipeline, for the commands that are to be run in one piece.
    #[must_use]
    pub fn pipeline(&self) -> Pipeline {
        self.client.pipeline()
    }

    /// Runs the commands; `None` if a key was changed.
    pub(crate) async fn commit(mut self, commands: &Pipeline) -> Result<Option<Vec<Value>>> {
        commands.check()?;
        commands.one_place()?;
        let request = Transacted(commands);
        if let Some(key) = request.key() {
            self.check_place(key, "a transaction")?;
        }
        let answer = self.call(&request).await?;
        // EXEC ends the watch, whatever comes of it.
        self.lease.give_back();
        request.replies_of(answer)
    }
}
