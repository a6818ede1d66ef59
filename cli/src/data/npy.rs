//! NumPy's `.npy` files: little-endian numbers in C order.

use super::{Contents, Problem, check_count};

const MAGIC: &[u8] = b"\x93NUMPY";
/// Longest header.
const MAX_HEADER: usize = 1 << 16;

pub(super) fn parse(bytes: &[u8]) -> Result<Contents, Problem> {
    let (header, data) = split(bytes)?;
    let descr = value(header, "descr")?;
    let descr = descr
        .strip_prefix(['\'', '"'])
        .and_then(|d| d.split(['\'', '"']).next())
        .ok_or_else(|| Problem::new("records are not supported"))?;
    let (size, read) = element(descr)?;
    let shape = shape(value(header, "shape")?)?;
    let fortran = value(header, "fortran_order")?.starts_with("True");
    if fortran && shape.iter().filter(|n| **n > 1).count() > 1 {
        return Err(Problem::new(
            "the array is in Fortran order: save numpy.ascontiguousarray(…)",
        ));
    }
    let count = shape
        .iter()
        .try_fold(1usize, |n, d| n.checked_mul(*d))
        .ok_or_else(|| Problem::new("the shape is too large"))?;
    check_count(count)?;
    if data.len() != count * size {
        return Err(Problem(format!(
            "the shape {shape:?} takes {} bytes, there are {}",
            count * size,
            data.len()
        )));
    }
    let values = data.chunks_exact(size).map(read).collect();
    Ok(Contents { shape, values })
}

/// The header, a Python dictionary, and the data.
fn split(bytes: &[u8]) -> Result<(&str, &[u8]), Problem> {
    let truncated = || Problem::new("the .npy header is truncated");
    let rest = bytes
        .strip_prefix(MAGIC)
        .ok_or_else(|| Problem::new("this is no .npy file: the magic bytes differ"))?;
    let ([major, _], rest) = rest.split_first_chunk().ok_or_else(truncated)?;
    let (len, rest) = match major {
        1 => {
            let (len, rest) = rest.split_first_chunk().ok_or_else(truncated)?;
            (usize::from(u16::from_le_bytes(*len)), rest)
        }
        2 | 3 => {
            let (len, rest) = rest.split_first_chunk().ok_or_else(truncated)?;
            let len = usize::try_from(u32::from_le_bytes(*len));
            (len.unwrap_or(usize::MAX), rest)
        }
        _ => return Err(Problem(format!("version {major} of .npy is not known"))),
    };
    if len > MAX_HEADER {
        return Err(Problem::new("the .npy header is too long"));
    }
    let (header, data) = rest.split_at_checked(len).ok_or_else(truncated)?;
    let header = std::str::from_utf8(header);
    Ok((
        header.map_err(|_| Problem::new("the .npy header is no text"))?,
        data,
    ))
}

/// What follows a key of the header.
fn value<'a>(header: &'a str, key: &str) -> Result<&'a str, Problem> {
    let found = ['\'', '"'].iter().find_map(|quote| {
        let (_, after) = header.split_once(&format!("{quote}{key}{quote}"))?;
        Some(after.trim_start().strip_prefix(':')?.trim_start())
    });
    found.ok_or_else(|| Problem(format!("the .npy header has no {key}")))
}

fn shape(text: &str) -> Result<Vec<usize>, Problem> {
    let problem = || Problem::new("the .npy header has no valid shape");
    let inner = text.strip_prefix('(').and_then(|t| t.split_once(')'));
    let (inner, _) = inner.ok_or_else(problem)?;
    let parts = inner.split(',').map(str::trim).filter(|p| !p.is_empty());
    parts.map(|p| p.parse().map_err(|_| problem())).collect()
}

type Read = fn(&[u8]) -> f64;

