//! The transcript of a sumcheck: one sponge for all challenges.
//!
//! A sponge of arity 2 with the pattern `[Absorb(2), Squeeze(1)]^(d+1)` absorbs `tag(Transcript, d, 0)` and the seed and
//! gives `ρ`; then it absorbs the pair `(a, c)` of each of the `d` rounds and gives the round's challenge.

use bellpepper_core::{
    ConstraintSystem, SynthesisError,
    num::{AllocatedNum, Num},
};
use ff::PrimeField;
use neptune::{
    circuit2::Elt,
    sponge::{
        api::{IOPattern, SpongeAPI, SpongeOp},
        circuit::SpongeCircuit,
        vanilla::{Mode, Sponge, SpongeTrait},
    },
};
use typenum::U2;

use crate::{
    error,
    num::{self, constant},
    poseidon::{Kind, constants, tag},
    sumcheck::RoundMessage,
};

/// `[Absorb(2), Squeeze(1)]^(rounds + 1)`.
fn pattern(rounds: u32) -> IOPattern {
    IOPattern(
        (0..=rounds)
            .flat_map(|_| [SpongeOp::Absorb(2), SpongeOp::Squeeze(1)])
            .collect(),
    )
}

/// The prover's side: challenges on field elements.
pub struct Transcript<F: PrimeField> {
    sponge: Sponge<'static, F, U2>,
    remaining: u32,
}

impl<F: PrimeField> Transcript<F> {
    /// A transcript of `rounds` rounds, and the challenge `ρ`.
    pub fn new(rounds: u32, seed: F) -> (Self, F) {
        let mut sponge = Sponge::new_with_constants(constants::<F, U2>(), Mode::Simplex);
        SpongeAPI::start(&mut sponge, pattern(rounds), None, &mut ());
        let mut transcript = Self {
            sponge,
            remaining: rounds,
        };
        let rho = transcript.exchange(tag(Kind::Transcript, rounds, 0), seed);
        (transcript, rho)
    }

    /// The challenge of the next round, whose message is `(a, c)`.
    ///
    /// # Panics
    /// If it is called more than `rounds` times: the number of rounds is part of the program, and a challenge outside the
    /// pattern would be no challenge of the protocol.
    pub fn challenge(&mut self, a: F, c: F) -> F {
        assert!(self.remaining > 0, "the transcript has no more rounds");
        self.remaining -= 1;
        self.exchange(a, c)
    }

    fn exchange(&mut self, first: F, second: F) -> F {
        SpongeAPI::absorb(&mut self.sponge, 2, &[first, second], &mut ());
        // One element was asked for.
        SpongeAPI::squeeze(&mut self.sponge, 1, &mut ())[0]
    }
}

/// The challenges of a transcript.
#[derive(Clone)]
pub struct Challenges<F: PrimeField> {
    /// `ρ`, drawn from the seed.
    pub rho: AllocatedNum<F>,
    /// One for each round.
    pub rounds: Vec<AllocatedNum<F>>,
}

