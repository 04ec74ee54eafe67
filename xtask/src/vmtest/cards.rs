//! Network cards of a machine, each on a cable of its own to a card of the machine that the tests take for the other end.

/// A card that QEMU emulates.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Card {
    /// What `--card` takes, and the tests are called.
    pub(super) name: &'static str,
    /// QEMU's device, with its options.
    device: &'static str,
    /// Its module.
    module: &'static str,
}

const fn card(name: &'static str, device: &'static str, module: &'static str) -> Card {
    Card { name, device, module }
}

/// All of them. The names are those of `tests/it/cards`.
const CARDS: &[Card] = &[
    card("virtio", "virtio-net-pci", "virtio_net"),
    card("virtio_unmerged", "virtio-net-pci,mrg_rxbuf=off", "virtio_net"),
    card("vmxnet3", "vmxnet3", "vmxnet3"),
    card("igb", "igb", "igb"),
    card("e1000e", "e1000e", "e1000e"),
    card("e1000", "e1000", "e1000"),
    card("rtl8139", "rtl8139", "8139cp"),
    card("e100", "i82559er", "e100"),
    card("tulip", "tulip", "tulip"),
];

/// What the other ends are: modules of their cards.
pub(super) const MODULES: &[&str] = &["virtio_pci", "virtio_net"];

impl Card {
    /// The card of this name.
    pub(super) fn named(name: &str) -> Result<Self, String> {
        let names = || CARDS.iter().map(|card| card.name).collect::<Vec<_>>().join(", ");
        let found = CARDS.iter().find(|card| card.name == name).copied();
        found.ok_or_else(|| format!("no such card; there are {}", names()))
    }

    /// What the names of its tests begin with.
    pub(super) fn tests(&self) -> String {
        format!("cards::{}::", self.name)
    }

    pub(super) const fn module(&self) -> &'static str {
        self.module
    }

    /// QEMU's arguments for the card and the other end of its cable, as the machine's so many-th.
    fn arguments(&self, number: usize) -> Vec<String> {
        let mac = |end: u8| format!("52:54:00:00:{number:02x}:{end:02x}");
        let Self { device, .. } = self;
        [
            "-netdev".to_owned(),
            format!("hubport,id=a{number},hubid={number}"),
            "-device".to_owned(),
            format!("{device},netdev=a{number},mac={},romfile=", mac(1)),
            "-netdev".to_owned(),
            format!("hubport,id=b{number},hubid={number}"),
            "-device".to_owned(),
            format!("virtio-net-pci,netdev=b{number},mac={},romfile=", mac(2)),
        ]
        .to_vec()
    }
}

/// QEMU's arguments for these cards.
pub(super) fn arguments(cards: &[Card]) -> Vec<String> {
    (1..).zip(cards).flat_map(|(number, card)| card.arguments(number)).collect()
}

/// What the tests are told: the cards by name, in the order of their hardware addresses.
pub(super) fn told(cards: &[Card]) -> String {
    cards.iter().map(|card| card.name).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cards_are_told_from_each_other_by_hardware_address() {
        let cards = ["virtio", "igb"].map(|name| Card::named(name).unwrap());
        let line = arguments(&cards).join(" ");
        assert!(line.contains("-device virtio-net-pci,netdev=a1,mac=52:54:00:00:01:01,romfile="), "{line}");
        assert!(line.contains("-device igb,netdev=a2,mac=52:54:00:00:02:01,romfile="), "{line}");
        assert_eq!(told(&cards), "virtio igb");
    }

    #[test]
    fn an_unknown_card_is_refused_with_those_that_there_are() {
        let error = Card::named("ixgbe").unwrap_err();
        assert!(error.contains("vmxnet3"), "{error}");
    }
}
