//! The small bit sets of the command table: command flags, ACL categories and key flags, each with the names
//! and the order that `COMMAND INFO` reports.

/// Declares a bit set, a module of its constants for use in table rows, and its names in reply order.
macro_rules! bit_set {
    ($(#[$doc:meta])* $set:ident($repr:ty) in $module:ident { $($(#[$bit_doc:meta])* $bit:ident = $name:expr,)* }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
        pub struct $set($repr);

        /// The members of the set, one constant each.
        pub mod $module {
            use super::$set;

            #[allow(non_camel_case_types, clippy::upper_case_acronyms, reason = "numbers the constants below, by their names")]
            enum Position { $($bit),* }

            $($(#[$bit_doc])* pub const $bit: $set = $set(1 << Position::$bit as u32);)*

            /// Every member that clients may see, with its name, in the order of Redis's replies.
            pub const NAMES: &[($set, &str)] = &[$(($bit, $name)),*];
        }

        impl $set {
            /// No member.
            pub const EMPTY: $set = $set(0);

            /// Everything that is in any of `sets`.
            #[must_use]
            pub const fn of(sets: &[$set]) -> $set {
                let mut bits = 0;
                let mut i = 0;
                while i < sets.len() {
                    bits |= sets[i].0;
                    i += 1;
                }
                $set(bits)
            }

            /// This set and `other` together.
            #[must_use]
            pub const fn with(self, other: $set) -> $set {
                $set(self.0 | other.0)
            }

            /// This set but for what is in `other`.
            #[must_use]
            pub const fn without(self, other: $set) -> $set {
                $set(self.0 & !other.0)
            }

            /// Whether all of `other` is in this set.
            #[must_use]
            #[inline]
            pub const fn has(self, other: $set) -> bool {
                self.0 & other.0 == other.0
            }

            /// Whether any of `other` is in this set.
            #[must_use]
            #[inline]
            pub const fn has_any(self, other: $set) -> bool {
                self.0 & other.0 != 0
            }

            /// The names of the members, without those that are our own affair, in reply order.
            pub fn names(self) -> impl Iterator<Item = &'static str> + Clone {
                $module::NAMES
                    .iter()
                    .filter(move |(bit, name)| !name.is_empty() && self.has(*bit))
                    .map(|&(_, name)| name)
            }

            /// The member called `name`, in any case.
            #[must_use]
            pub fn named(name: &[u8]) -> Option<$set> {
                $module::NAMES
                    .iter()
                    .find(|(_, known)| !known.is_empty() && known.as_bytes().eq_ignore_ascii_case(name))
                    .map(|&(bit, _)| bit)
            }
        }
    };
}

bit_set! {
    /// What the dispatcher and clients must know of a command before it runs. A name that is empty is ours
    /// and never shown.
    Flags(u32) in flag {
        /// May change the keyspace.
        WRITE = "write",
        /// Reads keys and changes nothing.
        READONLY = "readonly",
        /// May need memory, so it is refused when there is none left.
        DENYOOM = "denyoom",
        /// For administrators: monitors do not see it.
        ADMIN = "admin",
        /// Belongs to publish and subscribe.
        PUBSUB = "pubsub",
        /// Not allowed in scripts.
        NOSCRIPT = "noscript",
        /// May wait for another client.
        BLOCKING = "blocking",
        /// Allowed while data is loaded.
        LOADING = "loading",
        /// Allowed on a replica that lost its primary.
        STALE = "stale",
        /// Never shown to monitors.
        SKIP_MONITOR = "skip_monitor",
        /// Never entered in the slow log.
        SKIP_SLOWLOG = "skip_slowlog",
        /// Allowed in a slot that is being imported.
        ASKING = "asking",
        /// Takes constant or logarithmic time.
        FAST = "fast",
        /// Allowed before the connection is authenticated.
        NO_AUTH = "no_auth",
        /// Not a write, but may have to be replicated.
        MAY_REPLICATE = "may_replicate",
        /// May be called without the keys that it can take.
        NO_MANDATORY_KEYS = "no_mandatory_keys",
        /// Not allowed while a replica loads data in the background.
        NO_ASYNC_LOADING = "no_async_loading",
        /// Not allowed in a transaction.
        NO_MULTI = "no_multi",
        /// Allowed while a script overruns its time.
        ALLOW_BUSY = "allow_busy",
        /// Where its keys are depends on its arguments.
        MOVABLEKEYS = "movablekeys",
        /// May touch keys that are not among its arguments.
        TOUCHES_ARBITRARY_KEYS = "",
        /// Cheap whatever its arguments are, so that it is timed with its batch and not alone.
        CONST_TIME = "",
        /// Looks at the whole keyspace although it takes no keys, so that EXEC must hold all stripes.
        WHOLE_KEYSPACE = "",
        /// Only a parent of subcommands: it has no action of its own.
        CONTAINER = "",
    }
}

bit_set! {
    /// The ACL categories that a command is in.
    Categories(u32) in category {
        /// Keys whatever their type.
        KEYSPACE = "keyspace",
        /// Reads values or metadata.
        READ = "read",
        /// Writes values or metadata.
        WRITE = "write",
        /// Sets.
        SET = "set",
        /// Sorted sets.
        SORTEDSET = "sortedset",
        /// Lists.
        LIST = "list",
        /// Hashes.
        HASH = "hash",
        /// Strings.
        STRING = "string",
        /// Bitmaps.
        BITMAP = "bitmap",
        /// HyperLogLogs.
        HYPERLOGLOG = "hyperloglog",
        /// Geospatial indexes.
        GEO = "geo",
        /// Streams.
        STREAM = "stream",
        /// Publish and subscribe.
        PUBSUB = "pubsub",
        /// Administration.
        ADMIN = "admin",
        /// Constant or logarithmic time.
        FAST = "fast",
        /// Everything that is not fast.
        SLOW = "slow",
        /// May wait for another client.
        BLOCKING = "blocking",
        /// Can harm the service or its data.
        DANGEROUS = "dangerous",
        /// The connection itself.
        CONNECTION = "connection",
        /// Transactions.
        TRANSACTION = "transaction",
        /// Scripts.
        SCRIPTING = "scripting",
    }
}

bit_set! {
    /// What a command does to the keys of one key specification.
    KeyFlags(u16) in key_flag {
        /// Reads the value, changes nothing.
        RO = "RO",
        /// Reads and changes the value.
        RW = "RW",
        /// Replaces the value, whatever it was.
        OW = "OW",
        /// Removes the key.
        RM = "RM",
        /// The caller learns something of the value.
        ACCESS = "access",
        /// The value may change.
        UPDATE = "update",
        /// The value only grows, nothing of it is replaced.
        INSERT = "insert",
        /// Something of the value, or all of it, is deleted.
        DELETE = "delete",
        /// Looks like a key for routing, but is none.
        NOT_KEY = "not_key",
        /// There may be keys that the specification does not find.
        INCOMPLETE = "incomplete",
        /// The other flags depend on the arguments.
        VARIABLE_FLAGS = "variable_flags",
    }
}
