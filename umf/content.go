package umf

import (
	"crypto/sha256"
	"encoding/base64"
)

// content is the fields that make a message another one, in the order of the text.
var content = [...]Field{To, Type, Forward, Body}

// AppendContent appends what has to be equal for a message to be a repetition of
// another one with the same mid: to, type, forward and body in canonical form, as in
// [Envelope.AppendCanonical]. How they are spelt does not matter, nor what a sender
// may make anew for a repetition: timestamp, headers, signature.
//
//	{"to":"ann@client:/","type":"chat","body":{"text":"hi"}}
func (e *Envelope) AppendContent(dst []byte) []byte {
	open := len(dst)
	dst = append(dst, '{')
	for _, f := range content {
		raw := e.Raw(f)
		if Falsy(raw) {
			continue
		}
		if len(dst) > open+1 {
			dst = append(dst, ',')
		}
		dst = append(dst, fieldNames[f].longMember...)
		if isCanonical(raw) {
			dst = append(dst, raw...)
		} else {
			dst, _ = appendCanonicalValue(dst, raw)
		}
	}
	return append(dst, '}')
}

// ContentID names a text of [Envelope.AppendContent]: the first 16 bytes of its SHA-256,
// in base64url without padding.
func ContentID(text []byte) string {
	sum := sha256.Sum256(text)
	return base64.RawURLEncoding.EncodeToString(sum[:16])
}
