//! Phone numbers and what the two actions do to them. PURE: time comes in.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::settings::{Refusal, Settings, UnknownNumber};

/// A number: the test's settings for it, and its state since.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct Number {
    /// Digits with country code.
    pub phone: String,
    /// The space it belongs to; null: any.
    pub cust_space_id: Option<String>,
    /// The right code; null: no code is right, as before a code was requested.
    pub code: Option<String>,
    /// `Data.Id`.
    pub id: Option<String>,
    /// Verified; the status read shows it once `visible_at_us` has passed.
    pub verified: bool,
    /// Monotonic microseconds from which the status read answers VERIFIED.
    pub visible_at_us: u64,
}

impl Number {
    /// A number in migration with this right code and Id.
    pub fn new(phone: impl Into<String>, code: impl Into<String>, id: impl Into<String>) -> Self {
        Self {
            phone: phone.into(),
            code: Some(code.into()),
            id: Some(id.into()),
            ..Self::default()
        }
    }

    /// The same number in this space only.
    pub fn in_space(mut self, cust_space_id: impl Into<String>) -> Self {
        self.cust_space_id = Some(cust_space_id.into());
        self
    }

    /// The same number, verified earlier and visibly so.
    pub fn verified(mut self) -> Self {
        self.verified = true;
        self
    }
}

/// When a call is executed.
#[derive(Clone, Copy, Debug)]
pub struct When {
    /// Monotonic microseconds.
    pub us: u64,
    /// Lag of the status read for a verification made now.
    pub read_lag_ms: u64,
}

/// The data of a successful action.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Data {
    /// `Data.PhoneNumber`.
    pub phone: Option<String>,
    /// `Data.Id`.
    pub id: Option<String>,
    /// `Data.CodeVerificationStatus`.
    pub verification: Option<&'static str>,
}

/// All numbers.
#[derive(Clone, Debug, Default)]
pub struct Numbers(BTreeMap<String, Number>);

impl Numbers {
    /// Adds or replaces.
    pub fn put(&mut self, number: Number) {
        self.0.insert(number.phone.clone(), number);
    }

    /// One number.
    pub fn get(&self, phone: &str) -> Option<&Number> {
        self.0.get(phone)
    }

    /// One number, to change it.
    pub fn get_mut(&mut self, phone: &str) -> Option<&mut Number> {
        self.0.get_mut(phone)
    }

    /// All, by number.
    pub fn all(&self) -> Vec<Number> {
        self.0.values().cloned().collect()
    }

    fn known(
        &mut self,
        settings: &Settings,
        space: &str,
        phone: &str,
    ) -> Result<&mut Number, Refusal> {
        if !self.0.contains_key(phone) && settings.unknown_number == UnknownNumber::AcceptAnyCode {
            let mut number = Number::new(phone, "", made_up_id(phone));
            number.code = None;
            self.put(number);
        }
        let Some(number) = self.0.get_mut(phone) else {
            return Err(unknown_number());
        };
        match &number.cust_space_id {
            Some(own) if own != space => Err(refused(
                "Authentication.NoAuth",
                "No permission for this number.",
            )),
            Some(_) | None => Ok(number),
        }
    }

    /// `ChatappMigrationVerified`: the call this simulator exists for.
    ///
    /// # Errors
    /// The business refusal to answer with.
    pub fn verify(
        &mut self,
        settings: &Settings,
        space: &str,
        phone: &str,
        code: &str,
        when: When,
    ) -> Result<Data, Refusal> {
        let any_code = settings.unknown_number == UnknownNumber::AcceptAnyCode;
        let number = self.known(settings, space, phone)?;
        if number.verified {
            return Err(refused("PhoneNumber.AlreadyVerified", "Already verified."));
        }
        let right = match &number.code {
            Some(right) => right == code,
            None if any_code => true,
            None => return Err(refused("PhoneNumber.NotInMigration", "Not in migration.")),
        };
        if !right {
            return Err(refused(
                "VerifyCode.Mismatch",
                "The verification code is wrong.",
            ));
        }
        number.verified = true;
        number.visible_at_us = when.us + when.read_lag_ms * 1000;
        Ok(number.data())
    }

    /// `GetPhoneNumberVerificationStatus`.
    ///
    /// # Errors
    /// The business refusal to answer with.
    pub fn read_status(
        &mut self,
        settings: &Settings,
        space: &str,
        phone: &str,
        now_us: u64,
    ) -> Result<Data, Refusal> {
        let number = self.known(settings, space, phone)?;
        let visible = number.verified && now_us >= number.visible_at_us;
        Ok(Data {
            verification: Some(if visible { "VERIFIED" } else { "NOT_VERIFIED" }),
            ..number.data()
        })
    }
}

impl Number {
    fn data(&self) -> Data {
        Data {
            phone: Some(self.phone.clone()),
            id: self.id.clone(),
            ..Data::default()
        }
    }
}

/// A business refusal. Only those of an unknown number and of another space are in the CAMS
/// documentation; the others are invented, since no real one is known.
fn refused(code: &str, message: &str) -> Refusal {
    Refusal::new(200, code, message)
}

/// The refusal of a number that nobody knows.
pub fn unknown_number() -> Refusal {
    refused(
        "InvalidParameter.PhoneNumberError",
        "The phone number is invalid or abnormal.",
    )
}

fn made_up_id(phone: &str) -> String {
    format!("8{phone}")
}
