package umf

import (
	"bytes"
	"unicode"
	"unicode/utf8"
)

// Readers that ignore case, such as encoding/json and Newtonsoft's, take "BDY" for
// the body. What they take for equal differs: Go folds U+017F, the long s, and
// U+212A, the Kelvin sign; Java also the i without a dot, and the I with one. Here
// everything counts as equal that any of them takes so.

// EqualFold reports whether the inside of a JSON string, as it was received, stands
// for name but for case, where some reader that ignores case takes it so. name has
// lower-case letters, digits and "-".
func EqualFold(inner []byte, name string) bool {
	if len(inner) < len(name) {
		return false
	}
	var buf [64]byte
	folded, ok := appendFolded(buf[:0], inner, len(name))
	return ok && string(folded) == name
}

// appendFolded appends the inside of a JSON string in lower case, if that is ASCII
// and at most that long.
func appendFolded(dst, inner []byte, most int) ([]byte, bool) {
	var buf [128]byte
	if bytes.IndexByte(inner, '\\') >= 0 {
		if len(inner) > most*len(`\u0000`) {
			return dst, false
		}
		inner = appendDecoded(buf[:0], inner)
	}
	for len(inner) > 0 {
		r, n := rune(inner[0]), 1
		if r >= utf8.RuneSelf {
			r, n = utf8.DecodeRune(inner)
			r = unicode.ToLower(unicode.ToUpper(r))
		} else if 'A' <= r && r <= 'Z' {
			r += 'a' - 'A'
		}
		if most--; most < 0 || r >= utf8.RuneSelf {
			return dst, false
		}
		dst, inner = append(dst, byte(r)), inner[n:]
	}
	return dst, true
}

// isLookalike reports whether the inside of a key that is no field's is one but for
// case.
func isLookalike(inner []byte) bool {
	const longest = len("authorization")
	var buf [longest]byte
	folded, ok := appendFolded(buf[:0], inner, longest)
	if !ok {
		return false
	}
	_, _, ok = lookupField(folded)
	return ok
}

// Lookalike reports whether the message has a key that is a field's but for case:
// "BDY". Scan reads it as an unknown one, but a receiver that ignores case takes its
// value for the field's.
func (e *Envelope) Lookalike() bool { return e.lookalike }
