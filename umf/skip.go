package umf

import (
	"encoding/binary"
	"math/bits"
)

// The functions of this file walk over a piece of JSON from an index. They return
// the index of the first byte after it, or a fault and the index of the wrong byte.
// They never allocate. The text is known to be valid UTF-8, so they need not check
// that in strings, byte by byte.

// space returns the index of the first byte from i on that is not JSON white
// space.
func space(b []byte, i int) int {
	const whites = uint64(1<<' ' | 1<<'\t' | 1<<'\n' | 1<<'\r')
	for i < len(b) && b[i] <= ' ' && whites>>b[i]&1 != 0 {
		i++
	}
	return i
}

// skipValue walks over the value that starts at i, which has depth containers
// around it.
func skipValue(b []byte, i, depth int) (int, fault) {
	if i >= len(b) {
		return i, faultEnd
	}
	switch c := b[i]; c {
	case '"':
		return skipString(b, i+1)
	case '{', '[':
		if depth >= MaxDepth {
			return i, faultDepth
		}
		if c == '{' {
			return skipObject(b, i+1, depth+1)
		}
		return skipArray(b, i+1, depth+1)
	case '-', '0', '1', '2', '3', '4', '5', '6', '7', '8', '9':
		return skipNumber(b, i)
	case 't':
		return skipLiteral(b, i, "true")
	case 'f':
		return skipLiteral(b, i, "false")
	case 'n':
		return skipLiteral(b, i, "null")
	}
	return i, faultValue
}

// skipObject walks over the rest of an object whose brace is before i.
func skipObject(b []byte, i, depth int) (int, fault) {
	i = space(b, i)
	if i < len(b) && b[i] == '}' {
		return i + 1, faultNone
	}
	for {
		_, value, f := skipKey(b, i)
		if f != faultNone {
			return value, f
		}
		if i, f = skipValue(b, value, depth); f != faultNone {
			return i, f
		}
		i = space(b, i)
		if i >= len(b) {
			return i, faultEnd
		}
		switch b[i] {
		case '}':
			return i + 1, faultNone
		case ',':
			i = space(b, i+1)
		default:
			return i, faultObjectNext
		}
	}
}

// skipKey walks over a key at i and the colon after it. It returns where the
// key's closing quote ends, and where the value starts or the fault is.
func skipKey(b []byte, i int) (end, value int, f fault) {
	if i >= len(b) {
		return i, i, faultEnd
	}
	if b[i] != '"' {
		return i, i, faultKey
	}
	if end, f = skipString(b, i+1); f != faultNone {
		return end, end, f
	}
	value = space(b, end)
	if value >= len(b) {
		return end, value, faultEnd
	}
	if b[value] != ':' {
		return end, value, faultColon
	}
	return end, space(b, value+1), faultNone
}

// skipArray walks over the rest of an array whose bracket is before i.
func skipArray(b []byte, i, depth int) (int, fault) {
	i = space(b, i)
	if i < len(b) && b[i] == ']' {
		return i + 1, faultNone
	}
	for {
		var f fault
		if i, f = skipValue(b, i, depth); f != faultNone {
			return i, f
		}
		i = space(b, i)
		if i >= len(b) {
			return i, faultEnd
		}
		switch b[i] {
		case ']':
			return i + 1, faultNone
		case ',':
			i = space(b, i+1)
		default:
			return i, faultArrayNext
		}
	}
}

// skipString walks over the rest of a string whose opening quote is before i.
func skipString(b []byte, i int) (int, fault) {
	for {
		i = plainEnd(b, i)
		if i >= len(b) {
			return i, faultEnd
		}
		switch b[i] {
		case '"':
			return i + 1, faultNone
		case '\\':
			var f fault
			if i, f = skipEscape(b, i+1); f != faultNone {
				return i, f
			}
		default:
			return i, faultControl
		}
	}
}

// skipEscape walks over the rest of an escape whose backslash is before i.
func skipEscape(b []byte, i int) (int, fault) {
	if i >= len(b) {
		return i, faultEnd
	}
	switch b[i] {
	case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
		return i + 1, faultNone
	case 'u':
		for range 4 {
			i++
			if i >= len(b) {
				return i, faultEnd
			}
			if hexValue(b[i]) < 0 {
				return i, faultEscape
			}
		}
		return i + 1, faultNone
	}
	return i, faultEscape
}

// plainEnd returns the index of the first byte from i on that ends a run of
// plain text in a string: a quote, a backslash or a control; or len(b).
func plainEnd(b []byte, i int) int {
	for i+8 <= len(b) {
		if m := notPlain(binary.LittleEndian.Uint64(b[i:])); m != 0 {
			return i + bits.TrailingZeros64(m)>>3
		}
		i += 8
	}
	for i < len(b) && b[i] >= ' ' && b[i] != '"' && b[i] != '\\' {
		i++
	}
	return i
}

// notPlain sets the high bit of bytes of w that end plain text. Bits above the
// lowest may be wrong, because subtractions borrow upwards; the lowest is
// right, and that is the one that is used.
func notPlain(w uint64) uint64 {
	const (
		ones  = 0x0101010101010101
		highs = 0x8080808080808080
	)
	quote := w ^ ones*'"'
	backslash := w ^ ones*'\\'
	return ((w-ones*' ')&^w | (quote-ones)&^quote | (backslash-ones)&^backslash) & highs
}

// skipNumber walks over the number at i.
func skipNumber(b []byte, i int) (int, fault) {
	if b[i] == '-' {
		i++
	}
	if i < len(b) && b[i] == '0' {
		i++ // a leading zero stands alone
	} else {
		var f fault
		if i, f = skipDigits(b, i); f != faultNone {
			return i, f
		}
	}
	if i < len(b) && b[i] == '.' {
		var f fault
		if i, f = skipDigits(b, i+1); f != faultNone {
			return i, f
		}
	}
	if i < len(b) && (b[i] == 'e' || b[i] == 'E') {
		i++
		if i < len(b) && (b[i] == '+' || b[i] == '-') {
			i++
		}
		return skipDigits(b, i)
	}
	return i, faultNone
}

// skipDigits walks over one digit or more at i.
func skipDigits(b []byte, i int) (int, fault) {
	start := i
	for i < len(b) && b[i]-'0' <= 9 {
		i++
	}
	if i > start {
		return i, faultNone
	}
	if i >= len(b) {
		return i, faultEnd
	}
	return i, faultNumber
}

// skipLiteral walks over want at i.
func skipLiteral(b []byte, i int, want string) (int, fault) {
	if len(b)-i >= len(want) && string(b[i:i+len(want)]) == want {
		return i + len(want), faultNone
	}
	for k := 0; i < len(b) && k < len(want) && b[i] == want[k]; k++ {
		i++
	}
	if i >= len(b) {
		return i, faultEnd
	}
	return i, faultLiteral
}

// hexValue returns the value of a hexadecimal digit, -1 for anything else.
func hexValue(c byte) rune {
	switch {
	case c-'0' <= 9:
		return rune(c - '0')
	case (c|0x20)-'a' < 6:
		return rune((c|0x20)-'a') + 10
	}
	return -1
}
