package wire

import (
	"bytes"
	"iter"
	"strings"
)

// head is a request head (RFC 9112 §2–5) as spans of the received bytes. It is
// parsed before net/http gets the request, to tell an upgrade from plain HTTP. A bare
// LF ends no line: requests are smuggled through differences between two parsers.
type head struct {
	method, uri, proto []byte
	host               []byte // of a target that is a URL; else nil
	fields             []byte // the field lines with their CRLFs, without the empty line
}

var crlf2 = []byte("\r\n\r\n")

// skipLines drops empty lines before a request (RFC 9112 §2.2).
func skipLines(b []byte) []byte {
	for bytes.HasPrefix(b, crlf2[:2]) {
		b = b[2:]
	}
	return b
}

// headEnd returns the length of the head at the start of b, or 0 if it is not
// complete.
func headEnd(b []byte) int {
	if i := bytes.Index(b, crlf2); i >= 0 {
		return i + len(crlf2)
	}
	return 0
}

// plausible reports whether b can be the beginning of a request: so far it is a
// method. So a peer that speaks another protocol is refused at once, and not
// after the time-out.
func plausible(b []byte) bool {
	if len(b) == 1 && b[0] == '\r' {
		return true // of an empty line before it
	}
	for i, c := range b {
		if c == ' ' && i > 0 {
			return true
		}
		if !isToken(c) || i >= 32 {
			return false
		}
	}
	return true
}

// parseHead parses a complete head, empty line included.
func parseHead(b []byte) (h head, ok bool) {
	line, rest, found := bytes.Cut(b, []byte("\r\n"))
	if !found {
		return h, false
	}
	var more bool
	if h.method, line, more = bytes.Cut(line, []byte(" ")); !more || !isTokens(h.method) {
		return h, false
	}
	if h.uri, h.proto, more = bytes.Cut(line, []byte(" ")); !more || len(h.uri) == 0 || !isVisible(h.uri) {
		return h, false
	}
	if len(h.proto) != len("HTTP/1.1") || !bytes.HasPrefix(h.proto, []byte("HTTP/")) || !isVisible(h.proto) {
		return h, false
	}
	if !bytes.HasSuffix(rest, []byte("\r\n")) {
		return h, false
	}
	h.fields = rest[:len(rest)-2]
	for rest = h.fields; len(rest) > 0; {
		if line, rest, found = bytes.Cut(rest, []byte("\r\n")); !found {
			return h, false
		}
		name, value, colon := bytes.Cut(line, []byte(":"))
		// No space before the colon, no folded lines (RFC 9112 §5.1, §5.2).
		if !colon || !isTokens(name) || !isText(value) {
			return h, false
		}
	}
	return h, true
}

// all yields the values of a field, in order. name is compared without case.
func (h *head) all(name string) iter.Seq[[]byte] {
	return func(yield func([]byte) bool) {
		for rest := h.fields; len(rest) > 0; {
			var line []byte
			line, rest, _ = bytes.Cut(rest, []byte("\r\n"))
			if len(line) > len(name) && line[len(name)] == ':' && equalFold(line[:len(name)], name) {
				if !yield(bytes.Trim(line[len(name)+1:], " \t")) {
					return
				}
			}
		}
	}
}

// get returns a field's first value and how often it occurs.
func (h *head) get(name string) (first []byte, n int) {
	for v := range h.all(name) {
		if n++; n == 1 {
			first = v
		}
	}
	return first, n
}

// list yields the elements of a comma-separated field (RFC 9110 §5.6.1).
func (h *head) list(name string) iter.Seq[[]byte] {
	return func(yield func([]byte) bool) {
		for v := range h.all(name) {
			for more := true; more; {
				var e []byte
				e, v, more = bytes.Cut(v, []byte(","))
				if e = bytes.Trim(e, " \t"); len(e) > 0 && !yield(e) {
					return
				}
			}
		}
	}
}

// names reports whether a list has an element, compared without case.
func (h *head) names(field, element string) bool {
	for v := range h.list(field) {
		if equalFold(v, element) {
			return true
		}
	}
	return false
}

// upgrade reports whether the request asks for a WebSocket (RFC 6455 §4.2.1).
func (h *head) upgrade() bool { return h.names("Upgrade", "websocket") }

// extensions negotiates over all lines of Sec-WebSocket-Extensions.
func (h *head) extensions() (params deflateParams, ok bool) {
	for v := range h.all("Sec-WebSocket-Extensions") {
		p, valid := negotiate(v)
		if !valid {
			return deflateParams{}, false
		}
		if p.agreed && !params.agreed {
			params = p
		}
	}
	return params, true
}

// equalFold compares ASCII without case, and without allocating for a conversion.
func equalFold(b []byte, s string) bool {
	if len(b) != len(s) {
		return false
	}
	for i := range b {
		x, y := b[i], s[i]
		if x == y {
			continue
		}
		if x|0x20 != y|0x20 || x|0x20 < 'a' || x|0x20 > 'z' {
			return false
		}
	}
	return true
}

// isToken reports whether c is a tchar (RFC 9110 §5.6.2).
func isToken(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' ||
		c != 0 && strings.IndexByte("!#$%&'*+-.^_`|~", c) >= 0
}

func isTokens(b []byte) bool {
	for _, c := range b {
		if !isToken(c) {
			return false
		}
	}
	return len(b) > 0
}

func isVisible(b []byte) bool {
	for _, c := range b {
		if c <= ' ' || c == 0x7f {
			return false
		}
	}
	return true
}

// isText reports whether b can be a field's value (RFC 9110 §5.5).
func isText(b []byte) bool {
	for _, c := range b {
		if c < ' ' && c != '\t' || c == 0x7f {
			return false
		}
	}
	return true
}
