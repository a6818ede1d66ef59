use serde::{Deserialize, Serialize};

use super::{Op, Scope, Values, fit};
use crate::{
    error::Error,
    program::{Carried, ProgramError, Range, Register, Shape},
};

/// `carried[part] + x`, the next value of that part.
///
/// It is not range-checked: the number of frames is bounded instead, see
/// [`Program::max_frames`](crate::program::Program::max_frames).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Accumulate {
    /// Index of the part of the carried vector.
    pub part: u32,
    /// A register of the same length.
    pub input: Register,
}

impl Accumulate {
    /// Whether a part of the carried vector has room for sums over so many frames, each of which adds a
    /// value in `each`.
    pub(crate) fn fits(part: &Carried, each: Range, frame_limit: u64) -> bool {
        // From where it begins, as often as there are frames what one frame adds, on each side; once
        // more for a slot of a recursive step that has no frame.
        let own = Range::signed(part.shape.width);
        let times = i128::from(frame_limit) + 1;
        let begin = Range::of(part.initial.iter().map(|v| i64::from(*v)));
        let add = |begin: i64, each: i64| {
            i128::from(begin).saturating_add(i128::from(each).saturating_mul(times))
        };
        let least = add(begin.least, each.least.min(0));
        let most = add(begin.most, each.most.max(0));
        i128::from(own.least) <= least && most <= i128::from(own.most)
    }
}

impl Op for Accumulate {
    fn for_each_read(&mut self, f: &mut dyn FnMut(&mut Register)) {
        f(&mut self.input);
    }

    fn shape(&self, scope: &Scope<'_>) -> Result<Shape, ProgramError> {
        let Some(carried) = scope.carried.get(self.part as usize) else {
            return scope.fail("is not a part of the carried vector");
        };
        if scope.in_head || carried.next != Register::result_of(scope.at) {
            return scope.fail("is not the next value of its part of the carried vector");
        }
        let read = scope.of(self.input);
        if carried.shape.len as usize != read.len {
            return scope.fail("adds a register of another length");
        }
        if !Self::fits(carried, read.range, scope.frame_limit) {
            return scope.fail("a sum over the frames can leave its register");
        }
        Ok(Shape {
            len: read.len,
            range: Range::signed(carried.shape.width),
        })
    }

    fn evaluate(&self, values: &Values<'_>, shape: &Shape) -> Result<Vec<i64>, Error> {
        let sums = (values.before)(self.part).iter().zip(values.of(self.input));
        let sums = sums.map(|(sum, x)| i128::from(*sum) + i128::from(*x));
        fit(sums.collect(), shape.range)
    }
}
