//! Recurrent models through the public interface: from PyTorch's names to integers, the integers
//! against a second implementation and against the floats.

#![expect(clippy::unwrap_used, reason = "tests")]

use layerfold::{
    Precision, QuantizedSequence, RecurrentFunction, RecurrentWeights, RnnActivation,
    SequenceBuilder, SequenceModel, Tensors,
    program::{
        Activation, CellKind, CellShape, ElmanActivation, Emission, LayerShape, SequenceShape,
        Table, interpreter::Interpreter,
    },
    weights::{AffineMap, WeightBank},
};
use ndarray::{Array1, Array2, Axis};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha20Rng;
use safetensors::{Dtype, tensor::TensorView};

const FUNCTIONS: [RecurrentFunction; 5] = [
    RecurrentFunction::Rnn(RnnActivation::Relu),
    RecurrentFunction::Rnn(RnnActivation::Tanh),
    RecurrentFunction::Gru,
    RecurrentFunction::GruResetBefore,
    RecurrentFunction::Lstm,
];

const KINDS: [CellKind; 5] = [
    CellKind::Elman(ElmanActivation::Relu),
    CellKind::Elman(ElmanActivation::Tanh),
    CellKind::Gru,
    CellKind::GruResetBefore,
    CellKind::Lstm,
];

fn matrix(rng: &mut ChaCha20Rng, rows: usize, columns: usize, size: f32) -> Array2<f32> {
    Array2::from_shape_fn((rows, columns), |_| rng.gen_range(-size..size))
}

fn vector(rng: &mut ChaCha20Rng, len: usize, size: f32) -> Array1<f32> {
    Array1::from_shape_fn(len, |_| rng.gen_range(-size..size))
}

/// Weights as PyTorch draws them: uniform between `±1/√hidden`.
fn drawn(
    rng: &mut ChaCha20Rng,
    function: RecurrentFunction,
    inputs: usize,
    hidden: usize,
) -> RecurrentWeights {
    let (rows, size) = (function.gates() * hidden, (hidden as f32).sqrt().recip());
    RecurrentWeights {
        input: matrix(rng, rows, inputs, size),
        hidden: matrix(rng, rows, hidden, size),
        input_bias: vector(rng, rows, size),
        hidden_bias: vector(rng, rows, size),
    }
}

/// Cells as PyTorch draws them, one after the other.
fn cells(
    rng: &mut ChaCha20Rng,
    functions: &[RecurrentFunction],
    sizes: &[usize],
) -> SequenceBuilder {
    let mut builder = SequenceModel::builder(sizes[0]);
    for (function, sizes) in functions.iter().zip(sizes.windows(2)) {
        builder = builder.cell(*function, drawn(rng, *function, sizes[0], sizes[1]));
    }
    builder
}

/// The integer semantics once more, entry by entry.
struct Integers<'a> {
    shape: &'a SequenceShape,
    maps: &'a [std::sync::Arc<AffineMap>],
    /// For each cell `h`, of a GRU with 16 bits, and the memory of an LSTM.
    states: Vec<(Vec<i64>, Vec<i64>)>,
}

fn clamp(v: i64, bits: u32) -> i64 {
    v.clamp(-(1 << (bits - 1)), (1 << (bits - 1)) - 1)
}

/// `⌊v / 2^shift⌉`, halves up.
fn shifted(v: i64, shift: u32) -> i64 {
    if shift == 0 {
        v
    } else {
        (v + (1 << (shift - 1))) >> shift
    }
}

fn tabulated(y: f64, one: f64, bits: u32) -> i64 {
    clamp((y * one).round() as i64, bits)
}

fn sigmoid(q: i64) -> i64 {
    tabulated(1.0 / (1.0 + (-(q as f64) / 16.0).exp()), 4096.0, 13)
}

fn tanh(q: i64, half: f64, one: f64, bits: u32) -> i64 {
    tabulated(((q as f64 + half) / 32.0).tanh(), one, bits)
}

fn row(map: &AffineMap, i: usize, x: &[i64]) -> i64 {
    assert_eq!(map.columns(), x.len());
    let products = map.row(i).entries().map(|(j, w)| i64::from(w) * x[j]);
    map.bias()[i] + products.sum::<i64>()
}

impl<'a> Integers<'a> {
    fn new(shape: &'a SequenceShape, bank: &'a WeightBank) -> Self {
        let zeros = |c: &CellShape| (vec![0; c.hidden as usize], vec![0; c.hidden as usize]);
        Self {
            shape,
            maps: bank.maps(),
            states: shape.cells.iter().map(zeros).collect(),
        }
    }

