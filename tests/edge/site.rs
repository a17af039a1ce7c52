//! An origin that answers any number of requests, and can be killed and come back.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};

/// An origin whose answers are made of the heads of requests, and which keeps these heads.
pub(crate) struct Site {
    pub(crate) address: SocketAddr,
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

struct Shared {
    answer: Box<dyn Fn(&str) -> String + Send + Sync>,
    requests: AtomicUsize,
    heads: Mutex<Vec<String>>,
    is_over: AtomicBool,
    open: Mutex<Vec<TcpStream>>,
}

/// A whole response with this body, and fields that end with a line's end each.
pub(crate) fn response(status: &str, fields: &str, body: &str) -> String {
    format!("HTTP/1.1 {status}\r\n{fields}Content-Length: {}\r\n\r\n{body}", body.len())
}

impl Site {
    /// `answer` gets the head of a request, and gives a whole response.
    pub(crate) fn new(answer: impl Fn(&str) -> String + Send + Sync + 'static) -> Self {
        Self::at(SocketAddr::from(([127, 0, 0, 1], 0)), answer)
    }

    pub(crate) fn at(
        address: SocketAddr,
        answer: impl Fn(&str) -> String + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind(address).expect("a free port");
        let address = listener.local_addr().expect("an address");
        let shared = Arc::new(Shared {
            answer: Box::new(answer),
            requests: AtomicUsize::new(0),
            heads: Mutex::default(),
            is_over: AtomicBool::new(false),
            open: Mutex::default(),
        });
        let own = Arc::clone(&shared);
        let thread = thread::spawn(move || accept(&listener, &own));
        Self { address, shared, thread: Some(thread) }
    }

    /// It says always the same.
    pub(crate) fn saying(text: &'static str, cache_control: &'static str) -> Self {
        let fields = format!("Cache-Control: {cache_control}\r\n");
        Self::new(move |_| response("200 OK", &fields, text))
    }

    pub(crate) fn requests(&self) -> usize {
        self.shared.requests.load(Ordering::SeqCst)
    }

    /// The heads of all requests so far.
    pub(crate) fn heads(&self) -> Vec<String> {
        self.shared.heads.lock().expect("no panic").clone()
    }

    /// Ends at once, with all its connections, and leaves the address free.
    pub(crate) fn kill(mut self) -> SocketAddr {
        self.end();
        self.address
    }

    fn end(&mut self) {
        self.shared.is_over.store(true, Ordering::SeqCst);
        // Wakes the one that accepts.
        let _ = TcpStream::connect(self.address);
        if let Some(thread) = self.thread.take() {
            thread.join().expect("no panic");
        }
        for connection in self.shared.open.lock().expect("no panic").drain(..) {
            let _ = connection.shutdown(Shutdown::Both);
        }
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        self.end();
    }
}

fn accept(listener: &TcpListener, shared: &Arc<Shared>) {
    for connection in listener.incoming() {
        if shared.is_over.load(Ordering::SeqCst) {
            return;
        }
        let Ok(connection) = connection else { continue };
        let _ = connection.set_nodelay(true);
        let clone = connection.try_clone().expect("a socket");
        shared.open.lock().expect("no panic").push(clone);
        let shared = Arc::clone(shared);
        thread::spawn(move || serve(connection, &shared));
    }
}

/// Until either side ends the connection.
fn serve(connection: TcpStream, shared: &Shared) {
    let mut connection = BufReader::new(connection);
    loop {
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            match connection.read_line(&mut head) {
                Ok(0) | Err(_) => return,
                Ok(_) => {}
            }
        }
        let length = head
            .to_ascii_lowercase()
            .lines()
            .find_map(|line| line.strip_prefix("content-length:")?.trim().parse::<usize>().ok());
        if connection.read_exact(&mut vec![0; length.unwrap_or(0)]).is_err() {
            return;
        }
        shared.requests.fetch_add(1, Ordering::SeqCst);
        shared.heads.lock().expect("no panic").push(head.clone());
        let answer = (shared.answer)(&head);
        if connection.get_mut().write_all(answer.as_bytes()).is_err() {
            return;
        }
    }
}
