//! Poseidon hashes with a tag for their purpose, and digests of vectors.
//!
//! The sponge is neptune's (`Strength::Standard`, `Mode::Simplex`, `SpongeAPI`, no domain separator). Its own pattern tag
//! is a polynomial in a fixed base and not free of collisions, so a tag that names kind and sizes is absorbed first.

use bellpepper_core::{
    ConstraintSystem, SynthesisError,
    num::{AllocatedNum, Num},
};
use ff::PrimeField;
use neptune::{
    Arity, Strength,
    circuit2::Elt,
    poseidon::PoseidonConstants,
    sponge::{
        api::{IOPattern, SpongeAPI, SpongeOp},
        circuit::SpongeCircuit,
        vanilla::{Mode, Sponge, SpongeTrait},
    },
};
use typenum::{U2, U4, U8, U11, U16, U24, U36};

use crate::{
    cache,
    entry::Entry,
    error,
    num::{self, constant, power_of_two},
    packing::{pack, pack_native},
};

/// What a hash is for. The discriminants are part of the format.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u32)]
pub enum Kind {
    /// Digest of a vector.
    Vector = 1,
    /// Running digest of the inputs.
    Inputs = 2,
    /// Running digest of the outputs.
    Outputs = 3,
    /// State of a run.
    Run = 4,
    /// Registers that a sumcheck is about.
    Registers = 5,
    /// Seed of a transcript.
    Seed = 6,
    /// Transcript.
    Transcript = 7,
}

/// `(0x4C460100 + kind) + a·2^32 + b·2^64`.
pub fn tag<F: PrimeField>(kind: Kind, a: u32, b: u32) -> F {
    const PREFIX: u64 = 0x4C46_0100;
    // Three summands below 2^32 in places of 32 bits: injective in (kind, a, b), and below 2^96.
    let low = PREFIX + kind as u64 + (u64::from(a) << 32);
    F::from(low) + F::from(u64::from(b)) * power_of_two::<F>(64)
}

/// Arities on offer with their S-boxes per permutation, in ascending order.
const ARITIES: [(usize, usize); 7] = [
    (2, 79),
    (4, 96),
    (8, 129),
    (11, 153),
    (16, 195),
    (24, 259),
    (36, 356),
];

/// Constraints of one S-box: two squarings and a product.
const CONSTRAINTS_PER_SBOX: usize = 3;

/// The arity and the number of S-boxes with which `absorbed` elements are hashed: the arity `a` that minimises
/// `⌈absorbed/a⌉·s_a`; among equals the smaller.
fn best_arity(absorbed: usize) -> (usize, usize) {
    ARITIES
        .iter()
        .map(|&(arity, sboxes)| (arity, absorbed.div_ceil(arity) * sboxes))
        // The first of equal minima.
        .min_by_key(|&(_, sboxes)| sboxes)
        .unwrap_or(ARITIES[0])
}

/// What [`hash`] of so many elements (without the tag) costs: three constraints per S-box, one for the output.
pub fn hash_constraints(elements: usize) -> usize {
    let (_, sboxes) = best_arity(elements + 1);
    CONSTRAINTS_PER_SBOX * sboxes + 1
}

/// Poseidon's constants. They take tens of milliseconds to derive and are kept.
pub(crate) fn constants<F, A>() -> &'static PoseidonConstants<F, A>
where
    F: PrimeField,
    A: Arity<F> + Send + Sync + 'static,
{
    cache::once(|| Sponge::<F, A>::api_constants(Strength::Standard))
}

/// Runs `$f::<F, A>(..)` for the arity type of a number from [`ARITIES`].
macro_rules! with_arity {
    ($arity:expr, $f:ident($($argument:expr),*)) => {
        match $arity {
            2 => $f::<F, U2, _>($($argument),*),
            4 => $f::<F, U4, _>($($argument),*),
            8 => $f::<F, U8, _>($($argument),*),
            11 => $f::<F, U11, _>($($argument),*),
            16 => $f::<F, U16, _>($($argument),*),
            24 => $f::<F, U24, _>($($argument),*),
            _ => $f::<F, U36, _>($($argument),*),
        }
    };
}

