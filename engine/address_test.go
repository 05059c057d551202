package engine

import (
	"errors"
	"net/netip"
	"testing"

	"github.com/flowrun/flowrun/spec"
)

func TestPublicAddresses(t *testing.T) {
	t.Parallel()
	for address, want := range map[string]bool{
		"8.8.8.8": true, "1.1.1.1": true, "100.63.255.255": true, "100.128.0.0": true, "172.15.0.1": true, "172.32.0.1": true,
		"192.0.1.1": true, "198.20.0.1": true, "223.255.255.255": true, "168.63.129.17": true,
		"2606:4700::1111": true, "2a00:1450::1": true, "2003::1": true, "2001:200::1": true,
		"::ffff:8.8.8.8": true, "64:ff9b::8.8.8.8": true,

		"0.0.0.0": false, "0.1.2.3": false, "::": false,
		"127.0.0.1": false, "127.255.255.254": false, "::1": false, "::ffff:127.0.0.1": false, "::127.0.0.1": false,
		"10.0.0.1": false, "172.16.0.1": false, "172.31.255.255": false, "192.168.1.1": false, "fc00::1": false, "fdff::1": false, "fec0::1": false,
		"169.254.1.1": false, "fe80::1": false, "fe80::1%eth0": false, "febf::1": false,
		"169.254.169.254": false, "fd00:ec2::254": false, "100.100.100.200": false, "168.63.129.16": false, "192.0.0.192": false, // metadata
		"100.64.0.1": false, "100.127.255.255": false,
		"64:ff9b::127.0.0.1": false, "64:ff9b::10.0.0.1": false, "64:ff9b::a9fe:a9fe": false, "64:ff9b:1::8.8.8.8": false,
		"2002:7f00:1::": false, "2002:a00:1::1": false, "2002:808:808::1": false,
		"2001::1": false, "2001:0:808:808::f5ff:fffe": false, "2001:10::1": false, "2001:20::1": false,
		"224.0.0.1": false, "239.1.1.1": false, "255.255.255.255": false, "240.0.0.1": false, "ff02::1": false,
		"192.0.2.1": false, "198.51.100.1": false, "203.0.113.1": false, "198.18.0.1": false, "2001:db8::1": false, "3fff::1": false, "100::1": false,
		"4000::1": false, "5f00::1": false,
	} {
		if got := public(netip.MustParseAddr(address)); got != want {
			t.Errorf("%s: public %v, want %v", address, got, want)
		}
	}
}

