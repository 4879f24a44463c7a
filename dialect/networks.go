package dialect

import (
	"fmt"
	"strings"
)

// Network is one of Tari's networks: what sets it apart on the wire, and where it is found.
type Network struct {
	Name     string   // as in the configuration of a Tari node, lower case
	WireByte byte     // first byte of a connection
	Liveness byte     // first byte of a liveness check instead
	Port     int      // TCP port that base nodes listen on by default
	DNSSeeds []string // names whose TXT records list seed peers

	speaks func(Network) Dialect // nil: modern
}

// The networks of today. The wire bytes are those of tari_common 6; a network changes its byte when its old and new software must
// not meet.
var (
	Mainnet   = Network{Name: "mainnet", WireByte: 0x00, Liveness: 0xa7, Port: 18189, DNSSeeds: dnsSeeds("mainnet")}
	Stagenet  = Network{Name: "stagenet", WireByte: 0x01, Liveness: 0xa7, Port: 18189, DNSSeeds: dnsSeeds("stagenet")}
	Nextnet   = Network{Name: "nextnet", WireByte: 82, Liveness: 0xa7, Port: 18189, DNSSeeds: dnsSeeds("nextnet")}
	Localnet  = Network{Name: "localnet", WireByte: 0x10, Liveness: 0xa7, Port: 18189}
	Igor      = Network{Name: "igor", WireByte: 0x24, Liveness: 0xa7, Port: 18189, DNSSeeds: dnsSeeds("igor")}
	Esmeralda = Network{Name: "esmeralda", WireByte: 202, Liveness: 0xa7, Port: 18189, DNSSeeds: dnsSeeds("esmeralda")}
)

// dnsSeeds are the names that tari_p2p asks by default.
func dnsSeeds(network string) []string {
	var names []string
	for _, prefix := range []string{"", "ip4.", "ip6.", "tor."} {
		names = append(names, prefix+"seeds."+network+".tari.com")
	}
	return names
}

// Networks lists the networks this package knows, today's first.
func Networks() []Network {
	known := []Network{Mainnet, Stagenet, Nextnet, Esmeralda, Igor, Localnet}
	known = append(known, seedNetworks()...) // the dialect of 2020 // deletion test: seed
	return known
}

// NetworkByName returns the network of that name, in any case; "esme" is Esmeralda. The error lists the names.
func NetworkByName(name string) (Network, error) {
	wanted := strings.ToLower(strings.TrimSpace(name))
	if wanted == "esme" {
		wanted = "esmeralda"
	}
	var names []string
	for _, n := range Networks() {
		if n.Name == wanted {
			return n, nil
		}
		names = append(names, n.Name)
	}
	return Network{}, fmt.Errorf("no network %q; there are %s", name, strings.Join(names, ", "))
}

// Of returns the dialect spoken on a network. A Network made by hand speaks the modern one.
func Of(n Network) Dialect {
	if n.speaks != nil {
		return n.speaks(n)
	}
	return newModern(n)
}

// String returns the name.
func (n Network) String() string { return n.Name }

// Signed reports whether peers of the network sign their claims, so that others can pass them on and be believed. Those of 2020 and 2021
// do not.
func (n Network) Signed() bool { return n.speaks == nil }
