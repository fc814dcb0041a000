//! The libraries that are compared, behind one trait. Each gets keys and values in the form that costs it least.

use anyhow::{Context, Result};
use bytes::Bytes;
use fred::interfaces::{ClientLike, KeysInterface};
use larder_client::Client;
use redis::AsyncCommands;
use redis::aio::MultiplexedConnection;

/// A key in the forms that libraries want.
pub(super) struct Key {
    text: String,
    bytes: Bytes,
}

impl Key {
    pub(super) fn new(number: usize) -> Key {
        let text = format!("key:{number:012}");
        Key {
            bytes: text.clone().into(),
            text,
        }
    }
}

/// A library with one connection; clones share it.
pub(super) trait Subject: Clone + Send + Sync + 'static {
    /// The length of the value of a key that is there.
    fn get(&self, key: &Key) -> impl Future<Output = Result<usize>> + Send;

    fn set(&self, key: &Key, value: &Bytes) -> impl Future<Output = Result<()>> + Send;
}

#[derive(Clone)]
pub(super) struct Larder(Client);

impl Larder {
    pub(super) fn connect(port: u16) -> Result<Larder> {
        Ok(Larder(Client::connect(&format!("127.0.0.1:{port}"))?))
    }
}

impl Subject for Larder {
    async fn get(&self, key: &Key) -> Result<usize> {
        let value: Option<Bytes> = self.0.get(&key.text).await?;
        Ok(value.context("no value")?.len())
    }

    async fn set(&self, key: &Key, value: &Bytes) -> Result<()> {
        Ok(self.0.set(&key.text, value).await?)
    }
}

#[derive(Clone)]
pub(super) struct RedisRs(MultiplexedConnection);

impl RedisRs {
    pub(super) async fn connect(port: u16) -> Result<RedisRs> {
        let client = redis::Client::open(format!("redis://127.0.0.1:{port}/?protocol=resp3"))?;
        Ok(RedisRs(client.get_multiplexed_async_connection().await?))
    }
}

impl Subject for RedisRs {
    async fn get(&self, key: &Key) -> Result<usize> {
        let value: Option<Bytes> = self.0.clone().get(&key.text).await?;
        Ok(value.context("no value")?.len())
    }

    async fn set(&self, key: &Key, value: &Bytes) -> Result<()> {
        Ok(self.0.clone().set::<_, _, ()>(&key.text, &value[..]).await?)
    }
}

#[derive(Clone)]
pub(super) struct Fred(fred::clients::Client);

impl Fred {
    pub(super) async fn connect(port: u16) -> Result<Fred> {
        let mut config = fred::types::config::Config::from_url(&format!("redis://127.0.0.1:{port}"))?;
        config.version = fred::types::RespVersion::RESP3;
        let client = fred::types::Builder::from_config(config).build()?;
        client.init().await?;
        Ok(Fred(client))
    }
}

impl Subject for Fred {
    async fn get(&self, key: &Key) -> Result<usize> {
        let value: Option<Bytes> = self.0.get(key.bytes.clone()).await?;
        Ok(value.context("no value")?.len())
    }

    async fn set(&self, key: &Key, value: &Bytes) -> Result<()> {
        Ok(self.0.set(key.bytes.clone(), value.clone(), None, None, false).await?)
    }
}
