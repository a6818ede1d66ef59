//! Rounded sums, saturation, maxima, and the output.

use super::{
    Done, Encoding, Grid, Lowered, Lowerer, Rounded, SumsReport, Width, Wish, exp2,
    fit::{Block, Enlarging, fit},
    full, scale_of,
};
use crate::{
    error::Error,
    network::{
        form::{Form, Stage},
        limit, wrong,
    },
    program::Register,
};

/// The most bits of an output that is an exact sum.
const MAX_OUTPUT_BITS: u8 = 31;
/// Bits of what is read, up to which exact sums of 31 bits leave the weights enough of them.
const EXACT_OUTPUT_BITS: u8 = 10;
/// Bits of an output that is rounded.
const ROUNDED_OUTPUT_BITS: u8 = 16;
/// The output, the real value of its unit, and its sums if it has some of its own.
type OutputSums = (Register, f64, Option<SumsReport>);

impl Lowerer<'_> {
    pub(super) fn direct_relu(&mut self, source: Encoding) -> Done {
        let register = self.emit.relu(source.register);
        let result = Encoding { register, ..source };
        Done {
            lowered: Lowered {
                name: "relu of a register".to_owned(),
                result,
                arguments: vec![None],
                rounded: Vec::new(),
                sums: None,
            },
            linear: result,
            source: None,
        }
    }

    /// Sums, rounded, and perhaps a ReLU.
    pub(super) fn rounded(
        &mut self,
        k: usize,
        stage: &Stage,
        form: &Form,
        width: Width,
        relu: bool,
    ) -> Result<Done, Error> {
        let prescribed = self.prescribed(k);
        let reach = self.ranges.requantised(k, &stage.kind);
        let wish = Wish {
            unit: prescribed.map_or(scale_of(reach, full(width.full)), |p| p.1),
            zero: 0.0,
            fixed: prescribed.is_some(),
            width: width.full,
        };
        let sums = self.sums(k, form, wish)?;
        let mut round = |drop, bits| {
            let rounded = self.emit.requantize(sums.register, drop, bits);
            match relu {
                true => (rounded, self.emit.relu(rounded)),
                false => (rounded, rounded),
            }
        };
        let (rounded, register) = round(0, width.full);
        let view = width
            .view
            .map(|view| width.full - view)
            .map(|drop| (round(drop, width.full - drop).1, drop));
        let result = self.emit.encoding(register, sums.unit);
        Ok(Done {
            linear: view.map_or(result, |(r, drop)| self.view(r, result, drop)),
            source: Some((sums.register, sums.shift)).filter(|_| !relu),
            lowered: Lowered {
                name: stage.name(),
                result,
                arguments: vec![None],
                rounded: vec![Rounded {
                    sums: sums.register,
                    shift: sums.shift,
                    result: rounded,
                    relu,
                    wanted: false,
                }],
                sums: Some(sums.report),
            },
        })
    }

    /// Saturation at both ends of the integers.
    pub(super) fn clip(
        &mut self,
        k: usize,
        stage: &Stage,
        form: &Form,
        width: u8,
        (least, most): (f64, f64),
    ) -> Result<Done, Error> {
        let seen = self.ranges.stages[k].result;
        let (least, most) = (least.max(seen.least), most.min(seen.most));
        let half = exp2(width - 1);
        let unit = scale_of(most - least, 2.0 * half - 1.0);
        let wish = Wish {
            unit,
            zero: least + half * unit,
            fixed: true,
            width,
        };
        let sums = self.sums(k, form, wish)?;
        let register = self.emit.requantize(sums.register, 0, width);
        #[expect(clippy::cast_possible_truncation, reason = "at most 2^15")]
        let steps = half as i64;
        let result = Encoding {
            steps,
            rest: least,
            ..self.emit.encoding(register, unit)
        };
        Ok(Done {
            linear: result,
            source: None,
            lowered: Lowered {
                name: stage.name(),
                result,
                arguments: vec![None],
                rounded: vec![Rounded {
                    sums: sums.register,
                    shift: sums.shift,
                    result: register,
                    relu: false,
                    wanted: true,
                }],
                sums: Some(sums.report),
            },
        })
    }

    /// The largest of several: `max(a, b) = b + relu(a − b)`, on integers of one unit.
    pub(super) fn maximum(
        &mut self,
        k: usize,
        stage: &Stage,
        width: u8,
        relu: bool,
    ) -> Result<Done, Error> {
        let unit = scale_of(self.ranges.requantised(k, &stage.kind), full(width));
        let formats = self.formats(&stage.arguments, width, false);
        // All blocks must have the same unit: the largest that one of them needs.
        let mut common = unit;
        let mut tried = 0;
        let blocks = loop {
            let mut blocks: Vec<Block<'_>> = stage
                .arguments
                .iter()
                .map(|form| self.block(form, common, 0.0, Enlarging::Freely))
                .collect();
            if blocks.iter().any(|b| b.windows.is_empty()) {
                for (block, form) in blocks.iter_mut().zip(&stage.arguments) {
                    (block.form, block.windows) = (form, &[]);
                }
            }
            let own = fit(&self.label(k), &blocks, &self.registers, formats)?;
            let largest = own.units.iter().copied().fold(common, f64::max);
            if largest > common && tried < 64 {
                common = largest;
                tried += 1;
                continue;
            }
            break blocks;
        };
        let shared = match is_pooling(&blocks) {
            true => self.emit.maps.len(),
            false => usize::MAX,
        };
        let (all, fitted) = self.affines(k, &blocks, formats, shared)?;
        if fitted.units.iter().any(|u| *u != common) {
            return Err(limit(
                "quantisation",
                format!("stage {k}: its sums do not fit one scale"),
            ));
        }
        let mut largest: Option<Register> = None;
        let mut roundings = Vec::new();
        for sums in &all {
            let rounded = self.emit.requantize(*sums, 0, width);
            let values = match relu {
                true => self.emit.relu(rounded),
                false => rounded,
            };
            for part in 0..blocks.len() / all.len() {
                let x = self.emit.slice(values, part * stage.len, stage.len)?;
                largest = Some(match largest {
                    None => x,
                    Some(so_far) => self.emit.larger(so_far, x),
                });
            }
            roundings.push(Rounded {
                sums: *sums,
                shift: fitted.shift,
                result: rounded,
                relu,
                wanted: false,
            });
        }
        let Some(register) = largest else {
            return Err(wrong("quantisation", "a maximum of nothing"));
        };
        let grid = Grid {
            unit: common,
            zero: 0.0,
            width,
        };
        let result = self.emit.encoding(register, common);
        Ok(Done {
            linear: result,
            source: None,
            lowered: Lowered {
                name: format!("{} of {}", stage.name(), stage.arguments.len()),
                result,
                arguments: vec![Some(grid); stage.arguments.len()],
                rounded: roundings,
                sums: Some(SumsReport {
                    enlarged: common / unit,
                    ..SumsReport::of(&fitted)
                }),
            },
        })
    }

    pub(super) fn output(&mut self) -> Result<OutputSums, Error> {
        let network = self.network;
        let form = &network.output;
        let direct = form.as_register().map(|r| self.full[r]);
        if let Some(source) = direct
            && source.is_plain()
            && !network.argmax
            && !self.emit.maps.is_empty()
        {
            let register = source.register;
            return Ok((register, source.unit, None));
        }
        let width = self.precision.width(network.stages.len());
        let rounded = width > EXACT_OUTPUT_BITS;
        // A rounded output has room for twice the largest value that was seen, and is cut off there.
        let (width, reach) = match rounded {
            true => (ROUNDED_OUTPUT_BITS, 2.0 * self.ranges.output.reach()),
            false => (width, self.ranges.output.reach()),
        };
        let unit = scale_of(reach, full(width));
        let block = self.block(form, unit, 0.0, Enlarging::Freely);
        let mut formats = self.formats([form], width, false);
        if !rounded {
            formats.rounded = false;
            formats.bits = formats.bits.min(MAX_OUTPUT_BITS);
        }
        let (sums, fitted) = self.affine(network.stages.len(), block, formats)?;
        let report = Some(SumsReport::of(&fitted));
        let (register, unit) = match rounded {
            true => (self.emit.requantize(sums, 0, width), fitted.units[0]),
            false => (sums, fitted.units[0] / exp2(fitted.shift)),
        };
        if network.argmax {
            let register = self.emit.argmax(register, form.len);
            return Ok((register, 1.0, report));
        }
        Ok((register, unit, report))
    }
}

/// Whether blocks are of the same registers under different windows, as the entries of a pooling are:
/// then their kernels may be one. Whether those of different layers are equal stays hidden.
fn is_pooling(blocks: &[Block<'_>]) -> bool {
    let registers = |b: &Block<'_>| b.form.registers().collect::<Vec<_>>();
    blocks.iter().enumerate().all(|(at, block)| {
        let mut before = blocks[..at].iter();
        !block.windows.is_empty()
            && before.all(|b| b.windows != block.windows && registers(b) == registers(block))
    })
}
