//! Environment variables: `LARDER_PORT`, `LARDER_MAXMEMORY_POLICY`, ...

use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt;

use super::error::{LoadError, Origin};
use super::layer::Layer;
use super::lookup;
use super::setting::VARIABLE_PREFIX;

/// Lays the variables over the settings. Empty ones count as not set, and unknown ones are only warned of,
/// since other programs may use the prefix. Returns the warnings.
pub(super) fn apply(
    variables: impl IntoIterator<Item = (OsString, OsString)>,
    layer: &mut Layer<'_>,
) -> Result<Vec<String>, LoadError> {
    let mut warnings = Vec::new();
    for (variable, value) in variables {
        let Some((variable, suffix)) = larder_name(&variable) else {
            continue;
        };
        if value.is_empty() || is_service_link(suffix, &value) {
            continue;
        }
        let name = suffix.to_ascii_lowercase().replace('_', "-");
        if lookup::find(&name).is_none() {
            let hint = lookup::nearest(&name).map_or(String::new(), |near| {
                format!(
                    ", did you mean {VARIABLE_PREFIX}{}?",
                    near.to_ascii_uppercase().replace('-', "_")
                )
            });
            warnings.push(format!("the environment variable {variable} sets nothing{hint}"));
            continue;
        }
        layer.apply_words(
            &Origin::Variable(variable.to_owned()),
            &name,
            &[value.as_bytes().to_vec()],
        )?;
    }
    warnings.sort();
    Ok(warnings)
}

fn larder_name(variable: &OsString) -> Option<(&str, &str)> {
    let variable = variable.to_str()?;
    Some((variable, variable.strip_prefix(VARIABLE_PREFIX)?))
}

/// Kubernetes gives every container such variables for a service called "larder", among them
/// `LARDER_PORT=tcp://10.0.0.1:6379`, which is not meant for us.
fn is_service_link(suffix: &str, value: &OsString) -> bool {
    suffix.starts_with("SERVICE_")
        || suffix
            .strip_prefix("PORT_")
            .is_some_and(|rest| rest.starts_with(|digit: char| digit.is_ascii_digit()))
        || (suffix == "PORT" && value.as_bytes().starts_with(b"tcp://"))
}
