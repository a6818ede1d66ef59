//! Reading with a limit, and writing all or nothing.

use std::{
    ffi::OsString,
    fs::{self, File, OpenOptions},
    io::{Read, Write},
    path::{Path, PathBuf},
};

use zeroize::Zeroizing;

use crate::console::Failure;

/// The bytes of a file of at most `limit` bytes, which are zeroised on drop.
pub(crate) fn read(path: &Path, limit: u64) -> Result<Zeroizing<Vec<u8>>, Failure> {
    let io = |e| Failure::io(path, &e);
    let file = File::open(path).map_err(io)?;
    let metadata = file.metadata().map_err(io)?;
    let too_long = || Failure::contents(path, format!("longer than {limit} bytes"));
    if metadata.len() > limit {
        return Err(too_long());
    }
    let known = usize::try_from(metadata.len()).unwrap_or(0);
    let mut bytes = Zeroizing::new(Vec::with_capacity(known.saturating_add(1)));
    // It may be no ordinary file, or grow.
    file.take(limit.saturating_add(1))
        .read_to_end(&mut bytes)
        .map_err(io)?;
    if bytes.len() as u64 > limit {
        return Err(too_long());
    }
    Ok(bytes)
}

/// Writes a file that others may read.
pub(crate) fn write(path: &Path, bytes: &[u8]) -> Result<(), Failure> {
    replace(path, bytes, false)
}

/// Writes a file that only its owner may read (mode 0600, on Unix).
pub(crate) fn write_secret(path: &Path, bytes: &[u8]) -> Result<(), Failure> {
    replace(path, bytes, true)
}

/// Makes a folder that only its owner may look into, if it is not there.
pub(crate) fn make_secret_folder(path: &Path) -> Result<(), Failure> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(path).map_err(|e| Failure::io(path, &e))
}

/// Writes beside the file and renames: whoever reads sees the old bytes or the new ones.
fn replace(path: &Path, bytes: &[u8], secret: bool) -> Result<(), Failure> {
    // What is no ordinary file (a pipe, a terminal) is not replaced.
    if !secret && fs::metadata(path).is_ok_and(|m| !m.is_file() && !m.is_dir()) {
        return fs::write(path, bytes).map_err(|e| Failure::io(path, &e));
    }
    let beside = beside(path);
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    if secret {
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    }
    #[cfg(not(unix))]
    let _ = secret;
    // Left by a process that was stopped.
    let _ = fs::remove_file(&beside);
    let written = options
        .open(&beside)
        .and_then(|mut file| {
            file.write_all(bytes)?;
            file.sync_all()
        })
        .and_then(|()| fs::rename(&beside, path));
    written.map_err(|e| {
        let _ = fs::remove_file(&beside);
        Failure::io(path, &e)
    })
}

fn beside(path: &Path) -> PathBuf {
    let mut name = OsString::from(".");
    name.push(path.file_name().unwrap_or_default());
    name.push(format!(".{}.tmp", std::process::id()));
    path.with_file_name(name)
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    #[test]
    fn files_are_replaced_and_secrets_are_secret() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a");
        write(&path, b"one").unwrap();
        write_secret(&path, b"two").unwrap();
        assert_eq!(*read(&path, 3).unwrap(), b"two");
        assert!(read(&path, 2).is_err());
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            let mode = fs::metadata(&path).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o600);
        }
        assert!(write(&folder.path().join("no").join("b"), b"").is_err());
    }
}
