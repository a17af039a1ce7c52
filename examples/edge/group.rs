//! Several origins that stand for one.

use std::time::Duration;

use hyper::header::{self, HeaderValue};
use hyper::http::uri::PathAndQuery;
use hyper::{Method, Request, StatusCode, Uri};
use tower::ServiceExt;
use tower_cdn::KeyPolicy;
use tower_cdn::origins::{FailoverPolicy, Nearest, OriginGroup, Sharded};

use crate::body::RequestBody;
use crate::upstream::Upstream;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct GroupPlan {
    pub(crate) kind: GroupKind,
    pub(crate) members: Vec<String>,
    pub(crate) failover: FailoverPolicy,
    pub(crate) check: Option<CheckPlan>,
    /// By what objects are told apart that lie in one place each.
    pub(crate) keys: Option<KeyPolicy>,
}

/// In which order the members are asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum GroupKind {
    Failover,
    Nearest,
    Sharded,
}

/// How members are asked whether they are well.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct CheckPlan {
    pub(crate) path: PathAndQuery,
    pub(crate) every: Duration,
    /// That of the member if there is none.
    pub(crate) host: Option<HeaderValue>,
    /// Any that is no error if there is no list.
    pub(crate) statuses: Option<Vec<StatusCode>>,
}

type Members = Vec<(String, Upstream)>;

impl GroupPlan {
    /// The group of these members, of which the plan has the names.
    pub(crate) fn build(&self, members: Members) -> Upstream {
        let policy = self.failover.clone();
        let ask = |check: CheckPlan| move |member| check.clone().ask(member);
        match self.kind {
            GroupKind::Failover => {
                let group = OriginGroup::with_policy(policy, members);
                Upstream::new(match &self.check {
                    Some(check) => group.check(check.every, ask(check.clone())),
                    None => group,
                })
            }
            GroupKind::Nearest => {
                let group = Nearest::with_policy(policy, members);
                Upstream::new(match &self.check {
                    Some(check) => group.check(check.every, ask(check.clone())),
                    None => group,
                })
            }
            GroupKind::Sharded => {
                let keys = self.keys.clone().unwrap_or_default();
                let group = Sharded::with_policy(policy, members).key_policy(keys);
                Upstream::new(match &self.check {
                    Some(check) => group.check(check.every, ask(check.clone())),
                    None => group,
                })
            }
        }
    }
}

impl CheckPlan {
    async fn ask(self, member: Upstream) -> bool {
        let mut request = Request::new(RequestBody::default());
        *request.method_mut() = Method::GET;
        *request.uri_mut() = Uri::from(self.path);
        if let Some(host) = self.host {
            request.headers_mut().insert(header::HOST, host);
        }
        let Ok(response) = member.oneshot(request).await else { return false };
        let status = response.status();
        match self.statuses {
            Some(statuses) => statuses.contains(&status),
            None => !status.is_client_error() && !status.is_server_error(),
        }
    }
}
