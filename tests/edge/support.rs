//! The program under test, and both of its peers as plain sockets.
//!
//! Nothing here sleeps: who waits, waits for bytes, and no longer than a socket's timeout.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, ChildStderr, Command, Output, Stdio};
use std::thread::{self, JoinHandle};
use std::time::Duration;

/// Longer than anything takes on a busy machine, shorter than a human waits.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// The built example, beside the directory of this test.
pub(crate) fn program() -> PathBuf {
    let test = std::env::current_exe().expect("the path of this test");
    let profile = test.parent().and_then(|deps| deps.parent()).expect("target/<profile>/deps");
    let name = format!("edge{}", std::env::consts::EXE_SUFFIX);
    let program = profile.join("examples").join(name);
    assert!(
        program.is_file(),
        "{} is missing: run `cargo build --example edge` (with --release if the test has it)",
        program.display()
    );
    program
}

/// Runs the program until it ends by itself.
pub(crate) fn run(args: &[&str]) -> Output {
    let mut command = Command::new(program());
    command.args(args).env_remove("EDGE_ADMIN_TOKEN").output().expect("the program runs")
}

/// The same with these variables of the environment.
#[cfg(feature = "s3")]
pub(crate) fn run_in(variables: &[(&str, &str)], args: &[&str]) -> Output {
    let variables = variables.iter().copied();
    Command::new(program()).args(args).envs(variables).output().expect("the program runs")
}

/// A running program. It is killed when this is dropped.
pub(crate) struct Edge {
    child: Child,
    pub(crate) address: SocketAddr,
    /// Where an operator asks, if it has `--admin`.
    pub(crate) admin: Option<SocketAddr>,
}

/// What an operator has to know.
pub(crate) const TOKEN: &str = "the-token-of-these-tests";

impl Edge {
    pub(crate) fn before(origin: SocketAddr) -> Self {
        Self::with(&["--origin", &format!("http://{origin}")])
    }

    pub(crate) fn with(args: &[&str]) -> Self {
        Self::within(&[], args)
    }

    /// With these variables of the environment.
    pub(crate) fn within(variables: &[(&str, &str)], args: &[&str]) -> Self {
        let mut command = Command::new(program());
        // Freed memory goes back at once: a peak is what `edge` holds, not what its allocator keeps.
        command.env("MIMALLOC_PURGE_DELAY", "0").envs(variables.iter().copied());
        Self::of(command, args)
    }

    /// With the environment of `command`, and these arguments.
    pub(crate) fn of(mut command: Command, args: &[&str]) -> Self {
        let mut child = command
            .args(["--listen", "127.0.0.1:0"])
            .args(args)
            .env("EDGE_ADMIN_TOKEN", TOKEN)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the program starts");
        let mut stdout = BufReader::new(child.stdout.take().expect("a piped stdout"));
        let mut address = |before: &str| {
            let mut line = String::new();
            stdout.read_line(&mut line).expect("a line");
            line.trim_end()
                .strip_prefix(before)
                .and_then(|address| address.parse().ok())
                .unwrap_or_else(|| panic!("unexpected line {line:?}"))
        };
        let listen = address("listening on http://");
        let has_admin = |file: &&str| {
            std::fs::read_to_string(file).is_ok_and(|text| text.contains("[admin]\nlisten"))
        };
        let is_told = args.contains(&"--admin") || args.iter().any(has_admin);
        let admin = is_told.then(|| address("admin on http://"));
        Self { child, address: listen, admin }
    }

    /// A new connection of a client.
    pub(crate) fn connect(&self) -> Peer {
        Peer::new(TcpStream::connect(self.address).expect("the program accepts"))
    }

    /// One request on a connection of its own, and the whole response to it.
    pub(crate) fn ask(&self, request: &str) -> Response {
        let mut client = self.connect();
        client.send(request);
        client.response()
    }

    pub(crate) fn get(&self, target: &str) -> Response {
        self.ask(&format!("GET {target} HTTP/1.1\r\nHost: edge.test\r\n\r\n"))
    }

    /// A new connection of an operator.
    pub(crate) fn operator(&self) -> Peer {
        let admin = self.admin.expect("it has --admin");
        Peer::new(TcpStream::connect(admin).expect("the program accepts"))
    }

