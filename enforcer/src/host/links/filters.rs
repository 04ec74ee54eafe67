//! Filters at tc: what `tc filter` adds to a clsact or an ingress qdisc.

use futures_util::TryStreamExt as _;
use rtnetlink::packet_route::tc::{TcAttribute, TcFilterBpfOption, TcFilterU32, TcMessage, TcOption};

use super::{LinksError, ask};

/// A filter of an interface.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Filter {
    /// Its kind, as `tc` calls it: `bpf`, `u32`, `flower`.
    pub kind: String,
    /// Those of a lower number run first.
    pub priority: u16,
    /// Id of the program of a `bpf` filter.
    pub program: Option<u32>,
}

/// The filters on one side of an interface, in the order in which they run.
///
/// # Errors
/// When netlink cannot be asked, or there is no such interface.
pub fn filters(index: u32, is_egress: bool) -> Result<Vec<Filter>, LinksError> {
    let index = i32::try_from(index).unwrap_or(i32::MAX);
    let messages = ask("the filters of an interface", |client| async move {
        let request = client.traffic_filter(index).get();
        let request = if is_egress { request.egress() } else { request.ingress() };
        request.execute().try_collect::<Vec<_>>().await
    })?;
    Ok(messages.iter().filter_map(filter).collect())
}

/// `None`: not a filter, but what the kernel keeps filters in, which it lists as well.
fn filter(message: &TcMessage) -> Option<Filter> {
    let kind = message
        .attributes
        .iter()
        .find_map(|one| if let TcAttribute::Kind(kind) = one { Some(kind.clone()) } else { None })?;
    let handle = u32::from(message.header.handle);
    // A handle of u32 is a table, a bucket and, in the last 12 bits, a filter: without one it is a table.
    if handle == 0 || (kind == TcFilterU32::KIND && handle & 0xfff == 0) {
        return None;
    }
    let options = message
        .attributes
        .iter()
        .filter_map(|one| if let TcAttribute::Options(options) = one { Some(options) } else { None });
    let program = options
        .flatten()
        .find_map(|one| if let TcOption::Bpf(TcFilterBpfOption::ProgId(id)) = one { Some(*id) } else { None });
    // `TC_H_MAKE(priority << 16, protocol)`
    let priority = u16::try_from(message.header.info >> 16).unwrap_or(u16::MAX);
    Some(Filter { kind, priority, program })
}

#[cfg(test)]
mod tests {
    use rtnetlink::packet_route::tc::TcHandle;

    use super::*;

    fn listed(kind: &str, handle: u32, options: Vec<TcOption>) -> Option<Filter> {
        let mut message = TcMessage::default();
        (message.header.handle, message.header.info) = (TcHandle::from(handle), 7 << 16 | 0x0300);
        message.attributes = vec![TcAttribute::Kind(kind.to_owned()), TcAttribute::Options(options)];
        filter(&message)
    }

    #[test]
    fn filters_are_told_from_what_holds_them() {
        let of_kind = |kind: &str| Filter { kind: kind.to_owned(), priority: 7, program: None };
        assert_eq!(listed("u32", 0, Vec::new()), None);
        assert_eq!(listed("u32", 0x8000_0000, Vec::new()), None, "a table");
        assert_eq!(listed("u32", 0x8000_0800, Vec::new()), Some(of_kind("u32")));
        assert_eq!(listed("bpf", 0x1000, Vec::new()), Some(of_kind("bpf")), "other kinds number as they like");
        let program = vec![TcOption::Bpf(TcFilterBpfOption::ProgId(9))];
        assert_eq!(listed("bpf", 1, program), Some(Filter { program: Some(9), ..of_kind("bpf") }));
    }
}
