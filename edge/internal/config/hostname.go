package config

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
)

// HostName is the name of a host as the field Host has it: in lower case, in ASCII,
// without a port and without a dot at its end.
type HostName string

// errHostName says what an entry may be.
var errHostName = errors.New("is no name of a host, which has neither scheme nor port nor *")

// Decode implements envconfig.Decoder. What could match no request is refused.
func (h *HostName) Decode(text string) error {
	text = strings.TrimSpace(text)
	host, ok := toASCII(text)
	if !ok || host == "" || strings.Contains(host, ":") || !isHost(host) {
		return fmt.Errorf("%q %w", text, errHostName)
	}
	*h = HostName(strings.TrimSuffix(host, "."))
	return nil
}

// IsAdminHost reports whether an authority, which is what the field Host has, names the
// administrators' listener: this machine (RFC 6761 §6.3), an address, EDGE_ADMIN_HOSTS or
// the host of EDGE_ADMIN_LISTEN. Any other name may be one that a page has led here.
// Browsers always send one; checks of balancers over HTTP/1.0 send none.
func (c *Config) IsAdminHost(authority string) bool {
	if authority == "" {
		return true
	}
	host, _, ok := SplitAuthority(withoutZone(authority))
	if !ok {
		return false
	}
	if _, err := netip.ParseAddr(strings.Trim(host, "[]")); err == nil {
		return true
	}
	if host = strings.TrimSuffix(host, "."); isLocalName(host) {
		return true
	}
	for _, name := range c.AdminHosts {
		if string(name) == host {
			return true
		}
	}
	own, _, err := net.SplitHostPort(c.AdminListen)
	return err == nil && own != "" && strings.EqualFold(strings.TrimSuffix(own, "."), host)
}

// withoutZone takes the zone off an IPv6 address, which says something to this machine
// alone (RFC 6874 §1).
func withoutZone(authority string) string {
	address, rest, _ := strings.Cut(authority, "]")
	if address, _, found := strings.Cut(address, "%"); found && strings.HasPrefix(address, "[") {
		return address + "]" + rest
	}
	return authority
}

// isLocalName reports whether a name is always this machine's (RFC 6761 §6.3).
func isLocalName(host string) bool {
	return host == "localhost" || strings.HasSuffix(host, ".localhost")
}
