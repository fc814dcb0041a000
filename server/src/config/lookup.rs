//! Finds settings by name: those with a field and those only kept, by their names and aliases.

use std::collections::HashMap;
use std::sync::LazyLock;

use super::kept::KEPT;
use super::setting::Setting;
use super::settings::LIVE;
use super::{refused, suggest};

/// All settings, in the order of `CONFIG GET` and the documentation.
pub(super) fn all() -> impl Iterator<Item = &'static Setting> + Clone {
    LIVE.iter().chain(KEPT)
}

/// The setting called `name` (any case), together with the table's own spelling of that name.
pub(super) fn find(name: &str) -> Option<(&'static str, &'static Setting)> {
    static BY_NAME: LazyLock<HashMap<&'static str, (&'static str, &'static Setting)>> = LazyLock::new(|| {
        let named = |setting: &'static Setting| setting.names().map(move |name| (name, (name, setting)));
        all().flat_map(named).collect()
    });
    if name.len() > MAX_NAME_LEN {
        return None;
    }
    BY_NAME.get(name.to_ascii_lowercase().as_str()).copied()
}

/// No setting has a longer name; a test says so.
const MAX_NAME_LEN: usize = 64;

/// The known name that the unknown `name` most likely meant.
pub(super) fn nearest(name: &str) -> Option<&'static str> {
    suggest::nearest(name, &all().flat_map(Setting::names))
}

/// The known name or directive that the unknown `name` in a file most likely meant.
pub(super) fn nearest_directive(name: &str) -> Option<&'static str> {
    suggest::nearest(
        name,
        &all().flat_map(Setting::names).chain(refused::NAMES.iter().copied()),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::settings::Settings;
    use std::collections::HashSet;

    #[test]
    fn no_two_settings_share_a_name() {
        let mut seen = HashSet::new();
        for name in all().flat_map(Setting::names) {
            assert!(seen.insert(name), "{name} is there twice");
            assert!(name.len() <= MAX_NAME_LEN, "{name} is too long to be found");
            assert_eq!(name, name.to_ascii_lowercase());
        }
    }

    #[test]
    fn every_default_is_accepted_and_shown_in_canonical_form() {
        let settings = Settings::default();
        for setting in all() {
            let shown = settings.show(setting);
            let mut again = settings.clone();
            again.read(setting, &shown).unwrap();
            assert_eq!(again, settings, "{}", setting.name);
            let mut from_default = settings.clone();
            from_default.read(setting, setting.default).unwrap();
            assert_eq!(from_default.show(setting), shown, "{}", setting.name);
        }
    }

    #[test]
    fn names_are_found_in_any_case_and_by_alias() {
        assert_eq!(find("MaxMemory").map(|(name, _)| name), Some("maxmemory"));
        let (name, setting) = find("lua-time-limit").unwrap();
        assert_eq!((name, setting.name), ("lua-time-limit", "busy-reply-threshold"));
        assert!(find("").is_none() && find(&"x".repeat(1 << 20)).is_none());
    }
}
