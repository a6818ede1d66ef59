//! Schedules of quantised networks, and what they need of a program's layers.

use super::{Plan, Planner};
use crate::{
    error::Error,
    network::Quantized,
    program::{
        Activation, Claim, Emission, LayerShape, MapRef, NetworkShape, Operation, Program,
        ProgramError, Register, Schedule, Spread,
    },
};

impl Quantized {
    /// The cheapest schedule for one proof of `inferences` inferences.
    ///
    /// # Errors
    /// If the network is too large for any schedule that the planner allows.
    pub fn plan(&self, planner: &Planner, inferences: u64) -> Result<Plan, Error> {
        let layers = layers_of(self.program());
        let weights = self.weight_count() as u64;
        let plan = planner.plan_graph(layers.as_ref(), weights, inferences, &|frames| {
            of_frames(self.program(), frames)
        })?;
        Ok(plan)
    }

    /// The program under a schedule. [`Schedule::LayersPerStep`] needs a network all of whose values are
    /// functions of sums, of one width and shift, unless it has no more layers than that.
    ///
    /// # Errors
    /// If the schedule does not fit the network, or a step would be too large.
    pub fn program_with(&self, schedule: Schedule) -> Result<Program, Error> {
        let layers = layers_of(self.program());
        match (schedule, layers) {
            (Schedule::FramesPerStep(frames), _) => Ok(of_frames(self.program(), frames)?),
            (Schedule::LayersPerStep(k), Some(network)) if (k as usize) < network.layers.len() => {
                Ok(network.program(schedule)?)
            }
            (Schedule::LayersPerStep(_), None) => Err(Error::usage(
                "only a network whose values are all functions of sums of one width and shift can be spread over several steps",
            )),
            _ => Ok(of_frames(self.program(), 1)?),
        }
    }

    /// The program of a claim about the outputs of a network made of layers.
    ///
    /// # Errors
    /// If the network is not made of layers; as [`NetworkShape::claim_program`].
    pub fn claim_program(&self, claim: Claim, frames_per_step: u32) -> Result<Program, Error> {
        Ok(self.claim_layers()?.claim_program(claim, frames_per_step)?)
    }
}

impl Quantized {
    /// The cheapest number of frames to a step for a claim about `frames` frames.
    ///
    /// # Errors
    /// As [`claim_program`](Self::claim_program).
    pub fn plan_claim(&self, claim: Claim, frames: u64) -> Result<u32, Error> {
        let plan = self.plan_claim_with(&Planner::default().brief(), claim, frames)?;
        Ok(plan.chosen.schedule.frames_per_step())
    }

    /// The same with a planner, and what was weighed.
    ///
    /// # Errors
    /// As [`claim_program`](Self::claim_program).
    pub fn plan_claim_with(
        &self,
        planner: &Planner,
        claim: Claim,
        frames: u64,
    ) -> Result<Plan, Error> {
        Ok(planner.plan_claim(&self.claim_layers()?, claim, frames)?)
    }

    fn claim_layers(&self) -> Result<NetworkShape, Error> {
        layers_of(self.program()).ok_or_else(|| {
            Error::usage(
                "a claim needs a network whose values are all functions of sums of one width and shift",
            )
        })
    }
}

/// Whole inferences of up to `frames` frames in a step.
fn of_frames(program: &Program, frames: u32) -> Result<Program, ProgramError> {
    let mut program = program.clone();
    program.spread = Spread::Frames { per_step: frames };
    program.validate()?;
    Ok(program)
}

/// The layers of a program, if every value is a function of rounded sums of values before, all of one
/// width and one shift.
pub(crate) fn layers_of(program: &Program) -> Option<NetworkShape> {
    if !program.carried.is_empty() || program.emission != Emission::Each {
        return None;
    }
    let width = program.frame.width;
    let mut layers: Vec<LayerShape> = Vec::new();
    let mut all_reads = Vec::new();
    // The register of each layer's result, after the frame.
    let mut results = vec![Register::FRAME];
    let (mut shift, mut most) = (None, 0);
    let mut maps = 0;
    let mut operations = program.operations.iter().enumerate().peekable();
    while let Some((at, operation)) = operations.next() {
        let Operation::Affine {
            terms,
            rows,
            bits,
            shift: own,
        } = operation
        else {
            return None;
        };
        let (mut reads, mut inputs) = (Vec::new(), 0u32);
        for term in terms {
            let read = results.iter().position(|r| *r == term.input)?;
            if term.map != MapRef::Fixed(maps) {
                return None;
            }
            inputs = inputs.checked_add(program.maps.get(maps as usize)?.columns)?;
            reads.push(u32::try_from(read).ok()?);
            maps += 1;
        }
        let sums = Register::result_of(at);
        let (activation, result, bits) = match operations.next() {
            None if program.output.register == sums && *own == 0 => {
                // Layers all have room for the rounding.
                (Activation::Identity, sums, bits + 1)
            }
            Some((
                next,
                Operation::Requantize {
                    input,
                    drop: 0,
                    width: w,
                },
            )) if *input == sums && *w == width => {
                if *shift.get_or_insert(*own) != *own {
                    return None;
                }
                let rounded = Register::result_of(next);
                let of_rounded = |o: &Operation| match o {
                    Operation::Relu { input } if *input == rounded => Some(Activation::Relu),
                    Operation::Table { input, table } if *input == rounded => {
                        Some(Activation::Table(*table))
                    }
                    _ => None,
                };
                match operations.peek().and_then(|(_, o)| of_rounded(o)) {
                    Some(activation) => {
                        operations.next();
                        (activation, Register::result_of(next + 1), *bits)
                    }
                    None => (Activation::Identity, rounded, *bits),
                }
            }
            _ => return None,
        };
        most = most.max(bits);
        results.push(result);
        layers.push(LayerShape {
            inputs,
            outputs: *rows,
            activation,
        });
        all_reads.push(reads);
    }
    let (last, register) = (layers.last()?, *results.last()?);
    let raw = last.activation == Activation::Identity;
    let is_sums = program
        .operations
        .last()
        .is_some_and(|o| matches!(o, Operation::Affine { .. }));
    let is_output = program.output.register == register && program.output.len == last.outputs;
    let same_width = program.tables.iter().all(|t| t.width == width);
    (is_output && raw == is_sums && same_width && maps as usize == program.maps.len()).then(|| {
        NetworkShape {
            layers,
            reads: all_reads,
            tables: program.tables.clone(),
            width,
            bits: most,
            shift: shift.unwrap_or(8),
        }
    })
}
