//! Replies: the API's JSON (or XML) shapes and the answers of faults. PURE.

use jiff::Timestamp;
use serde_json::{Map, Value, json};

use crate::clock::http_date;
use crate::fault::Answer;
use crate::numbers::Data;
use crate::settings::{Refusal, Replies};
use crate::sts::STS_ACTIONS;

/// The reply to the client.
#[derive(Clone, Debug)]
pub struct Reply {
    pub status: u16,
    /// Header lines in addition to `Content-Length` and `Connection`.
    pub headers: Vec<(&'static str, String)>,
    pub body: Body,
    /// `Code`, for the ledger.
    pub code: Option<String>,
}

/// A body, in memory or generated while it is sent.
#[derive(Clone, Debug)]
pub enum Body {
    /// These bytes.
    Bytes(Vec<u8>),
    /// An API reply of this many bytes, with a Message of `a`s that never ends.
    Huge(u64),
}

const HUGE_START: &[u8] = br#"{"Code":"OK","Message":""#;

impl Body {
    /// Length in bytes.
    pub fn len(&self) -> u64 {
        match self {
            Self::Bytes(bytes) => u64::try_from(bytes.len()).unwrap_or(u64::MAX),
            Self::Huge(length) => *length,
        }
    }

    /// At most `most` bytes from `from` on.
    pub fn part(&self, from: u64, most: u64) -> Vec<u8> {
        let end = from.saturating_add(most).min(self.len());
        let at = |n: u64| usize::try_from(n).unwrap_or(usize::MAX);
        match self {
            Self::Bytes(bytes) => bytes.get(at(from)..at(end)).unwrap_or_default().to_vec(),
            Self::Huge(_) => (from..end)
                .map(|i| HUGE_START.get(at(i)).copied().unwrap_or(b'a'))
                .collect(),
        }
    }
}

impl Reply {
    /// The head, as bytes on the wire.
    pub fn head(&self, close: bool) -> String {
        let mut head = format!("HTTP/1.1 {} {}\r\n", self.status, phrase(self.status));
        for (name, value) in &self.headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        let connection = if close { "close" } else { "keep-alive" };
        head.push_str(&format!(
            "Content-Length: {}\r\nConnection: {connection}\r\n\r\n",
            self.body.len()
        ));
        head
    }

    /// A JSON reply without the gateway's headers, for the admin interface.
    pub fn plain_json(status: u16, value: &Value) -> Self {
        Self {
            status,
            headers: vec![("Content-Type", "application/json".to_owned())],
            body: Body::Bytes(format!("{value}\n").into_bytes()),
            code: None,
        }
    }
}

/// The shape in which the client wants its answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// `Format=JSON` in any case, and V3.
    Json,
    /// Everything else, since the documented default of RPC v1 is XML.
    Xml,
}

/// The fields common to all replies to one request.
#[derive(Clone, Debug)]
pub struct Letterhead {
    pub request_id: String,
    /// The `Host` the client named.
    pub host: String,
    pub action: String,
    /// The gateway's clock.
    pub date: Timestamp,
    /// JSON or XML.
    pub format: Format,
}

impl Letterhead {
    /// A successful call.
    pub fn success(&self, data: &Data, shape: Replies, message: Option<&str>) -> Reply {
        let mut body = Map::new();
        body.insert("RequestId".into(), json!(self.request_id));
        body.insert("Code".into(), json!("OK"));
        body.insert("Message".into(), json!(message.unwrap_or("SUCCESS")));
        let mut fields = Map::new();
        if let Some(phone) = data.phone.as_ref().filter(|_| !shape.omit_phone) {
            let phone = if shape.mask_phone {
                masked(phone)
            } else {
                phone.clone()
            };
            fields.insert("PhoneNumber".into(), json!(phone));
        }
        if let Some(id) = data.id.as_ref().filter(|_| !shape.omit_id) {
            fields.insert("Id".into(), json!(id));
        }
        if let Some(status) = data.status {
            fields.insert("Status".into(), json!(status));
        }
        if let Some(verification) = data.verification {
            fields.insert("CodeVerificationStatus".into(), json!(verification));
        }
        if *data != Data::default() && !shape.omit_data {
            body.insert("Data".into(), Value::Object(fields));
        }
        self.shaped(200, &Value::Object(body), Some("OK"))
    }

    /// A successful call of STS: it has no Code and no Data.
    pub fn sts(&self, mut body: Value) -> Reply {
        body["RequestId"] = json!(self.request_id);
        self.shaped(200, &body, Some("OK"))
    }

