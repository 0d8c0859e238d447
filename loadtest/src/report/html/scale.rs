//! Where a value lies on an axis.

/// An axis from one value to another.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Scale {
    low: f64,
    high: f64,
    is_log: bool,
}

impl Scale {
    /// A linear one over `values`, and over 0, with some room; `most` bounds it at both ends.
    pub(super) fn around_zero(values: impl Iterator<Item = f64>, most: f64) -> Self {
        let (low, high) = ends(values.chain([0.0]));
        let room = ((high - low) * 0.06).max(most * 0.005);
        Self {
            low: (low - room).max(-most),
            high: (high + room).min(most),
            is_log: false,
        }
    }

    /// A logarithmic one over `values`, and over 1; `most` and its inverse bound it.
    pub(super) fn around_one(values: impl Iterator<Item = f64>, most: f64) -> Self {
        let (low, high) = ends(values.filter(|value| *value > 0.0).chain([0.9, 1.1]));
        Self {
            low: (low / 1.06).max(1.0 / most),
            high: (high * 1.06).min(most),
            is_log: true,
        }
    }

    /// A logarithmic one over `values`; `None` when none of them is above 0.
    pub(super) fn log(values: impl Iterator<Item = f64>) -> Option<Self> {
        let (low, high) = ends(values.filter(|value| *value > 0.0));
        (low <= high).then(|| Self {
            low: low / 1.1,
            high: high * 1.1,
            is_log: true,
        })
    }

    /// Where `value` lies: 0 at the low end, 1 at the high end; beyond where it is beyond.
    pub(super) fn at(self, value: f64) -> f64 {
        match self.is_log {
            true => (value / self.low).ln() / (self.high / self.low).ln(),
            false => (value - self.low) / (self.high - self.low),
        }
    }

    /// Round values on it, some `count` of them.
    pub(super) fn ticks(self, count: usize) -> Vec<f64> {
        match self.is_log {
            true => self.log_ticks(count),
            false => self.linear_ticks(count),
        }
    }

    fn linear_ticks(self, count: usize) -> Vec<f64> {
        let rough = (self.high - self.low) / count as f64;
        let power = 10_f64.powf(rough.log10().floor());
        let step = [1.0, 2.0, 5.0, 10.0]
            .into_iter()
            .find(|step| step * power >= rough)
            .map_or(power * 10.0, |step| step * power);
        let first = (self.low / step).ceil();
        (0..=count * 2)
            .map(|n| (first + n as f64) * step)
            .filter(|tick| *tick <= self.high)
            .collect()
    }

    fn log_ticks(self, count: usize) -> Vec<f64> {
        const FINE: [f64; 9] = [1.0, 1.2, 1.5, 2.0, 2.5, 3.0, 5.0, 7.0, 9.0];
        let decades = (-4..14).map(|power| 10_f64.powi(power));
        let of = |steps: &[f64]| -> Vec<f64> {
            let all = decades
                .clone()
                .flat_map(|decade| steps.iter().map(move |step| step * decade));
            all.filter(|tick| (self.low..=self.high).contains(tick))
                .collect()
        };
        let choices = [&[1.0][..], &[1.0, 3.0], &[1.0, 2.0, 5.0], &FINE].map(of);
        let enough = choices.iter().position(|ticks| ticks.len() + 1 >= count);
        let chosen = enough.unwrap_or(choices.len() - 1);
        let ticks = choices.into_iter().nth(chosen).unwrap_or_default();
        // A wide axis has more decades than it has room.
        let every = ticks.len().div_ceil(count * 2).max(1);
        ticks.into_iter().step_by(every).collect()
    }
}

fn ends(values: impl Iterator<Item = f64>) -> (f64, f64) {
    values
        .filter(|value| value.is_finite())
        .fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), value| {
            (low.min(value), high.max(value))
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_linear_axis_holds_zero_and_round_values() {
        let scale = Scale::around_zero([3.0, 17.0].into_iter(), 200.0);
        assert!(scale.at(0.0) > 0.0 && scale.at(17.0) < 1.0);
        assert_eq!(scale.ticks(5), [0.0, 5.0, 10.0, 15.0]);
        let wild = Scale::around_zero([-1e9, 1e9, f64::NAN].into_iter(), 200.0);
        assert_eq!((wild.at(-200.0), wild.at(200.0)), (0.0, 1.0));
    }

    #[test]
    fn a_log_axis_has_ticks_at_any_width() {
        let wide = Scale::log([1e3, 1e9].into_iter()).unwrap();
        assert_eq!(wide.ticks(4), [1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9]);
        let narrow = Scale::log([110.0, 190.0].into_iter()).unwrap();
        assert!(narrow.ticks(4).len() >= 2, "{:?}", narrow.ticks(4));
        assert_eq!(Scale::log([0.0, -1.0].into_iter()), None);
        let ratios = Scale::around_one([0.5, 4.0].into_iter(), 16.0);
        assert!(ratios.at(0.5) > 0.0 && ratios.at(4.0) < 1.0);
        assert!((ratios.at(2.0) - ratios.at(1.0) - ratios.at(4.0) + ratios.at(2.0)).abs() < 1e-9);
    }
}
