//! What the environment says.

use std::sync::OnceLock;

pub(crate) struct Settings {
    pub(crate) devices: usize,
    pub(crate) arch: u32,
    pub(crate) bytes: usize,
    pub(crate) order: u32,
    pub(crate) lazy: bool,
    /// Whether freed memory is kept for a while, to see who still uses it.
    pub(crate) strict: bool,
}

pub(crate) fn settings() -> &'static Settings {
    static SETTINGS: OnceLock<Settings> = OnceLock::new();
    SETTINGS.get_or_init(|| {
        let number = |name: &str, default: usize| {
            std::env::var(name).ok().and_then(|text| text.trim().parse().ok()).unwrap_or(default)
        };
        Settings {
            devices: number("CUEMU_DEVICES", 1),
            arch: number("CUEMU_ARCH", 90) as u32,
            bytes: number("CUEMU_MEM_MB", 4096) << 20,
            order: number("CUEMU_ORDER", 0) as u32,
            lazy: number("CUEMU_LAZY", 0) != 0,
            strict: number("CUEMU_STRICT", 0) != 0,
        }
    })
}
