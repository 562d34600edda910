package wire

import (
	"bytes"
	"encoding/base64"
	"net/http"
	"net/netip"
	"strconv"
	"strings"
)

// check looks at what every request must have right, whoever serves it: its target
// and its Host (RFC 9112 §3.2). It returns what is wrong, or "". What frames a body is
// net/http's to check, and checkUpgrade's, but for two ways at once, of which net/http
// overlooks one (§6.1).
func (h *head) check() string {
	switch {
	case h.uri[0] == '/':
	case string(h.method) == http.MethodConnect:
		if !isHost(h.uri) {
			return "the target of CONNECT is no host"
		}
	case len(h.uri) == 1 && h.uri[0] == '*':
		if string(h.method) != http.MethodOptions {
			return "the target * is for OPTIONS only"
		}
	case !h.absolute():
		return "the target is neither a path nor a URL"
	}
	if bytes.IndexByte(h.uri, '#') >= 0 {
		return "the target has a fragment"
	}
	if path, _, _ := bytes.Cut(h.uri, []byte("?")); !areEscapes(path) {
		return "a % in the target is no escape" // in a query browsers leave it
	}
	host, n := h.get("Host")
	switch {
	case n > 1:
		return "more than one Host"
	case n == 1 && len(host) > 0 && !isHost(host):
		return "Host is no host"
	case n == 0 && string(h.proto) == "HTTP/1.1":
		return "no Host"
	}
	if _, lengths := h.get("Content-Length"); lengths > 0 {
		if _, codings := h.get("Transfer-Encoding"); codings > 0 {
			return "both Content-Length and Transfer-Encoding"
		}
	}
	return ""
}

// faultOf is check for a request that net/http has read, of which it tells less.
func faultOf(r *http.Request) string {
	h := head{method: []byte(r.Method), uri: []byte(r.RequestURI), proto: []byte(r.Proto), fields: fieldLines(http.Header{"Host": {r.Host}})}
	return h.check()
}

// absolute reports whether the target is a URL with a host (RFC 9112 §3.2.2), and
// splits it: host counts and not the field Host, and uri is the path.
func (h *head) absolute() bool {
	scheme, rest, ok := bytes.Cut(h.uri, []byte("://"))
	if !ok || !equalFold(scheme, "http") && !equalFold(scheme, "https") && !equalFold(scheme, "ws") && !equalFold(scheme, "wss") {
		return false
	}
	end := bytes.IndexAny(rest, "/?#")
	if end < 0 {
		end = len(rest)
	}
	if h.host = rest[:end]; !isHost(h.host) {
		return false
	}
	switch path := rest[end:]; {
	case len(path) == 0:
		h.uri = []byte("/")
	case path[0] == '/':
		h.uri = path
	default:
		h.uri = append([]byte("/"), path...)
	}
	return true
}

// checkUpgrade looks at what an upgrade must have (RFC 6455 §4.2.1). fault is "" if
// nothing is wrong.
func (h *head) checkUpgrade() (status int, fault string, fields http.Header) {
	host, hosts := h.get("Host")
	version, versions := h.get("Sec-WebSocket-Version")
	key, keys := h.get("Sec-WebSocket-Key")
	status = http.StatusBadRequest
	switch {
	case string(h.proto) != "HTTP/1.1":
		status, fault = http.StatusHTTPVersionNotSupported, "an upgrade needs HTTP/1.1 (in nginx proxy_http_version 1.1)"
	case string(h.method) != http.MethodGet:
		status, fault, fields = http.StatusMethodNotAllowed, "an upgrade needs GET", allowGet
	case hosts != 1 || len(host) == 0 && h.host == nil:
		fault = "no Host"
	case h.hasBody():
		// What a second parser takes for the body, we would take for frames.
		fault = "a request for an upgrade has no body"
	case !h.names("Connection", "upgrade"):
		fault = "Connection does not name Upgrade"
	case versions == 0 || len(version) == 0:
		fault = "no Sec-WebSocket-Version"
	case versions > 1:
		fault = "more than one Sec-WebSocket-Version"
	case string(version) != "13": // RFC 6455 §4.2.2, §4.4
		status, fault, fields = http.StatusUpgradeRequired, "the version of WebSocket is 13", upgradeOffer
	case keys != 1 || !isKey(key): // RFC 6455 §11.3.1
		fault = "no valid Sec-WebSocket-Key"
	default:
		for p := range h.list("Sec-WebSocket-Protocol") {
			if !isTokens(p) {
				fault = "a subprotocol that is no token"
			}
		}
	}
	return status, fault, fields
}

// hasBody reports whether a body follows, or may for other parsers.
func (h *head) hasBody() bool {
	length, lengths := h.get("Content-Length")
	_, codings := h.get("Transfer-Encoding")
	return codings > 0 || lengths > 1 || lengths == 1 && (len(length) == 0 || strings.Trim(string(length), "0") != "")
}

// isKey reports whether b is the base64 of 16 bytes.
func isKey(b []byte) bool {
	var nonce [18]byte
	if len(b) != 24 {
		return false
	}
	n, err := base64.StdEncoding.Decode(nonce[:], b)
	return err == nil && n == 16
}

// isHost reports whether b is a host with or without a port (RFC 9110 §7.2, RFC 3986
// §3.2.2). A user before it is not one.
func isHost(b []byte) bool {
	host, port := b, []byte(nil)
	if i := bytes.LastIndexByte(b, ':'); i >= 0 && bytes.IndexByte(b[i:], ']') < 0 {
		host, port = b[:i], b[i+1:]
	}
	for _, c := range port {
		if c < '0' || c > '9' {
			return false
		}
	}
	if len(port) > 0 {
		if n, err := strconv.Atoi(string(port)); err != nil || n > 65535 {
			return false
		}
	}
	if len(host) > 1 && host[0] == '[' {
		a, err := netip.ParseAddr(string(host[1 : len(host)-1]))
		return host[len(host)-1] == ']' && err == nil && a.Is6()
	}
	for _, c := range host {
		switch {
		case c == '%': // areEscapes
		case isToken(c) && c != '#' && c != '^' && c != '`' && c != '|', bytes.IndexByte([]byte("(),;="), c) >= 0:
		default:
			return false
		}
	}
	return len(host) > 0 && areEscapes(host)
}

// areEscapes reports whether each % in b begins an escape (RFC 3986 §2.1).
func areEscapes(b []byte) bool {
	for i := bytes.IndexByte(b, '%'); i >= 0; i = bytes.IndexByte(b, '%') {
		if i+2 >= len(b) || !isHex(b[i+1]) || !isHex(b[i+2]) {
			return false
		}
		b = b[i+3:]
	}
	return true
}

func isHex(c byte) bool {
	return c >= '0' && c <= '9' || c|0x20 >= 'a' && c|0x20 <= 'f'
}
