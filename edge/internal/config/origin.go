package config

import (
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"strings"

	"golang.org/x/net/idna"
)

// Origin names pages by where they come from (RFC 6454): all of them, those of this
// machine, one origin, or the origins of all hosts below one.
type Origin struct {
	all, loopback, below bool
	scheme, host         string
	port                 uint16
}

// defaultPorts are those that an origin leaves out (RFC 6454 §6.2).
var defaultPorts = map[string]uint16{"http": 80, "https": 443, "ws": 80, "wss": 443}

// errOrigin says what an entry may be.
var errOrigin = errors.New("is no origin, which is *, loopback, scheme://host or scheme://host:port and nothing behind, where host may begin with *. for all hosts below")

// Decode implements envconfig.Decoder. What could match no page is refused.
func (o *Origin) Decode(text string) error {
	text = strings.TrimSpace(text)
	switch text {
	case "*":
		*o = Origin{all: true}
		return nil
	case "loopback":
		*o = Origin{loopback: true}
		return nil
	}
	scheme, authority, ok := strings.Cut(text, "://")
	host, below := strings.CutPrefix(authority, "*.")
	read, valid := Origin{}, false
	if ok && !strings.ContainsAny(host, "*%") {
		if host, ok = toASCII(host); ok {
			read, valid = ParseOrigin(scheme + "://" + host)
		}
	}
	if _, err := netip.ParseAddr(strings.Trim(read.host, "[]")); !valid || below && err == nil {
		return fmt.Errorf("%q %w", text, errOrigin)
	}
	read.below = below
	*o = read
	return nil
}

// toASCII writes the host of an authority as browsers do (RFC 5891, RFC 5952).
func toASCII(authority string) (string, bool) {
	if strings.HasPrefix(authority, "[") {
		end := strings.IndexByte(authority, ']')
		if end < 0 {
			return "", false
		}
		addr, err := netip.ParseAddr(authority[1:end])
		if err != nil || !addr.Is6() || addr.Zone() != "" {
			return "", false
		}
		return "[" + addr.String() + "]" + authority[end+1:], true
	}
	host, port, found := strings.Cut(authority, ":")
	ascii, err := idna.Lookup.ToASCII(host)
	if err != nil {
		if ascii = strings.ToLower(host); !isHost(ascii) { // names with _ and the like are no internet names
			return "", false
		}
	}
	for label := range strings.SplitSeq(strings.TrimSuffix(ascii, "."), ".") {
		if _, err := idna.Lookup.ToASCII(label); label == "" || err != nil && strings.HasPrefix(label, "xn--") {
			return "", false // no browser goes there
		}
	}
	if found {
		ascii += ":" + port
	}
	return ascii, true
}

// ParseOrigin reads an origin as a browser sends it (RFC 6454 §6.2): nothing else may
// stand in it.
func ParseOrigin(text string) (Origin, bool) {
	scheme, authority, ok := strings.Cut(text, "://")
	o := Origin{scheme: strings.ToLower(scheme)}
	if !ok || !isScheme(o.scheme) {
		return Origin{}, false
	}
	host, port, ok := SplitAuthority(authority)
	if !ok {
		return Origin{}, false
	}
	if o.host = host; port == 0 {
		port = defaultPorts[o.scheme]
	}
	o.port = port
	return o, true
}

// SplitAuthority reads a host, in lower case, and its port; 0: it has none.
func SplitAuthority(text string) (host string, port uint16, ok bool) {
	host, digits, found := text, "", false
	if end := strings.LastIndexByte(text, ']'); end >= 0 {
		host, digits = text[:end+1], text[end+1:]
		digits, found = strings.CutPrefix(digits, ":")
		if !found && digits != "" {
			return "", 0, false
		}
	} else {
		host, digits, found = strings.Cut(text, ":")
	}
	if host = strings.ToLower(host); !isHost(host) {
		return "", 0, false
	}
	if !found {
		return host, 0, true
	}
	n, err := strconv.ParseUint(digits, 10, 16)
	if err != nil || n == 0 || digits[0] == '+' {
		return "", 0, false
	}
	return host, uint16(n), true
}

// isHost reports whether a text, in lower case, can be the name of a host or its
// address (RFC 3986 §3.2.2, without percent-encoding).
func isHost(text string) bool {
	if inner, v6 := strings.CutPrefix(text, "["); v6 {
		addr, err := netip.ParseAddr(strings.TrimSuffix(inner, "]"))
		return err == nil && addr.Is6() && addr.Zone() == "" && strings.HasSuffix(inner, "]")
	}
	for i := range len(text) {
		switch c := text[i]; {
		case c >= 'a' && c <= 'z', c >= '0' && c <= '9', c == '-', c == '.', c == '_':
		default:
			return false
		}
	}
	return text != ""
}

// isScheme reports whether a text, in lower case, is a scheme (RFC 3986 §3.1).
func isScheme(text string) bool {
	for i := range len(text) {
		switch c := text[i]; {
		case c >= 'a' && c <= 'z':
		case i > 0 && (c >= '0' && c <= '9' || c == '+' || c == '-' || c == '.'):
		default:
			return false
		}
	}
	return text != ""
}

// All reports whether the entry is for every page, also for one whose origin is
// opaque ("null").
func (o *Origin) All() bool { return o.all }

// Matches reports whether the entry is for pages of an origin.
func (o *Origin) Matches(page Origin) bool {
	switch {
	case o.all:
		return true
	case o.loopback:
		return page.Loopback()
	case o.scheme != page.scheme, o.port != page.port:
		return false
	case o.below:
		return strings.HasSuffix(page.host, "."+o.host)
	}
	return o.host == page.host
}

// Loopback reports whether the origin is a page of this machine's (RFC 6761 §6.3).
func (o *Origin) Loopback() bool {
	addr, err := netip.ParseAddr(strings.Trim(o.host, "[]"))
	return err == nil && addr.Unmap().IsLoopback() || isLocalName(o.host)
}

// At reports whether a page of the origin comes from an authority, which is what the
// field Host has. scheme is the one that the authority is served under; "": it is
// not known, since what is in front of a node may end TLS. Nothing but a page of http
// or https comes from there.
func (o *Origin) At(authority, scheme string) bool {
	if o.scheme != "http" && o.scheme != "https" {
		return false
	}
	host, port, ok := SplitAuthority(authority)
	if port == 0 {
		port = defaultPorts[o.scheme]
	}
	return ok && (scheme == "" || scheme == o.scheme) && host == o.host && port == o.port && port != 0
}
