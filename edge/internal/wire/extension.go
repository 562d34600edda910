package wire

import (
	"bytes"
	"strconv"
)

// deflateParams are the agreed parameters of permessage-deflate (RFC 7692 §7.1).
type deflateParams struct {
	agreed     bool
	serverBits uint8 // server_max_window_bits if the client asked for it, else 0
}

// negotiate chooses from one Sec-WebSocket-Extensions line: the first offer of
// permessage-deflate that the server can meet. It passes over other offers and
// unknown extensions (RFC 7692 §5). ok is false if the line is not well-formed
// (RFC 6455 §9.1).
func negotiate(v []byte) (p deflateParams, ok bool) {
	for more := true; more; {
		if v = trimSpace(v); len(v) == 0 || v[0] == ',' { // an empty element (RFC 9110 §5.6.1)
			if more = len(v) > 0; more {
				v = v[1:]
			}
			continue
		}
		var offer deflateParams
		name, rest, valid := parseToken(v)
		if !valid {
			return deflateParams{}, false
		}
		meets := equalFold(name, "permessage-deflate")
		seen := map[string]bool(nil)
		for rest = trimSpace(rest); len(rest) > 0 && rest[0] == ';'; rest = trimSpace(rest) {
			var key, value []byte
			var has bool
			if key, value, has, rest, valid = parseParam(rest[1:]); !valid {
				return deflateParams{}, false
			}
			if !meets {
				continue
			}
			if seen == nil {
				seen = make(map[string]bool, 4)
			}
			meets = !seen[string(key)] && offer.param(string(key), value, has)
			seen[string(key)] = true
		}
		if len(rest) > 0 && rest[0] != ',' {
			return deflateParams{}, false
		}
		if more = len(rest) > 0; more {
			v = rest[1:]
		}
		if meets && !p.agreed {
			p, p.agreed = offer, true
		}
	}
	return p, true
}

// param adds a parameter to an offer, and reports whether it is valid and the
// server can meet it. The client's own context and window do not matter: we
// always ask for client_no_context_takeover, and our window is the largest.
func (p *deflateParams) param(key string, value []byte, has bool) bool {
	switch key {
	case "server_no_context_takeover", "client_no_context_takeover":
		return !has
	case "client_max_window_bits":
		if !has {
			return true
		}
		_, ok := windowBits(value)
		return ok
	case "server_max_window_bits":
		bits, ok := windowBits(value)
		p.serverBits = bits
		return ok && has
	}
	return false
}

// windowBits reads 8 to 15, without leading zeros (RFC 7692 §7.1.2).
func windowBits(v []byte) (uint8, bool) {
	if len(v) == 0 || len(v) > 2 || v[0] == '0' {
		return 0, false
	}
	n, err := strconv.Atoi(string(v))
	return uint8(n), err == nil && n >= 8 && n <= 15
}

// appendTo appends the response. Both no_context_takeover parameters may be
// set unasked (RFC 7692 §7.1.1).
func (p deflateParams) appendTo(b []byte) []byte {
	b = append(b, "permessage-deflate; server_no_context_takeover; client_no_context_takeover"...)
	if p.serverBits != 0 {
		b = strconv.AppendUint(append(b, "; server_max_window_bits="...), uint64(p.serverBits), 10)
	}
	return b
}

func trimSpace(b []byte) []byte { return bytes.TrimLeft(b, " \t") }

// parseToken reads a token (RFC 9110 §5.6.2).
func parseToken(b []byte) (token, rest []byte, ok bool) {
	n := 0
	for n < len(b) && isToken(b[n]) {
		n++
	}
	return b[:n], b[n:], n > 0
}

// parseParam reads a parameter after its semicolon: a token, and maybe a value
// that is a token, quoted or not (RFC 6455 §9.1).
func parseParam(b []byte) (key, value []byte, has bool, rest []byte, ok bool) {
	if key, rest, ok = parseToken(trimSpace(b)); !ok {
		return nil, nil, false, nil, false
	}
	rest = trimSpace(rest)
	if len(rest) == 0 || rest[0] != '=' {
		return key, nil, false, rest, true
	}
	rest = trimSpace(rest[1:])
	if len(rest) > 0 && rest[0] == '"' {
		end := bytes.IndexByte(rest[1:], '"')
		if end < 1 || !isTokens(rest[1:1+end]) {
			return nil, nil, false, nil, false
		}
		return key, rest[1 : 1+end], true, rest[2+end:], true
	}
	value, rest, ok = parseToken(rest)
	return key, value, true, rest, ok
}
