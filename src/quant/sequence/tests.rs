#![expect(clippy::unwrap_used, reason = "tests")]

use ndarray::{Array1, Array2, arr1, arr2};

use super::*;
use crate::{
    error::ErrorKind,
    model::{RecurrentFunction, RecurrentWeights, RnnActivation, SequenceBuilder},
    program::{AffineMap, CellKind, ElmanActivation},
};

/// A cell of one input and one unit: for each gate `(W_i, W_h, b_i, b_h)`.
fn one_unit(function: RecurrentFunction, gates: &[(f32, f32, f32, f32)]) -> SequenceBuilder {
    let column = |f: fn(&(f32, f32, f32, f32)) -> f32| gates.iter().map(f).collect::<Array1<f32>>();
    let weights = RecurrentWeights {
        input: Array2::from_shape_fn((gates.len(), 1), |(g, _)| gates[g].0),
        hidden: Array2::from_shape_fn((gates.len(), 1), |(g, _)| gates[g].1),
        input_bias: column(|g| g.2),
        hidden_bias: column(|g| g.3),
    };
    SequenceModel::builder(1).cell(function, weights)
}

const RELU: RecurrentFunction = RecurrentFunction::Rnn(RnnActivation::Relu);
const TANH: RecurrentFunction = RecurrentFunction::Rnn(RnnActivation::Tanh);

/// With one sequence of this one frame for calibration.
fn quantized(builder: SequenceBuilder, frame: f32, precision: Precision) -> QuantizedSequence {
    let model = builder.build().unwrap();
    let q = model.quantize(&[arr2(&[[frame]])], precision).unwrap();
    assert_eq!(*q.shape(), model.sequence_shape(precision).unwrap());
    q
}

fn fails<T>(result: Result<T, Error>, kind: ErrorKind, message: &str) {
    let error = result.map(|_| ()).unwrap_err();
    assert_eq!(error.to_string(), message);
    assert_eq!(error.kind(), kind);
}

/// Rows with their bias.
fn rows(map: &AffineMap) -> Vec<(Vec<i16>, i64)> {
    (0..map.rows())
        .map(|i| (map.dense_row(i).to_vec(), map.bias()[i]))
        .collect()
}

const GATES: [(f32, f32, f32, f32); 4] = [
    (1.0, 1.0, 0.5, 0.25),
    (-1.0, 2.0, 0.0, 0.5),
    (0.5, -1.0, 1.0, 0.5),
    (2.0, 0.5, -1.0, 0.0),
];

/// Frames in units of 1/32 and `s = 8`: a weight of 1 on the input is `1/32·16·2^8 = 128` in a gate
/// and 256 in a candidate, a weight of 1 on the state `2^-7·16·2^8 = 32` and 64; a bias of 1 is
/// `16·2^8` and `32·2^8`.
const ONE: f32 = 127.0 / 32.0;

fn shift8() -> Precision {
    Precision::default().shift(8)
}

#[test]
fn gru_by_hand() {
    let q = quantized(one_unit(RecurrentFunction::Gru, &GATES[..3]), ONE, shift8());
    assert_eq!(q.input_scale(), 1.0 / 32.0);
    assert_eq!(q.output_scale(), 1.0 / 32768.0);
    let [map] = q.bank().maps() else {
        unreachable!()
    };
    // Half a unit of the state, times the weights that read it, is in the biases.
    assert_eq!(
        rows(map),
        [
            (vec![128, 32], 4096 * 3 / 4 + 16),
            (vec![-128, 64], 4096 / 2 + 32),
            (vec![128, 0], 8192),
            (vec![0, -64], 8192 / 2 - 32),
        ]
    );
}

#[test]
fn gru_reset_before_by_hand() {
    let cell = one_unit(RecurrentFunction::GruResetBefore, &GATES[..3]);
    let q = quantized(cell, ONE, shift8());
    let [gates, candidate] = q.bank().maps() else {
        unreachable!()
    };
    assert_eq!(
        rows(gates),
        [
            (vec![128, 32], 4096 * 3 / 4 + 16),
            (vec![-128, 64], 4096 / 2 + 32),
            (vec![128, 0], 8192 * 3 / 2),
        ]
    );
    assert_eq!(rows(candidate), [(vec![-64], 0)]);
}