    /// What an operator is told who says this, as JSON.
    pub(crate) fn told(&self, method: &str, path: &str, body: &str) -> (u16, serde_json::Value) {
        let mut operator = self.operator();
        operator.send(format!(
            "{method} {path} HTTP/1.1\r\nHost: admin\r\nAuthorization: Bearer {TOKEN}\r\n\
             Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        ));
        let response = operator.response();
        let body = serde_json::from_slice(&response.body);
        (response.status(), body.expect("JSON"))
    }

    pub(crate) fn signal(&self, name: &str) {
        let id = self.child.id().to_string();
        let done = Command::new("kill").args(["-s", name, &id]).status().expect("kill runs");
        assert!(done.success());
    }

    pub(crate) fn stderr(&mut self) -> BufReader<ChildStderr> {
        BufReader::new(self.child.stderr.take().expect("stderr was not taken before"))
    }

    /// The exit code, once the program has ended.
    pub(crate) fn ended(&mut self) -> Option<i32> {
        self.child.wait().expect("the program can be waited for").code()
    }

    /// A variable of the environment that the process began with.
    #[cfg(target_os = "linux")]
    pub(crate) fn variable(&self, name: &str) -> Option<String> {
        let path = format!("/proc/{}/environ", self.child.id());
        let environment = std::fs::read(path).expect("the process runs");
        let before = format!("{name}=");
        let found = environment.split(|byte| *byte == 0).find_map(|variable| {
            variable.strip_prefix(before.as_bytes()).map(String::from_utf8_lossy)
        });
        found.map(String::from)
    }

    #[cfg(target_os = "linux")]
    pub(crate) fn peak_memory_kib(&self) -> u64 {
        self.status("VmHWM").parse().expect("a number")
    }

    /// The first word of what the system tells of the process under this name.
    #[cfg(target_os = "linux")]
    pub(crate) fn status(&self, name: &str) -> String {
        let path = format!("/proc/{}/status", self.child.id());
        let status = std::fs::read_to_string(path).expect("a running process");
        let told = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        let word = told.and_then(|told| told.split_whitespace().next());
        word.expect("it is told").to_owned()
    }
}

impl Drop for Edge {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// An origin that does what `script` says, in a thread.
pub(crate) struct Origin {
    pub(crate) address: SocketAddr,
    thread: JoinHandle<()>,
}

impl Origin {
    pub(crate) fn script(script: impl FnOnce(Listener) + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("an address");
        let thread = thread::spawn(move || script(Listener(listener)));
        Self { address, thread }
    }

    /// Each connection gets one request answered with `response`, and is closed.
    pub(crate) fn answering(times: usize, response: &'static [u8]) -> Self {
        Self::script(move |listener| {
            for _ in 0..times {
                let mut edge = listener.accept();
                edge.request();
                edge.send(response);
            }
        })
    }

    /// Passes on what went wrong in the script.
    pub(crate) fn done(self) {
        if let Err(panic) = self.thread.join() {
            std::panic::resume_unwind(panic);
        }
    }
}

pub(crate) struct Listener(TcpListener);

impl From<TcpListener> for Listener {
    fn from(listener: TcpListener) -> Self {
        Self(listener)
    }
}

impl Listener {
    pub(crate) fn accept(&self) -> Peer {
        Peer::new(self.0.accept().expect("a connection").0)
    }

    /// Whether nobody is waiting to be accepted.
    pub(crate) fn is_quiet(&self) -> bool {
        self.0.set_nonblocking(true).expect("a listener");
        let quiet =
            matches!(self.0.accept(), Err(error) if error.kind() == io::ErrorKind::WouldBlock);
        self.0.set_nonblocking(false).expect("a listener");
        quiet
    }
}

/// One side of a connection.
pub(crate) struct Peer {
    stream: BufReader<TcpStream>,
}

/// A message, with each byte of its head as a char: field values need not be UTF-8.
#[derive(Debug)]
pub(crate) struct Response {
    pub(crate) head: String,
    pub(crate) body: Vec<u8>,
}

impl Response {
    pub(crate) fn status(&self) -> u16 {
        let code = self.head.split(' ').nth(1).expect("a status");
        code.parse().expect("a status")
    }

    pub(crate) fn field(&self, name: &str) -> Option<&str> {
        field(&self.head, name)
    }
}

/// The value of a field in a head.
pub(crate) fn field<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    head.lines().skip(1).find_map(|line| {
        let (found, value) = line.split_once(':')?;
        found.eq_ignore_ascii_case(name).then(|| value.trim())
    })
}

impl Peer {
    fn new(stream: TcpStream) -> Self {
        stream.set_read_timeout(Some(PATIENCE)).expect("a socket");
        stream.set_write_timeout(Some(PATIENCE)).expect("a socket");
        stream.set_nodelay(true).expect("a socket");
        Self { stream: BufReader::new(stream) }
    }

    pub(crate) fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.stream.get_mut().write_all(bytes.as_ref()).expect("the peer reads");
    }

    /// The same to a peer that may have heard enough before the end.
    pub(crate) fn send_what_is_taken(&mut self, bytes: impl AsRef<[u8]>) {
        let _ = self.stream.get_mut().write_all(bytes.as_ref());
    }

    pub(crate) fn send_end(&mut self) {
        self.stream.get_mut().shutdown(Shutdown::Write).expect("an open connection");
    }

    /// Closes the connection at once. To drop it is not enough: a child process that another test
    /// is about to start has it too, until it runs its program.
    pub(crate) fn close(self) {
        self.stream.get_ref().shutdown(Shutdown::Both).expect("an open connection");
    }

    /// Closes the connection so that the peer sees an error.
    pub(crate) fn reset(self) {
        let stream = self.stream.into_inner();
        socket2::SockRef::from(&stream).set_linger(Some(Duration::ZERO)).expect("a socket");
    }

    pub(crate) fn take(&mut self, length: usize) -> Vec<u8> {
        let mut bytes = vec![0; length];
        self.stream.read_exact(&mut bytes).expect("the peer sends");
        bytes
    }

    fn line(&mut self) -> Vec<u8> {
        let mut line = Vec::new();
        self.stream.read_until(b'\n', &mut line).expect("the peer sends");
        assert!(line.ends_with(b"\n"), "the connection ended: {line:?}");
        line
    }

    /// A head up to and with its empty line; interim responses are skipped.
    pub(crate) fn head(&mut self) -> String {
        loop {
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                head.extend(self.line());
            }
            let head: String = head.into_iter().map(char::from).collect();
            if !head.starts_with("HTTP/1.1 100") {
                return head;
            }
        }
    }

