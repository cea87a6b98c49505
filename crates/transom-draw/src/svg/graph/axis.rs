//! Axes: round numbers at even distances, in a unit that suits them.

/// What an axis counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Quantity {
    /// Seconds.
    Time,
    /// Bytes.
    Bytes,
    /// Bytes a second.
    Rate,
}

impl Quantity {
    /// Units, the smallest first: how much of the base one is.
    const fn units(self) -> &'static [(f64, &'static str)] {
        match self {
            Self::Time => &[
                (1e-6, "µs"),
                (1e-3, "ms"),
                (1.0, "s"),
                (60.0, "min"),
                (3600.0, "h"),
            ],
            Self::Bytes => &[
                (1.0, "B"),
                (1024.0, "KiB"),
                (1_048_576.0, "MiB"),
                (1_073_741_824.0, "GiB"),
                (1_099_511_627_776.0, "TiB"),
            ],
            Self::Rate => &[
                (1.0, "B/s"),
                (1024.0, "KiB/s"),
                (1_048_576.0, "MiB/s"),
                (1_073_741_824.0, "GiB/s"),
                (1_099_511_627_776.0, "TiB/s"),
            ],
        }
    }
}

/// An axis from zero to `max`.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Axis {
    /// The value at its end.
    pub(super) max: f64,
    /// Values that are written, with their text.
    pub(super) ticks: Vec<(f64, String)>,
    pub(super) unit: &'static str,
}

impl Axis {
    /// An axis that reaches `max`, with about `wanted` ticks. With `is_round` it ends at a tick.
    pub(super) fn new(quantity: Quantity, max: f64, wanted: u32, is_round: bool) -> Self {
        let units = quantity.units();
        let max = if max.is_finite() && max > 0.0 {
            max
        } else {
            units.first().map_or(1.0, |unit| unit.0)
        };
        let (size, unit) = units
            .iter()
            .rev()
            .find(|(size, _)| max >= size * 1.5)
            .or_else(|| units.first())
            .copied()
            .unwrap_or((1.0, ""));
        let least = max / size / f64::from(wanted.max(1));
        let power = 10_f64.powf(least.log10().floor());
        let step = [1.0, 2.0, 5.0, 10.0]
            .into_iter()
            .map(|times| times * power)
            .find(|step| *step >= least * 0.999)
            .unwrap_or(10.0 * power);
        // A byte is not divided.
        let step = if quantity == Quantity::Bytes && size <= 1.0 {
            step.max(1.0)
        } else {
            step
        };
        let count = if is_round {
            (max / size / step - 1e-9).ceil()
        } else {
            (max / size / step + 1e-9).floor()
        };
        let digits = if step >= 1.0 {
            0
        } else {
            usize::try_from((-step.log10().floor()) as i64)
                .unwrap_or(0)
                .min(9)
        };
        let mut ticks = Vec::new();
        let mut at = 0.0;
        while at <= count && ticks.len() < 64 {
            ticks.push((at * step * size, format!("{:.digits$}", at * step)));
            at += 1.0;
        }
        let max = if is_round {
            (count * step * size).max(f64::MIN_POSITIVE)
        } else {
            max
        };
        Self { max, ticks, unit }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(axis: &Axis) -> Vec<&str> {
        axis.ticks.iter().map(|(_, text)| text.as_str()).collect()
    }

    #[test]
    fn ticks_are_round_numbers_in_a_unit_that_suits_them() {
        let axis = Axis::new(Quantity::Time, 0.0037, 5, true);
        assert_eq!(
            (texts(&axis), axis.unit),
            (vec!["0", "1", "2", "3", "4"], "ms")
        );
        let axis = Axis::new(Quantity::Time, 61.0, 6, false);
        assert_eq!(
            (texts(&axis), axis.unit),
            (vec!["0", "20", "40", "60"], "s")
        );
        let axis = Axis::new(Quantity::Bytes, 14_480.0, 5, true);
        assert_eq!(
            (texts(&axis), axis.unit),
            (vec!["0", "5", "10", "15"], "KiB")
        );
        let axis = Axis::new(Quantity::Rate, 0.9 * 1_048_576.0, 4, true);
        assert_eq!(
            (texts(&axis), axis.unit),
            (vec!["0", "500", "1000"], "KiB/s")
        );
        let axis = Axis::new(Quantity::Bytes, 3.0, 8, true);
        assert_eq!((texts(&axis), axis.unit), (vec!["0", "1", "2", "3"], "B"));
    }

    #[test]
    fn any_number_makes_an_axis() {
        for max in [
            0.0,
            -1.0,
            f64::NAN,
            f64::INFINITY,
            f64::MIN_POSITIVE,
            1e-12,
            1e30,
            f64::MAX,
        ] {
            for quantity in [Quantity::Time, Quantity::Bytes, Quantity::Rate] {
                let axis = Axis::new(quantity, max, 5, true);
                assert!(axis.max > 0.0, "{max}");
                assert!(
                    (1..=64).contains(&axis.ticks.len()),
                    "{max}: {:?}",
                    axis.ticks
                );
            }
        }
    }
}
