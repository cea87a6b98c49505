//! Words that are only made where someone reads them.

use core::cell::Cell;

std::thread_local! {
    /// Whether this thread judges a connection without saying why.
    static IS_SPEECHLESS: Cell<bool> = const { Cell::new(false) };
}

/// Whether words are wanted.
pub(super) fn are_wanted() -> bool {
    !IS_SPEECHLESS.get()
}

/// Does something for which no words are made: every `phrase!` is empty in it.
pub(super) fn speechless<T>(act: impl FnOnce() -> T) -> T {
    /// Words are wanted again, also after a panic.
    struct Restore(bool);
    impl Drop for Restore {
        fn drop(&mut self) {
            IS_SPEECHLESS.set(self.0);
        }
    }
    let _restore = Restore(IS_SPEECHLESS.replace(true));
    act()
}

/// As `format!`, but empty, and its arguments left alone, where no words are wanted.
macro_rules! phrase {
    ($($argument:tt)*) => {
        if $crate::verdict::phrase::are_wanted() {
            std::format!($($argument)*)
        } else {
            String::new()
        }
    };
}
