//! One key with its stripe locked: every single-key operation is a method here.

use super::Keyspace;
use super::entry::{Entry, Form};
use super::eviction::{Eviction, Use};
use super::stripe::{Facts, NewValue, Stripe, Target};
use super::table::Place;
use super::value::Value;
use crate::ttl::{self, Percent, Subject};
use bytes::Bytes;
use std::ops::Deref;
use std::sync::MutexGuard;

/// The key holds another kind of value than the operation is for.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("WRONGTYPE Operation against a key holding the wrong kind of value")]
pub struct WrongType;

/// A stripe's lock: this key's own, or one that the command holds anyway.
pub(super) enum Guard<'s> {
    Own(MutexGuard<'s, Stripe>),
    Held(&'s mut Stripe),
}

impl Guard<'_> {
    #[inline]
    pub(super) fn stripe(&mut self) -> &mut Stripe {
        match self {
            Guard::Own(stripe) => stripe,
            Guard::Held(stripe) => stripe,
        }
    }
}

/// A string value, wherever it is kept.
pub enum Text<'e> {
    /// Inside the entry.
    Inline(&'e [u8]),
    /// In its own allocation, which a reply may share.
    Shared(&'e Bytes),
}

impl Deref for Text<'_> {
    type Target = [u8];

    #[inline]
    fn deref(&self) -> &[u8] {
        match self {
            Text::Inline(bytes) => bytes,
            Text::Shared(bytes) => bytes,
        }
    }
}

