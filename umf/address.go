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

// ErrAddress is wrapped by the errors for a text that is not an address. They name
// the fault and never quote the text.
var ErrAddress = errors.New("umf: not an address")

// Made once: a sender could have each of them made very often.
var (
	errLongAddress = fmt.Errorf("%w: longer than %d bytes", ErrAddress, MaxAddress)
	errNoColon     = fmt.Errorf("%w: no colon after the service", ErrAddress)
	errInstance    = fmt.Errorf("%w: bad instance name", ErrAddress)
	errService     = fmt.Errorf("%w: bad service name", ErrAddress)
	errMethod      = fmt.Errorf("%w: bad method", ErrAddress)
	errPath        = fmt.Errorf("%w: bad path", ErrAddress)
)

// Address is where a message goes or comes from, the parts of
//
//	instance@service:[METHOD]path
//
// of which instance@ and [METHOD] may be missing and the path may be empty:
// "auth-svc:/", "3f2a@auth-svc:[POST]/v1/login", "abcd@client:/".
type Address struct {
	Instance string // "" for any
	Service  string
	Method   string // HTTP method in upper case; "" for a message that is no HTTP call
	Path     string
}

// AddressView is an [Address] that lies in the bytes from which it was read,
// and is valid as long as they are. Method is as it was written.
type AddressView struct {
	Instance, Service, Method, Path []byte
}

// ParseAddress reads an address of at most [MaxAddress] bytes. Names of
// services and instances have 1 to 64 letters, digits, "_" or "-", so that they
// can be tokens of a NATS subject, and a method up to 32 of them; a path is
// UTF-8 without ASCII controls. Errors wrap [ErrAddress].
func ParseAddress[T ~string | ~[]byte](text T) (Address, error) {
	instance, service, method, path, err := splitAddress(string(text))
	if err != nil {
		return Address{}, err
	}
	return Address{instance, service, strings.ToUpper(method), path}, nil
}

// ViewAddress is [ParseAddress] without copying and allocating.
func ViewAddress(text []byte) (AddressView, error) {
	instance, service, method, path, err := splitAddress(text)
	if err != nil {
		return AddressView{}, err
	}
	return AddressView{instance, service, method, path}, nil
}

// Address returns a copy that does not depend on the bytes viewed.
func (v AddressView) Address() Address {
	return Address{string(v.Instance), string(v.Service), strings.ToUpper(string(v.Method)), string(v.Path)}
}

func splitAddress[T string | []byte](s T) (instance, service, method, path T, err error) {
	var none T
	if len(s) > MaxAddress {
		return none, none, none, none, errLongAddress
	}
	start, end := 0, nameEnd(s, 0)
	if end < len(s) && s[end] == '@' {
		if end == 0 || end > maxName {
			return none, none, none, none, errInstance
		}
		instance = s[:end]
		start = end + 1
		end = nameEnd(s, start)
	}
	if end == len(s) {
		return none, none, none, none, errNoColon
	}
	if s[end] != ':' || end == start || end-start > maxName {
		return none, none, none, none, errService
	}
	service = s[start:end]
	start = end + 1
	if start < len(s) && s[start] == '[' {
		start++
		end = nameEnd(s, start)
		if end == len(s) || s[end] != ']' || end == start || end-start > maxMethod {
			return none, none, none, none, errMethod
		}
		method = s[start:end]
		start = end + 1
	}
	path = s[start:]
	if !isPath(path) {
		return none, none, none, none, errPath
	}
	return instance, service, method, path, nil
}

// nameEnd returns the index of the first byte from i on that no name has.
func nameEnd[T string | []byte](s T, i int) int {
	for i < len(s) {
		c := s[i]
		if c-'0' > 9 && (c|0x20)-'a' > 25 && c != '_' && c != '-' {
			break
		}
		i++
	}
	return i
}

func isPath[T string | []byte](s T) bool {
	ascii := true
	for i := range len(s) {
		if s[i] < ' ' || s[i] == 0x7f {
			return false
		}
		ascii = ascii && s[i] < utf8.RuneSelf
	}
	return ascii || utf8.ValidString(string(s))
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
// ok is false for an instance that is not of two parts. Their form is not
// checked any further here.
func (a Address) Via() (node, sid string, ok bool) {
	node, sid, ok = strings.Cut(a.Instance, "-")
	if !ok || node == "" || sid == "" || strings.Contains(sid, "-") {
		return "", "", false
	}
	return node, sid, true
}
