//! Where data sets are looked for.

use std::env;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use striate_tensor::{Error, Result};

/// The folder of the data set `name`.
///
/// Looked for as `explicit` or its subfolder `name`, and nowhere else, if it is given; else as subfolder `name` of
/// `$STRIATE_DATA`, of the user's cache folder (`$XDG_CACHE_HOME/striate`, or `~/.cache/striate`), of `datasets/` in the
/// current folder and those above it, and of `datasets/` beside the program and in the folders above it.
///
/// # Errors
/// [`Error::Data`] listing the places if none has it.
pub fn locate(explicit: Option<&Path>, name: &str) -> Result<PathBuf> {
    choose(explicit, name, &places_here())
}

/// The folders of this machine that may hold data, best first.
pub(crate) fn places_here() -> Vec<PathBuf> {
    let starts = [env::current_dir().ok(), env::current_exe().ok().and_then(|exe| exe.parent().map(Path::to_path_buf))];
    places(&|name| env::var_os(name), env::home_dir(), &starts)
}

/// The folder that downloads go to: `$XDG_CACHE_HOME/striate`, or `~/.cache/striate`; none without a home folder.
pub fn cache_folder() -> Option<PathBuf> {
    cache(&|name| env::var_os(name), env::home_dir())
}

fn cache(variable: &dyn Fn(&str) -> Option<OsString>, home: Option<PathBuf>) -> Option<PathBuf> {
    let explicit = variable("XDG_CACHE_HOME").filter(|value| !value.is_empty()).map(PathBuf::from);
    Some(explicit.or_else(|| home.map(|home| home.join(".cache")))?.join("striate"))
}

/// The folders that may hold data sets, best first.
fn places(
    variable: &dyn Fn(&str) -> Option<OsString>,
    home: Option<PathBuf>,
    starts: &[Option<PathBuf>],
) -> Vec<PathBuf> {
    let explicit = variable("STRIATE_DATA").filter(|value| !value.is_empty());
    let mut places: Vec<PathBuf> = explicit.map(PathBuf::from).into_iter().collect();
    places.extend(cache(variable, home));
    for start in starts.iter().flatten() {
        places.extend(start.ancestors().map(|above| above.join("datasets")));
    }
    places
}

fn choose(explicit: Option<&Path>, name: &str, places: &[PathBuf]) -> Result<PathBuf> {
    if let Some(folder) = explicit {
        let inner = folder.join(name);
        if inner.is_dir() {
            return Ok(inner);
        }
        if folder.is_dir() {
            return Ok(folder.to_path_buf());
        }
        return Err(Error::data(
            folder.display().to_string(),
            format!("the folder of data set {name} must exist"),
            if folder.is_file() { "a file, not a folder" } else { "no such folder" },
            "check the path",
        ));
    }
    places.iter().map(|place| place.join(name)).find(|folder| folder.is_dir()).ok_or_else(|| {
        // The folders above the program and the current one may be the same.
        let mut tried: Vec<String> = Vec::new();
        for place in places.iter().map(|place| place.display().to_string()) {
            if !tried.contains(&place) {
                tried.push(place);
            }
        }
        Error::data(
            name,
            format!("a folder {name} must exist in one of: {}", tried.join(", ")),
            "none",
            format!("run striate data download {name}, or set STRIATE_DATA to the folder that holds {name}"),
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::create_dir_all;

    #[test]
    fn places_come_in_order() {
        let from = |set: &'static [(&str, &str)]| {
            let variable =
                |name: &str| set.iter().find(|(key, _)| *key == name).map(|(_, value)| OsString::from(value));
            let places = places(&variable, Some("/home/me".into()), &[Some("/a/b".into()), None]);
            places.into_iter().map(|p| p.to_string_lossy().into_owned()).collect::<Vec<_>>()
        };
        let above = ["/a/b/datasets", "/a/datasets", "/datasets"];
        assert_eq!(from(&[]), [&["/home/me/.cache/striate"][..], &above].concat());
        let set: &[(&str, &str)] = &[("STRIATE_DATA", "/data"), ("XDG_CACHE_HOME", "/cache")];
        assert_eq!(from(set), [&["/data", "/cache/striate"][..], &above].concat());
        assert_eq!(from(&[("STRIATE_DATA", "")])[0], "/home/me/.cache/striate");
    }

    #[test]
    fn the_first_place_that_has_it_wins_and_an_explicit_one_is_final() {
        let root = tempfile::tempdir().unwrap();
        let [a, b, c] = ["a", "b", "c"].map(|name| root.path().join(name));
        for folder in [&a, &b.join("mnist"), &c.join("mnist")] {
            create_dir_all(folder).unwrap();
        }
        let places = [a.clone(), b.clone(), c.clone()];
        assert_eq!(choose(None, "mnist", &places).unwrap(), b.join("mnist"));
        assert_eq!(choose(Some(&c), "mnist", &places).unwrap(), c.join("mnist"));
        assert_eq!(choose(Some(&c.join("mnist")), "mnist", &places).unwrap(), c.join("mnist"));
        assert_eq!(choose(Some(&a), "mnist", &places).unwrap(), a);
        assert!(choose(Some(&root.path().join("none")), "mnist", &places).is_err());
        let text = choose(None, "photos", &places).unwrap_err().to_string();
        assert!(text.contains(&b.display().to_string()) && text.contains("striate data download photos"), "{text}");
    }
}