    /// The next request, unless the connection ends before.
    #[cfg(feature = "origins")]
    pub(crate) fn next_request(&mut self) -> Option<Response> {
        let is_there = self.stream.fill_buf().is_ok_and(|bytes| !bytes.is_empty());
        is_there.then(|| self.request())
    }

    /// A head, and the body if it has a length or chunks.
    pub(crate) fn request(&mut self) -> Response {
        let head = self.head();
        let body = self.framed(&head).unwrap_or_default();
        Response { head, body }
    }

    pub(crate) fn response(&mut self) -> Response {
        let head = self.head();
        let body = self.framed(&head).unwrap_or_else(|| self.rest().expect("an orderly end"));
        Response { head, body }
    }

    fn framed(&mut self, head: &str) -> Option<Vec<u8>> {
        if let Some(length) = field(head, "content-length") {
            return Some(self.take(length.parse().expect("a length")));
        }
        field(head, "transfer-encoding")?;
        let mut body = Vec::new();
        loop {
            let chunk = self.chunk();
            if chunk.is_empty() {
                return Some(body);
            }
            body.extend(chunk);
        }
    }

    /// One chunk; the last one is empty.
    pub(crate) fn chunk(&mut self) -> Vec<u8> {
        let line = String::from_utf8(self.line()).expect("a chunk's size");
        let size = usize::from_str_radix(line.trim_end(), 16).expect("a chunk's size");
        let chunk = self.take(size);
        assert_eq!(self.take(2), b"\r\n");
        chunk
    }

    /// All until the connection ends.
    pub(crate) fn rest(&mut self) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        self.stream.read_to_end(&mut bytes).map(|_| bytes)
    }
}
