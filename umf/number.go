package umf

import (
	"math"
	"strconv"
	"time"
)

// exactDigits is how many significant digits a decimal can have so that no
// shorter or other decimal of that size is the same IEEE double.
const exactDigits = 15

// isZero reports whether a JSON number is zero as a double, which very small
// ones are, too.
func isZero(raw []byte) bool {
	for _, c := range raw {
		switch {
		case c >= '1' && c <= '9':
			return parseDouble(raw) == 0
		case c == 'e' || c == 'E':
			return true
		}
	}
	return true
}

// parseDouble returns the IEEE double next to a JSON number, infinite if it is
// out of range.
func parseDouble(raw []byte) float64 {
	// The error can only be that of the range: the grammar was checked. The
	// conversion stays on the stack up to 32 bytes.
	x, _ := strconv.ParseFloat(string(raw), 64)
	return x
}

// appendCanonicalNumber appends a JSON number as JSON.stringify writes the
// double next to it (ECMA-262, Number::toString): plain from 1e-6 up to 1e21,
// else with an exponent that has a sign and no leading zeros.
func appendCanonicalNumber(dst, raw []byte) []byte {
	if isCanonicalNumber(raw) {
		return append(dst, raw...)
	}
	x := parseDouble(raw)
	size := math.Abs(x)
	switch {
	case x == 0: // -0 too
		return append(dst, '0')
	case math.IsInf(x, 0):
		return append(dst, "null"...)
	case size >= 1e-6 && size < 1e21:
		return strconv.AppendFloat(dst, x, 'f', -1, 64)
	}
	dst = strconv.AppendFloat(dst, x, 'e', -1, 64)
	// Go writes two digits of exponent at least: e-07.
	if n := len(dst); dst[n-2] == '0' && (dst[n-3] == '-' || dst[n-3] == '+') {
		dst[n-2] = dst[n-1]
		dst = dst[:n-1]
	}
	return dst
}

// isCanonicalNumber reports whether a JSON number is sure to be written by
// JSON.stringify as it is. False means only that it was not sure.
func isCanonicalNumber(raw []byte) bool {
	digits := raw
	if digits[0] == '-' {
		digits = digits[1:]
		if digits[0] == '0' && len(digits) == 1 {
			return false
		}
	}
	if len(digits) > exactDigits {
		return false
	}
	for i, c := range digits {
		if c-'0' <= 9 {
			continue
		}
		return c == '.' && isCanonicalFraction(digits[0] == '0', digits[i+1:])
	}
	return true
}

// isCanonicalFraction is isCanonicalNumber for the digits after the point; small
// says that a zero is before it.
func isCanonicalFraction(small bool, fraction []byte) bool {
	if fraction[len(fraction)-1] == '0' {
		return false
	}
	zeros := true
	for i, c := range fraction {
		switch {
		case c-'0' > 9:
			return false // an exponent
		case c != '0':
			zeros = false
		case small && zeros && i == 5:
			return false // below 1e-6
		}
	}
	return true
}

// Seconds reads the JSON value of a field that counts seconds, [Timeout] or
// [TTL]: a number, or a string that holds one, as UMF's examples have it. ok
// is false unless it is more than zero. A number beyond the range of a
// [time.Duration] yields the longest one.
func Seconds(raw []byte) (d time.Duration, ok bool) {
	if len(raw) > 2 && raw[0] == '"' {
		raw = raw[1 : len(raw)-1]
	}
	if len(raw) == 0 || raw[0]-'0' > 9 {
		return 0, false
	}
	if end, f := skipNumber(raw, 0); f != faultNone || end != len(raw) {
		return 0, false
	}
	ns := parseDouble(raw) * float64(time.Second)
	if ns >= math.MaxInt64 {
		return math.MaxInt64, true
	}
	return time.Duration(ns), ns >= 1
}
