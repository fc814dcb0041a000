//! What can be an argument of a command.

use super::Encoder;
use bytes::Bytes;
use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};
use std::hash::BuildHasher;
use std::sync::Arc;

/// What can be one or several arguments of a command: text, bytes, numbers, and lists, pairs and maps of
/// them. `None` is no argument at all.
///
/// [`write`](ToArgs::write) must append exactly [`count`](ToArgs::count) arguments.
pub trait ToArgs {
    /// How many arguments it is.
    fn count(&self) -> usize {
        1
    }

    /// Appends the arguments.
    fn write(&self, out: &mut Encoder<'_>);

    /// How many arguments a list of these is; one for bytes.
    #[doc(hidden)]
    fn count_list(list: &[Self]) -> usize
    where
        Self: Sized,
    {
        list.iter().map(ToArgs::count).sum()
    }

    /// Appends a list of these; bytes are one argument together.
    #[doc(hidden)]
    fn write_list(list: &[Self], out: &mut Encoder<'_>)
    where
        Self: Sized,
    {
        for item in list {
            item.write(out);
        }
    }
}

macro_rules! text_args {
    ($($type:ty),*) => {$(
        impl ToArgs for $type {
            fn write(&self, out: &mut Encoder<'_>) {
                out.arg(self.as_bytes());
            }
        }
    )*};
}

text_args!(str, String, Box<str>, Arc<str>, Cow<'_, str>);

impl ToArgs for Bytes {
    fn write(&self, out: &mut Encoder<'_>) {
        out.arg(self);
    }
}

macro_rules! int_args {
    ($($type:ty),*) => {$(
        impl ToArgs for $type {
            fn write(&self, out: &mut Encoder<'_>) {
                out.int(*self);
            }
        }
    )*};
}

int_args!(i8, i16, u16, i32, u32, i64, u64, isize, usize);

/// Lists of `u8` are bytes, so that a value can be given as `&[u8]` and `Vec<u8>`.
impl ToArgs for u8 {
    fn write(&self, out: &mut Encoder<'_>) {
        out.int(*self);
    }

    fn count_list(_: &[u8]) -> usize {
        1
    }

    fn write_list(list: &[u8], out: &mut Encoder<'_>) {
        out.arg(list);
    }
}

macro_rules! float_args {
    ($($type:ty),*) => {$(
        impl ToArgs for $type {
            fn write(&self, out: &mut Encoder<'_>) {
                // `inf` and `-inf` are what servers call them, too.
                out.arg(self.to_string().as_bytes());
            }
        }
    )*};
}

float_args!(f32, f64);

/// `1` or `0`.
impl ToArgs for bool {
    fn write(&self, out: &mut Encoder<'_>) {
        out.arg(if *self { b"1" } else { b"0" });
    }
}

/// No argument.
impl ToArgs for () {
    fn count(&self) -> usize {
        0
    }

    fn write(&self, _: &mut Encoder<'_>) {}
}

impl<T: ToArgs> ToArgs for Option<T> {
    fn count(&self) -> usize {
        self.as_ref().map_or(0, ToArgs::count)
    }

    fn write(&self, out: &mut Encoder<'_>) {
        if let Some(item) = self {
            item.write(out);
        }
    }
}

impl<T: ToArgs + ?Sized> ToArgs for &T {
    fn count(&self) -> usize {
        (**self).count()
    }

    fn write(&self, out: &mut Encoder<'_>) {
        (**self).write(out);
    }
}

impl<T: ToArgs> ToArgs for [T] {
    fn count(&self) -> usize {
        T::count_list(self)
    }

    fn write(&self, out: &mut Encoder<'_>) {
        T::write_list(self, out);
    }
}

impl<T: ToArgs> ToArgs for Vec<T> {
    fn count(&self) -> usize {
        T::count_list(self)
    }

    fn write(&self, out: &mut Encoder<'_>) {
        T::write_list(self, out);
    }
}

impl<T: ToArgs, const N: usize> ToArgs for [T; N] {
    fn count(&self) -> usize {
        T::count_list(self)
    }

    fn write(&self, out: &mut Encoder<'_>) {
        T::write_list(self, out);
    }
}

macro_rules! map_args {
    ($map:ident<K, V $(, $more:ident: $bound:path)?>) => {
        impl<K: ToArgs, V: ToArgs $(, $more: $bound)?> ToArgs for $map<K, V $(, $more)?> {
            fn count(&self) -> usize {
                self.iter().map(|(key, value)| key.count() + value.count()).sum()
            }

            fn write(&self, out: &mut Encoder<'_>) {
                for (key, value) in self {
                    key.write(out);
                    value.write(out);
                }
            }
        }
    };
}

map_args!(HashMap<K, V, S: BuildHasher>);
map_args!(BTreeMap<K, V>);

macro_rules! tuple_args {
    ($($name:ident),+) => {
        #[allow(non_snake_case)]
        impl<$($name: ToArgs),+> ToArgs for ($($name,)+) {
            fn count(&self) -> usize {
                let ($($name,)+) = self;
                0 $(+ $name.count())+
            }

            fn write(&self, out: &mut Encoder<'_>) {
                let ($($name,)+) = self;
                $($name.write(out);)+
            }
        }
    };
}

tuple_args!(A);
tuple_args!(A, B);
tuple_args!(A, B, C);
tuple_args!(A, B, C, D);
tuple_args!(A, B, C, D, E);
tuple_args!(A, B, C, D, E, F);
tuple_args!(A, B, C, D, E, F, G);
tuple_args!(A, B, C, D, E, F, G, H);

#[cfg(test)]
mod tests {
    use super::*;

    fn encoded(args: &impl ToArgs) -> String {
        let mut out = Vec::new();
        Encoder::new(&mut out).request(&["X"], args);
        String::from_utf8(out).expect("text")
    }

    #[test]
    fn bytes_are_one_argument_and_lists_are_many() {
        assert_eq!(encoded(&b"ab"), "*2\r\n$1\r\nX\r\n$2\r\nab\r\n");
        assert_eq!(encoded(&vec![1u8, 2]), "*2\r\n$1\r\nX\r\n$2\r\n\x01\x02\r\n");
        assert_eq!(encoded(&["a", "b"]), "*3\r\n$1\r\nX\r\n$1\r\na\r\n$1\r\nb\r\n");
        assert_eq!(encoded(&vec![("a", 1), ("b", 2)]).matches('$').count(), 5);
        assert_eq!(
            encoded(&vec![vec![1u8], vec![2]]),
            "*3\r\n$1\r\nX\r\n$1\r\n\x01\r\n$1\r\n\x02\r\n"
        );
    }

    #[test]
    fn what_is_not_there_is_no_argument() {
        assert_eq!(encoded(&()), "*1\r\n$1\r\nX\r\n");
        assert_eq!(encoded(&(None::<&str>, Some(7))), "*2\r\n$1\r\nX\r\n$1\r\n7\r\n");
        assert_eq!(encoded(&Vec::<String>::new()), "*1\r\n$1\r\nX\r\n");
    }

    #[test]
    fn numbers_are_written_as_servers_read_them() {
        assert_eq!(
            encoded(&(i64::MIN, 0.1, f64::INFINITY, true)).replace("\r\n", " "),
            "*5 $1 X $20 -9223372036854775808 $3 0.1 $3 inf $1 1 "
        );
    }
}
