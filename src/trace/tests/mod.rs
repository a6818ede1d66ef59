//! Tests of trace proofs.

pub(crate) mod forged;
mod lowering;
mod proofs;

/// What a program becomes, for people.
pub(crate) fn dump(program: &crate::program::Program, frames: usize) {
    let initial = program.initial_carried();
    let system = super::lower::lower(
        program,
        super::lower::Instance {
            frames,
            initial: &initial,
            inputs: None,
            outputs: None,
        },
    )
    .unwrap();
    for (k, c) in system.columns.iter().enumerate() {
        eprintln!(
            "column {k} {:?} {:?}",
            c.size,
            format!("{:?}", c.fill)
                .chars()
                .take(110)
                .collect::<String>()
        );
    }
    for l in &system.lookups {
        eprintln!(
            "lookup in table {} of {} rows: {:?} parts {}",
            l.table,
            system.tables[l.table].rows.len(),
            l.size(),
            l.parts.len()
        );
    }
    eprintln!(
        "{} products, {} identities, {} tables",
        system.products.len(),
        system.identities.len(),
        system.tables.len()
    );
    let layout = super::layout::Layout::new(&system, 9, false).unwrap();
    eprintln!("N {} N_L {}", layout.trace_bits, layout.leaf_bits);
}
