package umf

import (
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"
)

// MaxAddress is the length in bytes up to which an address is accepted.
const MaxAddress = 1024

// Lengths in bytes of the parts of an address.
const (
	maxName   = 64 // of a service or an instance
	maxMethod = 32
)

// ErrAddress is the error, with what is wrong added, for a text that is not an
// address. The text itself is never quoted.
var ErrAddress = errors.New("umf: not an address")

// Address is where a message goes or comes from, the parts of
//
//	instance@service:[METHOD]path
//
// of which instance@ and [METHOD] may be missing, and the path may be empty:
// "auth-svc:/", "3f2a@auth-svc:[POST]/v1/login", "abcd@client:/".
type Address struct {
	Instance string // "" for any
	Service  string
	Method   string // HTTP method in upper case, "" for a message that is no HTTP call
	Path     string
}

// ParseAddress reads an address of at most [MaxAddress] bytes. Names of
// services and instances have 1 to 64 letters, digits, "_" or "-", so that they
// can be tokens of a NATS subject; a method has letters, digits, "_" or "-"; a
// path is UTF-8 without control characters. Errors wrap [ErrAddress].
//
// The parts of an address that is read from a string share its memory; one that
// is read from bytes is a copy.
func ParseAddress[T ~string | ~[]byte](text T) (Address, error) {
	s := string(text)
	if len(s) > MaxAddress {
		return Address{}, badAddress("longer than 1024 bytes")
	}
	name, path, ok := strings.Cut(s, ":")
	if !ok {
		return Address{}, badAddress("no colon")
	}
	a := Address{Service: name}
	if instance, service, ok := strings.Cut(name, "@"); ok {
		a.Instance, a.Service = instance, service
		if !isName(instance, maxName) {
			return Address{}, badAddress("bad instance name")
		}
	}
	if !isName(a.Service, maxName) {
		return Address{}, badAddress("bad service name")
	}
	if rest, ok := strings.CutPrefix(path, "["); ok {
		a.Method, path, ok = strings.Cut(rest, "]")
		if !ok || !isName(a.Method, maxMethod) {
			return Address{}, badAddress("bad method")
		}
		a.Method = strings.ToUpper(a.Method)
	}
	if !isPath(path) {
		return Address{}, badAddress("bad path")
	}
	a.Path = path
	return a, nil
}

func badAddress(why string) error { return fmt.Errorf("%w: %s", ErrAddress, why) }

func isName(s string, limit int) bool {
	if s == "" || len(s) > limit {
		return false
	}
	for i := range len(s) {
		c := s[i]
		if c-'0' > 9 && c|0x20-'a' > 25 && c != '_' && c != '-' {
			return false
		}
	}
	return true
}

func isPath(s string) bool {
	for _, r := range s {
		if r < ' ' || r == 0x7f {
			return false
		}
	}
	return utf8.ValidString(s)
}

// String returns the address as text, which [ParseAddress] reads back.
func (a Address) String() string { return string(AppendAddress(nil, a)) }

// AppendAddress appends the address as text.
func AppendAddress(dst []byte, a Address) []byte {
	if a.Instance != "" {
		dst = append(dst, a.Instance...)
		dst = append(dst, '@')
	}
	dst = append(dst, a.Service...)
	dst = append(dst, ':')
	if a.Method != "" {
		dst = append(dst, '[')
		dst = append(dst, a.Method...)
		dst = append(dst, ']')
	}
	return append(dst, a.Path...)
}

// ViaAddress returns the address by which a message finds its way back to a
// session: node-sid@router:/, where router is the service name of the nodes.
func ViaAddress(node, sid, router string) Address {
	return Address{Instance: node + "-" + sid, Service: router, Path: "/"}
}

// Via returns the node and the session of an address that [ViaAddress] made.
// ok is false for another address.
func (a Address) Via() (node, sid string, ok bool) {
	node, sid, ok = strings.Cut(a.Instance, "-")
	if !ok || node == "" || sid == "" || strings.Contains(sid, "-") {
		return "", "", false
	}
	return node, sid, true
}
