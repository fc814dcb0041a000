//! Commands that are written by hand.

use crate::client::Client;
use crate::command::{Cmd, Wait};
use crate::error::Result;
use crate::resp::FromValue;

impl Client {
    /// Sends a command that was written by hand.
    ///
    /// ```no_run
    /// # async fn example(client: larder_client::Client) -> larder_client::Result<()> {
    /// use larder_client::cmd;
    ///
    /// let length: u64 = client.query(&cmd("XADD").arg(("events", "*", "user", 7))).await?;
    /// # let _ = length;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// A command that blocks (`BLPOP`, `XREAD BLOCK`, `WAIT`, ...) gets a connection of its own for as long as it takes,
    /// and may take as long as it says and the client's timeout on top. If such a call is dropped, its connection is
    /// closed; what the server had taken for it by then, and was still to arrive, is lost.
    ///
    /// # Errors
    /// [`Error::Usage`](crate::Error::Usage) if it must not go out on a shared connection; see [`Cmd`]. Else see
    /// [`Error`](crate::Error).
    pub async fn query<T: FromValue>(&self, cmd: &Cmd) -> Result<T> {
        let checked = cmd.check()?;
        let reply = match checked.wait() {
            Wait::No => self.run(&checked).await?,
            wait @ (Wait::Seconds(_) | Wait::Forever) => self.run_blocking(&checked, wait).await?,
        };
        Ok(T::from_value(reply)?)
    }
}
