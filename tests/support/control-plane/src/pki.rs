//! Keys, certificates and tokens of one control plane: its own CA, the apiserver's serving
//! certificate, the key that signs service-account tokens, and the administrator's token. Made once
//! per directory, so that kubeconfigs stay good when the same directory is started again.

use std::fs::{self, DirBuilder, OpenOptions};
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use go_build::make_once;
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa,
    KeyPair, KeyUsagePurpose,
};

use crate::Error;

/// The user name of the admin token, in group `system:masters`; it is what the
/// audit log shows.
pub const ADMIN_USER: &str = "kubernetes-admin";
const SERVING_NAMES: [&str; 5] = [
    "127.0.0.1",
    "localhost",
    "kubernetes",
    "kubernetes.default",
    "kubernetes.default.svc",
];

#[derive(Clone, Debug)]
pub(crate) struct Pki {
    dir: PathBuf,
}

impl Pki {
    /// Makes the missing files in `dir`.
    pub(crate) fn ensure(dir: &Path) -> Result<Self, Error> {
        let of = |dir: &Path| Self {
            dir: dir.to_owned(),
        };
        make_once(dir, |dir| of(dir).is_whole(), |to| of(to).make())?;
        Ok(of(dir))
    }

    pub(crate) fn ca_certificate(&self) -> PathBuf {
        self.dir.join("ca.crt")
    }

    pub(crate) fn serving_certificate(&self) -> PathBuf {
        self.dir.join("serving.crt")
    }

    pub(crate) fn serving_key(&self) -> PathBuf {
        self.dir.join("serving.key")
    }

    pub(crate) fn service_account_key(&self) -> PathBuf {
        self.dir.join("service-account.key")
    }

    pub(crate) fn service_account_public_key(&self) -> PathBuf {
        self.dir.join("service-account.pub")
    }

    /// The apiserver's file of static tokens.
    pub(crate) fn tokens(&self) -> PathBuf {
        self.dir.join("tokens.csv")
    }

    /// The administrator's token, to be put into a kubeconfig and nowhere else.
    pub(crate) fn admin_token(&self) -> Result<String, Error> {
        let path = self.tokens();
        let text = fs::read_to_string(&path).map_err(Error::io("read", &path))?;
        let token = text.split(',').next().unwrap_or_default();
        Ok(token.to_owned())
    }

    pub(crate) fn ca_pem(&self) -> Result<String, Error> {
        let path = self.ca_certificate();
        fs::read_to_string(&path).map_err(Error::io("read", &path))
    }

    fn is_whole(&self) -> bool {
        [
            self.ca_certificate(),
            self.serving_certificate(),
            self.serving_key(),
            self.service_account_key(),
            self.service_account_public_key(),
            self.tokens(),
        ]
        .iter()
        .all(|path| path.is_file())
    }

    fn make(&self) -> Result<(), Error> {
        let failed = |error: rcgen::Error| Error::Pki(error.to_string());
        let (ca, serving, serving_key) = certificates().map_err(failed)?;
        let account_key = KeyPair::generate().map_err(failed)?;
        let admin = format!("{},{ADMIN_USER},1,system:masters\n", random_token()?);
        for (path, text) in [
            (self.ca_certificate(), ca),
            (self.serving_certificate(), serving),
            (self.serving_key(), serving_key),
            (self.service_account_key(), account_key.serialize_pem()),
            (
                self.service_account_public_key(),
                account_key.public_key_pem(),
            ),
            (self.tokens(), admin),
        ] {
            write_private(&path, &text)?;
        }
        Ok(())
    }
}

/// The CA's certificate, the serving certificate and its key. The CA's key is not kept: it signs
/// nothing else.
fn certificates() -> Result<(String, String, String), rcgen::Error> {
    let mut params = CertificateParams::new(Vec::new())?;
    params
        .distinguished_name
        .push(DnType::CommonName, "control-plane test CA");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    let ca = CertifiedIssuer::self_signed(params, KeyPair::generate()?)?;

    let mut params = CertificateParams::new(SERVING_NAMES.map(str::to_owned).to_vec())?;
    params
        .distinguished_name
        .push(DnType::CommonName, "kube-apiserver");
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    params.use_authority_key_identifier_extension = true;
    let key = KeyPair::generate()?;
    let serving = params.signed_by(&key, &ca)?;
    Ok((ca.pem(), serving.pem(), key.serialize_pem()))
}

fn random_token() -> Result<String, Error> {
    let mut bytes = [0_u8; 16];
    getrandom::fill(&mut bytes).map_err(|error| Error::Pki(error.to_string()))?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

/// Writes a file that only its owner may read.
pub(crate) fn write_private(path: &Path, text: &str) -> Result<(), Error> {
    // A new file, since the mode is only for new ones.
    match fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            return Err(Error::io("replace", path)(error));
        }
        _ => {}
    }
    OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
        .and_then(|mut file| file.write_all(text.as_bytes()))
        .map_err(Error::io("write", path))
}

/// Makes a folder, and its parents, that only the owner may enter.
pub(crate) fn private_dir(path: &Path) -> Result<(), Error> {
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path)
        .map_err(Error::io("make", path))
}
