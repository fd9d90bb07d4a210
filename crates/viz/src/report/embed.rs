//! Pictures and text inside of a page.

use crate::picture::png_bytes;
use base64::prelude::{BASE64_STANDARD, Engine};
use image::RgbImage;
use striate_tensor::Result;

/// The bytes of a PNG file as an address.
pub(super) fn png_address(bytes: &[u8]) -> String {
    format!("data:image/png;base64,{}", BASE64_STANDARD.encode(bytes))
}

/// An image as an address.
pub(super) fn address(image: &RgbImage) -> Result<String> {
    Ok(png_address(&png_bytes(image)?))
}

/// Text in a page: nothing in it is markup.
pub(super) fn escape(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            '\'' => safe.push_str("&#39;"),
            letter => safe.push(letter),
        }
    }
    safe
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_in_a_text_is_markup() {
        assert_eq!(escape("<a href=\"x\">&'"), "&lt;a href=&quot;x&quot;&gt;&amp;&#39;");
    }
}
