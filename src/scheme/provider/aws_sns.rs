//! Amazon SNS, by HTTP and HTTPS. Sources: "Verifying the signatures of Amazon SNS messages" (docs.aws.amazon.com/sns), and Amazon's
//! own validator for JavaScript (aws/aws-js-sns-message-validator).
//!
//! `"Signature": <base64>` in the JSON body, RSA over the lines `<name>\n<value>\n` of these fields, in this order:
//!
//! - of a `Notification`: `Message`, `MessageId`, `Subject` if there is one, `Timestamp`, `TopicArn`, `Type`;
//! - of a `SubscriptionConfirmation` and an `UnsubscribeConfirmation`: `Message`, `MessageId`, `SubscribeURL`, `Timestamp`, `Token`,
//!   `TopicArn`, `Type`.
//!
//! The hash is SHA-1 in `"SignatureVersion": "1"`, which topics have by default, and SHA-256 in `"2"`. The certificate is at
//! `SigningCertURL`.
//!
//! A duplicate, for SNS: the same `MessageId` ("Parsing Amazon SNS message formats": "A Universally Unique Identifier, unique for each
//! message published. For a notification that Amazon SNS resends during a retry, the message ID of the original message is used").
//!
//! Quirks:
//! 1. `MessageAttributes` and `UnsubscribeURL` are not signed.
//! 2. A value may hold line feeds, so that the lines could be read in another way. Only `Message` may: then there is one reading, from both
//!    ends.
//! 3. A retry has the same timestamp, and SNS retries for hours or days: there is no window unless one is set.
//! 4. The body is JSON with the content type `text/plain`. With raw message delivery there is no envelope and no signature: such a request is
//!    rejected.
//! 5. SNS signs the messages of all its customers with the same keys, and anyone can create a topic, publish to it, and
//!    subscribe any URL to it. Only `TopicArn` shows whose message it is.

use crate::{
    field::Field,
    scheme::{builder::SchemeBuilder, content::Part, freshness::TimestampUnit},
};

pub(super) fn declare(scheme: SchemeBuilder) -> SchemeBuilder {
    scheme
        .json_pointer("/Signature")
        .base64()
        .key_url(Field::json("/SigningCertURL"), is_certificate)
        .signs_parts([Part::AwsSns])
        .timestamp(Field::json("/Timestamp"))
        .unit(TimestampUnit::Rfc3339)
        .insecure_no_replay_window()
        .id(Field::json("/MessageId"))
        .event_type(Field::json("/Type"))
        .account(Field::json("/TopicArn"))
        .shared_key_of(is_same_topic)
}

/// Whether a topic is the one that the application names, by its ARN, or is owned by the AWS account that it names, by its 12 digits.
fn is_same_topic(wanted: &str, topic: &str) -> bool {
    let is_account = wanted.len() == 12 && wanted.bytes().all(|byte| byte.is_ascii_digit());
    // `arn:<partition>:sns:<region>:<account>:<name>`
    let mut fields = topic.split(':');
    let of_sns = fields.next() == Some("arn") && fields.nth(1) == Some("sns");
    wanted == topic || is_account && of_sns && fields.nth(1) == Some(wanted)
}

/// Whether this is where SNS keeps a certificate. Nothing else is ever fetched.
fn is_certificate(url: &str) -> bool {
    let Some((region, path)) = host_of_sns(url) else { return false };
    let Some(name) = path.strip_prefix("SimpleNotificationService-").and_then(|path| path.strip_suffix(".pem")) else {
        return false;
    };
    !region.is_empty() && name.len() == 32 && name.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

/// The region of a URL of SNS, and the text after the slash that follows its host.
fn host_of_sns(url: &str) -> Option<(&str, &str)> {
    let (host, path) = url.strip_prefix("https://sns.")?.split_once('/')?;
    let region = host.strip_suffix(".amazonaws.com").or_else(|| host.strip_suffix(".amazonaws.com.cn"))?;
    let is_region = region.len() >= 3
        && region.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-'))
        && !region.starts_with('-');
    is_region.then_some((region, path))
}

#[cfg(test)]
mod tests {
    use super::{is_certificate, is_same_topic};

    #[test]
    fn a_topic_is_known_by_its_arn_or_by_the_account_that_owns_it() {
        let topic = "arn:aws:sns:us-east-1:123456789012:orders";
        assert!(is_same_topic(topic, topic) && is_same_topic("123456789012", topic));
        for wanted in [
            "arn:aws:sns:us-east-1:123456789012:order",
            "arn:aws:sns:us-east-1:123456789012",
            "12345678901",
            "orders",
            "sns",
            "",
        ] {
            assert!(!is_same_topic(wanted, topic), "{wanted}");
        }
        for other in [
            "arn:aws:sns:us-east-1:210987654321:orders",
            "arn:aws:sns:us-east-1:210987654321:123456789012",
            "arn:aws:sqs:us-east-1:123456789012:orders",
            "aws:arn:sns:us-east-1:123456789012:orders",
            "123456789012:",
            "",
        ] {
            assert!(!is_same_topic("123456789012", other), "{other}");
        }
    }

    const NAME: &str = "SimpleNotificationService-9c6465fa7f48f5cacd23014631ec1136.pem";

    #[test]
    fn only_a_certificate_of_sns_is_one() {
        for host in
            ["sns.us-east-1.amazonaws.com", "sns.us-gov-west-1.amazonaws.com", "sns.cn-north-1.amazonaws.com.cn"]
        {
            assert!(is_certificate(&format!("https://{host}/{NAME}")), "{host}");
        }
        for url in [
            format!("http://sns.us-east-1.amazonaws.com/{NAME}"),
            format!("HTTPS://sns.us-east-1.amazonaws.com/{NAME}"),
            format!("https://s3.amazonaws.com/bucket/{NAME}"),
            format!("https://sns.us-east-1.amazonaws.com.attacker.test/{NAME}"),
            format!("https://sns.us-east-1.amazonaws.com:8443/{NAME}"),
            format!("https://user@sns.us-east-1.amazonaws.com/{NAME}"),
            format!("https://sns.us-east-1.amazonaws.com\\@attacker.test/{NAME}"),
            format!("https://attacker.test/sns.us-east-1.amazonaws.com/{NAME}"),
            format!("https://sns.attacker.test/.amazonaws.com/{NAME}"),
            format!("https://sns.a.b.amazonaws.com/{NAME}"),
            format!("https://sns..amazonaws.com/{NAME}"),
            format!("https://sns.amazonaws.com/{NAME}"),
            format!("https://sns.us-east-1.amazonaws.com/?Action=ListTopics&x={NAME}"),
            format!("https://sns.us-east-1.amazonaws.com/{NAME}?x"),
            format!("https://sns.us-east-1.amazonaws.com/{NAME}#x"),
            format!("https://sns.us-east-1.amazonaws.com/a/../{NAME}"),
            format!("https://sns.us-east-1.amazonaws.com//{NAME}"),
            "https://sns.us-east-1.amazonaws.com/SimpleNotificationService-9C6465FA7F48F5CACD23014631EC1136.pem".into(),
            "https://sns.us-east-1.amazonaws.com/SimpleNotificationService-9c.pem".into(),
            "https://sns.us-east-1.amazonaws.com".into(),
            String::new(),
        ] {
            assert!(!is_certificate(&url), "{url}");
        }
    }
}
