//! What a judgement leaves behind, in one word.

use crate::{Reason, Verdict};

/// Reason, rule and flags of a judgement, in one word.
///
/// Bits 0 to 15 are the rule, bit 16 says that there is one, bit 17 that the rule which refuses is in audit by itself; bits 24 to 29
/// are the reason. Bit 30, the highest in use, says that the verdict is to drop, so that one comparison tells. (Not bit 31: constants
/// with a sign take more instructions.)
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[repr(transparent)]
pub struct Outcome(u32);

impl Outcome {
    const HAS_RULE: u32 = 1 << 16;
    const AUDIT: u32 = 1 << 17;
    const REASON: u32 = 24;
    const REFUSED: u32 = 1 << 30;

    /// The reason and its verdict, where they stand in the word.
    #[inline(always)]
    const fn of(reason: Reason) -> u32 {
        // Arithmetic, because a comparison or a match here costs the programs instructions.
        (reason as u32) << Self::REASON | (Reason::DROPS >> reason as u32 & 1) << Self::REFUSED.trailing_zeros()
    }

    /// A judgement that no rule is responsible for.
    #[must_use]
    #[inline(always)]
    pub const fn new(reason: Reason) -> Self {
        Self(Self::of(reason))
    }

    /// A judgement by a rule.
    #[must_use]
    #[inline(always)]
    pub const fn by_rule(reason: Reason, rule: u16, audit: bool) -> Self {
        Self(Self::of(reason) | rule as u32 | Self::HAS_RULE | if audit { Self::AUDIT } else { 0 })
    }

    /// A refusal that is counted, whatever the mode of the host.
    #[must_use]
    #[inline(always)]
    pub const fn audited(reason: Reason) -> Self {
        Self(Self::of(reason) | Self::AUDIT)
    }

    /// The same outcome, its word passed through a function that does not change it.
    #[must_use]
    #[inline(always)]
    pub fn map(self, same: impl FnOnce(u32) -> u32) -> Self {
        Self(same(self.0))
    }

    /// The outcome as a number, for [`from_word`](Self::from_word).
    #[must_use]
    #[inline(always)]
    pub const fn word(self) -> u32 {
        self.0
    }

    /// The outcome that was this number.
    #[must_use]
    pub const fn from_word(word: u32) -> Self {
        Self(word)
    }

    /// Number of the reason.
    #[must_use]
    #[inline(always)]
    pub const fn reason_number(self) -> u8 {
        (self.0 >> Self::REASON) as u8 & 0x3f
    }

    /// The reason.
    #[must_use]
    pub const fn reason(self) -> Reason {
        match Reason::from_number(self.reason_number()) {
            Some(reason) => reason,
            None => Reason::Malformed,
        }
    }

    /// The verdict.
    #[must_use]
    #[inline(always)]
    pub const fn verdict(self) -> Verdict {
        if self.0 < Self::REFUSED { Verdict::Pass } else { Verdict::Drop }
    }

    /// Whether the verdict is to pass.
    #[must_use]
    #[inline(always)]
    pub const fn passes(self) -> bool {
        matches!(self.verdict(), Verdict::Pass)
    }

    /// Whether this is the outcome for this reason.
    #[must_use]
    #[inline(always)]
    pub const fn is(self, reason: Reason) -> bool {
        self.0 >> Self::REASON == Self::of(reason) >> Self::REASON
    }

    /// The rule, by its counter slot.
    #[must_use]
    #[inline(always)]
    #[expect(clippy::cast_possible_truncation, reason = "the rule is the low half of the word")]
    pub const fn rule(self) -> Option<u16> {
        if self.0 & Self::HAS_RULE == 0 { None } else { Some(self.0 as u16) }
    }

    /// The rule, where a rule permits: one comparison for the outcome that most packets have.
    #[must_use]
    #[inline(always)]
    #[expect(clippy::cast_possible_truncation, reason = "the rule is the low half of the word")]
    pub const fn permitting_rule(self) -> Option<u16> {
        if self.0 >> 16 == Self::by_rule(Reason::Rule, 0, false).0 >> 16 { Some(self.0 as u16) } else { None }
    }

    /// Whether the rule that refuses is in audit by itself.
    #[must_use]
    #[inline(always)]
    pub const fn is_audited(self) -> bool {
        self.audited_bit() != 0
    }

    /// The same as a number: 1 where it is, else 0.
    #[must_use]
    #[inline(always)]
    pub const fn audited_bit(self) -> u32 {
        self.0 >> Self::AUDIT.trailing_zeros() & 1
    }
}