// TestReach connects to what a host led to. allowed tells whether the host is granted at all, reached whether this
// address may be reached by it.
func TestReach(t *testing.T) {
	t.Parallel()
	any := func(names ...string) Grants { return Grants{By: map[string]Grant{"net": {Any: true, Names: names}}} }
	named := func(names ...string) Grants { return Grants{By: map[string]Grant{"net": {Names: names}}} }
	tests := map[string]struct {
		grants           Grants
		host, address    string
		allowed, reached bool
	}{
		"a public name and address":                   {any(), "example.com:80", "93.184.216.34:80", true, true},
		"nothing granted":                             {named(), "example.com:80", "93.184.216.34:80", false, true},
		"a public name that leads home":               {any(), "example.com:80", "127.0.0.1:80", true, false},
		"a named public name that leads home":         {named("example.com"), "example.com:80", "10.0.0.1:80", true, false},
		"with its address":                            {named("example.com", "10.0.0.1"), "example.com:80", "10.0.0.1:80", true, true},
		"with its address on another port":            {named("example.com", "10.0.0.1:81"), "example.com:80", "10.0.0.1:80", true, false},
		"with all addresses allowed":                  {Grants{All: true}, "example.com:80", "127.0.0.1:80", true, true},
		"localhost by the bare flag":                  {any(), "localhost:80", "127.0.0.1:80", true, true},
		"localhost in other words":                    {any(), "LocalHost.:80", "127.0.0.1:80", false, false},
		"a name below localhost":                      {any(), "a.localhost:80", "127.0.0.1:80", false, false},
		"localhost by name":                           {named("localhost"), "localhost:80", "[::1]:80", true, true},
		"localhost on a port":                         {named("localhost:80"), "localhost:80", "127.0.0.1:80", true, true},
		"localhost on another port":                   {named("localhost:81"), "localhost:80", "127.0.0.1:80", false, false},
		"beside the bare flag":                        {any("localhost"), "localhost:80", "127.0.0.1:80", true, true},
		"a name at home by the bare flag":             {any(), "intranet:80", "10.0.0.1:80", false, false},
		"a name at home by name":                      {named("intranet"), "intranet:80", "10.0.0.1:80", true, true},
		"metadata by name":                            {named("metadata.google.internal"), "metadata.google.internal:80", "169.254.169.254:80", true, true},
		"metadata by the bare flag":                   {any(), "metadata.google.internal:80", "169.254.169.254:80", false, false},
		"an address by the bare flag":                 {any(), "127.0.0.1:80", "127.0.0.1:80", true, true},
		"a public address by the bare flag":           {any(), "8.8.8.8:80", "8.8.8.8:80", true, true},
		"an address by itself":                        {named("127.0.0.1"), "127.0.0.1:80", "127.0.0.1:80", true, true},
		"another address of this machine":             {named("127.0.0.1"), "127.0.0.2:80", "127.0.0.2:80", false, false},
		"an address that holds it":                    {any(), "[::ffff:127.0.0.1]:80", "127.0.0.1:80", false, false},
		"the same address in other words":             {named("::1"), "[0:0:0:0:0:0:0:1]:80", "[::1]:80", true, true},
		"the same address with its zone":              {named("fe80::1"), "[fe80::1%lo]:80", "[fe80::1%lo]:80", true, true},
		"in brackets, with a port":                    {named("[::1]:80"), "[::1]:80", "[::1]:80", true, true},
		"in brackets, on another port":                {named("[::1]:81"), "[::1]:80", "[::1]:80", false, false},
		"a number that leads home":                    {any(), "2130706433:80", "127.0.0.1:80", true, false},
		"a number granted by name":                    {named("2130706433"), "2130706433:80", "127.0.0.1:80", true, false},
		"digits of another script that lead home":     {any(), "１２７.0.0.1:80", "127.0.0.1:80", true, false},
		"the name of an address as part of another":   {named("127.0.0.1"), "127.0.0.1.example.com:80", "93.184.216.34:80", false, true},
		"what resolves to nothing that is an address": {any(), "example.com:80", "somewhere", true, false},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got := tt.grants.Allow(spec.Need{Grant: "net", Name: tt.host}); got != tt.allowed {
				t.Errorf("allowed %v, want %v", got, tt.allowed)
			}
			err := tt.grants.Reach(tt.host, tt.address)
			if (err == nil) != tt.reached {
				t.Errorf("reached with %v, want %v", err, tt.reached)
			}
			if e := (*Error)(nil); err != nil && (!errors.As(err, &e) || e.Kind != Permission) {
				t.Errorf("the error is %v, want one of kind permission", err)
			}
		})
	}
}

func TestOddHosts(t *testing.T) {
	t.Parallel()
	for host, want := range map[string]bool{
		"example.com": false, "127.0.0.1": false, "127.0.0.1:80": false, "[::1]:80": false, "[::ffff:7f00:1]": false, "1.example": false,
		"deadbeef": false, "0xample.com": false, "1e100.net": false, "a.0xg": false, "": false, "localhost.": false, "3com": false,

		"2130706433": true, "2130706433:80": true, "017700000001": true, "0x7f000001": true, "0X7F.1": true, "0x": true, "127.1": true,
		"0177.0.0.1": true, "127.0.0.01": true, "127.0.0.1.": true, "127.0.0.256": true, "1.2.3.4.5": true, "a.1": true, "0": true, "0.": true,
	} {
		if got := OddHost(host); got != want {
			t.Errorf("%q: odd %v, want %v", host, got, want)
		}
	}
}
