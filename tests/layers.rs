//! The modules stand in layers, as the README's map of the code has them, and no two files import each
//! other in a circle.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
};

use syn::{UseTree, Visibility, visit::Visit};

type Names = Vec<String>;

/// What a file says of others, tests left out.
#[derive(Default)]
struct File {
    module: Names,
    imports: BTreeSet<Names>,
    /// Names that it passes on, and what they are.
    exports: BTreeMap<String, Names>,
}

fn is_test(attributes: &[syn::Attribute]) -> bool {
    let mut conditions = attributes.iter().filter(|a| a.path().is_ident("cfg"));
    conditions.any(|a| {
        let condition = a.parse_args::<syn::Meta>().unwrap();
        match condition {
            syn::Meta::Path(path) => path.is_ident("test"),
            syn::Meta::List(list) if list.path.is_ident("all") => {
                list.tokens.to_string().starts_with("test")
            }
            _ => false,
        }
    })
}

fn flatten(tree: &UseTree, mut path: Names, out: &mut Vec<(String, Names)>) {
    match tree {
        UseTree::Path(p) => {
            path.push(p.ident.to_string());
            flatten(&p.tree, path, out);
        }
        UseTree::Group(group) => {
            for tree in &group.items {
                flatten(tree, path.clone(), out);
            }
        }
        UseTree::Name(n) => {
            path.push(n.ident.to_string());
            out.push((n.ident.to_string(), path));
        }
        UseTree::Rename(r) => {
            path.push(r.ident.to_string());
            out.push((r.rename.to_string(), path));
        }
        UseTree::Glob(_) => out.push(("*".to_owned(), path)),
    }
}

impl File {
    /// A path from the root of the crate, `None` if it leads elsewhere.
    fn absolute(&self, path: &[String], known: &BTreeSet<Names>) -> Option<Names> {
        let (mut base, mut rest) = (self.module.clone(), path);
        match path.first()?.as_str() {
            "crate" => return Some(path[1..].to_vec()),
            "self" | "super" => {}
            first => {
                base.push(first.to_owned());
                if !known.contains(&base) {
                    return None;
                }
                rest = &path[1..];
            }
        }
        while let Some((first, after)) = rest.split_first() {
            match first.as_str() {
                "super" => drop(base.pop()),
                "self" => {}
                _ => break,
            }
            rest = after;
        }
        base.extend_from_slice(rest);
        Some(base)
    }
}

struct Reader<'a> {
    file: File,
    known: &'a BTreeSet<Names>,
}

impl<'a> Visit<'a> for Reader<'_> {
    fn visit_item_mod(&mut self, item: &'a syn::ItemMod) {
        if !is_test(&item.attrs) {
            syn::visit::visit_item_mod(self, item);
        }
    }

    fn visit_item_fn(&mut self, item: &'a syn::ItemFn) {
        if !is_test(&item.attrs) {
            syn::visit::visit_item_fn(self, item);
        }
    }

    fn visit_item_use(&mut self, item: &'a syn::ItemUse) {
        if is_test(&item.attrs) {
            return;
        }
        let mut uses = Vec::new();
        flatten(&item.tree, Vec::new(), &mut uses);
        for (name, path) in uses {
            let Some(path) = self.file.absolute(&path, self.known) else {
                continue;
            };
            if matches!(item.vis, Visibility::Inherited) {
                self.file.imports.insert(path);
            } else {
                self.file.exports.insert(name, path.clone());
                // What a file passes on of another, not of its own parts.
                if !path.starts_with(&self.file.module) {
                    self.file.imports.insert(path);
                }
            }
        }
    }

    /// `pub(super)` imports nothing.
    fn visit_vis_restricted(&mut self, _: &'a syn::VisRestricted) {}

    fn visit_path(&mut self, path: &'a syn::Path) {
        let names: Names = path.segments.iter().map(|s| s.ident.to_string()).collect();
        if matches!(names[0].as_str(), "crate" | "super") {
            let path = self.file.absolute(&names, self.known);
            self.file.imports.extend(path);
        }
        syn::visit::visit_path(self, path);
    }
}