#[test]
fn lstm_by_hand() {
    let q = quantized(one_unit(RecurrentFunction::Lstm, &GATES), ONE, shift8());
    assert_eq!(q.output_scale(), 1.0 / 128.0);
    let [map] = q.bank().maps() else {
        unreachable!()
    };
    assert_eq!(
        rows(map),
        [
            (vec![128, 32], 4096 * 3 / 4),
            (vec![-128, 64], 4096 / 2),
            (vec![128, -64], 8192 * 3 / 2),
            (vec![256, 16], -4096),
        ]
    );
}

#[test]
fn elman_by_hand() {
    let q = quantized(one_unit(TANH, &GATES[1..2]), ONE, shift8());
    assert_eq!(q.output_scale(), 1.0 / 128.0);
    assert_eq!(rows(&q.bank().maps()[0]), [(vec![-256, 128], 4096)]);
    // The state reaches 2·(127/32): its unit is 1/16, and 1/4 is 4 of them.
    let q = quantized(one_unit(RELU, &[(2.0, -0.5, 0.125, -0.125)]), ONE, shift8());
    assert_eq!(q.output_scale(), 1.0 / 16.0);
    assert_eq!(rows(&q.bank().maps()[0]), [(vec![256, -128], 0)]);
    let q = quantized(
        one_unit(RELU, &[(2.0, -0.5, 0.0, -0.125)]),
        ONE + 0.0625,
        shift8(),
    );
    assert_eq!(rows(&q.bank().maps()[0])[0].1, -32 * 16);
}

#[test]
fn what_follows_a_gru_reads_midpoints() {
    let builder = one_unit(RecurrentFunction::Gru, &[(1.0, 0.0, 0.0, 0.0); 3]);
    let above = RecurrentWeights {
        input: arr2(&[[2.0]]),
        hidden: arr2(&[[0.0]]),
        input_bias: arr1(&[0.0]),
        hidden_bias: arr1(&[0.0]),
    };
    let q = quantized(builder.rnn(above, RnnActivation::Tanh), ONE, shift8());
    // 2·64, and half of it.
    assert_eq!(rows(&q.bank().maps()[1]), [(vec![128, 0], 64)]);

    let builder = one_unit(RecurrentFunction::Gru, &[(1.0, 0.0, 0.0, 0.0); 3]);
    let dense = builder.dense(arr2(&[[2.0]]), arr1(&[0.25])).sigmoid();
    let q = quantized(dense, ONE, shift8());
    assert_eq!(q.output_scale(), 1.0 / 128.0);
    assert_eq!(rows(&q.bank().maps()[1]), [(vec![64], 4096 / 4 + 32)]);

    // The state of an LSTM is rounded to the nearest.
    let dense = one_unit(RecurrentFunction::Lstm, &GATES).dense(arr2(&[[2.0]]), arr1(&[0.25]));
    let q = quantized(dense.sigmoid(), ONE, shift8());
    assert_eq!(rows(&q.bank().maps()[1]), [(vec![64], 4096 / 4)]);
}

#[test]
fn heads_are_calibrated_on_all_frames() {
    let builder = || {
        one_unit(RELU, &[(1.0, 0.0, 0.0, 0.0)])
            .dense(arr2(&[[2.0]]), arr1(&[0.0]))
            .relu()
    };
    let samples = [arr2(&[[1.0], [127.0], [5.0]])];
    for builder in [builder(), builder().last_output()] {
        let model = builder.build().unwrap();
        let q = model.quantize(&samples, Precision::default()).unwrap();
        assert_eq!((q.input_scale(), q.output_scale()), (1.0, 2.0));
    }
    // Without a head's activation the output is the sum, in units of 2·2^-s.
    let model = one_unit(RELU, &[(1.0, 0.0, 0.0, 0.0)])
        .dense(arr2(&[[2.0]]), arr1(&[0.0]))
        .build()
        .unwrap();
    let q = model.quantize(&samples, shift8()).unwrap();
    assert_eq!(q.output_scale(), 2.0 / 256.0);
    let y = q.infer(arr2(&[[3.0], [100.0]]).view()).unwrap();
    assert_eq!(y, arr2(&[[6.0], [200.0]]));
}

