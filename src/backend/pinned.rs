/// Digests of generator sequences.
const PINNED: &[Pinned] = &[];
