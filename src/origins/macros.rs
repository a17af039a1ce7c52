//! What the groups have in common: how they are made, checked and asked. They differ in the order in which they ask.

macro_rules! group {
    ($Group:ident $({ $($own:ident),* })?) => {
        impl<S> $Group<S> {
            /// These origins, by name, with the default policy.
            pub fn new<N>(origins: impl IntoIterator<Item = (N, S)>) -> Self
            where
                N: Into<$crate::origins::OriginName>,
            {
                Self::with_policy($crate::origins::FailoverPolicy::default(), origins)
            }

            /// These origins, by name, with this policy.
            pub fn with_policy<N>(
                policy: $crate::origins::FailoverPolicy,
                origins: impl IntoIterator<Item = (N, S)>,
            ) -> Self
            where
                N: Into<$crate::origins::OriginName>,
            {
                let origins = origins.into_iter().map(|(name, service)| (name.into(), service));
                Self::from_members(std::sync::Arc::new(
                    $crate::origins::failover::Members::new(policy, origins),
                ))
            }

            /// Also checks each origin every so often: `check` gets its service and says whether it is well. A check that fails, that takes
            /// longer than `every`, or that panics, counts as a request that fails; one that succeeds ends the pause of an origin that is skipped.
            ///
            /// The checks are made by a task that ends when the last clone of this group is dropped. Replaces an earlier check.
            ///
            /// # Panics
            /// Outside of a tokio runtime.
            #[must_use]
            pub fn check<C, F>(mut self, every: std::time::Duration, check: C) -> Self
            where
                S: Clone + Send + Sync + 'static,
                C: Fn(S) -> F + Send + 'static,
                F: Future<Output = bool> + Send + 'static,
            {
                let members = std::sync::Arc::clone(&self.members);
                self.checks = Some($crate::origins::check::start(members, every, check));
                self
            }
        }

        impl<S> Clone for $Group<S> {
            fn clone(&self) -> Self {
                Self {
                    members: self.members.clone(),
                    checks: self.checks.clone(),
                    $($($own: self.$own.clone(),)*)?
                }
            }
        }

        impl<S, Q, B> tower_service::Service<http::Request<Q>> for $Group<S>
        where
            S: tower_service::Service<http::Request<Q>, Response = http::Response<B>>,
            S: Clone + Send + Sync + 'static,
            S::Future: Send,
            S::Error: Into<$crate::BoxError>,
            Q: http_body::Body + Default + Send + 'static,
            B: Send + 'static,
        {
            type Response = http::Response<B>;
            type Error = $crate::origins::OriginError;
            type Future = $crate::origins::ResponseFuture<B>;

            /// Always ready: a request waits for the readiness of the origins that it is sent to.
            fn poll_ready(
                &mut self,
                _: &mut std::task::Context<'_>,
            ) -> std::task::Poll<Result<(), Self::Error>> {
                std::task::Poll::Ready(Ok(()))
            }

            fn call(&mut self, request: http::Request<Q>) -> Self::Future {
                let (head, body) = request.into_parts();
                let order = self.order(&head);
                let request = http::Request::from_parts(head, body);
                let members = std::sync::Arc::clone(&self.members);
                $crate::origins::ResponseFuture::new(async move {
                    members.ask(order, request).await
                })
            }
        }
    };
}