/// Pattern of a hash: absorb everything, squeeze one element.
fn pattern(absorbed: u32) -> IOPattern {
    IOPattern(vec![SpongeOp::Absorb(absorbed), SpongeOp::Squeeze(1)])
}

/// The tagged hash `H(kind, a, b; elements)`.
///
/// # Panics
/// If there are `2^31` elements or more.
pub fn hash_native<F: PrimeField>(kind: Kind, a: u32, b: u32, elements: &[F]) -> F {
    let mut absorbed = Vec::with_capacity(elements.len() + 1);
    absorbed.push(tag(kind, a, b));
    absorbed.extend_from_slice(elements);
    let (arity, _) = best_arity(absorbed.len());
    with_arity!(arity, sponge_native(absorbed.iter().copied()))
}

fn sponge_native<F, A, I>(elements: I) -> F
where
    F: PrimeField,
    A: Arity<F> + Send + Sync + 'static,
    I: ExactSizeIterator<Item = F>,
{
    let elements: Vec<F> = elements.collect();
    let count = elements.len() as u32;
    let mut sponge = Sponge::<F, A>::new_with_constants(constants::<F, A>(), Mode::Simplex);
    SpongeAPI::start(&mut sponge, pattern(count), None, &mut ());
    SpongeAPI::absorb(&mut sponge, count, &elements, &mut ());
    // One element was asked for.
    SpongeAPI::squeeze(&mut sponge, 1, &mut ())[0]
}

/// A tagged hash.
///
/// **Statement** `digest = H(kind, a, b; elements)`, see [`hash_native`].
///
/// **Assumes** nothing.
///
/// **Enforces** 1. the statement: every S-box of every permutation, and the output.
///
/// **Does not enforce** anything about the elements. `kind`, `a`, `b` and the number of elements are constants of the
/// circuit.
///
/// **Cost** [`hash_constraints`]: `3·s_a·⌈(N+1)/a⌉ + 1` for `N` elements.
///
/// **Soundness** Every constraint of the permutation determines the variable it introduces. Collisions are those of the
/// sponge; the tag separates kinds and sizes, and within one tag the number of elements is fixed.
///
/// **Reference** neptune `SpongeCircuit`; Poseidon, ePrint 2019/458.
///
/// # Errors
/// `AssignmentMissing` if an element has no value; an error if there are `2^31` elements or more.
pub fn hash<F: PrimeField, CS: ConstraintSystem<F>>(
    cs: CS,
    kind: Kind,
    a: u32,
    b: u32,
    elements: &[Num<F>],
) -> Result<AllocatedNum<F>, SynthesisError> {
    let mut absorbed = Vec::with_capacity(elements.len() + 1);
    absorbed.push(constant::<F, CS>(tag(kind, a, b)));
    absorbed.extend_from_slice(elements);
    // The sponge unwraps values.
    if absorbed.iter().any(|element| element.get_value().is_none()) {
        return Err(SynthesisError::AssignmentMissing);
    }
    let (arity, _) = best_arity(absorbed.len());
    with_arity!(arity, sponge_circuit(cs, absorbed))
}

fn sponge_circuit<F, A, CS>(
    mut cs: CS,
    elements: Vec<Num<F>>,
) -> Result<AllocatedNum<F>, SynthesisError>
where
    F: PrimeField,
    A: Arity<F> + Send + Sync + 'static,
    CS: ConstraintSystem<F>,
{
    let count = u32::try_from(elements.len())
        .ok()
        .filter(|count| count >> 31 == 0)
        .ok_or_else(|| error::shape("too many elements to hash"))?;
    let elements: Vec<Elt<F>> = elements.into_iter().map(Elt::Num).collect();
    let squeezed = {
        let mut ns = cs.namespace(|| "sponge");
        let mut sponge =
            SpongeCircuit::<F, A, CS::Root>::new_with_constants(constants::<F, A>(), Mode::Simplex);
        SpongeAPI::start(&mut sponge, pattern(count), None, &mut ns);
        SpongeAPI::absorb(&mut sponge, count, &elements, &mut ns);
        SpongeAPI::squeeze(&mut sponge, 1, &mut ns)
    };
    // One element was asked for; it is a linear combination of the last S-boxes.
    num::allocate(cs.namespace(|| "digest"), &squeezed[0].num())
}