/// Bytes of an element, and how it is read; `0` for a slice of another length, which is not handed in.
fn element(descr: &str) -> Result<(usize, Read), Problem> {
    macro_rules! numbers {
        ($type:ty) => {
            (size_of::<$type>(), |b: &[u8]| match b.try_into() {
                Ok(bytes) => <$type>::from_le_bytes(bytes) as f64,
                Err(_) => 0.0,
            })
        };
    }
    let (order, kind) = match descr.split_at_checked(1) {
        Some((order, kind)) if ["<", ">", "|", "="].contains(&order) => (order, kind),
        _ => ("|", descr),
    };
    if order == ">" {
        return Err(Problem(format!(
            "big-endian numbers (`{descr}`) are not supported: save them with astype('<f4')"
        )));
    }
    Ok(match kind {
        "f4" => numbers!(f32),
        "f8" => numbers!(f64),
        "b1" | "u1" => numbers!(u8),
        "i1" => numbers!(i8),
        "u2" => numbers!(u16),
        "i2" => numbers!(i16),
        "u4" => numbers!(u32),
        "i4" => numbers!(i32),
        "u8" => numbers!(u64),
        "i8" => numbers!(i64),
        _ => {
            return Err(Problem(format!(
                "numbers of type `{descr}` are not supported: save them with astype('<f4')"
            )));
        }
    })
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    fn file(header: &str, data: &[u8]) -> Vec<u8> {
        let len = u16::try_from(header.len()).unwrap().to_le_bytes();
        [MAGIC, &[1, 0], &len, header.as_bytes(), data].concat()
    }

    fn header(descr: &str, order: &str, shape: &str) -> String {
        format!("{{'descr': '{descr}', 'fortran_order': {order}, 'shape': {shape}, }}   \n")
    }

    #[test]
    fn numbers_of_all_types() {
        let floats: Vec<u8> = [1.5f32, -2.0]
            .iter()
            .flat_map(|x| x.to_le_bytes())
            .collect();
        let read = parse(&file(&header("<f4", "False", "(1, 2)"), &floats)).unwrap();
        assert_eq!((read.shape, read.values), (vec![1, 2], vec![1.5, -2.0]));
        let doubles: Vec<u8> = [0.1f64].iter().flat_map(|x| x.to_le_bytes()).collect();
        let read = parse(&file(&header("<f8", "True", "(1,)"), &doubles)).unwrap();
        assert_eq!((read.shape, read.values), (vec![1], vec![0.1]));
        let integers: Vec<u8> = [-3i64].iter().flat_map(|x| x.to_le_bytes()).collect();
        let read = parse(&file(&header("<i8", "False", "()"), &integers)).unwrap();
        assert_eq!((read.shape, read.values), (vec![], vec![-3.0]));
        let read = parse(&file(&header("|u1", "False", "(2,)"), &[255, 1])).unwrap();
        assert_eq!(read.values, [255.0, 1.0]);
    }

    #[test]
    fn files_that_are_refused() {
        let fails = |bytes: &[u8], part: &str| {
            let problem = parse(bytes).err().unwrap();
            assert!(problem.0.contains(part), "{problem}");
        };
        fails(b"PK", "magic");
        fails(MAGIC, "truncated");
        fails(&[MAGIC, &[9, 0, 0, 0]].concat(), "version 9");
        fails(&[MAGIC, &[2, 0, 255, 255, 255, 255]].concat(), "too long");
        fails(&file("{}", &[]), "no descr");
        fails(
            &file(&header(">f4", "False", "(1,)"), &[0; 4]),
            "big-endian",
        );
        fails(&file(&header("<c8", "False", "(1,)"), &[0; 8]), "`<c8`");
        fails(&file(&header("<f4", "True", "(2, 2)"), &[0; 16]), "Fortran");
        fails(
            &file(&header("<f4", "False", "(2, 2)"), &[0; 15]),
            "16 bytes",
        );
        fails(&file(&header("<f4", "False", "(-1,)"), &[]), "valid shape");
        let most = usize::MAX;
        let huge = header("<f4", "False", &format!("({most}, {most})"));
        fails(&file(&huge, &[]), "too large");
        fails(
            &file(&header("<f4", "False", "(99999999999,)"), &[]),
            "more than",
        );
    }

    #[test]
    fn no_prefix_of_a_file_is_read() {
        let whole = file(&header("<f4", "False", "(2,)"), &[0; 8]);
        assert!((0..whole.len()).all(|n| parse(&whole[..n]).is_err()));
    }
}
