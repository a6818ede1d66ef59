//! What an attacker may try against trace proofs: the lines of the list in the notes on trace proofs
//! (18), and the tests that they are. A prover who lies goes on honestly after the lie.
//!
//! | line | attack | test |
//! |---|---|---|
//! | 1 | remainder out of range | `a_remainder_is_in_range` |
//! | 2, 3 | a result that is not the table's; a row of another table | `an_activation_is_that_of_the_table`, `an_activation_of_what_is_committed_…`, `what_a_table_lacks_has_no_proof`, `a_row_of_another_table_is_none_of_this` |
//! | 4 | multiplicities | `multiplicities_are_how_often_rows_are_looked_up`, `rows_are_not_replaced_after_alpha` |
//! | 5 | a tuple that is no row | [`NoRow::Told`](prover::NoRow) in every test with columns: its true fraction, counted as another row |
//! | 6 | values chosen after `α` | `alpha_follows_from_every_cell` |
//! | 7 | `S` or the root | `multiplicities_are_…` with `S` as the tables have it; `every_scalar_…` |
//! | 8 | padding | `junk_in_padding_is_not_read`: accepted |
//! | 9 | bank beyond a map | none: what a prover keeps has the shapes of the maps, and no entry beyond them to lie about |
//! | 10 | rows with other generators | `rows_of_the_trace_have_no_generator_beyond_their_length` |
//! | 11 | messages with other generators | `messages_have_the_generators_of_messages_alone` |
//! | 12, 14 | a scalar of a message | `every_scalar_of_a_product_of_registers_is_bound`, `every_scalar_of_several_frames_is_bound` |
//! | 13 | scalars that no formula names | none: nothing reads them, and a message of another length is another layout |
//! | 15 | phases without rounds | `boundary_sizes_verify`, `boundary_sizes_bind` |
//! | 16 | `S`, `Λ`, `B` | `every_scalar_…`, `ends_of_products_are_claims_too` |
//! | 17 | another map; products that cancel | `maps_are_not_exchanged`, `weights_are_the_committed_ones`, `ends_of_products_are_claims_too` |
//! | 18 | identities that cancel | `errors_of_identities_do_not_cancel` |
//! | 19 | factors that are not committed | none: both sides of a product are [`Linear`](crate::trace::system::Linear) by type |
//! | 20 | input without range | `a_hidden_input_is_in_range`; of public ones the caller checks it |
//! | 21 | two values of one row | `two_values_of_one_row_are_not_opened` |
//! | 22 | `C_Z`, `C_W` | `values_of_trace_and_bank_are_not_exchanged_or_shifted` |
//! | 23 | `C_V` with other generators | `points_of_the_end_are_what_they_are_said_to_be`: what changes the value; what is orthogonal needs another prover, and is harmless |
//! | 24 | another bank | `weights_are_the_committed_ones`, `the_statement_is_bound` |
//! | 25, 45 | another statement | `the_statement_is_bound`, `parameters_are_bound`, `bits_of_rows_and_of_the_tail_are_bound`; order of tables and scalars follows from the program |
//! | 26 | order of messages | `rows_are_not_replaced_after_alpha`; elements exchanged in `lengths_other_than_that_of_the_proof_are_refused` |
//! | 27, 47, 48 | frames left out, repeated, exchanged | `frames_are_not_left_out_repeated_or_exchanged` |
//! | 28, 36, 39, 40, 42 | division, roots, softmax, matrix products of registers | none: not in the language. Every program has a map, and the equation of products is always there |
//! | 29 | maximum | `the_maximum_is_an_entry_and_the_first` |
//! | 30 | wrap-around | none here: widths are the validator's; `every_input_in_range_has_a_proof` at the extremes |
//! | 31 | state | `the_state_is_that_of_the_frame_before` |
//! | 32 | encodings | `every_byte_counts`, `lengths_…`, `points_and_elements_are_canonical`, `no_point_of_a_prover_is_the_identity` |
//! | 33, 34 | weights or programs of the adversary | none: not attacks, see the notes |
//! | 35, 37, 38 | constraints by hand, bounds, order | none: programs are operations; `random_programs_leave_no_choice` and `no_cell_is_free` of what they become |
//! | 41 | clamping | `clamping_is_that_of_the_interpreter`, `values_of_one_sum_are_…` |
//! | 43 | bias | `a_bias_counts_once_for_each_frame` |
//! | 44 | numbers of identities | `boundary_sizes_bind` (an identity and no lookup), `errors_of_identities_do_not_cancel` |
//! | 46, 49, 50 | attestations, chains, counts | none: not part of the argument |
//! | 51 | sizes | `programs`, `bits_of_rows_and_of_the_tail_are_bound`, numbers of frames in `the_statement_is_bound` |

mod columns;
mod commitments;
mod hostile;
mod messages;
mod programs;
pub(crate) mod prover;
mod statement;
