//! The grammar of a command's arguments, as `COMMAND DOCS` reports it and interactive clients show it.

/// What an argument is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ArgKind {
    /// Any bytes.
    String,
    /// A whole number.
    Integer,
    /// A floating point number.
    Double,
    /// The name of a key.
    Key,
    /// A glob pattern.
    Pattern,
    /// A point in time, in seconds or milliseconds since 1970.
    UnixTime,
    /// The token itself, with nothing after it.
    PureToken,
    /// Exactly one of the children.
    OneOf,
    /// All of the children, in order.
    Block,
}

impl ArgKind {
    /// The name in `COMMAND DOCS`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            ArgKind::String => "string",
            ArgKind::Integer => "integer",
            ArgKind::Double => "double",
            ArgKind::Key => "key",
            ArgKind::Pattern => "pattern",
            ArgKind::UnixTime => "unix-time",
            ArgKind::PureToken => "pure-token",
            ArgKind::OneOf => "oneof",
            ArgKind::Block => "block",
        }
    }

    /// Whether the argument consists of its children.
    #[must_use]
    pub const fn has_children(self) -> bool {
        matches!(self, ArgKind::OneOf | ArgKind::Block)
    }
}

/// One argument of a command, or a group of them.
#[derive(Clone, Copy, Debug)]
pub struct Arg {
    /// Its name in documentation.
    pub name: &'static str,
    /// What it is.
    pub kind: ArgKind,
    /// The keyword that comes before it (or is all of it, for a pure token).
    pub token: Option<&'static str>,
    /// Which of the command's key specifications finds it, if it is a key.
    pub key_spec: Option<u8>,
    /// What it is for, where its name does not tell.
    pub summary: Option<&'static str>,
    /// The version of Redis that introduced it, if later than the command.
    pub since: Option<&'static str>,
    /// The version of Redis that advised against it.
    pub deprecated_since: Option<&'static str>,
    /// May be left out.
    pub optional: bool,
    /// May be repeated.
    pub multiple: bool,
    /// When it is repeated, so is its token.
    pub multiple_token: bool,
    /// The parts of a group.
    pub children: &'static [Arg],
}

impl Arg {
    const fn new(name: &'static str, kind: ArgKind) -> Self {
        Arg {
            name,
            kind,
            token: None,
            key_spec: None,
            summary: None,
            since: None,
            deprecated_since: None,
            optional: false,
            multiple: false,
            multiple_token: false,
            children: &[],
        }
    }

    /// May be left out.
    pub(super) const fn optional(mut self) -> Self {
        self.optional = true;
        self
    }

    /// May be repeated.
    pub(super) const fn multiple(mut self) -> Self {
        self.multiple = true;
        self
    }

    /// When repeated, so is its token.
    pub(super) const fn multiple_token(mut self) -> Self {
        self.multiple_token = true;
        self
    }

    /// Follows the keyword `token`.
    pub(super) const fn after(mut self, token: &'static str) -> Self {
        self.token = Some(token);
        self
    }

    /// Was introduced by this version of Redis.
    pub(super) const fn since(mut self, version: &'static str) -> Self {
        self.since = Some(version);
        self
    }

    /// Is advised against since this version of Redis.
    pub(super) const fn deprecated(mut self, version: &'static str) -> Self {
        self.deprecated_since = Some(version);
        self
    }

    /// The flags of `COMMAND DOCS`, in its order.
    pub fn flag_names(&self) -> impl Iterator<Item = &'static str> + Clone {
        [
            (self.optional, "optional"),
            (self.multiple, "multiple"),
            (self.multiple_token, "multiple_token"),
        ]
        .into_iter()
        .filter(|(set, _)| *set)
        .map(|(_, name)| name)
    }
}

/// `JITTER percent`, which Redis does not have.
pub(super) const fn jitter() -> Arg {
    let mut arg = integer("percent").after("JITTER").optional();
    arg.summary = Some("Larder's own: shortens the time by a random share of up to so many percent.");
    arg
}

/// A key, found by the command's first key specification.
pub(super) const fn key(name: &'static str) -> Arg {
    key_of(name, 0)
}

/// A key, found by the command's key specification number `spec`.
pub(super) const fn key_of(name: &'static str, spec: u8) -> Arg {
    let mut arg = Arg::new(name, ArgKind::Key);
    arg.key_spec = Some(spec);
    arg
}

/// Any bytes.
pub(super) const fn string(name: &'static str) -> Arg {
    Arg::new(name, ArgKind::String)
}

/// A whole number.
pub(super) const fn integer(name: &'static str) -> Arg {
    Arg::new(name, ArgKind::Integer)
}

/// A floating point number.
pub(super) const fn double(name: &'static str) -> Arg {
    Arg::new(name, ArgKind::Double)
}

/// A glob pattern.
pub(super) const fn pattern(name: &'static str) -> Arg {
    Arg::new(name, ArgKind::Pattern)
}

/// A point in time.
pub(super) const fn unix_time(name: &'static str) -> Arg {
    Arg::new(name, ArgKind::UnixTime)
}

/// A keyword that stands for itself.
pub(super) const fn token(name: &'static str, token: &'static str) -> Arg {
    Arg::new(name, ArgKind::PureToken).after(token)
}

/// Exactly one of `children`.
pub(super) const fn one_of(name: &'static str, children: &'static [Arg]) -> Arg {
    let mut arg = Arg::new(name, ArgKind::OneOf);
    arg.children = children;
    arg
}

/// All of `children`, in order.
pub(super) const fn block(name: &'static str, children: &'static [Arg]) -> Arg {
    let mut arg = Arg::new(name, ArgKind::Block);
    arg.children = children;
    arg
}

/// How a person reads the grammar: `key [EX seconds | PX milliseconds] [NX]`.
#[must_use]
pub fn syntax(args: &[Arg]) -> String {
    let parts: Vec<String> = args.iter().map(syntax_of).collect();
    parts.join(" ")
}

fn syntax_of(arg: &Arg) -> String {
    let body = match arg.kind {
        ArgKind::PureToken => String::new(),
        ArgKind::OneOf => arg.children.iter().map(syntax_of).collect::<Vec<_>>().join(" | "),
        ArgKind::Block => syntax(arg.children),
        _ => arg.name.to_owned(),
    };
    let is_choice = arg.kind == ArgKind::OneOf && arg.children.len() > 1;
    let body = if is_choice && (!arg.optional || arg.multiple || arg.token.is_some()) {
        format!("<{body}>")
    } else {
        body
    };
    let once = match (arg.token, body.is_empty()) {
        (Some(token), true) => token.to_owned(),
        (Some(token), false) => format!("{token} {body}"),
        (None, _) => body.clone(),
    };
    let all = match arg.multiple {
        false => once,
        true if is_choice => format!("{once} ..."),
        true if arg.multiple_token => format!("{once} [{once} ...]"),
        true => format!("{once} [{body} ...]"),
    };
    if arg.optional { format!("[{all}]") } else { all }
}
