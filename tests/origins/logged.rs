//! What the log tells.
use crate::{
    support::{fail, ok, pass},
    told::{group, origins, told},
};
use std::{
    fmt::{Debug, Write},
    sync::{Arc, Mutex},
};
use tracing::{
    Event, Level, Metadata, Subscriber,
    field::{Field, Visit},
    span::{Attributes, Id, Record},
};

/// Keeps the events of this crate, each on a line.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<String>>>);

impl Log {
    fn take(&self) -> Vec<String> {
        std::mem::take(&mut self.0.lock().unwrap())
    }
}

struct Line(String);

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        write!(self.0, " {}={value:?}", field.name()).unwrap();
    }
}

impl Subscriber for Log {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        if event.metadata().target() == "tower_cdn" && *event.metadata().level() <= Level::DEBUG {
            let mut line = Line(event.metadata().level().to_string());
            event.record(&mut line);
            self.0.lock().unwrap().push(line.0);
        }
    }

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

#[tokio::test(start_paused = true)]
async fn each_request_with_its_attempts_and_each_origin_that_goes_or_comes_back() {
    let log = Log::default();
    // As long as a process has one subscriber only, an event that another test comes to first is looked at by the subscriber of that test's thread, which is none, and
    // stays unheard.
    let _another = tracing::Dispatch::new(Log::default());
    let _logging = tracing::subscriber::set_default(log.clone());
    let o @ [a, b] = &origins();
    a.always("/", |_| fail());
    b.always("/", |_| ok(""));
    let client = group(o);
    for _ in 0..2 {
        told(client.get("/")).await;
    }
    let asked = |attempts| format!("DEBUG message=origins asked method=GET attempts={attempts}");
    assert_eq!(log.take(), vec![asked("a=failed, b=200"); 2]);
    told(client.get("/")).await;
    let goes = "WARN message=origin is skipped origin=a".to_owned();
    assert_eq!(log.take(), [goes, asked("a=failed, b=200")]);
    a.says("/", ok(""));
    pass(5).await;
    told(client.get("/")).await;
    let comes = "INFO message=origin is back origin=a".to_owned();
    assert_eq!(log.take(), [comes, asked("a=200")]);
    a.says("/", fail());
    b.says("/", fail());
    told(client.get("/")).await;
    assert_eq!(log.take(), [asked("a=failed, b=failed")], "of an error as well");
}
