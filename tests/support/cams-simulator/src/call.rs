//! A request read as an API call: parameters, signature and signed time, of v1 or V3. PURE.

use crate::encoding::parse_form;
use crate::http::Request;
use crate::ledger::Algorithm;
use crate::reply::Format;
use crate::rules::Facts;
use crate::sign::{ACS3, acs3_canonical_request, acs3_string_to_sign, rpc_string_to_sign};

type Pairs = Vec<(String, String)>;

/// An API call, not checked yet.
#[derive(Clone, Debug)]
pub struct Call {
    /// `GET`, `POST`, …
    pub method: String,
    /// The URL's path; the API has only `/`.
    pub path: String,
    pub host: String,
    pub algorithm: Algorithm,
    /// `Action`, empty if there is none.
    pub action: String,
    pub version: Option<String>,
    pub key_id: Option<String>,
    pub token: Option<String>,
    pub nonce: Option<String>,
    /// Signed time, as sent.
    pub timestamp: Option<String>,
    pub signature: Option<String>,
    /// Shape of the answer.
    pub format: Format,
    /// The signed text and its method.
    pub signed: Signed,
    params: Pairs,
    /// A parameter is not UTF-8.
    pub malformed: bool,
}

/// The signed text, as the gateway sees it.
#[derive(Clone, Debug)]
pub enum Signed {
    /// RPC v1, with `SignatureMethod` and `SignatureVersion` as sent.
    Rpc {
        text: String,
        /// `SignatureMethod`.
        method: Option<String>,
        /// `SignatureVersion`.
        version: Option<String>,
    },
    /// V3.
    Acs3 {
        canonical: String,
        text: String,
        /// A header that has to be signed and is not.
        unsigned: Option<&'static str>,
        /// The algorithm of the `Authorization` header is supported.
        known: bool,
    },
}

const MUST_BE_SIGNED: [&str; 6] = [
    "host",
    "x-acs-action",
    "x-acs-content-sha256",
    "x-acs-date",
    "x-acs-signature-nonce",
    "x-acs-version",
];

impl Call {
    /// Reads a request. Never fails: the checks find missing parameters.
    pub fn read(request: &Request) -> Self {
        let authorization = request.header("authorization").unwrap_or_default();
        let query = parse_form(&request.query);
        let is_form = request
            .header("content-type")
            .is_some_and(|kind| kind.starts_with("application/x-www-form-urlencoded"));
        let form = if is_form {
            std::str::from_utf8(&request.body).ok().and_then(parse_form)
        } else {
            Some(Vec::new())
        };
        let malformed = query.is_none() || form.is_none();
        let (query, form) = (query.unwrap_or_default(), form.unwrap_or_default());
        let mut call = if authorization.starts_with("ACS3-") {
            Self::read_acs3(request, authorization, query, form)
        } else {
            Self::read_rpc(request, query, form)
        };
        call.malformed = malformed;
        call
    }

    fn read_rpc(request: &Request, query: Pairs, form: Pairs) -> Self {
        let mut params = query;
        params.extend(form);
        let text = rpc_string_to_sign(&request.method, &params);
        let own = |name: &str| find(&params, name);
        let json = own("Format").is_some_and(|format| format.eq_ignore_ascii_case("json"));
        Self {
            method: request.method.clone(),
            path: request.path.clone(),
            host: request.header("host").unwrap_or_default().to_owned(),
            algorithm: Algorithm::V1,
            action: own("Action").unwrap_or_default(),
            version: own("Version"),
            key_id: own("AccessKeyId"),
            token: own("SecurityToken"),
            nonce: own("SignatureNonce"),
            timestamp: own("Timestamp"),
            signature: own("Signature"),
            format: if json { Format::Json } else { Format::Xml },
            signed: Signed::Rpc {
                text,
                method: own("SignatureMethod"),
                version: own("SignatureVersion"),
            },
            params,
            malformed: false,
        }
    }

    fn read_acs3(request: &Request, authorization: &str, query: Pairs, form: Pairs) -> Self {
        let (algorithm, rest) = authorization.split_once(' ').unwrap_or((authorization, ""));
        let part = |name: &str| {
            rest.split(',')
                .filter_map(|part| part.trim().split_once('='))
                .find(|(have, _)| *have == name)
                .map(|(_, value)| value.to_owned())
        };
        let names = part("SignedHeaders").unwrap_or_default();
        let names: Vec<_> = names.split(';').filter(|name| !name.is_empty()).collect();
        let headers: Pairs = names
            .iter()
            .map(|name| {
                let value = request.header(name).unwrap_or_default();
                ((*name).to_owned(), value.to_owned())
            })
            .collect();
        let canonical = acs3_canonical_request(
            &request.method,
            &request.path,
            &query,
            &headers,
            &request.body,
        );
        let header = |name: &str| request.header(name).map(str::to_owned);
        let token_unsigned =
            header("x-acs-security-token").is_some() && !names.contains(&"x-acs-security-token");
        let unsigned = MUST_BE_SIGNED
            .into_iter()
            .find(|must| !names.contains(must))
            .or(token_unsigned.then_some("x-acs-security-token"));
        let mut params = query;
        params.extend(form);
        Self {
            method: request.method.clone(),
            path: request.path.clone(),
            host: header("host").unwrap_or_default(),
            algorithm: Algorithm::V3,
            format: Format::Json,
            action: header("x-acs-action").unwrap_or_default(),
            version: header("x-acs-version"),
            key_id: part("Credential"),
            token: header("x-acs-security-token"),
            nonce: header("x-acs-signature-nonce"),
            timestamp: header("x-acs-date"),
            signature: part("Signature"),
            signed: Signed::Acs3 {
                text: acs3_string_to_sign(&canonical),
                canonical,
                unsigned,
                known: algorithm == ACS3,
            },
            params,
            malformed: false,
        }
    }

    /// A business parameter that is there and not empty.
    pub fn param(&self, name: &str) -> Option<String> {
        find(&self.params, name).filter(|value| !value.is_empty())
    }

    /// The number, country code included. Only the first operation splits it.
    pub fn phone(&self) -> Option<String> {
        self.param("PhoneNumber").or_else(|| {
            let (country, mobile) = (self.param("CountryCode")?, self.param("MobileNumber")?);
            Some(country + &mobile)
        })
    }

    /// The values that rules are matched against.
    pub fn facts(&self) -> Facts {
        Facts {
            action: self.action.clone(),
            phone: self.phone(),
            key_id: self.key_id.clone(),
        }
    }
}

fn find(params: &[(String, String)], name: &str) -> Option<String> {
    params
        .iter()
        .find(|(have, _)| have == name)
        .map(|(_, value)| value.clone())
}
