//! The words of the command line, as clap splits them. Every value stays a text:
//! [`super::Config::check`] parses it and words the error.

use std::ffi::OsString;

use clap::{Args, Parser};

const AFTER_HELP: &str = "\
Credentials:
  ALIBABA_CLOUD_ACCESS_KEY_ID      AccessKey ID
  ALIBABA_CLOUD_ACCESS_KEY_SECRET  AccessKey secret
  ALIBABA_CLOUD_SECURITY_TOKEN     STS token, if the key is temporary
  Or files with these names in --credentials-dir, which are read again when they change.
  Or a ServiceAccount's token, with these variables, which ACK's webhook sets:
  ALIBABA_CLOUD_ROLE_ARN           RAM role
  ALIBABA_CLOUD_OIDC_PROVIDER_ARN  OIDC provider that the role trusts
  ALIBABA_CLOUD_OIDC_TOKEN_FILE    file of the token, read anew for each sign-in
  ALIBABA_CLOUD_ROLE_SESSION_NAME  name in ActionTrail [default: phone-migration-operator]
  ALIBABA_CLOUD_ECS_METADATA       RAM role of the instance, if it has several
  ALIBABA_CLOUD_STS_REGION, ALIBABA_CLOUD_STS_ENDPOINT, ALIBABA_CLOUD_VPC_ENDPOINT_ENABLED
                                   where STS is, unless a flag says it

Other environment:
  KUBECONFIG                       used if set; else the pod's account; else ~/.kube/config
  POD_NAME, POD_NAMESPACE          defaults of --lease-identity, and of --lease-namespace and
                                   --ledger-namespace
  RUST_LOG                         log level of the operator's own modules [default: info]";

#[derive(Debug, Parser)]
#[command(
    name = "phone-migration-operator",
    version,
    about = "Submits WhatsApp phone-number migration codes to Alibaba Cloud CAMS, each at most once",
    after_help = AFTER_HELP,
    disable_help_subcommand = true,
    subcommand_help_heading = "Commands",
    next_line_help = true,
    mut_args(|arg| arg.hide_env_values(true))
)]
pub(super) struct Cli {
    #[command(subcommand)]
    pub command: Option<Subcommand>,
    #[command(flatten)]
    pub run: RunArgs,
}

#[derive(Debug, clap::Subcommand)]
pub(super) enum Subcommand {
    /// Run the operator (the default)
    Run,
    /// Check configuration, credentials, CRDs and rights, and say what is wrong and what to do
    Check,
    /// Print the CustomResourceDefinitions as YAML documents
    Crd,
}