/// The challenges, in the circuit.
///
/// **Statement** `ρ` and the round challenges are those of [`Transcript`] for `seed` and `messages`.
///
/// **Assumes** the seed is a hash of everything that must be fixed before the challenges; the caller sees to it.
///
/// **Enforces** 1. every S-box of the `d + 1` permutations; 2. each challenge is the element squeezed.
///
/// **Does not enforce** anything about the messages.
///
/// **Cost** `238·(d + 1)`: a permutation of arity 2 and the allocated challenge.
///
/// **Soundness** Every variable is a function of seed and messages. The number of rounds is in the tag.
///
/// **Reference** neptune `SpongeCircuit`.
///
/// # Errors
/// `AssignmentMissing` if seed or messages have no value.
pub fn challenges<F: PrimeField, CS: ConstraintSystem<F>>(
    mut cs: CS,
    seed: &Num<F>,
    messages: &[RoundMessage<F>],
) -> Result<Challenges<F>, SynthesisError> {
    let rounds = u32::try_from(messages.len()).map_err(|_| error::shape("too many rounds"))?;
    // The sponge unwraps values.
    let missing = |value: Option<F>| value.is_none();
    if missing(seed.get_value())
        || messages
            .iter()
            .any(|m| missing(m.a.get_value()) || missing(m.c.get_value()))
    {
        return Err(SynthesisError::AssignmentMissing);
    }

    let mut ns = cs.namespace(|| "sponge");
    let mut sponge =
        SpongeCircuit::<F, U2, CS::Root>::new_with_constants(constants::<F, U2>(), Mode::Simplex);
    SpongeAPI::start(&mut sponge, pattern(rounds), None, &mut ns);
    let mut exchange = |name: &dyn Fn() -> String, pair: [Elt<F>; 2]| {
        SpongeAPI::absorb(&mut sponge, 2, &pair, &mut ns);
        let squeezed = SpongeAPI::squeeze(&mut sponge, 1, &mut ns);
        // One element was asked for. It is a linear combination that is used often: allocated once.
        num::allocate(ns.namespace(name), &squeezed[0].num())
    };

    let opening = constant::<F, CS>(tag(Kind::Transcript, rounds, 0));
    let rho = exchange(
        &|| "rho".to_owned(),
        [Elt::Num(opening), Elt::Num(seed.clone())],
    )?;
    let rounds = messages
        .iter()
        .enumerate()
        .map(|(i, message)| {
            exchange(
                &|| format!("challenge {i}"),
                [message.a.clone().into(), message.c.clone().into()],
            )
        })
        .collect::<Result<_, _>>()?;
    Ok(Challenges { rho, rounds })
}

#[cfg(test)]
mod tests {
    use expect_test::expect;
    use ff::Field;
    use pasta_curves::{Fp, Fq};
    use proptest::prelude::*;

    use super::*;
    use crate::{
        sumcheck::RoundValues,
        testing::{
            audit, build, case, cost, error, given, given_variable, scramble, shape, unknown,
        },
    };

    case!(Rounds { seed: u64, messages: Vec<(u64, u64)> } |this, cs| {
        let seed = given(cs, "seed", scramble::<F>(&[this.seed])[0]);
        let messages = messages::<F>(this)
            .into_iter()
            .enumerate()
            .map(|(i, values)| RoundMessage::alloc(cs.namespace(|| format!("given {i}")), Some(values)))
            .collect::<Result<Vec<_>, _>>()?;
        let Challenges { rho, rounds } = challenges(cs.namespace(|| "transcript"), &seed, &messages)?;
        Ok(std::iter::once(rho).chain(rounds).map(|c| c.get_value().unwrap()).collect())
    });

    fn messages<F: PrimeField>(case: &Rounds) -> Vec<RoundValues<F>> {
        case.messages
            .iter()
            .map(|(a, c)| {
                let [a, c] = [scramble(&[*a])[0], scramble(&[*c])[0]];
                RoundValues { a, c }
            })
            .collect()
    }

    fn native<F: PrimeField>(case: &Rounds) -> Vec<F> {
        let messages = messages::<F>(case);
        let (mut transcript, rho) =
            Transcript::new(messages.len() as u32, scramble(&[case.seed])[0]);
        let rounds = messages.into_iter().map(|m| transcript.challenge(m.a, m.c));
        std::iter::once(rho).chain(rounds).collect()
    }

    fn rounds(d: u64) -> Rounds {
        Rounds {
            seed: 5,
            messages: (0..d).map(|i| (2 * i, 2 * i + 1)).collect(),
        }
    }