    /// A refusal: the gateway's shape with HostId and Recommend from 400 on, below it the
    /// business shape.
    pub fn refusal(&self, refusal: &Refusal, message: Option<&str>) -> Reply {
        let code = &refusal.code;
        let mut body = json!({
            "RequestId": self.request_id,
            "Code": code,
            "Message": message.unwrap_or(&refusal.message),
        });
        if refusal.status >= 400 {
            body["HostId"] = json!(self.host);
            body["Recommend"] = json!(format!(
                "https://api.alibabacloud.com/troubleshoot?q={code}&product=Cams&requestId={}",
                self.request_id
            ));
        }
        if matches!(
            code.as_str(),
            "Ram.PermissionDeny" | "NoPermission" | "Forbidden.RAM"
        ) {
            body["AccessDeniedDetail"] = json!({
                "AuthAction": format!("{}:{}", self.service(), self.action),
                "AuthPrincipalType": "SubUser",
                "NoPermissionType": "ImplicitDeny",
                "PolicyType": "AccountLevelIdentityBasedPolicy",
            });
        }
        let mut reply = self.shaped(refusal.status, &body, Some(code));
        if let Some(ms) = refusal.retry_after_ms {
            reply.headers.push(("x-acs-retry-after", ms.to_string()));
        }
        reply
    }

    /// The answer of a fault; `real` is the real reply if the call was executed.
    pub fn answer(&self, answer: &Answer, real: Option<&Reply>) -> Reply {
        match answer {
            Answer::Html { status } => {
                let page = format!(
                    "<html><head><title>{status} {0}</title></head><body><h1>{0}</h1></body></html>\n",
                    phrase(*status)
                );
                self.reply(*status, "text/html; charset=utf-8", page.into_bytes())
            }
            Answer::Empty { status } => {
                self.reply(*status, "application/json;charset=utf-8", Vec::new())
            }
            Answer::TruncatedJson => {
                let whole = match real.map(|reply| &reply.body) {
                    Some(Body::Bytes(bytes)) => bytes.clone(),
                    Some(Body::Huge(_)) | None => {
                        format!(r#"{{"RequestId":"{}","Code":"OK"}}"#, self.request_id).into_bytes()
                    }
                };
                let half = whole.get(..whole.len() / 2).unwrap_or_default().to_vec();
                self.reply(200, "application/json;charset=utf-8", half)
            }
            Answer::EmptyObject => self.shaped(200, &json!({}), None),
            Answer::Api { refusal } => self.refusal(refusal, None),
            Answer::Redirect { url } => {
                let mut reply = self.reply(307, "text/html; charset=utf-8", Vec::new());
                reply.headers.push(("Location", url.clone()));
                reply
            }
            Answer::Huge { bytes } => {
                let mut reply = self.reply(200, "application/json;charset=utf-8", Vec::new());
                reply.body = Body::Huge(*bytes);
                reply
            }
            Answer::Raw {
                status,
                content_type,
                body,
            } => self.reply(*status, content_type, body.clone().into_bytes()),
        }
    }

    fn service(&self) -> &'static str {
        let of_sts = STS_ACTIONS.iter().any(|(name, _)| *name == self.action);
        if of_sts { "sts" } else { "cams" }
    }

    fn shaped(&self, status: u16, body: &Value, code: Option<&str>) -> Reply {
        let mut reply = match self.format {
            Format::Json => self.reply(
                status,
                "application/json;charset=utf-8",
                body.to_string().into_bytes(),
            ),
            Format::Xml => {
                let root = if status < 400 {
                    format!("{}Response", self.action)
                } else {
                    "Error".to_owned()
                };
                let xml = format!("<?xml version='1.0' encoding='UTF-8'?>{}", xml(&root, body));
                self.reply(status, "text/xml;charset=utf-8", xml.into_bytes())
            }
        };
        reply.code = code.map(str::to_owned);
        reply
    }

    fn reply(&self, status: u16, content_type: &str, body: Vec<u8>) -> Reply {
        Reply {
            status,
            headers: vec![
                ("Date", http_date(self.date)),
                ("Content-Type", content_type.to_owned()),
                ("x-acs-request-id", self.request_id.clone()),
            ],
            body: Body::Bytes(body),
            code: None,
        }
    }
}

/// A number with its last four digits hidden.
pub fn masked(phone: &str) -> String {
    let keep = phone.chars().count().saturating_sub(4);
    let mut masked: String = phone.chars().take(keep).collect();
    masked.push_str("****");
    masked
}

fn xml(name: &str, value: &Value) -> String {
    let inner = match value {
        Value::Object(fields) => fields
            .iter()
            .map(|(name, value)| xml(name, value))
            .collect(),
        Value::String(text) => text
            .replace('&', "&amp;")
            .replace('<', "&lt;")
            .replace('>', "&gt;"),
        other => other.to_string(),
    };
    format!("<{name}>{inner}</{name}>")
}

fn phrase(status: u16) -> &'static str {
    match status {
        200 => "OK",
        307 => "Temporary Redirect",
        400 => "Bad Request",
        403 => "Forbidden",
        404 => "Not Found",
        409 => "Conflict",
        422 => "Unprocessable Entity",
        429 => "Too Many Requests",
        500 => "Internal Server Error",
        502 => "Bad Gateway",
        503 => "Service Unavailable",
        504 => "Gateway Timeout",
        _ => "Status",
    }
}