/// The flags of `run`, unchecked. They are global, so they may stand before or after the word
/// `run`, or without it.
#[derive(Clone, Debug, Args)]
pub struct RunArgs {
    /// CAMS endpoint: https and a host cams.REGION.aliyuncs.com
    #[arg(
        long,
        env = "PHONEMIG_CAMS_ENDPOINT",
        value_name = "URL",
        global = true,
        help_heading = "CAMS",
        default_value = "https://cams.ap-southeast-1.aliyuncs.com"
    )]
    pub cams_endpoint: String,

    /// Tests only: allow plain http to a loopback address, --qps 0 and a short
    /// --signature-validity. Never set it against the real API
    #[arg(
        long,
        env = "PHONEMIG_ALLOW_INSECURE_ENDPOINT",
        value_name = "true|false",
        global = true,
        help_heading = "CAMS",
        num_args = 0..=1,
        require_equals = true,
        default_value = "false",
        default_missing_value = "true"
    )]
    pub allow_insecure_endpoint: String,

    /// How requests are signed: v1 (HMAC-SHA1) or v3 (ACS3-HMAC-SHA256)
    #[arg(
        long,
        env = "PHONEMIG_SIGNATURE",
        value_name = "v1|v3",
        global = true,
        help_heading = "CAMS",
        default_value = "v1"
    )]
    pub signature: String,

    /// How long CAMS may accept a signature; an unknown outcome is final only after it.
    /// 15m to 24h
    #[arg(
        long,
        env = "PHONEMIG_SIGNATURE_VALIDITY",
        value_name = "DURATION",
        global = true,
        help_heading = "CAMS",
        default_value = "31m"
    )]
    pub signature_validity: String,

    /// How many digits a code has: a number, or a range such as 4-8, within 4 to 8. White space and
    /// dashes in a Secret do not count
    #[arg(
        long,
        env = "PHONEMIG_CODE_DIGITS",
        value_name = "N|MIN-MAX",
        global = true,
        help_heading = "CAMS",
        default_value = "6"
    )]
    pub code_digits: String,

    /// Calls per second that the account may make, for each action: 1 to 1000. Lower it
    /// when something else uses the same account
    #[arg(
        long,
        env = "PHONEMIG_QPS",
        value_name = "N",
        global = true,
        help_heading = "CAMS",
        default_value = "10"
    )]
    pub qps: String,

    /// Whose key signs: env (an AccessKey in the variables below), files (one in --credentials-dir),
    /// oidc (a RAM role, by the ServiceAccount's token) or ecs (the RAM role of the instance); auto:
    /// files if a directory is named, else env if a variable of it is set, else oidc, never ecs
    #[arg(
        long,
        env = "PHONEMIG_CREDENTIALS",
        value_name = "auto|env|files|oidc|ecs",
        global = true,
        help_heading = "Credentials",
        default_value = "auto"
    )]
    pub credentials: String,

    /// Directory of files named like the variables of an AccessKey below, used instead of them
    #[arg(
        long,
        env = "PHONEMIG_CREDENTIALS_DIR",
        value_name = "DIR",
        global = true,
        help_heading = "Credentials"
    )]
    pub credentials_dir: Option<OsString>,

    /// RAM role to assume with those credentials, for example one of another account
    #[arg(
        long,
        env = "PHONEMIG_ASSUME_ROLE_ARN",
        value_name = "ARN",
        global = true,
        help_heading = "Credentials"
    )]
    pub assume_role_arn: Option<String>,

    /// External ID that this role asks for
    #[arg(
        long,
        env = "PHONEMIG_ASSUME_ROLE_EXTERNAL_ID",
        value_name = "ID",
        global = true,
        help_heading = "Credentials"
    )]
    pub assume_role_external_id: Option<String>,

    /// Region of STS [default: ALIBABA_CLOUD_STS_REGION, else ap-southeast-1]
    #[arg(
        long,
        env = "PHONEMIG_STS_REGION",
        value_name = "REGION",
        global = true,
        help_heading = "Credentials"
    )]
    pub sts_region: Option<String>,

    /// STS endpoint, instead of a region: sts.REGION.aliyuncs.com, or sts-vpc.REGION.aliyuncs.com
    /// from inside of a VPC [default: ALIBABA_CLOUD_STS_ENDPOINT]
    #[arg(
        long,
        env = "PHONEMIG_STS_ENDPOINT",
        value_name = "HOST",
        global = true,
        help_heading = "Credentials"
    )]
    pub sts_endpoint: Option<String>,

    /// Tests only: another place of an instance's metadata service, a loopback address
    #[arg(
        long,
        env = "PHONEMIG_METADATA_ENDPOINT",
        value_name = "URL",
        global = true,
        help_heading = "Credentials"
    )]
    pub metadata_endpoint: Option<String>,

    /// Namespaces to watch, separated by commas; empty means all
    #[arg(
        long,
        env = "PHONEMIG_WATCH_NAMESPACES",
        value_name = "a,b",
        global = true,
        help_heading = "Kubernetes",
        default_value = ""
    )]
    pub watch_namespaces: String,

    /// Reconcile at once when a Secret changes, in addition to polling. Needs list and watch on
    /// Secrets, which equals the right to read them all
    #[arg(
        long,
        env = "PHONEMIG_WATCH_SECRETS",
        value_name = "true|false",
        global = true,
        help_heading = "Kubernetes",
        num_args = 0..=1,
        require_equals = true,
        default_value = "false",
        default_missing_value = "true"
    )]
    pub watch_secrets: String,

    /// PhoneMigrations that are reconciled at the same time, in each namespace of
    /// --watch-namespaces: 1 to 1000
    #[arg(
        long,
        env = "PHONEMIG_MAX_CONCURRENT_RECONCILES",
        value_name = "N",
        global = true,
        help_heading = "Kubernetes",
        default_value = "16"
    )]
    pub max_concurrent_reconciles: String,

    /// Namespace of the CodeLedgers, which record what was submitted. All operators of one account
    /// must name the same [default: the Lease's, else the pod's]
    #[arg(
        long,
        env = "PHONEMIG_LEDGER_NAMESPACE",
        value_name = "NAMESPACE",
        global = true,
        help_heading = "Kubernetes"
    )]
    pub ledger_namespace: Option<String>,

    /// Be active only while holding a Lease [default: true in a cluster, false outside]
    #[arg(
        long,
        env = "PHONEMIG_LEADER_ELECT",
        value_name = "true|false",
        global = true,
        help_heading = "Leader election"
    )]
    pub leader_elect: Option<String>,

    /// Namespace of the Lease [default: the pod's]
    #[arg(
        long,
        env = "PHONEMIG_LEASE_NAMESPACE",
        value_name = "NAMESPACE",
        global = true,
        help_heading = "Leader election"
    )]
    pub lease_namespace: Option<String>,

    /// Name under which the Lease is held [default: the pod's name, else the host's name
    /// and random characters]
    #[arg(
        long,
        env = "PHONEMIG_LEASE_IDENTITY",
        value_name = "NAME",
        global = true,
        help_heading = "Leader election"
    )]
    pub lease_identity: Option<String>,

    /// Key by which spent codes are recognised, required: a file of 32 random bytes, or of 64
    /// hexadecimal digits. Make it once, with head -c 32 /dev/urandom, and keep it
    #[arg(
        long,
        env = "PHONEMIG_FINGERPRINT_KEY_FILE",
        value_name = "PATH",
        global = true,
        help_heading = "Process"
    )]
    pub fingerprint_key_file: Option<OsString>,

    /// Address of /metrics, /livez and /readyz
    #[arg(
        long,
        env = "PHONEMIG_LISTEN",
        value_name = "ADDR",
        global = true,
        help_heading = "Process",
        default_value = "0.0.0.0:8080"
    )]
    pub listen: String,

    /// Form of the log lines on stderr
    #[arg(
        long,
        env = "PHONEMIG_LOG_FORMAT",
        value_name = "json|text",
        global = true,
        help_heading = "Process",
        default_value = "json"
    )]
    pub log_format: String,

    /// Send traces, one span per attempt, to this OTLP collector (HTTP, protobuf; /v1/traces is
    /// appended). OTEL_EXPORTER_OTLP_HEADERS may hold headers for it
    #[arg(
        long,
        env = "PHONEMIG_OTLP_ENDPOINT",
        value_name = "URL",
        global = true,
        help_heading = "Process"
    )]
    pub otlp_endpoint: Option<String>,
}