#[test]
fn widths() {
    let bits = |builder: SequenceBuilder| {
        let model = builder.build().unwrap();
        let shape = model.sequence_shape(Precision::default()).unwrap();
        (shape.width, shape.shift, shape.bits)
    };
    assert_eq!(bits(one_unit(RELU, &GATES[..1])), (8, 8, 20));
    assert_eq!(bits(one_unit(TANH, &GATES[..1])), (8, 9, 21));
    // 16 + 64 columns, or 300 inputs of a head.
    let wide = |columns| {
        let weights = RecurrentWeights {
            input: Array2::zeros((3 * 64, 16)),
            hidden: Array2::zeros((3 * 64, 64)),
            input_bias: Array1::zeros(3 * 64),
            hidden_bias: Array1::zeros(3 * 64),
        };
        SequenceModel::builder(16)
            .gru(weights)
            .dense(Array2::zeros((columns, 64)), Array1::zeros(columns))
            .dense(Array2::zeros((1, columns)), Array1::zeros(1))
    };
    assert_eq!(bits(wide(10)), (8, 10, 22));
    assert_eq!(bits(wide(300)), (8, 11, 23));
}

#[test]
fn nothing_is_divided_by_zero() {
    let q = quantized(
        one_unit(RELU, &[(0.0, 0.0, 0.0, 0.0)]),
        0.0,
        Precision::default(),
    );
    assert_eq!((q.input_scale(), q.output_scale()), (1.0, 1.0));
}

#[test]
fn a_relu_state_has_any_width_and_a_gated_cell_has_8_bits() {
    for bits in [4, 12] {
        let precision = Precision::default().activation_bits(bits);
        let q = quantized(one_unit(RELU, &[(1.0, 0.5, 0.0, 0.0)]), 1.0, precision);
        assert_eq!(q.shape().width, bits);
        let gated = one_unit(RELU, &[(1.0, 0.5, 0.0, 0.0)]).cell(
            RecurrentFunction::Gru,
            RecurrentWeights {
                input: Array2::zeros((3, 1)),
                hidden: Array2::zeros((3, 1)),
                input_bias: Array1::zeros(3),
                hidden_bias: Array1::zeros(3),
            },
        );
        fails(
            gated.build().unwrap().sequence_shape(precision),
            ErrorKind::Unsupported,
            "layer 1: its cell works on tables, which need 8 activation bits",
        );
        let table = one_unit(RELU, &[(1.0, 0.5, 0.0, 0.0)])
            .dense(arr2(&[[1.0]]), arr1(&[0.0]))
            .tanh();
        fails(
            table.build().unwrap().sequence_shape(precision),
            ErrorKind::Unsupported,
            "layer 1: its activation is a table, which needs 8 activation bits",
        );
    }
}

#[test]
fn a_relu_state_is_enlarged_until_the_sums_fit() {
    // The inputs cancel in calibration, but need not elsewhere.
    let weights = RecurrentWeights {
        input: arr2(&[[10.0, -10.0]]),
        hidden: arr2(&[[1.5]]),
        input_bias: arr1(&[0.0]),
        hidden_bias: arr1(&[0.0]),
    };
    let model = SequenceModel::builder(2)
        .rnn(weights, RnnActivation::Relu)
        .build()
        .unwrap();
    let precision = Precision::default().headroom(2);
    let q = model.quantize(&[arr2(&[[1.0, 0.9]])], precision).unwrap();
    let calibrated = 1.0 / 127.0;
    assert!(q.output_scale() > 2.0 * calibrated, "{}", q.output_scale());
    let map = &q.bank().maps()[0];
    // The recurrent weight keeps its value, the others give way, to the limit.
    assert_eq!(map.dense_row(0)[2], 384);
    let (reach, limit) = (map.reach(0, true, 128), (1 << 17) - (1 << 7) - 1);
    assert!(reach <= limit && reach > limit - 2048, "{reach} {limit}");
}