    fn push(&mut self, frame: &[i64]) -> Vec<i64> {
        let (s, width) = (u32::from(self.shape.shift), u32::from(self.shape.width));
        let mut maps = self.maps.iter();
        let mut x = frame.to_vec();
        // What the next cell or layer reads, and the output if there is none.
        let mut output = Vec::new();
        for (cell, (h, c)) in self.shape.cells.iter().zip(&mut self.states) {
            let n = h.len();
            let map = maps.next().unwrap();
            let gru = matches!(cell.kind, CellKind::Gru | CellKind::GruResetBefore);
            let read: Vec<i64> = h.iter().map(|h| if gru { h >> 8 } else { *h }).collect();
            let xh = [x.clone(), read].concat();
            let sum = |gate: usize, j: usize| row(map, gate * n + j, &xh);
            let sum8 = |gate, j| clamp(shifted(sum(gate, j), s), 8);
            let next: Vec<(i64, i64)> = match cell.kind {
                CellKind::Elman(ElmanActivation::Relu) => (0..n)
                    .map(|j| (clamp(shifted(sum(0, j), s), width).max(0), 0))
                    .collect(),
                CellKind::Elman(ElmanActivation::Tanh) => (0..n)
                    .map(|j| (tanh(sum8(0, j), 0.0, 128.0, 8), 0))
                    .collect(),
                CellKind::Gru | CellKind::GruResetBefore => {
                    let r: Vec<i64> = (0..n).map(|j| sigmoid(sum8(0, j))).collect();
                    let candidate: Vec<i64> = if cell.kind == CellKind::Gru {
                        (0..n)
                            .map(|j| clamp(shifted(4096 * sum(2, j) + r[j] * sum(3, j), s + 12), 8))
                            .collect()
                    } else {
                        let reset = maps.next().unwrap();
                        let q: Vec<i64> =
                            (0..n).map(|j| clamp(shifted(r[j] * h[j], 20), 8)).collect();
                        (0..n)
                            .map(|j| clamp(shifted(sum(2, j) + row(reset, j, &q), s), 8))
                            .collect()
                    };
                    (0..n)
                        .map(|j| {
                            let (z, candidate) =
                                (sigmoid(sum8(1, j)), tanh(candidate[j], 0.0, 32768.0, 16));
                            (shifted(4096 * candidate + z * (h[j] - candidate), 12), 0)
                        })
                        .collect()
                }
                CellKind::Lstm => (0..n)
                    .map(|j| {
                        let [i, f, o] = [0, 1, 3].map(|gate| sigmoid(sum8(gate, j)));
                        let g = tanh(sum8(2, j), 0.0, 2048.0, 12);
                        let memory = f * c[j] + i * g;
                        let t = tanh(clamp((memory + 2048) >> 18, 8), 0.5, 2048.0, 12);
                        (clamp(shifted(o * t, 16), 8), clamp(shifted(memory, 12), 16))
                    })
                    .collect(),
                other => unreachable!("{other:?}"),
            };
            (*h, *c) = next.into_iter().unzip();
            output.clone_from(h);
            x = h.iter().map(|h| if gru { h >> 8 } else { *h }).collect();
        }
        let last = self.shape.head.len();
        for (at, (layer, map)) in self.shape.head.iter().zip(maps).enumerate() {
            output = (0..layer.outputs as usize)
                .map(|i| {
                    let sum = row(map, i, &x);
                    let q = clamp(shifted(sum, s), width);
                    match layer.activation {
                        Activation::Identity if at + 1 == last => sum,
                        Activation::Identity => q,
                        Activation::Relu => q.max(0),
                        Activation::Table(t) => {
                            let values = &self.shape.tables[t as usize].values;
                            values[(q + 128) as usize].into()
                        }
                    }
                })
                .collect();
            x.clone_from(&output);
        }
        output
    }

    /// As the interpreter has it.
    fn state(&self) -> Vec<Vec<i64>> {
        let cells = self.shape.cells.iter().zip(&self.states);
        cells
            .flat_map(|(cell, (h, c))| match cell.kind {
                CellKind::Elman(_) => vec![h.clone()],
                CellKind::Gru | CellKind::GruResetBefore => {
                    vec![h.clone(), h.iter().map(|h| h >> 8).collect()]
                }
                CellKind::Lstm => vec![h.clone(), c.clone()],
                other => unreachable!("{other:?}"),
            })
            .collect()
    }
}

