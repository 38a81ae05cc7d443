//! Traces: one span for each attempt, sent to an OpenTelemetry collector by OTLP over HTTP
//! (protobuf). Off unless an endpoint is configured.
//!
//! The spans are those of `tracing`, so they hold the same fields as the log: no code, key or phone
//! number. Spans of dependencies are never exported.
//!
//! Limits: if the collector does not keep up, spans are dropped; an attempt never waits for it.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use opentelemetry::KeyValue;
use opentelemetry::trace::TracerProvider;
use opentelemetry_http::{Bytes, HttpClient, HttpError, Request, Response};
use opentelemetry_otlp::{Protocol, SpanExporter, WithExportConfig, WithHttpConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::SdkTracerProvider;
use tokio::runtime::Handle;
use tracing::{Level, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::filter::filter_fn;
use tracing_subscriber::registry::LookupSpan;

use super::{OWN_TARGET, TelemetryError, within};
use crate::tls;

/// Also the name of the service in traces.
const SERVICE: &str = env!("CARGO_PKG_NAME");
/// Path below the base URL, as OTLP defines it.
const PATH: &str = "/v1/traces";
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
const EXPORT_TIMEOUT: Duration = Duration::from_secs(10);
/// Time to send the remaining spans when the process ends; inside the manifests' grace period.
const FLUSH_WITHIN: Duration = Duration::from_secs(3);
/// Longest part of a collector's reply that is read.
const MAX_REPLY: usize = 64 * 1024;

/// The exporter of this process.
pub struct Traces {
    provider: SdkTracerProvider,
}

impl Traces {
    /// Exports to the collector at this base URL from a thread of its own; the requests run in
    /// `runtime`. Uses `OTEL_EXPORTER_OTLP_HEADERS` and `OTEL_RESOURCE_ATTRIBUTES`.
    ///
    /// # Errors
    /// When the HTTP client or the exporter cannot be built.
    pub fn new(endpoint: &str, runtime: Handle) -> Result<Self, TelemetryError> {
        let failed = |error: &dyn std::fmt::Display| TelemetryError::Traces(error.to_string());
        let tls = tls::client_config(Vec::new()).map_err(|e| failed(&e))?;
        let client = reqwest::Client::builder()
            .tls_backend_preconfigured(tls)
            .http1_only()
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .connect_timeout(CONNECT_TIMEOUT)
            .timeout(EXPORT_TIMEOUT)
            .build()
            .map_err(|e| failed(&e.without_url()))?;
        let exporter = SpanExporter::builder()
            .with_http()
            .with_http_client(Sender {
                client,
                runtime,
                failing: AtomicBool::new(false),
            })
            .with_protocol(Protocol::HttpBinary)
            .with_endpoint(format!("{endpoint}{PATH}"))
            .build()
            .map_err(|e| failed(&e))?;
        let version = KeyValue::new("service.version", env!("CARGO_PKG_VERSION"));
        let resource = Resource::builder()
            .with_service_name(SERVICE)
            .with_attribute(version)
            .build();
        let provider = SdkTracerProvider::builder()
            .with_batch_exporter(exporter)
            .with_resource(resource)
            .build();
        Ok(Self { provider })
    }

    /// The layer that turns this crate's `tracing` spans into spans of a trace.
    pub(super) fn layer<S>(&self) -> impl Layer<S> + Send + Sync + use<S>
    where
        S: Subscriber + for<'a> LookupSpan<'a> + Send + Sync,
    {
        let ours = filter_fn(|metadata| {
            within(metadata.target(), OWN_TARGET) && *metadata.level() <= Level::INFO
        });
        tracing_opentelemetry::layer()
            .with_tracer(self.provider.tracer(SERVICE))
            .with_location(false)
            .with_threads(false)
            .with_tracked_inactivity(false)
            .with_filter(ours)
    }

    /// Sends the remaining spans. Call it outside the runtime, while the runtime's threads still
    /// run.
    pub fn shut_down(self) {
        // A failing collector has already been logged.
        let _ = self.provider.shutdown_with_timeout(FLUSH_WITHIN);
    }
}

/// Sends batches; the exporter's own thread runs outside the runtime.
#[derive(Debug)]
struct Sender {
    client: reqwest::Client,
    runtime: Handle,
    failing: AtomicBool,
}

#[async_trait]
impl HttpClient for Sender {
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let sent = self.runtime.spawn(send(self.client.clone(), request));
        let result = match sent.await {
            Ok(result) => result,
            Err(error) => Err(error.into()),
        };
        let problem = match &result {
            Ok(reply) if reply.status().is_success() => None,
            Ok(reply) => Some(format!("HTTP {}", reply.status().as_u16())),
            Err(error) => Some(error.to_string()),
        };
        let failed_before = self.failing.swap(problem.is_some(), Ordering::Relaxed);
        match (failed_before, problem) {
            (false, Some(error)) => {
                tracing::warn!(error, "Traces are not exported, and lost until they are");
            }
            (true, None) => tracing::info!("Traces are exported again"),
            (true, Some(_)) | (false, None) => {}
        }
        result
    }
}

async fn send(
    client: reqwest::Client,
    request: Request<Bytes>,
) -> Result<Response<Bytes>, HttpError> {
    let request = reqwest::Request::try_from(request).map_err(reqwest::Error::without_url)?;
    let mut reply = client
        .execute(request)
        .await
        .map_err(reqwest::Error::without_url)?;
    let mut body = Vec::new();
    while let Some(chunk) = reply.chunk().await.map_err(reqwest::Error::without_url)? {
        if body.len() + chunk.len() > MAX_REPLY {
            return Err("the collector's reply is too large".into());
        }
        body.extend_from_slice(&chunk);
    }
    let mut response = Response::new(Bytes::from(body));
    *response.status_mut() = reply.status();
    *response.headers_mut() = reply.headers().clone();
    Ok(response)
}