#[test]
fn recurrent_weights_that_no_scale_can_help() {
    let quantize = |weight: f32, precision: Precision| {
        let model = one_unit(RELU, &[(1.0, weight, 0.0, 0.0)]).build().unwrap();
        model.quantize(&[arr2(&[[1.0]])], precision).map(|_| ())
    };
    fails(
        quantize(40.0, shift8()),
        ErrorKind::Unsupported,
        "layer 0: its recurrent weights alone leave the accumulator, whatever the scale of the state: ask for more bits with `Precision::accumulator_bits`",
    );
    assert!(quantize(40.0, shift8().accumulator_bits(22)).is_ok());
    fails(
        quantize(200.0, shift8().accumulator_bits(30)),
        ErrorKind::Unsupported,
        "layer 0: a recurrent weight leaves 16 bits, whatever the scale of the state: ask for a smaller `Precision::shift`",
    );
    assert!(quantize(200.0, Precision::default().shift(6).accumulator_bits(30)).is_ok());
    // 2^20 - 2^7 - 1 - 128·8190 = 127 is left, less than an input can reach with the weight 1.
    fails(
        quantize(8190.0 / 256.0, shift8().headroom(5)),
        ErrorKind::Unsupported,
        "layer 0: its sums fit the accumulator only if all input weights are rounded to zero: ask for more bits with `Precision::accumulator_bits`",
    );
    assert!(quantize(8180.0 / 256.0, shift8().headroom(5)).is_ok());
}

#[test]
fn a_gated_cell_that_does_not_fit_says_what_it_needs() {
    let quantize = |function, gates: &[(f32, f32, f32, f32)], frame: f32, precision| {
        let model = one_unit(function, gates).build().unwrap();
        model.quantize(&[arr2(&[[frame]])], precision).map(|_| ())
    };
    // Units of 1: a weight of 8 is 8·16·2^8 = 2^15.
    let large = [(8.0, 0.0, 0.0, 0.0); 4];
    for function in [
        RecurrentFunction::Gru,
        RecurrentFunction::GruResetBefore,
        RecurrentFunction::Lstm,
    ] {
        fails(
            quantize(function, &large[..function.gates()], 127.0, shift8()),
            ErrorKind::Unsupported,
            "layer 0: a weight leaves 16 bits at the fixed scale of its activation: ask for a smaller `Precision::shift`",
        );
    }
    // 2·16·2^8·128 = 2^20 in the gates, twice that in the candidate.
    let fitting = |headroom| shift8().headroom(headroom);
    let gates = [(2.0, 0.0, 0.0, 0.0); 3];
    fails(
        quantize(RecurrentFunction::Gru, &gates, 127.0, fitting(5)),
        ErrorKind::Unsupported,
        "layer 0: its sums need an accumulator of 23 bits at the fixed scale of its activation, it has 21: ask for more with `Precision::accumulator_bits`",
    );
    assert!(quantize(RecurrentFunction::Gru, &gates, 127.0, fitting(7)).is_ok());
    // The reach of a candidate's input is 7·32·2^8, just under 2^16, and that of its state is the
    // same.
    let both = [
        (0.0, 0.0, 0.0, 0.0),
        (0.0, 0.0, 0.0, 0.0),
        (7.0, 7.0, 0.0, 0.0),
    ];
    let frame = 127.0 / 128.0;
    let gru = |precision| quantize(RecurrentFunction::Gru, &both, frame, precision);
    let before = |precision| quantize(RecurrentFunction::GruResetBefore, &both, frame, precision);
    let bits = |bits| shift8().accumulator_bits(bits);
    assert!(gru(bits(17)).is_ok());
    fails(
        before(bits(17)),
        ErrorKind::Unsupported,
        "layer 0: its sums need an accumulator of 18 bits at the fixed scale of its activation, it has 17: ask for more with `Precision::accumulator_bits`",
    );
    assert!(before(bits(18)).is_ok());
}

