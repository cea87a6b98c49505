//! Boxes that may lie at an angle, and whether two of them overlap.

/// A rectangle around a piece of text.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Area {
    x: f64,
    y: f64,
    half_width: f64,
    half_height: f64,
    cos: f64,
    sin: f64,
}

impl Area {
    /// A rectangle in a frame that starts at `origin` and is turned by `angle` (radians): from
    /// `left` to `right` along it, from `top` to `bottom` across it.
    pub(crate) fn turned(
        origin: (f64, f64),
        angle: f64,
        (left, right): (f64, f64),
        (top, bottom): (f64, f64),
    ) -> Self {
        let (sin, cos) = angle.sin_cos();
        let (u, v) = (left.midpoint(right), top.midpoint(bottom));
        Self {
            x: origin.0 + u * cos - v * sin,
            y: origin.1 + u * sin + v * cos,
            half_width: (right - left) / 2.0,
            half_height: (bottom - top) / 2.0,
            cos,
            sin,
        }
    }

    /// How far the rectangle reaches from its middle in a direction.
    fn reach(&self, (x, y): (f64, f64)) -> f64 {
        let along = (x * self.cos + y * self.sin).abs();
        let across = (y * self.cos - x * self.sin).abs();
        along * self.half_width + across * self.half_height
    }

    /// Whether two rectangles have a point in common.
    pub(crate) fn overlaps(&self, other: &Self) -> bool {
        let apart = (other.x - self.x, other.y - self.y);
        let axes = [
            (self.cos, self.sin),
            (-self.sin, self.cos),
            (other.cos, other.sin),
            (-other.sin, other.cos),
        ];
        axes.into_iter().all(|axis| {
            let distance = (apart.0 * axis.0 + apart.1 * axis.1).abs();
            distance < self.reach(axis) + other.reach(axis)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn turned_boxes_overlap_only_where_they_meet() {
        let flat = |x: f64, y: f64| Area::turned((x, y), 0.0, (0.0, 100.0), (-10.0, 10.0));
        assert!(flat(0.0, 0.0).overlaps(&flat(90.0, 15.0)));
        assert!(!flat(0.0, 0.0).overlaps(&flat(101.0, 0.0)));
        assert!(!flat(0.0, 0.0).overlaps(&flat(0.0, 21.0)));
        // Upright boxes around these would overlap; the boxes do not.
        let slanted = |y: f64| Area::turned((0.0, y), 0.6, (0.0, 100.0), (-5.0, 5.0));
        assert!(!slanted(0.0).overlaps(&slanted(14.0)));
        assert!(slanted(0.0).overlaps(&slanted(8.0)));
    }
}
