//! An OTLP collector that keeps the data that it receives.

use std::convert::Infallible;
use std::sync::{Arc, Mutex};

use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue};
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message;

/// Listens on loopback until the test ends.
pub struct Collector {
    pub url: String,
    kept: Arc<Mutex<Kept>>,
}

/// The received data, decoded.
#[derive(Clone, Debug, Default)]
pub struct Kept {
    /// Each request's path and header `x-tenant`.
    pub requests: Vec<(String, String)>,
    /// Attributes of the resources.
    pub resource: Vec<KeyValue>,
    /// All spans.
    pub spans: Vec<Span>,
}

impl Collector {
    pub async fn start() -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let kept = Arc::new(Mutex::new(Kept::default()));
        let keeper = Arc::clone(&kept);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let kept = Arc::clone(&keeper);
                tokio::spawn(async move {
                    let service = service_fn(|request| keep(request, Arc::clone(&kept)));
                    let connection = http1::Builder::new();
                    let _ = connection
                        .serve_connection(TokioIo::new(stream), service)
                        .await;
                });
            }
        });
        Self { url, kept }
    }

    pub fn kept(&self) -> Kept {
        self.kept.lock().unwrap().clone()
    }
}

async fn keep(
    request: Request<Incoming>,
    kept: Arc<Mutex<Kept>>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let path = request.uri().path().to_owned();
    let header = |name| {
        let value = request.headers().get(name);
        value.map_or("", |v| v.to_str().unwrap()).to_owned()
    };
    assert_eq!(header("content-type"), "application/x-protobuf");
    let tenant = header("x-tenant");
    let body = request.into_body().collect().await.unwrap().to_bytes();
    let decoded = ExportTraceServiceRequest::decode(body).unwrap();
    let mut kept = kept.lock().unwrap();
    kept.requests.push((path, tenant));
    for of_resource in decoded.resource_spans {
        kept.resource
            .extend(of_resource.resource.unwrap().attributes);
        for of_scope in of_resource.scope_spans {
            kept.spans.extend(of_scope.spans);
        }
    }
    // An empty ExportTraceServiceResponse has no bytes.
    Ok(Response::new(Full::default()))
}

/// The text of an attribute, `""` if it is absent.
pub fn text<'a>(attributes: &'a [KeyValue], key: &str) -> &'a str {
    let found = attributes.iter().find(|attribute| attribute.key == key);
    let value = found.and_then(|attribute| attribute.value.as_ref());
    match value {
        Some(AnyValue {
            value: Some(Value::StringValue(text)),
        }) => text,
        _ => "",
    }
}
