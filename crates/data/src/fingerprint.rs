//! What tells one data set from another of the same size.

/// A number made of what is added to it, in order: FNV-1a, the same in every process and on every machine.
///
/// Source: <https://datatracker.ietf.org/doc/html/draft-eastlake-fnv>.
///
/// ```
/// use striate_data::Fingerprint;
/// let of = |name: &str| Fingerprint::new().text(name).number(3).value();
/// assert_eq!(of("cats"), of("cats"));
/// assert_ne!(of("cats"), of("dogs"));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fingerprint(u64);

impl Default for Fingerprint {
    fn default() -> Self {
        Fingerprint(0xcbf2_9ce4_8422_2325)
    }
}

impl Fingerprint {
    /// Of nothing.
    pub fn new() -> Self {
        Fingerprint::default()
    }

    /// With bytes added.
    pub fn bytes(self, bytes: &[u8]) -> Self {
        let added = |sum: u64, &byte: &u8| (sum ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        Fingerprint(bytes.iter().fold(self.0, added))
    }

    /// With a number added.
    pub fn number(self, number: u64) -> Self {
        self.bytes(&number.to_le_bytes())
    }

    /// With a text added, and where it ends.
    pub fn text(self, text: &str) -> Self {
        self.bytes(text.as_bytes()).number(text.len() as u64)
    }

    /// The number.
    pub fn value(self) -> u64 {
        self.0
    }
}
