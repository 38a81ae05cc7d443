//! `Date` and `x-acs-retry-after`.

use std::time::Duration;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use phone_migration_operator::cams::wire::{MAX_RETRY_AFTER, parse_http_date, parse_retry_after};
use proptest::prelude::*;

use super::{any_text, cases};

proptest! {
    #![proptest_config(cases(1000))]

    #[test]
    fn any_text_is_read_without_a_panic(text in any_text()) {
        let _ = parse_http_date(&text);
        if let Some(pause) = parse_retry_after(&text) {
            prop_assert!(!pause.is_zero() && pause <= MAX_RETRY_AFTER);
        }
    }

    /// As a server writes it: IMF-fixdate, years of four digits.
    #[test]
    fn every_date_that_a_server_writes_is_read(second in 0i64..253_370_764_800) {
        let at = Timestamp::from_second(second).unwrap();
        let text = at.to_zoned(TimeZone::UTC).strftime("%a, %d %b %Y %H:%M:%S GMT").to_string();
        prop_assert_eq!(parse_http_date(&text), Some(at));
    }

    #[test]
    fn a_pause_is_whole_milliseconds_and_capped(text in "[ ]{0,2}[0-9]{1,40}[ ]{0,2}") {
        let digits = text.trim();
        let beyond = digits.trim_start_matches('0').len() > 6;
        let asked = if beyond { 1_000_000 } else { digits.parse::<u64>().unwrap() };
        let wanted = Duration::from_millis(asked.min(120_000));
        prop_assert_eq!(parse_retry_after(&text), (!wanted.is_zero()).then_some(wanted));
    }

    #[test]
    fn a_pause_of_anything_else_is_none(text in "[0-9]{0,5}[^0-9 \t\r\n][0-9]{0,5}") {
        // White space of any script that `trim` removes may surround the digits.
        prop_assume!(!text.trim().bytes().all(|b| b.is_ascii_digit()));
        prop_assert_eq!(parse_retry_after(&text), None);
    }
}
