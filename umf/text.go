package umf

import (
	"unicode/utf16"
	"unicode/utf8"
)

const hexDigits = "0123456789abcdef"

// AppendString appends s as a JSON string in the one way in which JavaScript's
// JSON.stringify writes it: escaped are the quote, the backslash and controls
// below U+0020, and nothing else. Bytes that are not UTF-8 become U+FFFD.
func AppendString[T ~string | ~[]byte](dst []byte, s T) []byte {
	dst = append(dst, '"')
	start := 0
	for i := 0; i < len(s); {
		c := s[i]
		if c >= ' ' && c < utf8.RuneSelf && c != '"' && c != '\\' {
			i++
			continue
		}
		if c < utf8.RuneSelf {
			dst = append(dst, s[start:i]...)
			dst = appendUnit(dst, rune(c))
			i++
			start = i
			continue
		}
		r, n := utf8.DecodeRuneInString(string(s[i:min(i+utf8.UTFMax, len(s))]))
		if r == utf8.RuneError && n == 1 {
			dst = append(dst, s[start:i]...)
			dst = utf8.AppendRune(dst, utf8.RuneError)
			start = i + 1
		}
		i += n
	}
	dst = append(dst, s[start:]...)
	return append(dst, '"')
}

// appendUnit appends a character inside a string as JSON.stringify does.
// Surrogates are given one by one only if they are alone.
func appendUnit(dst []byte, r rune) []byte {
	switch r {
	case '"', '\\':
		return append(dst, '\\', byte(r))
	case '\b':
		return append(dst, '\\', 'b')
	case '\t':
		return append(dst, '\\', 't')
	case '\n':
		return append(dst, '\\', 'n')
	case '\f':
		return append(dst, '\\', 'f')
	case '\r':
		return append(dst, '\\', 'r')
	}
	if r < ' ' || utf16.IsSurrogate(r) {
		return append(dst, '\\', 'u', hexDigits[r>>12&15], hexDigits[r>>8&15], hexDigits[r>>4&15], hexDigits[r&15])
	}
	return utf8.AppendRune(dst, r)
}

// appendDecoded appends the text that the inside of a valid JSON string stands for.
func appendDecoded(dst, inner []byte) []byte {
	for i := 0; i < len(inner); {
		end := plainEnd(inner, i)
		dst = append(dst, inner[i:end]...)
		if end == len(inner) {
			break
		}
		var r rune
		r, i = decodeEscape(inner, end)
		dst = utf8.AppendRune(dst, r) // U+FFFD for a lone surrogate
	}
	return dst
}

// appendCanonicalString appends the string whose opening quote is before i as
// JSON.stringify writes it, and returns the index after its closing quote.
func appendCanonicalString(dst, b []byte, i int) ([]byte, int) {
	dst = append(dst, '"')
	for {
		end := plainEnd(b, i)
		dst = append(dst, b[i:end]...)
		if b[end] == '"' {
			return append(dst, '"'), end + 1
		}
		var r rune
		r, i = decodeEscape(b, end)
		dst = appendUnit(dst, r)
	}
}

// decodeEscape decodes the valid escape at i, or both escapes of a surrogate
// pair, and returns the index after it. A surrogate alone is returned as it is.
func decodeEscape(b []byte, i int) (rune, int) {
	switch c := b[i+1]; c {
	case 'b':
		return '\b', i + 2
	case 'f':
		return '\f', i + 2
	case 'n':
		return '\n', i + 2
	case 'r':
		return '\r', i + 2
	case 't':
		return '\t', i + 2
	case 'u':
		r := hexUnit(b, i+2)
		i += 6
		if utf16.IsSurrogate(r) && i+6 <= len(b) && b[i] == '\\' && b[i+1] == 'u' {
			if pair := utf16.DecodeRune(r, hexUnit(b, i+2)); pair != utf8.RuneError {
				return pair, i + 6
			}
		}
		return r, i
	default: // quote, backslash, slash
		return rune(c), i + 2
	}
}

// hexUnit returns the UTF-16 unit that four hexadecimal digits stand for.
func hexUnit(b []byte, i int) rune {
	return hexValue(b[i])<<12 | hexValue(b[i+1])<<8 | hexValue(b[i+2])<<4 | hexValue(b[i+3])
}
