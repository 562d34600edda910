package protocol

import (
	"strings"
	"unicode/utf8"
)

// maxQuote bounds the part of a client's message that an error quotes (bytes).
const maxQuote = 256

// Quote makes the beginning of a client's message fit for an error text and a
// log line: valid UTF-8 without control characters.
func Quote(p []byte) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f || r == utf8.RuneError {
			return '.'
		}
		return r
	}, strings.ToValidUTF8(string(p[:min(len(p), maxQuote)]), "."))
}
