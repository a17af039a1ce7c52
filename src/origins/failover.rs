//! One request, and the origins that are asked until one answers well.
use super::{
    Attempt, Attempts, FailoverPolicy, OriginError, OriginName, Outcome, check,
    health::{Change, Permit, Standing},
    member::Member,
    meter::Measured,
    repeat::Outgoing,
    unasked::Unasked,
};
use crate::BoxError;
use http::{Request, Response};
use http_body::Body;
use tokio::time::Instant;
use tower_service::Service;

/// The origins of a group, and its policy.
#[derive(Debug)]
pub(crate) struct Members<S> {
    pub(crate) all: Vec<Member<S>>,
    pub(crate) policy: FailoverPolicy,
}

impl<S> Members<S> {
    pub(crate) fn new(
        policy: FailoverPolicy,
        origins: impl Iterator<Item = (OriginName, S)>,
    ) -> Self {
        Self { all: origins.map(|(name, service)| Member::new(name, service)).collect(), policy }
    }

    /// Asks the origins in this order.
    ///
    /// What comes back if none answers well: the last response, or, if there was none, the last error.
    pub(crate) async fn ask<Q, B>(
        &self,
        order: Vec<usize>,
        request: Request<Q>,
    ) -> Result<Response<B>, OriginError>
    where
        S: Service<Request<Q>, Response = Response<B>> + Clone,
        S::Error: Into<BoxError>,
        Q: Body + Default,
    {
        #[cfg(feature = "tracing")]
        let method = request.method().clone();
        let mut request = Outgoing::new(request);
        let mut told = Told::default();
        let mut members = order.iter().filter_map(|&n| self.all.get(n));
        while let Some(member) = members.next() {
            let now = Instant::now();
            // Who has probed in vain keeps the last attempt for one that is up.
            let is_last = told.asked.saturating_add(1) == self.policy.attempts;
            let is_other_up = || members.clone().any(|m| m.health.standing(now) == Standing::Up);
            let is_kept = told.has_probed && is_last && is_other_up();
            let may_probe = request.is_repeatable() && !is_kept;
            let Some(permit) = member.health.admit(now, may_probe) else {
                told.attempt(member, Outcome::Skipped);
                continue;
            };
            told.has_probed |= permit.is_probe();
            if self.attempt(member, permit, &mut request, &mut told).await
                || !request.is_repeatable()
                || told.asked >= self.policy.attempts
            {
                break;
            }
        }
        if told.asked == 0
            && let Some(member) = self.first_to_return(&order)
        {
            self.attempt(member, member.health.admit_anyway(), &mut request, &mut told).await;
        }
        let result = told.into_result();
        #[cfg(feature = "tracing")]
        log(&method, &result);
        result
    }

    /// Asks one origin; true if it answered well.
    async fn attempt<Q, B>(
        &self,
        member: &Member<S>,
        permit: Permit,
        request: &mut Outgoing<Q>,
        told: &mut Told<B>,
    ) -> bool
    where
        S: Service<Request<Q>, Response = Response<B>> + Clone,
        S::Error: Into<BoxError>,
        Q: Body + Default,
    {
        let limit = request.is_repeatable().then_some(self.policy.timeout);
        let (answer, measured) = member.send(request.next(), limit).await;
        let says_nothing = match &answer {
            // It stays for the group around this one.
            Ok(response) => response.extensions().get::<Unasked>().is_some(),
            Err(error) => error.is_of_broken_upload(),
        };
        if says_nothing {
            drop(permit);
        } else {
            check::log(&member.name, self.report(permit, &answer));
        }
        told.asked = told.asked.saturating_add(1);
        let outcome = match &answer {
            Ok(response) => Outcome::Answered(response.status()),
            Err(error) if error.is_timeout() => Outcome::TimedOut,
            Err(_) => Outcome::Failed,
        };
        told.attempt(member, outcome);
        let is_well = answer.as_ref().is_ok_and(|r| !self.policy.statuses.contains(&r.status()));
        if says_nothing {
            measured.says_nothing();
        } else if is_well {
            measured.answered();
        } else {
            told.failed.push(measured.failed());
        }
        match answer {
            Ok(response) => told.response = Some(response),
            Err(error) => told.error = Some(error),
        }
        is_well
    }

    /// What the answer says of the origin's health.
    fn report<B>(&self, permit: Permit, answer: &Result<Response<B>, OriginError>) -> Change {
        let is_unwell =
            answer.as_ref().map_or(true, |r| self.policy.unhealthy.contains(&r.status()));
        if is_unwell { permit.failed(&self.policy, Instant::now()) } else { permit.succeeded() }
    }

    /// The origin whose pause ends first. All are skipped, so none is better.
    fn first_to_return(&self, order: &[usize]) -> Option<&Member<S>> {
        let members = order.iter().filter_map(|&n| self.all.get(n));
        members.min_by_key(|member| member.health.until())
    }
}

/// What the origins have answered so far.
struct Told<B> {
    attempts: Vec<Attempt>,
    /// To how many origins the request was sent.
    asked: usize,
    has_probed: bool,
    /// Measured until the request has its answer.
    failed: Vec<Measured>,
    response: Option<Response<B>>,
    error: Option<OriginError>,
}

impl<B> Default for Told<B> {
    fn default() -> Self {
        Self {
            attempts: Vec::new(),
            asked: 0,
            has_probed: false,
            failed: Vec::new(),
            response: None,
            error: None,
        }
    }
}

impl<B> Told<B> {
    fn attempt<S>(&mut self, member: &Member<S>, outcome: Outcome) {
        self.attempts.push(Attempt { origin: member.name.clone(), outcome });
    }

    fn into_result(self) -> Result<Response<B>, OriginError> {
        if let Some(mut response) = self.response {
            let attempts = Attempts::new(self.attempts, response.extensions().get());
            response.extensions_mut().insert(attempts);
            return Ok(response);
        }
        let error = self.error.unwrap_or_else(OriginError::empty);
        let attempts = Attempts::new(self.attempts, Some(error.attempts()));
        Err(error.after(attempts))
    }
}

#[cfg(feature = "tracing")]
fn log<B>(method: &http::Method, result: &Result<Response<B>, OriginError>) {
    let attempts = match result {
        Ok(response) => response.extensions().get::<Attempts>(),
        Err(error) => Some(error.attempts()),
    };
    let attempts = attempts.map(tracing::field::display);
    tracing::debug!(target: "tower_cdn", %method, attempts, "origins asked");
}
