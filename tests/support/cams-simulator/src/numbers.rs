//! Phone numbers and what the five actions do to them. PURE: time comes in.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::settings::{AlreadyVerified, Refusal, Settings, UnknownNumber};

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
    /// When the right code stops being right, RFC 3339.
    pub code_expires_at: Option<Timestamp>,
    /// `Data.Id`.
    pub id: Option<String>,
    /// The stage of its migration.
    pub migration: Migration,
    /// Verified; the status read shows it once `visible_at_us` has passed.
    pub verified: bool,
    /// Monotonic microseconds from which the status read answers VERIFIED.
    pub visible_at_us: u64,
    /// Wrong codes executed since the last right one.
    pub wrong_codes: u32,
    /// The code that `GetMigrationVerifyCode` will send; null: six seeded digits.
    pub next_code: Option<String>,
}

/// The stage of a number's migration.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Migration {
    /// `CreateChatappMigrationInitiate` has not been called yet.
    NotBegun,
    /// Begun: a code may be submitted.
    #[default]
    Migrating,
    /// `ChatappMigrationRegister` was done.
    Registered,
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

    /// The same number with a code that expires.
    pub fn code_expires_at(mut self, at: Timestamp) -> Self {
        self.code_expires_at = Some(at);
        self
    }
}

/// When a call is executed.
#[derive(Clone, Copy, Debug)]
pub struct When {
    /// Monotonic microseconds.
    pub us: u64,
    /// The gateway's wall clock.
    pub wall: Timestamp,
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
    /// `Data.Status`.
    pub status: Option<&'static str>,
    /// `Data.CodeVerificationStatus`.
    pub verification: Option<&'static str>,
}

#[derive(Clone, Debug, Default)]
pub struct Numbers(BTreeMap<String, Number>);

impl Numbers {
    /// Adds or replaces.
    pub fn put(&mut self, number: Number) {
        self.0.insert(number.phone.clone(), number);
    }

    /// Forgets a number; false if it was not there.
    pub fn remove(&mut self, phone: &str) -> bool {
        self.0.remove(phone).is_some()
    }

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
            return Err(settings.refusals.unknown_number.clone());
        };
        match &number.cust_space_id {
            Some(own) if own != space => Err(settings.refusals.wrong_space.clone()),
            Some(_) | None => Ok(number),
        }
    }

    /// `ChatappMigrationVerified`: the call this simulator exists for.
    pub fn verify(
        &mut self,
        settings: &Settings,
        space: &str,
        phone: &str,
        code: &str,
        when: When,
    ) -> Result<Data, Refusal> {
        let refusals = &settings.refusals;
        let any_code = settings.unknown_number == UnknownNumber::AcceptAnyCode;
        let number = self.known(settings, space, phone)?;
        if number.verified {
            return match settings.already_verified {
                AlreadyVerified::Refuse => Err(refusals.already_verified.clone()),
                AlreadyVerified::Accept => Ok(number.data()),
            };
        }
        let locked = settings
            .lock_after
            .is_some_and(|limit| number.wrong_codes >= limit);
        if locked {
            return Err(refusals.locked.clone());
        }
        let right = match (&number.code, number.migration) {
            (_, Migration::NotBegun) => return Err(refusals.not_in_migration.clone()),
            (Some(right), _) => right == code,
            (None, _) if any_code => true,
            (None, _) => return Err(refusals.not_in_migration.clone()),
        };
        if !right {
            number.wrong_codes += 1;
            return Err(refusals.wrong_code.clone());
        }
        if number.code_expires_at.is_some_and(|end| when.wall >= end) {
            return Err(refusals.code_expired.clone());
        }
        number.verified = true;
        number.wrong_codes = 0;
        number.visible_at_us = when.us + when.read_lag_ms * 1000;
        Ok(number.data())
    }

    /// `GetPhoneNumberVerificationStatus`.
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

    /// `CreateChatappMigrationInitiate`. Begins the migration of any number.
    pub fn initiate(
        &mut self,
        settings: &Settings,
        space: &str,
        phone: &str,
    ) -> Result<Data, Refusal> {
        if !self.0.contains_key(phone) {
            self.put(Number {
                phone: phone.to_owned(),
                cust_space_id: Some(space.to_owned()),
                id: Some(made_up_id(phone)),
                ..Number::default()
            });
        }
        let number = self.known(settings, space, phone)?;
        number.migration = Migration::Migrating;
        Ok(Data {
            status: Some("MIGRATING"),
            ..number.data()
        })
    }

    /// `GetMigrationVerifyCode`: makes the code that is right from now on. `digits` are used
    /// unless the number has a `next_code`.
    pub fn send_code(
        &mut self,
        settings: &Settings,
        space: &str,
        phone: &str,
        digits: String,
        wall: Timestamp,
    ) -> Result<Data, Refusal> {
        let number = self.known(settings, space, phone)?;
        match (number.verified, number.migration) {
            (true, _) => Err(settings.refusals.already_verified.clone()),
            (false, Migration::NotBegun) => Err(settings.refusals.not_in_migration.clone()),
            (false, Migration::Migrating | Migration::Registered) => {
                number.code = Some(number.next_code.take().unwrap_or(digits));
                let life = std::time::Duration::from_millis(settings.code_lifetime_ms);
                number.code_expires_at = wall.checked_add(life).ok();
                Ok(number.data())
            }
        }
    }

    /// `ChatappMigrationRegister`; answers without `Data`.
    pub fn register(
        &mut self,
        settings: &Settings,
        space: &str,
        phone: &str,
    ) -> Result<Data, Refusal> {
        let number = self.known(settings, space, phone)?;
        if !number.verified {
            return Err(settings.refusals.not_verified.clone());
        }
        number.migration = Migration::Registered;
        Ok(Data::default())
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

fn made_up_id(phone: &str) -> String {
    format!("8{phone}")
}