/// Runs both implementations.
fn agree(quantized: &QuantizedSequence, frames: &[Vec<i64>]) {
    let program = quantized.program(1).unwrap();
    let mut interpreter = Interpreter::new(&program, quantized.bank()).unwrap();
    let mut again = Integers::new(quantized.shape(), quantized.bank());
    for (t, frame) in frames.iter().enumerate() {
        let output = interpreter.push(frame).unwrap();
        let expected = again.push(frame);
        assert_eq!(output, expected, "{:?}, frame {t}", quantized.shape());
        assert_eq!(
            interpreter.state(),
            again.state(),
            "{:?}, frame {t}",
            quantized.shape()
        );
    }
}

/// The integers of a frame, ends included.
fn frame(rng: &mut ChaCha20Rng, len: u32, width: u8) -> Vec<i64> {
    let end = 1i64 << (width - 1);
    (0..len)
        .map(|_| match rng.gen_range(0..8) {
            0 => -end,
            1 => end - 1,
            _ => rng.gen_range(-end..end),
        })
        .collect()
}

/// Rows and columns of the maps of a shape.
fn map_sizes(shape: &SequenceShape) -> Vec<(usize, usize)> {
    let mut inputs = shape.inputs as usize;
    let mut sizes = Vec::new();
    for cell in &shape.cells {
        let n = cell.hidden as usize;
        let columns = inputs + n;
        match cell.kind {
            CellKind::Elman(_) => sizes.push((n, columns)),
            CellKind::Gru | CellKind::Lstm => sizes.push((4 * n, columns)),
            CellKind::GruResetBefore => sizes.extend([(3 * n, columns), (n, n)]),
            other => unreachable!("{other:?}"),
        }
        inputs = n;
    }
    let head = shape.head.iter();
    sizes.extend(head.map(|l| (l.outputs as usize, l.inputs as usize)));
    sizes
}

/// Random integers, so large that everything saturates now and then if `size` is.
fn random_integers(rng: &mut ChaCha20Rng, shape: SequenceShape, size: i16) -> QuantizedSequence {
    let maps = map_sizes(&shape)
        .into_iter()
        .map(|(rows, columns)| {
            let weights = (0..rows * columns).map(|_| rng.gen_range(-size..=size));
            let weights: Vec<i16> = weights.collect();
            let end = 100 * i64::from(size);
            let bias = (0..rows).map(|_| rng.gen_range(-end..=end)).collect();
            AffineMap::new(columns, weights, bias).unwrap()
        })
        .collect();
    let bank = WeightBank::new(maps).unwrap();
    QuantizedSequence::from_integers(shape, bank, 1.0, 1.0).unwrap()
}

fn cell_shape(kind: CellKind, hidden: u32) -> CellShape {
    CellShape { kind, hidden }
}

#[test]
fn integers_follow_the_equations() {
    let mut rng = ChaCha20Rng::seed_from_u64(1);
    let table = Table {
        values: (0..256).map(|i| (i * 7) % 256 - 128).collect(),
        width: 8,
    };
    for first in KINDS {
        for second in KINDS {
            for size in [10, 300, 3000] {
                let shape = SequenceShape {
                    inputs: 5,
                    cells: vec![cell_shape(first, 4), cell_shape(second, 3)],
                    head: vec![
                        LayerShape {
                            inputs: 3,
                            outputs: 4,
                            activation: Activation::Table(0),
                        },
                        LayerShape {
                            inputs: 4,
                            outputs: 2,
                            activation: Activation::Identity,
                        },
                    ],
                    tables: vec![table.clone()],
                    emission: Emission::Each,
                    width: 8,
                    shift: 9,
                    bits: 24,
                };
                let quantized = random_integers(&mut rng, shape, size);
                let frames: Vec<_> = (0..50).map(|_| frame(&mut rng, 5, 8)).collect();
                agree(&quantized, &frames);
            }
        }
    }
}

#[test]
fn a_relu_state_of_any_width_follows_the_equations() {
    let mut rng = ChaCha20Rng::seed_from_u64(2);
    for width in [4, 8, 12] {
        let shape = SequenceShape {
            inputs: 3,
            cells: vec![cell_shape(CellKind::Elman(ElmanActivation::Relu), 6)],
            head: vec![],
            tables: vec![],
            emission: Emission::Last,
            width,
            shift: 7,
            bits: width + 14,
        };
        let quantized = random_integers(&mut rng, shape, 100);
        let frames: Vec<_> = (0..50).map(|_| frame(&mut rng, 3, width)).collect();
        agree(&quantized, &frames);
    }
}