/// `D(salt; R_1, .., R_k) = H(Vector, total entries, k; salt, pack(R_1), .., pack(R_k))` of registers given as their
/// unsigned entries and their width.
///
/// # Panics
/// If there are `2^31` entries or more, or a width is not in `1..=64`.
pub fn vector_digest_native<F: PrimeField>(salt: F, registers: &[(&[u64], u32)]) -> F {
    let total: usize = registers.iter().map(|(entries, _)| entries.len()).sum();
    assert!(total >> 31 == 0, "too many entries");
    let mut elements = vec![salt];
    for (entries, width) in registers {
        elements.extend(pack_native::<F>(entries, *width));
    }
    hash_native(
        Kind::Vector,
        total as u32,
        registers.len() as u32,
        &elements,
    )
}

/// The salted digest of a vector, a list of registers.
///
/// **Statement** `digest = D(salt; registers)`, see [`vector_digest_native`].
///
/// **Assumes** the entries are in their ranges, as [`Entry`] promises.
///
/// **Enforces** 1. the packing of each register; 2. the hash of salt and packed elements.
///
/// **Does not enforce** anything about the salt. Widths and offsets are constants of the circuit and not hashed.
///
/// **Cost** `Σ packed_len + hash_constraints(1 + Σ packed_len)`.
///
/// **Soundness** Packing is injective for given lengths and widths, and these are fixed by the circuit, so two vectors
/// with one digest are a collision of the hash.
///
/// **Reference** –
///
/// # Errors
/// If the entries of a register differ in width, a value is missing, or there are `2^31` entries or more.
pub fn vector_digest<F: PrimeField, CS: ConstraintSystem<F>>(
    mut cs: CS,
    salt: &Num<F>,
    registers: &[&[Entry<F>]],
) -> Result<AllocatedNum<F>, SynthesisError> {
    let total: usize = registers.iter().map(|entries| entries.len()).sum();
    if total >> 31 != 0 {
        return Err(error::shape("too many entries"));
    }
    let mut elements = vec![salt.clone()];
    for (k, entries) in registers.iter().enumerate() {
        let packed = pack(cs.namespace(|| format!("pack register {k}")), entries)?;
        elements.extend(packed.into_iter().map(Num::from));
    }
    hash(
        cs.namespace(|| "hash"),
        Kind::Vector,
        total as u32,
        registers.len() as u32,
        &elements,
    )
}

#[cfg(test)]
mod tests {
    use bellpepper_core::test_cs::TestConstraintSystem;
    use expect_test::expect;
    use ff::Field;
    use pasta_curves::{Fp, Fq};
    use proptest::prelude::*;

    use super::*;
    use crate::testing::{
        Case, audit, build, case, cost, error, given, given_all, scramble, shape, unknown,
    };

    case!(Hash { kind: Kind, a: u32, b: u32, seeds: Vec<u64> } |this, cs| {
        let elements = given_all(cs, "element", &scramble::<F>(&this.seeds));
        let digest = hash(cs.namespace(|| "hash"), this.kind, this.a, this.b, &elements)?;
        Ok(vec![digest.get_value().unwrap()])
    });

    case!(Vector { salt: u64, registers: Vec<(Vec<i64>, u32)> } |this, cs| {
        let salt = given(cs, "salt", F::from(this.salt));
        let registers = this
            .registers
            .iter()
            .enumerate()
            .map(|(k, (values, width))| {
                let mut cs = cs.namespace(|| format!("given {k}"));
                values
                    .iter()
                    .enumerate()
                    .map(|(i, v)| Entry::alloc(cs.namespace(|| i.to_string()), *width, Some(*v)))
                    .collect()
            })
            .collect::<Result<Vec<Vec<_>>, _>>()?;
        let registers: Vec<_> = registers.iter().map(Vec::as_slice).collect();
        let digest = vector_digest(cs.namespace(|| "digest"), &salt, &registers)?;
        Ok(vec![digest.get_value().unwrap()])
    });

