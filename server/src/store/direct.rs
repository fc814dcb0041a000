//! The shortest ways to a string: all of GET, SET (with a time to live or without) and INCR in one hold of the stripe's lock.
//!
//! What these do could be said with `Key` as well, which pays for staying open between steps. They are worth
//! having because most of what a cache does is one of the three.

use super::Keyspace;
use super::eviction::Use;
use super::key::{Text, WrongType, subject};
use super::session::Store;
use super::stripe::{Facts, NewValue, Stripe, Target};
use super::table::Place;
use super::value::Value;
use crate::text::number::INT_BYTES;

impl Store<'_> {
    /// Hands the string of a key to `reply`, counted as a read.
    ///
    /// # Errors
    /// `WrongType` if the value is no string; `reply` was not called.
    #[inline]
    pub fn read_text<R>(&mut self, key: &[u8], reply: impl FnOnce(Option<Text<'_>>) -> R) -> Result<R, WrongType> {
        let eviction = self.touch.then_some(self.eviction);
        self.with_stripe(key, |stripe, target| Ok(reply(stripe.read_text(target, eviction)?)))
    }

    /// Stores a string for which no time to live was asked, whatever was there.
    #[inline]
    pub fn write_text(&mut self, key: &[u8], value: &[u8]) {
        let ttl = self.ttl;
        self.write(key, value, |target| ttl.unasked(subject(target)));
    }

    /// The same with a deadline, in Unix milliseconds, that was asked for as a time from now; it has not passed.
    #[inline]
    pub fn write_text_until(&mut self, key: &[u8], value: &[u8], deadline: u64) {
        let ttl = self.ttl;
        self.write(key, value, |target| Some(ttl.relative(subject(target), deadline, None)));
    }

    #[inline]
    fn write(&mut self, key: &[u8], value: &[u8], deadline: impl FnOnce(Target<'_>) -> Option<u64>) {
        let (eviction, keyspace) = (self.eviction, self.keyspace());
        // Dropped when the lock has been released: it may be large.
        let _replaced = self.with_stripe(key, |stripe, target| {
            let place = stripe.find(target);
            let facts = Facts {
                deadline: deadline(target),
                meta: stripe.meta_for(target, place, eviction, Use::Overwrite),
            };
            if place.is_some_and(|place| stripe.overwrite(target, place, value, facts)) {
                return None;
            }
            let replaced = stripe.set(target, Some(place), NewValue::Bytes(value), facts);
            keyspace.publish_if_far(stripe);
            replaced
        });
    }

    /// Replaces the string of a key by the short one that `change` makes of it, in the room that it is given. The
    /// deadline stays.
    ///
    /// # Errors
    /// `WrongType` if the value is no string, or what `change` returned; then nothing has changed.
    #[inline]
    pub fn rewrite_text<E: From<WrongType>>(
        &mut self,
        key: &[u8],
        change: impl for<'b> FnOnce(Option<&[u8]>, &'b mut [u8; INT_BYTES]) -> Result<&'b [u8], E>,
    ) -> Result<(), E> {
        let (eviction, keyspace, ttl) = (self.eviction, self.keyspace(), self.ttl);
        let mut room = [0; INT_BYTES];
        let replaced = self.with_stripe(key, |stripe, target| {
            let Some(place) = stripe.find(target) else {
                let new = change(None, &mut room)?;
                let facts = Facts {
                    deadline: ttl.unasked(subject(target)),
                    meta: stripe.meta_for(target, None, eviction, Use::Edit),
                };
                return Ok(replace_text(keyspace, stripe, target, None, new, facts));
            };
            let old = stripe.entry(target.table, place).into_text().ok_or(WrongType)?;
            let new = change(Some(&old), &mut room)?;
            let meta = stripe.meta_for(target, Some(place), eviction, Use::Edit);
            if stripe.overwrite_alike(target, place, new, meta) {
                return Ok(None);
            }
            let deadline = stripe.entry(target.table, place).deadline();
            let facts = Facts { deadline, meta };
            Ok(replace_text(keyspace, stripe, target, Some(place), new, facts))
        });
        replaced.map(drop)
    }
}

/// Stores a string for a key that is at `place`, or not there. What was boxed there is given back, to be dropped when
/// the lock has been released.
///
/// Not inlined: of the increments of a counter at most one in ten gives it another length.
#[inline(never)]
fn replace_text(
    keyspace: &Keyspace,
    stripe: &mut Stripe,
    target: Target<'_>,
    place: Option<Place>,
    new: &[u8],
    facts: Facts,
) -> Option<Box<Value>> {
    if place.is_some_and(|place| stripe.overwrite(target, place, new, facts)) {
        return None;
    }
    let replaced = stripe.set(target, Some(place), NewValue::Bytes(new), facts);
    keyspace.publish_if_far(stripe);
    replaced
}
