package umf

import "bytes"

// Member returns the value of a key in a JSON object, such as a message's body,
// as it was received; nil if raw is no object, or has no such key. Keys are read
// as [Scan] reads them: case matters, escapes are decoded, and of a key that is
// there twice the last value counts. (encoding/json takes ID for id.) Nothing is
// allocated, unless keys have escapes.
func Member(raw []byte, key string) (value []byte) {
	i := space(raw, 0)
	if i >= len(raw) || raw[i] != '{' {
		return nil
	}
	i = space(raw, i+1)
	if i < len(raw) && raw[i] == '}' {
		return nil
	}
	for {
		keyEnd, start, f := skipKey(raw, i)
		if f != faultNone {
			return nil
		}
		end, f := skipValue(raw, start, 1)
		if f != faultNone {
			return nil
		}
		if decodesTo(raw[i+1:keyEnd-1], key) {
			value = raw[start:end:end]
		}
		if i = space(raw, end); i >= len(raw) {
			return nil
		}
		switch raw[i] {
		case '}':
			return value
		case ',':
			i = space(raw, i+1)
		default:
			return nil
		}
	}
}

// MemberText is [Member] for a string, decoded. ok is false if there is no such
// key, or another kind of value.
func MemberText(raw []byte, key string) (text string, ok bool) {
	value := Member(raw, key)
	if len(value) == 0 || value[0] != '"' {
		return "", false
	}
	return decodeText(value), true
}

// decodesTo reports whether the inside of a JSON string stands for text.
func decodesTo(inner []byte, text string) bool {
	if string(inner) == text {
		return true
	}
	return bytes.IndexByte(inner, '\\') >= 0 && string(appendDecoded(nil, inner)) == text
}