    fn case_of(len: usize) -> Hash {
        Hash {
            kind: Kind::Registers,
            a: 3,
            b: 9,
            seeds: (0..len as u64).collect(),
        }
    }

    fn native<F: PrimeField>(case: &Hash) -> F {
        hash_native(case.kind, case.a, case.b, &scramble::<F>(&case.seeds))
    }

    fn vector_native(case: &Vector) -> Fp {
        let unsigned: Vec<(Vec<u64>, u32)> = case
            .registers
            .iter()
            .map(|(values, width)| {
                let offset = 1i64 << (width - 1);
                (values.iter().map(|v| (v + offset) as u64).collect(), *width)
            })
            .collect();
        let registers: Vec<_> = unsigned.iter().map(|(u, width)| (&u[..], *width)).collect();
        vector_digest_native(Fp::from(case.salt), &registers)
    }

    #[test]
    fn tags() {
        assert_eq!(tag::<Fp>(Kind::Vector, 0, 0), Fp::from(0x4C46_0101));
        assert_eq!(tag::<Fp>(Kind::Transcript, 5, 0), Fp::from(0x5_4C46_0107));
        expect!["0x0000000000000000000000000000000000000000ffffffffffffffff4c460106"]
            .assert_eq(&format!("{:?}", tag::<Fp>(Kind::Seed, u32::MAX, u32::MAX)));
        expect!["0x0000000000000000000000000000000000000000000000030000000200000000"].assert_eq(
            &format!(
                "{:?}",
                tag::<Fp>(Kind::Run, 2, 3) - tag::<Fp>(Kind::Run, 0, 0)
            ),
        );
    }

    #[test]
    fn kinds() {
        let kinds = [
            Kind::Vector,
            Kind::Inputs,
            Kind::Outputs,
            Kind::Run,
            Kind::Registers,
            Kind::Seed,
            Kind::Transcript,
        ];
        assert_eq!(kinds.map(|kind| kind as u32), [1, 2, 3, 4, 5, 6, 7]);
    }

