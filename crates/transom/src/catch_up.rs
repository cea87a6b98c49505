//! The question whether everything that the device holds has been received.
//!
//! Only the driver receives, and only it can tell. That the kernel has not called the device readable
//! says nothing: tokio may not have heard of it yet. So who wants to know leaves a question, and the
//! driver tries the device itself.

use crate::waiters::Waiters;

/// Questions, numbered, and those who wait for the answer.
#[derive(Debug)]
pub(crate) struct CatchUp {
    asked: u64,
    answered: u64,
    pub(crate) waiters: Waiters,
}

impl CatchUp {
    pub(crate) const fn new() -> Self {
        Self {
            asked: 0,
            answered: 0,
            waiters: Waiters::new(),
        }
    }

    /// A new question. To be answered by a look at the device that begins after this.
    pub(crate) fn ask(&mut self) -> u64 {
        self.asked += 1;
        self.asked
    }

    /// The last question, if it is open. Its answer answers those before it.
    pub(crate) fn question(&self) -> Option<u64> {
        (self.answered < self.asked).then_some(self.asked)
    }

    pub(crate) fn answer(&mut self, question: u64) {
        self.answered = self.answered.max(question);
    }

    pub(crate) fn is_answered(&self, question: u64) -> bool {
        self.answered >= question
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_holds_for_what_was_asked_before_the_look() {
        let mut catch_up = CatchUp::new();
        assert_eq!(catch_up.question(), None);
        let first = catch_up.ask();
        let seen_by_the_driver = catch_up.question().unwrap();
        let second = catch_up.ask();
        catch_up.answer(seen_by_the_driver);
        assert!(catch_up.is_answered(first) && !catch_up.is_answered(second));
        assert_eq!(catch_up.question(), Some(second));
    }
}