#[test]
fn integers_must_be_consistent() {
    let shape = || SequenceShape {
        inputs: 1,
        cells: vec![crate::program::CellShape {
            kind: CellKind::Elman(ElmanActivation::Relu),
            hidden: 1,
        }],
        head: vec![],
        tables: vec![],
        emission: Emission::Each,
        width: 8,
        shift: 2,
        bits: 16,
    };
    let bank = |bias| {
        let map = AffineMap::new(2, vec![4, 2], vec![bias]).unwrap();
        WeightBank::new(vec![map]).unwrap()
    };
    let q = QuantizedSequence::from_integers(shape(), bank(1), 0.5, 0.25).unwrap();
    // (4·10 + 1 + 2) >> 2 = 10; (4·-3 + 2·10 + 1 + 2) >> 2 = 2
    let y = q.infer(arr2(&[[5.0], [-1.5]]).view()).unwrap();
    assert_eq!(y, arr2(&[[2.5], [0.5]]));
    assert_eq!(q.quantize_input(arr1(&[5.0]).view()).unwrap(), [10]);
    assert_eq!(q.dequantize_output(&[3]), arr1(&[0.75]));
    assert!(q.program().is_ok());
    for (a, b) in [(0.0, 1.0), (1.0, f64::NAN)] {
        fails(
            QuantizedSequence::from_integers(shape(), bank(0), a, b),
            ErrorKind::Usage,
            "a scale must be a positive number",
        );
    }
    let limit = (1 << 15) - 2 - 1;
    let last = limit - 6 * 128;
    assert!(QuantizedSequence::from_integers(shape(), bank(last), 1.0, 1.0).is_ok());
    let over = QuantizedSequence::from_integers(shape(), bank(last + 1), 1.0, 1.0);
    assert_eq!(over.map(|_| ()).unwrap_err().kind(), ErrorKind::Unsupported);
    let other = WeightBank::new(vec![AffineMap::new(3, vec![0; 3], vec![0]).unwrap()]).unwrap();
    fails(
        QuantizedSequence::from_integers(shape(), other, 1.0, 1.0),
        ErrorKind::Input,
        "columns of an affine map: expected 2, got 3",
    );
    let text = format!("{q:?}");
    assert!(text.starts_with("QuantizedSequence { inputs: 1, cells: [CellShape"));
    assert!(text.ends_with("input_scale: 0.5, output_scale: 0.25, .. }"));
    assert!(!text.contains("bank") && !text.contains("program"));
}

#[test]
fn frames_are_checked() {
    let q = quantized(one_unit(TANH, &GATES[..1]), 1.0, Precision::default());
    let infer = |x: Array2<f32>| q.infer(x.view());
    fails(
        infer(Array2::zeros((0, 1))),
        ErrorKind::Input,
        "sequence is empty",
    );
    fails(
        infer(arr2(&[[1.0, 2.0]])),
        ErrorKind::Input,
        "length of the input: expected 1, got 2",
    );
    fails(
        infer(arr2(&[[0.0], [f32::NAN]])),
        ErrorKind::Input,
        "input is not a finite number (at index 0)",
    );
    let model = one_unit(TANH, &GATES[..1]).build().unwrap();
    fails(
        model.quantize::<[Array2<f32>]>(&[], Precision::default()),
        ErrorKind::Input,
        "set of sequences is empty",
    );
    fails(
        model.quantize(&[arr2(&[[1.0]])], Precision::default().shift(0)),
        ErrorKind::Input,
        "shift: 0 is outside 1..=38",
    );
}
