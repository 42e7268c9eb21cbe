//! Chooses the deflate codec: ISA-L where its header and library are on this machine, else pure
//! Rust alone.
//!
//! The header is asked through a few lines of C (`isal_shim.c`), so that no struct layout of ISA-L
//! is copied into Rust and any 2.x release fits. `SNAPCORE_ISAL=0` leaves it out, `SNAPCORE_ISAL=1`
//! makes its absence an error.

use std::path::PathBuf;
use std::process::Command;

fn main() {
    println!("cargo::rustc-check-cfg=cfg(isal)");
    println!("cargo::rerun-if-changed=src/codecs/isal_shim.c");
    println!("cargo::rerun-if-env-changed=SNAPCORE_ISAL");
    // Installing or removing libisal-dev must be noticed by the next build.
    println!("cargo::rerun-if-changed=/usr/include/isa-l.h");

    let wish = std::env::var("SNAPCORE_ISAL").unwrap_or_default();
    if wish == "0" {
        return;
    }
    match bind_isal() {
        Ok(()) => println!("cargo::rustc-cfg=isal"),
        Err(reason) if wish == "1" => panic!("SNAPCORE_ISAL=1, but {reason}"),
        Err(reason) => println!(
            "cargo::warning=snapcore is built without ISA-L and will compress several times slower: {reason} \
             (on Debian: apt-get install libisal-dev)"
        ),
    }
}

fn bind_isal() -> Result<(), String> {
    let mut build = cc::Build::new();
    build
        .file("src/codecs/isal_shim.c")
        .warnings_into_errors(true)
        .opt_level(2)
        .cargo_warnings(false);
    find_library(&build)?;
    build.try_compile("snapcore_isal_shim").map_err(|error| {
        format!("isa-l.h was not found or does not fit: {}", first_line(&error.to_string()))
    })?;
    println!("cargo::rustc-link-lib=dylib=isal");
    Ok(())
}

/// The C compiler knows its library folders; it prints the bare name back where there is no such
/// file.
fn find_library(build: &cc::Build) -> Result<(), String> {
    let compiler =
        build.try_get_compiler().map_err(|error| format!("there is no C compiler: {error}"))?;
    let answer = Command::new(compiler.path())
        .arg("-print-file-name=libisal.so")
        .output()
        .map_err(|error| format!("the C compiler does not run: {error}"))?;
    let path = PathBuf::from(String::from_utf8_lossy(&answer.stdout).trim());
    if path.is_absolute() {
        path.canonicalize().map(|_| ()).map_err(|error| format!("libisal.so is broken: {error}"))
    } else {
        Err("libisal.so was not found".to_owned())
    }
}

fn first_line(text: &str) -> &str {
    text.lines().next().unwrap_or_default()
}
