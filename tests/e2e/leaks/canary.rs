//! Numbers and codes that no other text looks like, and resources that use them.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use harness::SECURITY_TOKEN;

use super::*;

/// The numbers and codes of one run; no other text looks like them.
pub struct Canary(pub usize);

impl Canary {
    pub fn phone(&self, n: usize) -> String {
        format!("86138{:02}{n:06}", 71 + self.0)
    }

    /// The right code.
    pub fn code(&self, n: usize) -> String {
        format!("4{}67{n:04}", self.0)
    }

    /// The text that a careless service might repeat.
    pub fn echo(&self, n: usize) -> String {
        let (code, phone) = (self.code(n), self.phone(n));
        let plain = format!("VerifyCode={code}&PhoneNumber={phone}&AccessKeyId={ACCESS_KEY_ID}");
        let once = plain.replace('=', "%3D").replace('&', "%26");
        let token = SECURITY_TOKEN
            .replace('/', "%2F")
            .replace('+', "%2B")
            .replace('=', "%3D");
        let hex: String = code.bytes().map(|b| format!("{b:02x}")).collect();
        format!(
            "{plain} {once} {token} {} {SECURITY_TOKEN} {hex} {} \u{1b}[31m\r\nlevel=error \u{202e}{code}\u{0}",
            token.replace('%', "%25"),
            STANDARD.encode(&plain),
        )
    }
}

/// A resource whose code is right.
pub async fn sends(world: &World, canary: &Canary, name: &str, n: usize) {
    world.migrate(name, &canary.phone(n), &canary.code(n)).await;
}

/// The next read of this number meets this.
pub fn next_read(world: &World, phone: &str, fault: Fault) {
    let rule = FaultRule::new(fault).action(READ_STATUS);
    world.fault(rule.phone(phone).once());
}