    #[test]
    fn known_answers() {
        let answers: Vec<String> = native::<Fp>(&rounds(2))
            .iter()
            .map(|c| format!("{c:?}"))
            .chain(native::<Fq>(&rounds(1)).iter().map(|c| format!("{c:?}")))
            .collect();
        expect![[r#"
            0x0830bb3bca20ab7b9ff4665ec630ab2c02c488fef3b750378ad60d197e1ee11b
            0x30f66f6eff11bf8f95762a57c3e201d46aa01ef6e5643469697f94c134544421
            0x15613634406c9c2515aa4b5b3a1a3f0c10542e79cbc5e7028447dbb736ca6264
            0x2cae4dced9ff1c0bec1673b947a8bcd11e3365b2f1c14adb97bbfa72b13a97b6
            0x1e972a2cc889912da7267f9b74a7a85418c29172cad3e313fefed4a8d4f5d40d"#]]
        .assert_eq(&answers.join("\n"));
    }

    #[test]
    fn rho_depends_on_the_number_of_rounds() {
        assert_ne!(native::<Fp>(&rounds(0))[0], native::<Fp>(&rounds(1))[0]);
    }

    #[test]
    fn circuit_equals_native() {
        for d in [0, 1, 2, 5] {
            let case = rounds(d);
            let audit = audit(&case);
            assert_eq!(audit.results, native::<Fp>(&case));
            assert!(audit.free.is_empty());
            assert_eq!(build::<Fq>(&case).1, native::<Fq>(&case));
            assert_eq!(cost(&case), 238 * (d as usize + 1));
        }
    }

    #[test]
    fn every_message_counts_from_its_round_on() {
        let honest = native::<Fp>(&rounds(4));
        for i in 0..4 {
            for second in [false, true] {
                let mut case = rounds(4);
                let (a, c) = &mut case.messages[i];
                *(if second { c } else { a }) += 1;
                let other = native::<Fp>(&case);
                assert_eq!(other[..=i], honest[..=i]);
                assert!(
                    other[i + 1..]
                        .iter()
                        .zip(&honest[i + 1..])
                        .all(|(o, h)| o != h)
                );
            }
        }
        let seeded = native::<Fp>(&Rounds {
            seed: 6,
            ..rounds(4)
        });
        assert!(seeded.iter().zip(&honest).all(|(o, h)| o != h));
    }

    #[test]
    fn challenges_enforce_the_sponge() {
        // A message chosen after its challenge.
        let (mut cs, _) = build::<Fp>(&rounds(2));
        cs.set("given 1/c/num", Fp::ONE);
        assert!(
            cs.which_is_unsatisfied()
                .unwrap()
                .contains("permutation 3/first round")
        );
    }

    #[test]
    fn challenges_enforce_the_squeezed_element() {
        for wire in ["rho", "challenge 0", "challenge 1"] {
            let (mut cs, _) = build::<Fp>(&rounds(2));
            cs.set(&format!("transcript/sponge/{wire}/value/num"), Fp::from(3));
            assert_eq!(
                cs.which_is_unsatisfied(),
                Some(&*format!("transcript/sponge/{wire}/equal"))
            );
        }
    }

    case!(
        Missing { seed: bool } | this,
        cs | {
            let known = given_variable(cs, "known", F::ONE);
            let (seed, c) = if this.seed {
                (unknown(), known.clone())
            } else {
                (known.clone(), unknown())
            };
            challenges(cs, &seed.into(), &[RoundMessage { a: known, c }])?;
            Ok(vec![])
        }
    );

    #[test]
    fn missing_values() {
        for seed in [false, true] {
            let missing = error(&Missing { seed }, true);
            assert!(matches!(missing, SynthesisError::AssignmentMissing));
        }
    }

    #[test]
    #[should_panic(expected = "no more rounds")]
    fn no_challenge_beyond_the_rounds() {
        let (mut transcript, _) = Transcript::new(1, Fp::ONE);
        transcript.challenge(Fp::ONE, Fp::ONE);
        transcript.challenge(Fp::ONE, Fp::ONE);
    }

    #[test]
    fn shapes() {
        let real = shape(&rounds(3));
        expect!["952 constraints, 959 variables, 202be3fbbe9a5c990c1e25b8dd381023ffed3f9b3c34f17eb69f0315b161cc5e"].assert_eq(&real);
        assert_eq!(
            shape(&Rounds {
                seed: 0,
                messages: vec![(0, 0); 3]
            }),
            real
        );
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(16))]
        #[test]
        fn random_transcripts(
            seed: u64,
            messages in prop::collection::vec(any::<(u64, u64)>(), 0..6),
        ) {
            let case = Rounds { seed, messages };
            prop_assert_eq!(build::<Fp>(&case).1, native::<Fp>(&case));
        }
    }
}
