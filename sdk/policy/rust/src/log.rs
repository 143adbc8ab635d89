//! Lines for people, in the host's log. The host bounds what a call may log and drops the rest.

pub use crate::abi::LogLevel as Level;

/// Logs a line.
pub fn line(level: Level, text: &str) {
    bytes(level, text.as_bytes());
}

#[cfg(target_arch = "wasm32")]
fn bytes(level: Level, text: &[u8]) {
    #[link(wasm_import_module = "mesh_v1")]
    extern "C" {
        fn log(level: i32, ptr: *const u8, len: usize);
    }
    // SAFETY: the host reads len bytes at ptr and keeps neither.
    unsafe { log(level as i32, text.as_ptr(), text.len()) }
}

#[cfg(not(target_arch = "wasm32"))]
fn bytes(_level: Level, _text: &[u8]) {}

/// A line that is put together from text and integers, without the size of `core::fmt`. What does not fit is cut off.
pub struct Line<const N: usize> {
    text: [u8; N],
    len: usize,
}

impl<const N: usize> Line<N> {
    /// An empty line with room for `N` bytes.
    #[allow(clippy::new_without_default)]
    pub fn new() -> Self {
        Line { text: [0; N], len: 0 }
    }

    /// Appends text.
    pub fn text(self, text: &str) -> Self {
        self.bytes(text.as_bytes())
    }

    /// Appends UTF-8.
    pub fn bytes(mut self, bytes: &[u8]) -> Self {
        for &b in bytes {
            if self.len < N {
                self.text[self.len] = b;
                self.len += 1;
            }
        }
        self
    }

    /// Appends an integer in decimal.
    pub fn int(self, value: i64) -> Self {
        let mut digits = [0; 20];
        let mut at = digits.len();
        let mut rest = value.unsigned_abs();
        loop {
            at -= 1;
            digits[at] = b'0' + (rest % 10) as u8;
            rest /= 10;
            if rest == 0 {
                break;
            }
        }
        let line = if value < 0 { self.text("-") } else { self };
        line.bytes(&digits[at..])
    }

    /// Logs it.
    pub fn log(self, level: Level) {
        bytes(level, &self.text[..self.len]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn builds_lines() {
        let line = Line::<32>::new().text("free ").int(0).text(" of ").int(i64::MIN);
        assert_eq!(&line.text[..line.len], b"free 0 of -9223372036854775808");
        let cut = Line::<4>::new().int(123456);
        assert_eq!(&cut.text[..cut.len], b"1234");
    }
}
