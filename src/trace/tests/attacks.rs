//! What an attacker may try against trace proofs.

mod programs;