    #[test]
    fn known_answers() {
        let mut answers = Vec::new();
        for len in [0, 1, 2, 5, 10, 40] {
            let case = case_of(len);
            answers.push(format!("{len} {:?}", native::<Fp>(&case)));
            answers.push(format!("{len} {:?}", native::<Fq>(&case)));
        }
        expect![[r#"
            0 0x38acbc2180cf28f05f4e38986b19ed45e3e134cd27e50781eac733db4c63c12e
            0 0x2cecf6eedf56bba74e4105641627e8df963ea393d0c6d0d1734d63146799a862
            1 0x04f78ee5765cdbbba78b11b1e01d9af7f514b68828f16bf2c239147cf35e00fb
            1 0x385e90f97fbbbd6a55832fd6dc5cf0bfee4deffca1500e15d87d0169a70a997f
            2 0x260124c6cb2c971f2905722dfa6afa70bde3d73fb2bef82af11a582850d3bd51
            2 0x0d18c859162370b19a2bbb0e017a87a6ff9163311e5a999c5536da88a074c8b2
            5 0x0d8fe90fd7f11697257d566dbef5ab8b78385f0efe7683d0cd5aed7615647e5b
            5 0x212a6eb005e3b03ce02a453f1fb3afaa2cf2912d88c89befc54bd7573757ba8c
            10 0x0bba011de04819347d6391bc80e3ec65a5606a03551e0d7d66ec87b54985b376
            10 0x349bad7a9e0cb8435026b0ae89dff58cd2f1f00bdc4f628cba88eda13dece853
            40 0x3b3501de75ab71290d9a41de858c2184b3deea094063159e249aed74be545f48
            40 0x0c71d2e8026ee7723f8f58c204a2ef85052d2829927fdf189948eeeb091915a2"#]]
        .assert_eq(&answers.join("\n"));
        expect!["0x3bb5e0ad8aa32b78074751ddd1a1a44bf898ef4107f6a92f16778f4b4714fc3f"].assert_eq(
            &format!(
                "{:?}",
                vector_digest_native(Fp::from(7), &[(&[1, 2, 3], 8), (&[], 4), (&[65535], 16)])
            ),
        );
    }

    /// S-boxes per permutation: measured, against the table.
    #[test]
    fn sboxes_of_each_arity() {
        fn measure<F: PrimeField, A: Arity<F> + Send + Sync + 'static, CS>(_: CS) -> usize {
            let mut cs = TestConstraintSystem::<F>::new();
            let elements = given_all(&mut cs, "element", &vec![F::ONE; A::to_usize()]);
            sponge_circuit::<F, A, _>(&mut cs, elements).unwrap();
            // One constraint for the output.
            cs.num_constraints() - 1
        }
        fn over<F: PrimeField>() {
            for (arity, sboxes) in ARITIES {
                assert_eq!(with_arity!(arity, measure(())), 3 * sboxes, "arity {arity}");
            }
        }
        over::<Fp>();
        over::<Fq>();
    }

    #[test]
    fn the_arity_minimises_the_constraints() {
        for elements in 1..=200usize {
            let absorbed = elements + 1;
            let (arity, sboxes) = best_arity(absorbed);
            for (other, s) in ARITIES {
                let permutations = absorbed.div_ceil(other);
                assert!(sboxes < permutations * s || sboxes == permutations * s && arity <= other);
            }
        }
        for elements in (0..=200).step_by(7).chain([35, 36, 71, 72]) {
            assert_eq!(cost(&case_of(elements)), hash_constraints(elements));
        }
    }

    #[test]
    fn circuit_equals_native() {
        for len in [0, 1, 2, 3, 4, 5, 8, 11, 12, 16, 24, 37, 80] {
            let case = case_of(len);
            assert_eq!(build::<Fp>(&case).1, [native::<Fp>(&case)]);
            assert_eq!(build::<Fq>(&case).1, [native::<Fq>(&case)]);
        }
    }

    #[test]
    fn every_wire_is_determined() {
        for len in [0, 1, 2, 7, 10] {
            assert!(audit(&case_of(len)).free.is_empty());
        }
    }

    #[test]
    fn hash_enforces_every_sbox_and_the_output() {
        // Another preimage with everything recomputed but the digest.
        let (mut cs, digest) = build::<Fp>(&case_of(3));
        let other = Hash {
            seeds: vec![0, 1, 3],
            ..case_of(3)
        };
        let (honest, _) = build::<Fp>(&other);
        let mut lying = honest;
        assert_eq!(lying.which_is_unsatisfied(), None);
        lying.set("hash/digest/value/num", digest[0]);
        assert_eq!(lying.which_is_unsatisfied(), Some("hash/digest/equal"));
        // The old run of S-boxes for another element.
        cs.set("given element 2/num", scramble::<Fp>(&[3])[0]);
        assert!(
            cs.which_is_unsatisfied()
                .unwrap()
                .contains("permutation 1/first round")
        );
    }

    #[test]
    fn everything_separates() {
        let case = case_of(3);
        let others = [
            Hash {
                kind: Kind::Run,
                ..case.clone()
            },
            Hash {
                a: 4,
                ..case.clone()
            },
            Hash {
                b: 10,
                ..case.clone()
            },
            Hash {
                seeds: vec![0, 1, 3],
                ..case.clone()
            },
            Hash {
                seeds: vec![0, 1],
                ..case.clone()
            },
            Hash {
                seeds: vec![1, 0, 2],
                ..case.clone()
            },
        ];
        for other in others {
            assert_ne!(native::<Fp>(&other), native::<Fp>(&case));
        }
        // A trailing zero is not padding.
        let zero = hash_native(Kind::Run, 0, 0, &[Fp::ONE, Fp::ZERO]);
        assert_ne!(zero, hash_native(Kind::Run, 0, 0, &[Fp::ONE]));
    }

    fn vector() -> Vector {
        let registers = vec![
            ((-20..20).collect(), 8),
            (vec![], 4),
            (vec![-32768, 5, 32767], 16),
        ];
        Vector {
            salt: 77,
            registers,
        }
    }

    #[test]
    fn vector_digests() {
        let case = vector();
        assert_eq!(audit(&case).results, [vector_native(&case)]);
        // Two elements of 8 bits, none, one of 16 bits; salt.
        assert_eq!(cost(&case), 40 * 8 + 3 * 16 + 3 + hash_constraints(4));
        let empty = Vector {
            salt: 0,
            registers: vec![],
        };
        assert_eq!(
            build::<Fp>(&empty).1,
            [hash_native(Kind::Vector, 0, 0, &[Fp::ZERO])]
        );
    }

    #[test]
    fn vector_digest_enforces_packing_and_hash() {
        let (mut cs, _) = build::<Fp>(&vector());
        // Entry 3 is −17, so u = 111 = 0b110_1111.
        cs.set("given 0/3/bit 4/boolean", Fp::ONE);
        assert_eq!(
            cs.which_is_unsatisfied(),
            Some("digest/pack register 0/element 0 holds its entries")
        );
        // With the element recomputed, the hash is left.
        let element = "digest/pack register 0/element 0/num";
        let packed = cs.get(element) + Fp::from(2).pow_vartime([24 + 4]);
        cs.set(element, packed);
        assert!(
            cs.which_is_unsatisfied()
                .unwrap()
                .starts_with("digest/hash/sponge")
        );
    }

    case!(
        Missing {} | _this,
        cs | {
            let elements = [constant::<F, CS>(F::ONE), unknown::<F>().into()];
            hash(cs, Kind::Run, 0, 0, &elements)?;
            Ok(vec![])
        }
    );

    #[test]
    fn missing_values() {
        for generator in [false, true] {
            let missing = error(&Missing {}, generator);
            assert!(matches!(missing, SynthesisError::AssignmentMissing));
        }
    }

    #[test]
    fn shapes() {
        let zero = |case: &Hash| Hash {
            seeds: vec![0; case.seeds.len()],
            ..case.clone()
        };
        let real: Vec<String> = [1, 3, 10, 40]
            .map(|len| {
                let case = case_of(len);
                assert_eq!(shape(&case), shape(&zero(&case)));
                shape(&case)
            })
            .into_iter()
            .chain([shape(&vector())])
            .collect();
        expect![[r#"
            238 constraints, 239 variables, a72101bdc1f88af183ed395c26ad87ebb41e1c722530ecea2e0f56c5fb8e7445
            289 constraints, 292 variables, beee0e0617d24bf17af7beee699c4912a7b556e551eab99ffe4bc3d433a3b9bd
            460 constraints, 470 variables, c727b90e912be88d693c8c0763aeb3e5fdad1c80ff814f2d5cfcbc0ff548791c
            1555 constraints, 1595 variables, 24f41e2ac2f0c688c65cbf87683f8882a5455fe8d1cf92c2fff862ddc837d36b
            759 constraints, 760 variables, 194764e7acefec6c4347f4871042ada72a1ce70b77669c845dc547014d862f83"#]].assert_eq(&real.join("\n"));
    }

    #[test]
    fn constants_are_derived_once() {
        let first: *const _ = constants::<Fp, U2>();
        assert_eq!(first, std::ptr::from_ref(constants::<Fp, U2>()));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]
        #[test]
        fn random_hashes(seeds in prop::collection::vec(any::<u64>(), 0..50), a: u32, b: u32) {
            let case = Hash { kind: Kind::Seed, a, b, seeds };
            let mut cs = bellpepper::util_cs::witness_cs::WitnessCS::<Fp>::new();
            prop_assert_eq!(case.synthesize(&mut cs).unwrap(), [native::<Fp>(&case)]);
            let (cs, results) = build::<Fq>(&case);
            prop_assert_eq!(results, [native::<Fq>(&case)]);
            prop_assert_eq!(cs.which_is_unsatisfied(), None);
        }
    }
}
