package engine

import (
	"net"
	"net/netip"
	"slices"
	"strings"

	"github.com/flowrun/flowrun/spec"
)

// Reach tells whether a connection may be made to an address, ip:port, for a request to a host, which must be granted
// already. Where the address is not of the open internet the grant must name it: no name that somebody else resolves
// leads into this machine or its network, and a grant of all hosts leads to this machine alone, where the host says so.
// Only a name that is known at home alone, such as intranet, may stand for its address.
func (g Grants) Reach(host, address string) error {
	to, err := netip.ParseAddrPort(address)
	if err != nil {
		return Errorf(Permission, "%s is no address: %w", address, err)
	}
	switch {
	case g.All, public(to.Addr()), g.names("net", address), atHome(host) && g.names("net", host):
		return nil
	case g.By["net"].Any && thisMachine(host) && to.Addr().Unmap().IsLoopback():
		return nil
	}
	return Errorf(Permission, "it leads to %s, which is not of the open internet and needs %s", to.Addr(), spec.Need{Grant: "net", Name: address}.Flag())
}

// OddHost tells whether a host is a number that is not written as an address is: programs read 2130706433, 0177.1 and
// 0x7f.0.0.1 each in their own way. See https://url.spec.whatwg.org/#ends-in-a-number-checker.
func OddHost(host string) bool {
	name, _ := cutPort(host)
	last := strings.TrimSuffix(name, ".")
	last = strings.ToLower(last[strings.LastIndexByte(last, '.')+1:])
	hex, isHex := strings.CutPrefix(last, "0x")
	number := last != "" && strings.Trim(last, "0123456789") == "" || isHex && strings.Trim(hex, "0123456789abcdef") == ""
	_, err := netip.ParseAddr(name)
	return number && err != nil
}

// Named tells whether the grant of a host names it, or is of all there is.
func (g Grants) Named(host string) bool { return g.All || g.names("net", host) }

// thisMachine tells whether a host is localhost or a loopback address, as its spelling shows.
func thisMachine(host string) bool {
	name, _ := cutPort(host)
	if ip, err := netip.ParseAddr(name); err == nil {
		return ip.IsLoopback() && !ip.Is4In6()
	}
	return name == "localhost"
}

// Inward tells whether a host leads into this machine or its network, as its spelling shows.
func Inward(host string) bool {
	name, _ := cutPort(host)
	if ip, err := netip.ParseAddr(name); err == nil {
		return !public(ip)
	}
	return atHome(host)
}

// atHome tells whether a name is none of the public ones: https://www.rfc-editor.org/rfc/rfc6761,
// https://www.rfc-editor.org/rfc/rfc6762#appendix-G.
func atHome(host string) bool {
	name, _ := cutPort(host)
	if _, err := netip.ParseAddr(name); err == nil || OddHost(host) {
		return false
	}
	name = strings.ToLower(strings.TrimSuffix(name, "."))
	return name != "" && !strings.Contains(name, ".") || slices.ContainsFunc([]string{
		"localhost", "local", "internal", "intranet", "private", "corp", "home", "lan", "home.arpa",
	}, func(suffix string) bool { return strings.HasSuffix(name, "."+suffix) })
}

// cutPort takes a host and its port apart; port is empty where there is none.
func cutPort(host string) (name, port string) {
	if name, port, err := net.SplitHostPort(host); err == nil {
		return name, port
	}
	return strings.Trim(host, "[]"), ""
}

// sameHost tells whether a grant of a host, with or without a port, covers another.
func sameHost(granted, host string) bool {
	name, port := cutPort(granted)
	other, at := cutPort(host)
	if port != "" && port != at {
		return false
	}
	a, err := netip.ParseAddr(name)
	b, errOther := netip.ParseAddr(other)
	if err == nil && errOther == nil {
		return a.Unmap().WithZone("") == b.Unmap().WithZone("")
	}
	return strings.EqualFold(name, other)
}

// public tells whether an address is of the open internet.
func public(ip netip.Addr) bool {
	ip = ip.WithZone("").Unmap()
	if nat64.Contains(ip) {
		b := ip.As16()
		return public(netip.AddrFrom4([4]byte(b[12:])))
	}
	if slices.ContainsFunc(special, func(p netip.Prefix) bool { return p.Contains(ip) }) {
		return false
	}
	return ip.Is4() || unicast.Contains(ip)
}

var (
	nat64   = netip.MustParsePrefix("64:ff9b::/96") // the last four bytes are an IPv4 address: RFC 6052
	unicast = netip.MustParsePrefix("2000::/3")     // what else there is of IPv6 is local, multicast, or not given out
	special = prefixes(
		// https://www.iana.org/assignments/iana-ipv4-special-registry
		"0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12", "192.0.0.0/24", "192.0.2.0/24",
		"192.88.99.0/24", "192.168.0.0/16", "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24", "224.0.0.0/4", "240.0.0.0/4",
		"168.63.129.16/32", // what Azure tells its machines; the others' metadata is at link-local addresses, or in 100.64.0.0/10
		// https://www.iana.org/assignments/iana-ipv6-special-registry: Teredo is in the first, 6to4 the third
		"2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20",
	)
)

func prefixes(written ...string) []netip.Prefix {
	var all []netip.Prefix
	for _, s := range written {
		all = append(all, netip.MustParsePrefix(s))
	}
	return all
}