#[test]
fn quantised_models_follow_the_equations() {
    let mut rng = ChaCha20Rng::seed_from_u64(3);
    for function in FUNCTIONS {
        let head = matrix(&mut rng, 3, 8, 0.5);
        let model = cells(&mut rng, &[function, function], &[6, 12, 8])
            .dense(head, vector(&mut rng, 3, 0.5))
            .sigmoid()
            .build()
            .unwrap();
        let sequence = matrix(&mut rng, 50, 6, 2.0);
        let quantized = model.quantize(&[sequence.view()], Precision::default());
        let quantized = quantized.unwrap();
        let frames: Vec<Vec<i64>> = sequence
            .rows()
            .into_iter()
            .map(|x| quantized.quantize_input(x).unwrap())
            .collect();
        agree(&quantized, &frames);
        // And so do outputs as real values.
        let mut again = Integers::new(quantized.shape(), quantized.bank());
        let outputs = quantized.infer(sequence.view()).unwrap();
        for (frame, output) in frames.iter().zip(outputs.rows()) {
            assert_eq!(quantized.dequantize_output(&again.push(frame)), output);
        }
    }
}

/// A slow signal with jumps, as sensors have them.
fn signal(rng: &mut ChaCha20Rng, frames: usize, inputs: usize) -> Array2<f32> {
    let mut level: Vec<f32> = vec![0.0; inputs];
    let mut sequence = Array2::zeros((frames, inputs));
    for mut row in sequence.rows_mut() {
        for (x, level) in row.iter_mut().zip(&mut level) {
            if rng.gen_range(0..20) == 0 {
                *level = rng.gen_range(-1.5..1.5);
            }
            *x = *level + rng.gen_range(-0.5..0.5);
        }
    }
    sequence
}

#[test]
fn close_to_the_float_model() {
    // Largest difference of an output: about twice what was seen.
    let bound = |function| match function {
        RecurrentFunction::Rnn(RnnActivation::Tanh) => 0.05,
        _ => 0.03,
    };
    let mut rng = ChaCha20Rng::seed_from_u64(4);
    for function in FUNCTIONS {
        let mut worst = 0f32;
        for _ in 0..10 {
            let head = matrix(&mut rng, 3, 16, 0.25);
            let model = cells(&mut rng, &[function], &[8, 16])
                .dense(head, vector(&mut rng, 3, 0.25))
                .build()
                .unwrap();
            let calibration: Vec<Array2<f32>> = (0..5).map(|_| signal(&mut rng, 200, 8)).collect();
            let quantized = model.quantize(&calibration, Precision::default()).unwrap();
            let sequence = signal(&mut rng, 200, 8);
            let float = model.infer(sequence.view()).unwrap();
            let integer = quantized.infer(sequence.view()).unwrap();
            assert_eq!(float.dim(), (200, 3));
            let errors = (&float - &integer).mapv(f32::abs);
            worst = errors.iter().copied().fold(worst, f32::max);
        }
        assert!(worst < bound(function), "{}: {worst}", function.name());
    }
}

#[test]
fn drift_is_bounded() {
    let mut rng = ChaCha20Rng::seed_from_u64(5);
    for function in FUNCTIONS {
        let head = matrix(&mut rng, 3, 24, 0.2);
        let model = cells(&mut rng, &[function, function], &[8, 24, 24])
            .dense(head, vector(&mut rng, 3, 0.2))
            .build()
            .unwrap();
        let calibration: Vec<Array2<f32>> = (0..5).map(|_| signal(&mut rng, 300, 8)).collect();
        let quantized = model.quantize(&calibration, Precision::default()).unwrap();
        let sequence = signal(&mut rng, 1000, 8);
        let report = quantized
            .drift(&model, sequence.view(), &[10, 100, 1000])
            .unwrap();
        // Largest and mean difference of a state: about twice what was seen. The largest one of an
        // Elman cell with ReLU is that of a state beyond what calibration has seen.
        let (max, rms) = match function {
            RecurrentFunction::Rnn(RnnActivation::Relu) => (0.12, 0.006),
            RecurrentFunction::Rnn(RnnActivation::Tanh) => (0.12, 0.03),
            _ => (0.06, 0.014),
        };
        for point in &report.points {
            let vectors = point.cells.iter();
            let vectors = vectors.flat_map(|c| [Some(c.hidden), c.memory]).flatten();
            for vector in vectors.chain([point.outputs]) {
                assert!(vector.max < max && vector.rms < rms, "{report}");
            }
            assert!(point.input_saturation < 0.01);
            assert!(point.cells.iter().all(|c| c.saturation < 0.01));
        }
        // Errors do not pile up: after 1000 frames they are what they were after 100.
        let [_, hundred, thousand] = report.points.as_slice() else {
            unreachable!()
        };
        for (a, b) in hundred.cells.iter().zip(&thousand.cells) {
            assert!(b.hidden.recent_rms < 1.5 * a.hidden.rms, "{report}");
        }
        assert!(thousand.outputs.recent_rms < 1.5 * hundred.outputs.rms);
    }
}

