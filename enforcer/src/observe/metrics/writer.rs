//! Writing families of metrics.

use std::fmt::Error;

use prometheus_client::encoding::{DescriptorEncoder, EncodeGaugeValue};
use prometheus_client::metrics::MetricType;

/// Labels and value of one sample.
pub(super) type Sample = (Vec<(&'static str, String)>, f64);

/// Writes metrics in the form that every reader of Prometheus text understands (0.0.4).
pub(super) struct Writer<'a> {
    pub(super) encoder: DescriptorEncoder<'a>,
}

impl Writer<'_> {
    pub(super) fn gauge(
        &mut self,
        name: &str,
        help: &str,
        samples: impl IntoIterator<Item = Sample>,
    ) -> Result<(), Error> {
        self.family(name, help, MetricType::Gauge, samples)
    }

    pub(super) fn counter(
        &mut self,
        name: &str,
        help: &str,
        samples: impl IntoIterator<Item = Sample>,
    ) -> Result<(), Error> {
        self.family(name, help, MetricType::Counter, samples)
    }

    /// OpenMetrics takes `_total` off the name of a counter in its head and puts it on each sample, which readers of the older
    /// format (promtool, the textfile collector) take for two metrics. So heads and samples have the whole name here, and the
    /// encoder, which adds nothing to the samples of a gauge, is told the type only in the head.
    fn family(
        &mut self,
        name: &str,
        help: &str,
        kind: MetricType,
        samples: impl IntoIterator<Item = Sample>,
    ) -> Result<(), Error> {
        let mut samples = samples.into_iter().peekable();
        if samples.peek().is_none() {
            return Ok(());
        }
        let mut metric = self.encoder.encode_descriptor(name, help, None, kind)?;
        for (labels, value) in samples {
            match labels.as_slice() {
                // `name{}` is right, but unusual.
                [] => metric.encode_gauge(&Number(value))?,
                labels => metric.encode_family(&labels)?.encode_gauge(&Number(value))?,
            }
        }
        Ok(())
    }
}

/// A number, written as a whole one where it is one.
struct Number(f64);

impl EncodeGaugeValue for Number {
    fn encode(&self, encoder: &mut prometheus_client::encoding::GaugeValueEncoder<'_>) -> Result<(), Error> {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "whole, and within the range of u64"
        )]
        if self.0.fract() == 0.0 && (0.0..1.8e19).contains(&self.0) {
            return (self.0 as u64).encode(encoder);
        }
        self.0.encode(encoder)
    }
}

pub(super) fn labels(names: &[(&'static str, &str)], value: f64) -> Sample {
    (names.iter().map(|(name, value)| (*name, (*value).to_owned())).collect(), value)
}

/// Prometheus knows no other numbers than these: past 2^53 the last digits are lost.
#[expect(clippy::cast_precision_loss, reason = "so does every reader of the text")]
pub(super) fn number(value: u64) -> f64 {
    value as f64
}

#[expect(clippy::cast_precision_loss, reason = "seconds since 1970 fit")]
pub(super) fn seconds(time: jiff::Timestamp) -> f64 {
    time.as_second() as f64
}

pub(super) fn truth(value: bool) -> f64 {
    if value { 1.0 } else { 0.0 }
}
