//! A handle hears what a regional tier has to be told of.
use super::{Handle, Handles};
use crate::{Changed, origins::TellChanged};

impl TellChanged for Handle {
    async fn tell(&self, changed: Changed) {
        self.changed(&changed);
    }
}

impl TellChanged for Handles {
    async fn tell(&self, changed: Changed) {
        self.changed(&changed);
    }
}
