//! Which connections CLIENT KILL means.

use crate::call::Error;
use crate::client::Peer;
use crate::resp::request::Args;
use crate::text::parse_i64;

/// A class of connections, as TYPE names it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Kind {
    Normal,
    Master,
    Replica,
    PubSub,
}

impl Kind {
    pub(super) fn parse(name: &[u8]) -> Result<Kind, Error> {
        match name.to_ascii_lowercase().as_slice() {
            b"normal" => Ok(Kind::Normal),
            b"master" => Ok(Kind::Master),
            b"slave" | b"replica" => Ok(Kind::Replica),
            b"pubsub" => Ok(Kind::PubSub),
            _ => {
                let name = crate::text::shown(&name[..name.len().min(128)]);
                Err(Error::of(format!("ERR Unknown client type '{name}'")))
            }
        }
    }
}

/// The filters of CLIENT KILL; all that are given must hold. Of one that is given twice the last counts.
#[derive(PartialEq, Eq, Debug)]
pub(super) struct Filter<'a> {
    /// An address alone: the reply is another then, and the caller is not spared.
    pub(super) old_form: bool,
    id: Option<u64>,
    kind: Option<Kind>,
    address: Option<&'a [u8]>,
    local_address: Option<&'a [u8]>,
    skip_me: bool,
    min_age_seconds: u64,
}

impl<'a> Filter<'a> {
    /// Reads the arguments from the third on.
    ///
    /// # Errors
    /// As in Redis.
    pub(super) fn parse(args: Args<'a>) -> Result<Filter<'a>, Error> {
        let old_form = args.len() == 3;
        let mut filter = Filter {
            old_form,
            id: None,
            kind: None,
            address: args.get(2).filter(|_| old_form),
            local_address: None,
            skip_me: !old_form,
            min_age_seconds: 0,
        };
        let mut rest = args.iter().skip(if old_form { 3 } else { 2 });
        while let Some(name) = rest.next() {
            let value = rest.next().ok_or(Error::SYNTAX)?;
            filter.add(name, value)?;
        }
        Ok(filter)
    }

    fn add(&mut self, name: &[u8], value: &'a [u8]) -> Result<(), Error> {
        match name.to_ascii_lowercase().as_slice() {
            b"id" => {
                let id = parse_i64(value)
                    .and_then(|id| u64::try_from(id).ok())
                    .filter(|&id| id > 0);
                self.id = Some(id.ok_or(Error::new("ERR client-id should be greater than 0"))?);
            }
            b"type" => self.kind = Some(Kind::parse(value)?),
            b"addr" => self.address = Some(value),
            b"laddr" => self.local_address = Some(value),
            b"user" if value == b"default" => {}
            b"user" => {
                let name = crate::text::shown(&value[..value.len().min(128)]);
                return Err(Error::of(format!("ERR No such user '{name}'")));
            }
            b"skipme" if value.eq_ignore_ascii_case(b"yes") => self.skip_me = true,
            b"skipme" if value.eq_ignore_ascii_case(b"no") => self.skip_me = false,
            b"maxage" => {
                let age = parse_i64(value).ok_or(Error::new("ERR maxage is not an integer or out of range"))?;
                let age = u64::try_from(age).ok().filter(|&age| age > 0);
                self.min_age_seconds = age.ok_or(Error::new("ERR maxage should be greater than 0"))?;
            }
            _ => return Err(Error::SYNTAX),
        }
        Ok(())
    }

    /// Whether `peer` is meant; `me` is who asks.
    pub(super) fn matches(&self, peer: &Peer, me: u64, now_ms: u64) -> bool {
        let is_normal = |kind| kind == Kind::Normal;
        !(self.skip_me && peer.id == me)
            && self.id.is_none_or(|id| peer.id == id)
            && self.kind.is_none_or(is_normal)
            && self.address.is_none_or(|address| peer.address.as_bytes() == address)
            && self
                .local_address
                .is_none_or(|address| peer.local_address.as_bytes() == address)
            && now_ms.saturating_sub(peer.created_ms) / 1000 >= self.min_age_seconds
    }
}

#[cfg(test)]
mod tests {
    use super::super::line::tests::peer;
    use super::Filter;
    use crate::resp::request::OwnedArgs;
    use bytes::Bytes;

    fn owned(request: &str) -> OwnedArgs {
        let args = request.split(' ').map(|arg| Bytes::copy_from_slice(arg.as_bytes()));
        OwnedArgs::new(args.collect())
    }

    /// Whether the request means the peer 7, which is 100 seconds old, if `me` asks; or its error.
    fn means(request: &str, me: u64) -> Result<bool, String> {
        let args = owned(request);
        let filter = Filter::parse(args.args()).map_err(|error| error.0.into_owned())?;
        let peer = peer();
        Ok(filter.matches(&peer, me, peer.created_ms + 100_999))
    }

    #[test]
    fn the_old_form_is_an_address_and_spares_nobody() {
        assert_eq!(means("client kill 127.0.0.1:5000", 7), Ok(true));
        assert_eq!(means("client kill 127.0.0.1:5001", 7), Ok(false));
        assert_eq!(means("client kill id", 7), Ok(false));
    }

    #[test]
    fn all_filters_must_hold_and_the_last_of_a_kind_counts() {
        assert_eq!(means("client kill ID 7 TYPE normal USER default", 1), Ok(true));
        assert_eq!(means("client kill ID 7 TYPE pubsub", 1), Ok(false));
        assert_eq!(means("client kill ID 8 ID 7", 1), Ok(true));
        assert_eq!(
            means("client kill ADDR 127.0.0.1:5000 LADDR 127.0.0.1:6379", 1),
            Ok(true)
        );
        assert_eq!(means("client kill LADDR 127.0.0.1:5000 ID 7", 1), Ok(false));
        assert_eq!(means("client kill MAXAGE 100 ID 7", 1), Ok(true));
        assert_eq!(means("client kill MAXAGE 101 ID 7", 1), Ok(false));
    }

    #[test]
    fn the_caller_is_spared_unless_it_asks_not_to_be() {
        assert_eq!(means("client kill ID 7 SKIPME yes", 7), Ok(false));
        assert_eq!(means("client kill ID 7", 7), Ok(false));
        assert_eq!(means("client kill SKIPME no ID 7", 7), Ok(true));
    }

    #[test]
    fn errors_are_those_of_redis() {
        let error = |request| means(request, 1).unwrap_err();
        assert_eq!(error("client kill ID 0"), "ERR client-id should be greater than 0");
        assert_eq!(error("client kill ID x"), "ERR client-id should be greater than 0");
        assert_eq!(error("client kill TYPE x"), "ERR Unknown client type 'x'");
        assert_eq!(error("client kill USER x"), "ERR No such user 'x'");
        assert_eq!(error("client kill SKIPME x"), "ERR syntax error");
        assert_eq!(error("client kill ID 1 ADDR"), "ERR syntax error");
        assert_eq!(error("client kill MAXAGE 0"), "ERR maxage should be greater than 0");
        assert_eq!(
            error("client kill MAXAGE x"),
            "ERR maxage is not an integer or out of range"
        );
    }
}