/// What the rules about times to live need to know of a key.
#[inline]
pub(super) fn subject(target: Target<'_>) -> Subject<'_> {
    Subject {
        key: target.key,
        hash: target.hash,
        now_ms: target.now_ms,
    }
}

/// The name of an entry's type, as TYPE answers it.
pub(super) fn type_name(entry: &Entry<'_>) -> &'static str {
    match entry.apart() {
        None | Some(Value::Text(_)) => "string",
    }
}

/// A value with all that goes with it, outside the keyspace.
pub struct Stored {
    value: Owned,
    facts: Facts,
}

enum Owned {
    /// A string, and how it came to be.
    Inline(Vec<u8>, Form),
    Boxed(Box<Value>),
}

/// A key, its stripe locked as long as this lives. Expired keys are absent.
pub struct Key<'s> {
    keyspace: &'s Keyspace,
    guard: Guard<'s>,
    target: Target<'s>,
    eviction: &'s Eviction,
    touch: bool,
    ttl: ttl::Scope<'s>,
    /// Where the entry is, once it was looked for and while nothing has moved it.
    place: Option<Option<Place>>,
    /// A value that was replaced or removed. It stands behind the guard, so that giving back what may be
    /// half a gigabyte happens after the lock is released.
    freed: Option<Box<Value>>,
}

impl<'s> Key<'s> {
    pub(super) fn new(
        keyspace: &'s Keyspace,
        guard: Guard<'s>,
        target: Target<'s>,
        eviction: &'s Eviction,
        touch: bool,
        ttl: ttl::Scope<'s>,
    ) -> Key<'s> {
        Key {
            keyspace,
            guard,
            target,
            eviction,
            touch,
            ttl,
            place: None,
            freed: None,
        }
    }

    #[inline]
    fn place(&mut self) -> Option<Place> {
        if let Some(place) = self.place {
            return place;
        }
        let place = self.guard.stripe().find(self.target);
        self.place = Some(place);
        place
    }

    fn entry(&mut self) -> Option<Entry<'_>> {
        let place = self.place()?;
        Some(self.guard.stripe().entry(self.target.table, place))
    }

    /// Whether the key is there, without counting or touching it.
    pub fn exists(&mut self) -> bool {
        self.place().is_some()
    }

    /// Counts a read as hit or miss and notes it for eviction; tells whether the key is there.
    #[inline]
    pub fn read(&mut self) -> bool {
        let place = self.place();
        let (target, eviction, touch) = (self.target, self.eviction, self.touch);
        let stripe = self.guard.stripe();
        match place {
            Some(place) => {
                stripe.count_hit(target.key);
                if touch {
                    stripe.touch(target, place, eviction, Use::Read);
                }
                true
            }
            None => {
                stripe.count_miss(target.key);
                false
            }
        }
    }

    /// Counts a read as hit or miss without touching the entry, as TTL and TYPE do.
    pub fn read_untouched(&mut self) -> bool {
        let found = self.exists();
        let (target, stripe) = (self.target, self.guard.stripe());
        if found {
            stripe.count_hit(target.key);
        } else {
            stripe.count_miss(target.key);
        }
        found
    }

    /// Notes an access that is no read, as a write does to what it changes.
    pub fn touch(&mut self) {
        if let Some(place) = self.place()
            && self.touch
        {
            let (target, eviction) = (self.target, self.eviction);
            self.guard.stripe().touch(target, place, eviction, Use::Edit);
        }
    }

    /// The string there, if any.
    ///
    /// # Errors
    /// `WrongType` if the value is no string.
    #[inline]
    pub fn text(&mut self) -> Result<Option<Text<'_>>, WrongType> {
        let Some(place) = self.place() else { return Ok(None) };
        let entry = self.guard.stripe().entry(self.target.table, place);
        // The entry is a view; what it points to lives as long as the stripe's lock is held.
        match entry.into_text() {
            Some(text) => Ok(Some(text)),
            None => Err(WrongType),
        }
    }

    /// `read` and `text` in one: the string there, if any, counted as a hit or a miss.
    ///
    /// # Errors
    /// `WrongType` if the value is no string.
    #[inline]
    pub fn read_text(&mut self) -> Result<Option<Text<'_>>, WrongType> {
        let (target, eviction, touch) = (self.target, self.eviction, self.touch);
        self.guard.stripe().read_text(target, touch.then_some(eviction))
    }

    /// TYPE's answer; `None` if the key is not there.
    pub fn type_name(&mut self) -> Option<&'static str> {
        self.entry().map(|entry| type_name(&entry))
    }

    /// OBJECT ENCODING's answer; `None` if the key is not there.
    pub fn encoding(&mut self) -> Option<&'static str> {
        self.entry().map(|entry| match entry.inline() {
            Some(_) if entry.form() == Form::Built => "raw",
            Some(value) if entry.form() == Form::Given && crate::text::parse_i64(value).is_some() => "int",
            Some(value) if value.len() <= 44 => "embstr",
            Some(_) => "raw",
            None => "raw",
        })
    }

    /// When the key expires, in Unix milliseconds; `None` if never or if it is not there.
    pub fn deadline(&mut self) -> Option<u64> {
        self.entry()?.deadline()
    }

    /// Seconds since the last access; `None` if the key is not there.
    pub fn idle_seconds(&mut self) -> Option<u64> {
        let now_ms = self.target.now_ms;
        let meta = self.entry()?.meta();
        Some(self.guard.stripe().evictor.idle_seconds(meta, now_ms))
    }

    /// The decayed access counter; `None` if the key is not there.
    pub fn frequency(&mut self) -> Option<u8> {
        let (now_ms, eviction) = (self.target.now_ms, self.eviction);
        let meta = self.entry()?.meta();
        Some(self.guard.stripe().evictor.frequency(meta, eviction, now_ms))
    }

    /// Bytes that the entry takes, its share of the index included; `None` if it is not there.
    pub fn held_bytes(&mut self) -> Option<usize> {
        let place = self.place()?;
        self.guard
            .stripe()
            .table(self.target.table)
            .map(|table| table.held_by(place))
    }

    /// The key is stored as a lock: the jitter of the node's rules leaves it alone.
    pub fn mark_as_lock(&mut self) {
        self.ttl.is_lock = true;
    }

    /// The deadline to give to this key if `deadline` was asked for relative to now: capped, and shortened by the
    /// call's own jitter, or else by the node's.
    #[inline]
    pub fn relative_deadline(&self, deadline: u64, own: Option<Percent>) -> u64 {
        self.ttl.relative(subject(self.target), deadline, own)
    }

    /// The deadline to give to this key if `deadline` was asked for as a point in time: capped.
    #[inline]
    pub fn absolute_deadline(&self, deadline: u64) -> u64 {
        self.ttl.absolute(subject(self.target), deadline)
    }

    /// Stores a value, whatever was there; `deadline` in Unix milliseconds. The node's rules cap it, and may give
    /// one where there is none.
    ///
    /// A deadline that has passed already leaves the key absent.
    #[inline]
    pub fn set(&mut self, value: NewValue<'_>, deadline: Option<u64>) {
        if self.ttl.rules.is_none() {
            return self.set_as_is(value, deadline);
        }
        let deadline = match deadline {
            Some(deadline) => Some(self.ttl.absolute(subject(self.target), deadline)),
            None => self.ttl.unasked(subject(self.target)),
        };
        self.set_as_is(value, deadline);
    }

    #[inline]
    fn set_as_is(&mut self, value: NewValue<'_>, deadline: Option<u64>) {
        if deadline.is_some_and(|deadline| deadline <= self.target.now_ms) {
            self.remove();
            return;
        }
        let place = self.place();
        self.place = None;
        let (target, eviction, keyspace) = (self.target, self.eviction, self.keyspace);
        let stripe = self.guard.stripe();
        let meta = stripe.meta_for(target, place, eviction, Use::Overwrite);
        let replaced = stripe.set(target, Some(place), value, Facts { deadline, meta });
        keyspace.publish_if_far(stripe);
        self.freed = replaced;
    }

    /// Stores a value under the deadline that the key has, if it is there.
    pub fn set_keeping_deadline(&mut self, value: NewValue<'_>) {
        if !self.exists() {
            return self.set(value, None);
        }
        let deadline = self.deadline();
        self.set_as_is(value, deadline);
    }

    /// Edits the string in place; it is created if absent. `change` sees it with `len` bytes, cut or
    /// padded with zeros. The caller has checked that it is a string.
    pub fn edit_text(&mut self, len: usize, change: impl FnOnce(&mut [u8])) {
        self.edit_text_if(len, |text| {
            change(text);
            true
        });
    }

    /// As `edit_text`, but `change` tells whether those who watch the key must hear of it.
    pub fn edit_text_if(&mut self, len: usize, change: impl FnOnce(&mut [u8]) -> bool) {
        let target = self.target;
        if self.place().is_none() {
            let mut fresh = vec![0; len];
            let heard = change(&mut fresh);
            let (known, eviction, keyspace) = (self.place.take(), self.eviction, self.keyspace);
            let deadline = self.ttl.unasked(subject(self.target));
            let stripe = self.guard.stripe();
            let meta = stripe.meta_for(target, None, eviction, Use::Edit);
            stripe.set_quietly(target, known, NewValue::Built(fresh.into()), Facts { deadline, meta });
            if heard {
                stripe.changed(target);
            }
            keyspace.publish_if_far(stripe);
            return;
        }
        if let Some(place) = self.place.take().flatten() {
            let keyspace = self.keyspace;
            let stripe = self.guard.stripe();
            stripe.edit(target, place, len, change);
            keyspace.publish_if_far(stripe);
        }
        self.touch();
    }

    /// Gives the key another deadline, or none, within the node's cap; false if it is not there. A deadline that has passed
    /// removes the key.
    pub fn set_deadline(&mut self, deadline: Option<u64>) -> bool {
        let Some(place) = self.place() else { return false };
        let deadline = match deadline {
            Some(deadline) => Some(self.ttl.absolute(subject(self.target), deadline)),
            None => self.ttl.persisted(subject(self.target)),
        };
        if deadline.is_some_and(|deadline| deadline <= self.target.now_ms) {
            return self.remove();
        }
        let target = self.target;
        self.place = None;
        self.guard.stripe().set_deadline(target, place, deadline);
        true
    }

    /// Removes the key; false if it was not there.
    pub fn remove(&mut self) -> bool {
        let Some(place) = self.place() else { return false };
        let (target, keyspace) = (self.target, self.keyspace);
        let stripe = self.guard.stripe();
        let removed = stripe.remove_at(target, place);
        keyspace.publish_if_far(stripe);
        self.place = Some(None);
        self.freed = removed;
        true
    }

    /// A copy of the value and its deadline, as new to eviction; `None` if the key is not there.
    pub fn copy(&mut self) -> Option<Stored> {
        let (target, eviction) = (self.target, self.eviction);
        self.place()?;
        let meta = self.guard.stripe().meta_for(target, None, eviction, Use::Edit);
        let entry = self.entry()?;
        let value = match (entry.inline(), entry.apart()) {
            (Some(bytes), _) => Owned::Inline(bytes.to_vec(), entry.form()),
            (None, Some(value)) => Owned::Boxed(Box::new(value.clone())),
            (None, None) => return None,
        };
        let facts = Facts {
            deadline: entry.deadline(),
            meta,
        };
        Some(Stored { value, facts })
    }

    /// Takes the value out; the key is gone afterwards.
    pub fn take(&mut self) -> Option<Stored> {
        let place = self.place()?;
        let entry = self.entry()?;
        let inline = entry.inline().map(|bytes| Owned::Inline(bytes.to_vec(), entry.form()));
        let facts = Facts {
            deadline: entry.deadline(),
            meta: entry.meta(),
        };
        let (target, keyspace) = (self.target, self.keyspace);
        let stripe = self.guard.stripe();
        let boxed = stripe.remove_at(target, place);
        keyspace.publish_if_far(stripe);
        self.place = Some(None);
        let value = boxed.map(Owned::Boxed).or(inline)?;
        Some(Stored { value, facts })
    }

    /// Puts a value that `copy` or `take` gave under this key, whatever was there.
    pub fn put(&mut self, stored: Stored) {
        let known = self.place.take();
        let (target, keyspace) = (self.target, self.keyspace);
        let value = match stored.value {
            Owned::Inline(ref bytes, Form::Text) => NewValue::Text(bytes),
            Owned::Inline(bytes, Form::Given) => NewValue::Shared(bytes.into()),
            Owned::Inline(bytes, Form::Built) => NewValue::Built(bytes.into()),
            Owned::Boxed(value) => NewValue::Boxed(value),
        };
        let stripe = self.guard.stripe();
        let facts = Facts {
            meta: stripe.evictor.arrived(stored.facts.meta),
            ..stored.facts
        };
        let replaced = stripe.set(target, known, value, facts);
        keyspace.publish_if_far(stripe);
        self.freed = replaced;
    }
}
