//! How much is still going on, so that the end of a run does not cut anything off.

use tokio::sync::watch;

/// What is going on.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    /// Connections that are not over.
    pub(crate) open: usize,
    /// Those of which the program may still have data on the way to the real peer.
    pub(crate) undelivered: usize,
}

/// Counts connections; cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Activity(watch::Sender<Counts>);

/// A connection that is counted until this is dropped.
#[derive(Debug)]
pub(crate) struct Counted {
    activity: Activity,
    carries: bool,
}

impl Activity {
    /// Nothing goes on.
    pub(crate) fn new() -> Self {
        Self(watch::Sender::new(Counts::default()))
    }

    /// Changes the counts. Where nobody waits for them nobody is told, which would cost more.
    fn change(&self, change: impl FnOnce(&mut Counts)) {
        // Who begins to wait meanwhile is counted before it looks, and looks when this is done.
        self.0.send_if_modified(|counts| {
            change(counts);
            self.0.receiver_count() > 0
        });
    }

    /// Counts a connection, which carries nothing yet.
    pub(crate) fn begin(&self) -> Counted {
        self.change(|counts| counts.open += 1);
        Counted {
            activity: self.clone(),
            carries: false,
        }
    }

    /// Waits until the counts are as wanted.
    pub(crate) async fn until(&self, wanted: impl FnMut(&Counts) -> bool) {
        // It fails only when nobody counts any more, and we do.
        let _ = self.0.subscribe().wait_for(wanted).await;
    }

    /// What goes on now.
    pub(crate) fn counts(&self) -> Counts {
        *self.0.borrow()
    }
}

impl Counted {
    /// The program may send from now on.
    pub(crate) fn carries(&mut self) {
        if !self.carries {
            self.carries = true;
            self.activity.change(|counts| counts.undelivered += 1);
        }
    }

    /// All that the program sent has been handed on.
    pub(crate) fn delivered(&mut self) {
        if self.carries {
            self.carries = false;
            self.activity.change(|counts| counts.undelivered -= 1);
        }
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.delivered();
        self.activity.change(|counts| counts.open -= 1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(flavor = "current_thread")]
    async fn a_connection_counts_until_it_is_dropped() {
        let activity = Activity::new();
        let mut one = activity.begin();
        let mut two = activity.begin();
        assert_eq!(
            activity.counts(),
            Counts {
                open: 2,
                undelivered: 0
            }
        );
        one.carries();
        two.carries();
        assert_eq!(
            activity.counts(),
            Counts {
                open: 2,
                undelivered: 2
            }
        );
        one.delivered();
        one.delivered();
        drop(two);
        assert_eq!(
            activity.counts(),
            Counts {
                open: 1,
                undelivered: 0
            }
        );
        activity.until(|counts| counts.undelivered == 0).await;
        drop(one);
        activity.until(|counts| counts.open == 0).await;
    }
}
