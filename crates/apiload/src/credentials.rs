//! The headers that prove who asks. They are made beside the load: a token that is fetched while a request waits for it
//! would be time that the server did not take.

use std::convert::Infallible;
use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Request, Response};
use http_body_util::Empty;
use kube::Config;
use kube::client::ConfigExt as _;
use tokio::runtime::Handle;
use tower::{BoxError, Layer as _, ServiceExt as _, service_fn};

/// How often a token that may expire is looked at. kube renews it a minute before it does.
const EVERY: Duration = Duration::from_secs(10);

/// The headers, as they are now.
pub(crate) struct Credentials {
    config: Config,
    headers: RwLock<Arc<HeaderMap>>,
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials").finish_non_exhaustive()
    }
}

impl Credentials {
    /// Makes the headers for the first time.
    pub(crate) async fn new(config: Config) -> Result<Self, String> {
        let headers = fetch(config.clone()).await?;
        Ok(Self { config, headers: RwLock::new(Arc::new(headers)) })
    }

    /// The headers.
    pub(crate) fn headers(&self) -> Arc<HeaderMap> {
        Arc::clone(&self.headers.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Keeps the headers valid for as long as it is polled. Where a token cannot be renewed the old one is sent on: the
    /// apiserver's 401 is then counted like any other answer.
    pub(crate) async fn renew(&self) -> Infallible {
        loop {
            tokio::time::sleep(EVERY).await;
            if let Ok(headers) = fetch(self.config.clone()).await {
                *self.headers.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(headers);
            }
        }
    }
}

/// Runs a request through kube's layers and keeps the headers that they put on it.
///
/// kube runs an exec plugin with a call that blocks, so this has a thread of its own.
async fn fetch(config: Config) -> Result<HeaderMap, String> {
    let runtime = Handle::current();
    let made = tokio::task::spawn_blocking(move || runtime.block_on(through_layers(&config)));
    made.await.map_err(|lost| lost.to_string())?.map_err(|bad| format!("credentials: {bad}"))
}

async fn through_layers(config: &Config) -> Result<HeaderMap, BoxError> {
    let request = Request::new(Empty::<Bytes>::new());
    let echo = service_fn(|request: Request<Empty<Bytes>>| async move {
        let mut response = Response::new(());
        *response.headers_mut() = request.into_parts().0.headers;
        Ok::<_, BoxError>(response)
    });
    let echo = config.extra_headers_layer()?.layer(echo);
    let response = match config.auth_layer()? {
        Some(auth) => auth.layer(echo).oneshot(request).await?,
        None => echo.oneshot(request).await?,
    };
    Ok(response.into_parts().0.headers)
}
