//! Tables of comma-separated values, as far as a list of pictures needs them (RFC 4180, <https://www.rfc-editor.org/rfc/rfc4180>).

use std::fs;
use std::path::Path;
use striate_tensor::{Error, Result};

/// The most bytes a table may have: 2²⁸.
const MAX_BYTES: u64 = 1 << 28;

/// The named columns of a table whose first line names them: one row of fields for each further line.
pub(crate) fn columns(path: &Path, names: &[&str]) -> Result<Vec<Vec<String>>> {
    let subject = || path.display().to_string();
    let length = path.metadata().map_err(|error| Error::io(path, "reading", error))?.len();
    if length > MAX_BYTES {
        let rule = format!("a table may have at most {MAX_BYTES} bytes");
        return Err(Error::data(subject(), rule, length.to_string(), ""));
    }
    let bytes = fs::read(path).map_err(|error| Error::io(path, "reading", error))?;
    let text = String::from_utf8(bytes)
        .map_err(|error| Error::data(subject(), "the table must be UTF-8", error.to_string(), "save it anew"))?;
    let refuse = |rule: String, received: String| Error::data(subject(), rule, received, "check the table");
    let mut rows = rows(text.trim_start_matches('\u{feff}'))
        .ok_or_else(|| refuse("every quote must be closed".into(), "one that is not".into()))?
        .into_iter();
    let header = rows.next().unwrap_or_default();
    let places: Vec<usize> = names
        .iter()
        .map(|name| {
            header
                .iter()
                .position(|column| column.trim() == *name)
                .ok_or_else(|| refuse(format!("the first line must name a column {name}"), header.join(",")))
        })
        .collect::<Result<_>>()?;
    rows.enumerate()
        .filter(|(_, row)| row.iter().any(|field| !field.is_empty()))
        .map(|(i, row)| {
            places
                .iter()
                .map(|&place| {
                    row.get(place).cloned().ok_or_else(|| {
                        refuse(
                            format!("every row must have {} fields", header.len()),
                            format!("{} in row {}", row.len(), i + 2),
                        )
                    })
                })
                .collect()
        })
        .collect()
}

/// All rows of fields; none if a quote stays open.
fn rows(text: &str) -> Option<Vec<Vec<String>>> {
    let (mut rows, mut row, mut field) = (Vec::new(), Vec::new(), String::new());
    let mut quoted = false;
    let mut letters = text.chars().peekable();
    while let Some(letter) = letters.next() {
        match letter {
            '"' if quoted && letters.peek() == Some(&'"') => {
                letters.next();
                field.push('"');
            }
            '"' if quoted => quoted = false,
            '"' if field.is_empty() => quoted = true,
            ',' if !quoted => row.push(std::mem::take(&mut field)),
            '\r' if !quoted && letters.peek() == Some(&'\n') => {}
            '\n' if !quoted => {
                row.push(std::mem::take(&mut field));
                rows.push(std::mem::take(&mut row));
            }
            other => field.push(other),
        }
    }
    if !field.is_empty() || !row.is_empty() {
        row.push(field);
        rows.push(row);
    }
    (!quoted).then_some(rows)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str, names: &[&str]) -> Result<Vec<Vec<String>>> {
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(file.path(), text).unwrap();
        columns(file.path(), names)
    }

    #[test]
    fn quotes_empty_lines_and_other_columns_are_understood() {
        let text = "\u{feff}id,file,label\r\n1,a.png,cat\r\n\r\n2,\"b, \"\"two\"\".png\",dog\n3,\"c\nd.png\",";
        let rows = read(text, &["label", "file"]).unwrap();
        assert_eq!(rows, [["cat", "a.png"], ["dog", "b, \"two\".png"], ["", "c\nd.png"]]);
    }

    #[test]
    fn what_is_missing_is_named() {
        for (text, word) in [
            ("a,b\n1,2", "column file"),
            ("file,b\n\"x,1", "quote"),
            ("b,file\n1,2\n1", "1 in row 3"),
            ("", "column file"),
        ] {
            let text = read(text, &["file"]).unwrap_err().to_string();
            assert!(text.contains(word), "{text}");
        }
    }
}