/// All modules with a file, tests left out.
fn modules(folder: &Path, module: &Names, out: &mut Vec<(Names, std::path::PathBuf)>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
        let mut inner = module.clone();
        match name.as_str() {
            "tests" => continue,
            "mod" | "lib" => {}
            _ => inner.push(name),
        }
        if path.is_dir() {
            modules(&path, &inner, out);
        } else {
            out.push((inner, path));
        }
    }
}

/// The file that an item is defined in.
fn home(path: &[String], files: &BTreeMap<Names, File>, left: usize) -> Names {
    let known = (0..=path.len())
        .rev()
        .find(|n| files.contains_key(&path[..*n]));
    let (module, rest) = path.split_at(known.unwrap_or(0));
    let exported = rest
        .first()
        .and_then(|name| files[module].exports.get(name));
    match exported {
        Some(other) if left > 0 => home(other, files, left - 1),
        _ => module.to_vec(),
    }
}

/// For every file the files that it imports.
fn imports() -> BTreeMap<Names, BTreeSet<Names>> {
    let mut found = Vec::new();
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/src");
    modules(Path::new(root), &Vec::new(), &mut found);
    let known: BTreeSet<Names> = found.iter().map(|(module, _)| module.clone()).collect();
    let files: BTreeMap<Names, File> = found
        .into_iter()
        .map(|(module, path)| {
            let text = syn::parse_file(&fs::read_to_string(&path).unwrap()).unwrap();
            let mut reader = Reader {
                file: File {
                    module: module.clone(),
                    ..File::default()
                },
                known: &known,
            };
            reader.visit_file(&text);
            (module, reader.file)
        })
        .collect();
    assert!(files.len() > 100, "{} files", files.len());
    let of = |file: &File| {
        let homes = file.imports.iter().map(|path| home(path, &files, 8));
        homes
            .filter(|m| *m != file.module && !m.is_empty())
            .collect()
    };
    let edges: BTreeMap<_, BTreeSet<Names>> = files
        .iter()
        .map(|(module, file)| (module.clone(), of(file)))
        .collect();
    let count: usize = edges.values().map(BTreeSet::len).sum();
    assert!(count > 400, "{count} imports");
    edges
}

#[test]
fn modules_use_what_stands_above_them_in_the_map() {
    let readme = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/README.md")).unwrap();
    let map = readme.split("## Map of the code").nth(1).unwrap();
    let rows = map.lines().filter(|line| line.starts_with("| `src/"));
    let order: Names = rows
        .flat_map(|row| row.split('|').nth(1).unwrap().split('`'))
        .filter_map(|part| part.strip_prefix("src/"))
        .map(|name| name.trim_end_matches(".rs").to_owned())
        .collect();
    let place = |module: &Names| {
        let place = order.iter().position(|name| *name == module[0]);
        place.unwrap_or_else(|| panic!("the map has no {}", module[0]))
    };
    for (module, used) in imports() {
        if module.is_empty() || module == ["notes"] {
            continue;
        }
        for other in used {
            assert!(place(&other) <= place(&module), "{module:?} uses {other:?}");
        }
    }
}

#[test]
fn no_files_import_each_other_in_a_circle() {
    let mut left = imports();
    // What imports nothing that is left is in no circle, nor what nothing that is left imports.
    loop {
        let imported: BTreeSet<Names> = left.values().flatten().cloned().collect();
        let is_end = |module: &Names, used: &BTreeSet<Names>| {
            !imported.contains(module) || !used.iter().any(|other| left.contains_key(other))
        };
        let ends = left.iter().filter(|(module, used)| is_end(module, used));
        let ends: Vec<Names> = ends.map(|(module, _)| module.clone()).collect();
        if ends.is_empty() {
            break;
        }
        left.retain(|module, _| !ends.contains(module));
    }
    assert!(left.is_empty(), "in circles: {left:#?}");
}
