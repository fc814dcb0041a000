//! Commands about the server, and messages to whoever listens.

use super::{commands, write};
use crate::command::{Keyless, Scope, Spec};
use crate::resp::ToArgs;

commands! {
    /// Sends a message to those who have subscribed to a channel; how many got it. A channel lives on the node where a
    /// key of its name would.
    fn publish(channel: impl AsRef<[u8]>, message: impl ToArgs) -> u64 {
        write(&["PUBLISH"], &channel, &message)
    }

    /// Whether the server answers.
    fn ping() -> () {
        Keyless { spec: Spec::read(&["PING"]), scope: Scope::Any, args: () }
    }

    /// How many keys there are, on all nodes together.
    fn dbsize() -> u64 {
        Keyless { spec: Spec::read(&["DBSIZE"]), scope: Scope::Every, args: () }
    }

    /// Removes all keys of the database, on all nodes; if one of them fails, the others have removed theirs.
    fn flush_db() -> () {
        Keyless { spec: Spec::write(&["FLUSHDB"]), scope: Scope::Every, args: () }
    }

    /// What a server tells of itself, in lines `name:value`: a section such as `"memory"`, several, or `()` for the
    /// usual ones. Not of a pool.
    fn info(sections: impl ToArgs) -> String {
        Keyless { spec: Spec::read(&["INFO"]), scope: Scope::One, args: &sections }
    }

    /// The settings whose names match a pattern such as `"maxmemory*"`: a map, or a list of pairs. Not of
    /// a pool.
    fn config_get<T: FromValue>(pattern: impl ToArgs) -> T {
        Keyless { spec: Spec::read(&["CONFIG", "GET"]), scope: Scope::One, args: &pattern }
    }

    /// Changes a setting, or several given as pairs, on all nodes.
    fn config_set(settings: impl ToArgs) -> () {
        Keyless { spec: Spec::write(&["CONFIG", "SET"]), scope: Scope::Every, args: &settings }
    }
}
