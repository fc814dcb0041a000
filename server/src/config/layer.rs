//! One source of settings (file, environment or flags), laid over what the sources before it gave.

use std::collections::HashSet;

use super::error::{LoadError, Origin, printable, quoted_directive};
use super::setting::Setting;
use super::settings::Settings;
use super::{lookup, refused};

/// Applies directives of one source to settings.
pub(super) struct Layer<'a> {
    settings: &'a mut Settings,
    /// Which settings this source has given already: `save` lines of one file add up, as rules do, but replace another source's.
    given: HashSet<&'static str>,
}

impl<'a> Layer<'a> {
    pub(super) fn over(settings: &'a mut Settings) -> Self {
        Self {
            settings,
            given: HashSet::new(),
        }
    }

    /// Applies a directive whose value is given as words.
    pub(super) fn apply_words(&mut self, origin: &Origin, name: &str, words: &[Vec<u8>]) -> Result<(), LoadError> {
        let name = &name.to_ascii_lowercase();
        let texts: Result<Vec<String>, _> = words.iter().cloned().map(String::from_utf8).collect();
        let setting = lookup::find(name).map(|(_, setting)| setting);
        let Ok(texts) = texts else {
            let shown = String::from_utf8_lossy(&words.concat()).into_owned();
            return Err(invalid(
                origin,
                setting,
                name,
                &shown,
                "argument is not UTF-8",
                "write it in UTF-8",
            ));
        };
        let text = texts.join(" ");
        let Some(setting) = setting else {
            return refuse(origin, name, &texts);
        };
        if !setting.syntax.is_list() && texts.len() != 1 {
            return Err(refused_value(origin, setting, name, &text, "wrong number of arguments"));
        }
        self.apply_text(origin, name, setting, &text)
    }

    /// Applies a known setting's value.
    pub(super) fn apply_text(
        &mut self,
        origin: &Origin,
        name: &str,
        setting: &'static Setting,
        text: &str,
    ) -> Result<(), LoadError> {
        let first = self.given.insert(setting.name);
        let adds_up = setting.syntax.adds_up() && !first && !text.is_empty();
        let whole = if adds_up {
            format!("{} {text}", self.settings.show(setting))
        } else {
            text.to_owned()
        };
        self.settings
            .read(setting, &whole)
            .map_err(|problem| refused_value(origin, setting, name, text, &problem))
    }
}

fn refuse(origin: &Origin, name: &str, words: &[String]) -> Result<(), LoadError> {
    let value = words.join(" ");
    if !refused::NAMES.contains(&name) {
        let advice = match lookup::nearest_directive(name) {
            Some(near) => format!("did you mean '{near}'?"),
            None => "see docs/configuration.md for all names".to_owned(),
        };
        // The value may be a secret whose name was mistyped.
        return Err(invalid(
            origin,
            None,
            &printable(name),
            "",
            "no setting has this name",
            &advice,
        ));
    }
    match refused::refusal(name, words) {
        Some(why) => Err(invalid(origin, None, name, &value, "cannot be honoured", why)),
        None => Ok(()),
    }
}

fn refused_value(origin: &Origin, setting: &Setting, name: &str, value: &str, problem: &str) -> LoadError {
    invalid(origin, Some(setting), name, value, problem, &setting.syntax.advice())
}

pub(super) fn invalid(
    origin: &Origin,
    setting: Option<&Setting>,
    name: &str,
    value: &str,
    problem: &str,
    advice: &str,
) -> LoadError {
    LoadError::Setting {
        origin: origin.clone(),
        directive: quoted_directive(setting, name, value),
        problem: problem.to_owned(),
        advice: advice.to_owned(),
    }
}
