//! Numbers below the normal range are taken for zero while kernels run: they cost a hundred times more and mean nothing here.

/// Sets the thread's flush-to-zero mode; dropping it restores what was set before.
pub(crate) struct FlushDenormals {
    before: u64,
    changed: bool,
    /// The mode belongs to the thread that set it.
    _thread: std::marker::PhantomData<*const ()>,
}

#[cfg(target_arch = "x86_64")]
mod register {
    use std::arch::asm;

    /// Flush to zero and denormals are zero.
    pub(super) const FLUSH: u64 = 1 << 15 | 1 << 6;

    pub(super) fn read() -> u64 {
        let mut value = 0u32;
        // SAFETY: stores the thread's MXCSR, which every x86-64 has, into a local.
        unsafe { asm!("stmxcsr [{}]", in(reg) &mut value, options(nostack, preserves_flags)) };
        u64::from(value)
    }

    pub(super) fn write(value: u64) {
        let value = value as u32;
        // SAFETY: only the two flush bits differ from the value that was read; no exception gets unmasked.
        unsafe { asm!("ldmxcsr [{}]", in(reg) &value, options(nostack, preserves_flags, readonly)) };
    }
}

#[cfg(target_arch = "aarch64")]
mod register {
    use std::arch::asm;

    /// FZ.
    pub(super) const FLUSH: u64 = 1 << 24;

    pub(super) fn read() -> u64 {
        let value: u64;
        // SAFETY: reads the thread's floating-point control register.
        unsafe { asm!("mrs {}, fpcr", out(reg) value, options(nomem, nostack, preserves_flags)) };
        value
    }

    pub(super) fn write(value: u64) {
        // SAFETY: only the flush bit differs from the value that was read.
        unsafe { asm!("msr fpcr, {}", in(reg) value, options(nomem, nostack, preserves_flags)) };
    }
}

#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
mod register {
    pub(super) const FLUSH: u64 = 0;
    pub(super) fn read() -> u64 {
        0
    }
    pub(super) fn write(_: u64) {}
}

impl FlushDenormals {
    pub(crate) fn enter() -> Self {
        let before = register::read();
        let changed = before & register::FLUSH != register::FLUSH;
        if changed {
            register::write(before | register::FLUSH);
        }
        FlushDenormals { before, changed, _thread: std::marker::PhantomData }
    }
}

impl Drop for FlushDenormals {
    fn drop(&mut self) {
        if self.changed {
            register::write(self.before);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::hint::black_box;

    #[test]
    fn the_callers_mode_comes_back() {
        let halve = || black_box(f32::MIN_POSITIVE) * black_box(0.5);
        let before = halve();
        {
            let _outer = FlushDenormals::enter();
            let _inner = FlushDenormals::enter();
            assert_eq!(halve(), 0.0);
        }
        assert_eq!(halve().to_bits(), before.to_bits());
        assert!(halve() > 0.0);
    }
}
