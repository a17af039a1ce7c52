//! The allocator, and how soon it gives memory back.
//!
//! What is stored lives long between what lives for one request only. With the allocator of the GNU C
//! library a miss costs nearly a third more CPU time (`benches/README.md`).

use mimalloc::MiMalloc;

#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

/// Makes the allocator patient, unless somebody has told it how long to wait.
///
/// It reads its options before `main` begins, so the program begins anew, as the same process. If that
/// cannot be had it goes on, with mimalloc's own delay; `signals` knows what else is left of the attempt.
#[cfg(unix)]
pub(crate) fn make_patient() {
    use std::env;
    use std::os::unix::process::CommandExt;
    use std::process::Command;

    /// Milliseconds until memory that is free may go back to the operating system, and its older name.
    const DELAY: &str = "MIMALLOC_PURGE_DELAY";
    const OLDER: &str = "MIMALLOC_RESET_DELAY";
    /// What a full store frees is taken again before that. With mimalloc's 10 ms parts of it go back in
    /// between, and take huge pages apart: large responses then stream a tenth slower.
    const PATIENT: &str = "1000";

    let is_delay = |name: &str| [DELAY, OLDER].iter().any(|delay| name.eq_ignore_ascii_case(delay));
    let is_told = env::vars_os().any(|(name, _)| name.to_str().is_some_and(is_delay));
    let mut args = env::args_os();
    if !is_told && let (Ok(program), Some(name)) = (env::current_exe(), args.next()) {
        let _cannot = Command::new(program).arg0(name).args(args).env(DELAY, PATIENT).exec();
    }
}

/// Elsewhere a process cannot begin anew.
#[cfg(not(unix))]
pub(crate) fn make_patient() {}