/// Models as PyTorch draws them need three bits of the five that accumulators have beyond `w + s`,
/// gated ones two; the rest is for weights that training has made larger.
#[test]
fn default_accumulators_have_room() {
    let mut rng = ChaCha20Rng::seed_from_u64(6);
    for function in FUNCTIONS {
        let relu = function == RecurrentFunction::Rnn(RnnActivation::Relu);
        let model = cells(&mut rng, &[function, function], &[16, 64, 64]);
        let model = model.build().unwrap();
        let calibration: Vec<Array2<f32>> = (0..5).map(|_| signal(&mut rng, 100, 16)).collect();
        let fits = |headroom| {
            let precision = Precision::default().headroom(headroom);
            model.quantize(&calibration, precision).is_ok()
        };
        assert!(fits(if relu { 3 } else { 2 }), "{}", function.name());
        assert!(!fits(0), "{}", function.name());
    }
}

/// The tensors of one PyTorch layer.
fn pytorch(file: &mut Vec<(String, Vec<usize>, Vec<u8>)>, w: &RecurrentWeights, layer: usize) {
    let bytes = |values: Vec<f32>| values.iter().flat_map(|v| v.to_le_bytes()).collect();
    for (part, matrix) in [("weight_ih", &w.input), ("weight_hh", &w.hidden)] {
        let (rows, columns) = matrix.dim();
        let values = bytes(matrix.iter().copied().collect());
        file.push((format!("gru.{part}_l{layer}"), vec![rows, columns], values));
    }
    for (part, vector) in [("bias_ih", &w.input_bias), ("bias_hh", &w.hidden_bias)] {
        let values = bytes(vector.to_vec());
        file.push((format!("gru.{part}_l{layer}"), vec![vector.len()], values));
    }
}

#[test]
fn from_a_file_to_integers() {
    let mut rng = ChaCha20Rng::seed_from_u64(7);
    let first = drawn(&mut rng, RecurrentFunction::Gru, 4, 10);
    let second = drawn(&mut rng, RecurrentFunction::Gru, 10, 6);
    let mut file = Vec::new();
    pytorch(&mut file, &first, 0);
    pytorch(&mut file, &second, 1);
    let views = file.iter().map(|(name, shape, data)| {
        let view = TensorView::new(Dtype::F32, shape.clone(), data).unwrap();
        (name.clone(), view)
    });
    let bytes = safetensors::serialize(views, None).unwrap();
    let tensors = Tensors::from_bytes(&bytes).unwrap();
    let load = || SequenceModel::builder(4).gru_layers(&tensors, "gru");
    let model = load().unwrap().build().unwrap();
    assert_eq!(
        format!("{model:?}"),
        "SequenceModel(4 → 10 gru → 6 gru, weights redacted)"
    );
    let by_hand = SequenceModel::builder(4).gru(first).gru(second).build();
    let sequence = signal(&mut rng, 30, 4);
    let float = model.infer(sequence.view()).unwrap();
    assert_eq!(float, by_hand.unwrap().infer(sequence.view()).unwrap());

    let samples = [sequence.view()];
    let quantized = model.quantize(&samples, Precision::default()).unwrap();
    let shape = model.sequence_shape(Precision::default()).unwrap();
    assert_eq!(*quantized.shape(), shape);
    assert_eq!(quantized.output_scale(), 1.0 / 32768.0);
    let integer = quantized.infer(sequence.view()).unwrap();
    let worst = (&float - &integer).mapv(f32::abs);
    assert!(worst.iter().all(|e| *e < 0.03), "{worst}");

    // Many to one: the same, after the last frame.
    let last = load().unwrap().last_output().build().unwrap();
    let last = last.quantize(&samples, Precision::default()).unwrap();
    assert_eq!(last.shape().emission, Emission::Last);
    let one = last.infer(sequence.view()).unwrap();
    assert_eq!(one, integer.slice_axis(Axis(0), (29..30).into()));
}
