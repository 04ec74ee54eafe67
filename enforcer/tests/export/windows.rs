//! The script for Windows Firewall.

use enforcer::policy::catalogue::embedded;
use enforcer::policy::compile::compile;
use enforcer::policy::export::{Target, export};
use enforcer::policy::site;
use enforcer::text::diagnostic::Text;
use expect_test::expect;
use jiff::civil::date;

use super::{check, exported};

#[test]
fn a_small_policy_for_windows() {
    check(
        Target::Windows,
        &expect![[r#"
            # Windows Firewall, written by `enforcer export` from site.yaml
            # policy 322d17b70fdd5f9dfcd3cc6477faf4b80f73f53d5a989f1c188845b9a9319d9e
            # eth0: inbound enforce, outbound enforce
            # eth1: inbound audit, outbound audit
            #
            # What is not as it is under `enforcer`:
            # - other rules of the machine stay in force: look at `Get-NetFirewallRule -Enabled True -Action Allow |
            #   Where-Object Group -ne 'enforcer'`, and disable what the policy does not permit
            # - interfaces: rules hold on every interface but the loopback, whatever the site names
            # - counters: Windows counts no packets by rule; what is refused is in the firewall's log only
            # - packets: Windows judges conversations, not packets: fragments, tags, extension headers, martian addresses and
            #   frames that are not IP are handled by its own rules; its timeouts cannot be set
            # - internal: ports that are for the host itself are refused from the wire by the default action, as any other
            # - text: letters that are not ASCII are written as `?`
            # - changes: there is no deadline and no list of connections that would be cut
            # - audit: Windows has none; inbound rules that refuse are written disabled, and the default action is left as it
            #   is, as is whether the firewall is on
            # - audit: Windows has none; outbound rules that refuse are written disabled, and the default action is left as it
            #   is
            #Requires -RunAsAdministrator
            $ErrorActionPreference = 'Stop'
            $old = @(Get-NetFirewallRule -Group 'enforcer' -ErrorAction SilentlyContinue)
            New-NetFirewallRule -Group 'enforcer' -DisplayName 'enforcer reason icmp' -Direction Inbound -Action Allow -Enabled True -Protocol ICMPv4 -IcmpType 3,11,12 | Out-Null
            New-NetFirewallRule -Group 'enforcer' -DisplayName 'enforcer reason icmp' -Direction Inbound -Action Allow -Enabled True -Protocol ICMPv6 -IcmpType 1,2,3,4,130,131,132,133,134,135,136,141,142,143,148,149,151,152,153 | Out-Null
            New-NetFirewallRule -Group 'enforcer' -DisplayName 'enforcer reason igmp' -Direction Inbound -Action Allow -Enabled True -Protocol 2 | Out-Null
            New-NetFirewallRule -Group 'enforcer' -DisplayName 'enforcer reason dhcp' -Direction Inbound -Action Allow -Enabled True -Protocol UDP -LocalPort 68 -RemotePort 67 | Out-Null
            New-NetFirewallRule -Group 'enforcer' -DisplayName 'enforcer reason dhcp' -Direction Inbound -Action Allow -Enabled True -Protocol UDP -LocalPort 546 -RemotePort 547 | Out-Null
            New-NetFirewallRule -Group 'enforcer' -DisplayName 'enforcer reason icmp' -Direction Outbound -Action Allow -Enabled True -Protocol ICMPv4 | Out-Null
            New-NetFirewallRule -Group 'enforcer' -DisplayName 'enforcer reason icmp' -Direction Outbound -Action Allow -Enabled True -Protocol ICMPv6 | Out-Null
            New-NetFirewallRule -Group 'enforcer' -DisplayName 'enforcer reason igmp' -Direction Outbound -Action Allow -Enabled True -Protocol 2 | Out-Null
            New-NetFirewallRule -Group 'enforcer' -DisplayName 'enforcer reason dhcp' -Direction Outbound -Action Allow -Enabled True -Protocol UDP -LocalPort 68 -RemotePort 67 | Out-Null
            New-NetFirewallRule -Group 'enforcer' -DisplayName 'enforcer reason dhcp' -Direction Outbound -Action Allow -Enabled True -Protocol UDP -LocalPort 546 -RemotePort 547 | Out-Null
            New-NetFirewallRule -Group 'enforcer' -DisplayName 'enforcer reason open' -Direction Outbound -Action Allow -Enabled True -Protocol UDP -RemotePort 53,123 | Out-Null
            New-NetFirewallRule -Group 'enforcer' -DisplayName 'enforcer reason open' -Direction Outbound -Action Allow -Enabled True -Protocol TCP -RemotePort 53 | Out-Null
            New-NetFirewallRule -Group 'enforcer' -DisplayName 'enforcer site/no-telnet' -Direction Inbound -Action Block -Enabled False -Protocol TCP -LocalPort '23' | Out-Null
            New-NetFirewallRule -Group 'enforcer' -DisplayName 'enforcer site/https' -Direction Inbound -Action Allow -Enabled True -Protocol TCP -LocalPort '443','8443-8445' | Out-Null
            New-NetFirewallRule -Group 'enforcer' -DisplayName 'enforcer site/icmp-echo' -Direction Inbound -Action Allow -Enabled True -Protocol ICMPv4 -IcmpType 8 -RemoteAddress '10.9.8.0/24','10.9.9.9/32' | Out-Null
            New-NetFirewallRule -Group 'enforcer' -DisplayName 'enforcer site/icmp-echo' -Direction Inbound -Action Allow -Enabled True -Protocol ICMPv6 -IcmpType 128 -RemoteAddress '2001:db8:9::/64' | Out-Null
            New-NetFirewallRule -Group 'enforcer' -DisplayName 'enforcer site/ipsec' -Direction Inbound -Action Allow -Enabled True -Protocol 50 -RemoteAddress '10.9.8.0/24','10.9.9.9/32','2001:db8:9::/64' | Out-Null
            # 'site/sip' is for a peer without addresses
            New-NetFirewallRule -Group 'enforcer' -DisplayName 'enforcer site/snmp: dashboards' -Direction Inbound -Action Allow -Enabled True -Protocol UDP -LocalPort '161' -RemoteAddress '10.9.8.0/24','10.9.9.9/32','2001:db8:9::/64' | Out-Null
            New-NetFirewallRule -Group 'enforcer' -DisplayName 'enforcer site/syslog' -Direction Outbound -Action Allow -Enabled True -Protocol UDP -RemotePort '514' -RemoteAddress '10.9.8.0/24','10.9.9.9/32','2001:db8:9::/64' | Out-Null
            $old | Remove-NetFirewallRule
        "#]],
    );
}

/// The firewall must never be without the rules of both: those that were, or those that come.
#[test]
fn windows_removes_what_was_after_what_comes_is_there() {
    let text = exported(Target::Windows, "interfaces: [eth0]\nmode: enforce\nroles: [finesse]\n").text;
    let at = |what: &str| text.rfind(what).unwrap_or_else(|| panic!("{what} in {text}"));
    let order = ["$old = @(Get-Net", "New-NetFirewallRule", "Set-NetFirewallProfile", "$old | Remove-NetFirewallRule"];
    assert!(order.map(at).is_sorted(), "{text}");
}

/// PowerShell reads U+2018 to U+201B as `'`, and Windows PowerShell the bytes of a letter as letters of a code page.
#[test]
fn no_letter_of_a_site_ends_a_string_of_powershell() {
    let quotes = "‘’‚‛“”„ é'' ; Remove-Item C: #";
    let site = format!(
        "interfaces: [eth0]\nroles: []\nallow:\n  - {{name: a, protocol: tcp, ports: [1], reason: '{quotes}'}}\n"
    );
    let catalogue = embedded().unwrap();
    let site = site::read(Text::new("a’b.yaml", site), catalogue).unwrap();
    let compiled = compile(&site, catalogue, date(2026, 8, 1)).unwrap();
    let text = export(Target::Windows, &site, &compiled, None).unwrap().text;
    assert!(text.is_ascii(), "{text}");
    assert!(text.contains("'enforcer site/a: ??????? ?'' ; Remove-Item C: #'"), "{text}");
}
