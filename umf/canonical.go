package umf

// signed is the fields that a signature covers, in the order of the signed
// text.
var signed = [...]Field{
	To, From, Headers, Mid, Rmid, Timeout, Timestamp, Type, Version, Via, Forward, Body, Authorization,
}

// defaultVersion is the version of a message that names none, as a member.
const defaultVersion = `,"version":"` + CurrentVersion + `"`

// AppendCanonical appends the text that is signed: the message as hydra's
// JavaScript library writes it with JSON.stringify before it signs. Fields
// that are falsy (see [Envelope.Falsy]) or that no signature covers are left
// out, a missing version is [CurrentVersion].
func (e *Envelope) AppendCanonical(dst []byte) []byte {
	open := len(dst)
	for _, f := range signed {
		raw := e.Raw(f)
		if Falsy(raw) {
			if f == Version {
				dst = append(dst, defaultVersion...)
			}
			continue
		}
		dst = append(dst, ',')
		dst = append(dst, fieldNames[f].longMember...)
		dst = e.AppendCanonicalField(dst, f)
	}
	dst[open] = '{' // in the place of the first comma
	return append(dst, '}')
}

// AppendCanonicalField appends the value of one field as it stands in the
// signed text: the same for all spellings that one signature covers. Nothing is
// appended for a field that the message does not have.
func (e *Envelope) AppendCanonicalField(dst []byte, f Field) []byte {
	raw := e.Raw(f)
	if len(raw) == 0 || isCanonical(raw) {
		return append(dst, raw...)
	}
	return e.appendCanonicalField(dst, f, raw)
}

// appendCanonicalField appends the value of a field in canonical form, and
// notes if it has a key twice in it, so that AppendShort sends on the reading
// that was signed.
func (e *Envelope) appendCanonicalField(dst []byte, f Field, raw []byte) []byte {
	dst, repeats := appendCanonicalValue(dst, raw)
	if repeats {
		e.repeats |= 1 << f
	}
	return dst
}

// isCanonical reports whether a valid JSON value is sure to be written by
// JSON.stringify byte for byte as it is, which most senders' values are. False
// means only that it was not sure: many keys in one object, keys that begin
// with a digit, numbers with an exponent or more digits than a double has.
func isCanonical(raw []byte) bool {
	_, ok := canonicalEnd(raw, 0)
	return ok
}

// canonicalEnd returns the index after the value at i, if that is canonical.
func canonicalEnd(b []byte, i int) (end int, ok bool) {
	switch b[i] {
	case '"':
		return canonicalStringEnd(b, i+1)
	case '{':
		return canonicalObjectEnd(b, i+1)
	case '[':
		return canonicalArrayEnd(b, i+1)
	case 't', 'n':
		return i + 4, true
	case 'f':
		return i + 5, true
	case ' ', '\t', '\n', '\r':
		return i, false
	}
	end, _ = skipNumber(b, i)
	return end, isCanonicalNumber(b[i:end])
}

func canonicalStringEnd(b []byte, i int) (end int, ok bool) {
	for {
		i = plainEnd(b, i)
		if b[i] == '"' {
			return i + 1, true
		}
		if c := b[i+1]; c == '/' || c == 'u' {
			return i, false
		}
		i += 2
	}
}

func canonicalArrayEnd(b []byte, i int) (end int, ok bool) {
	if b[i] == ']' {
		return i + 1, true
	}
	for {
		if i, ok = canonicalEnd(b, i); !ok {
			return i, false
		}
		switch b[i] {
		case ']':
			return i + 1, true
		case ',':
			i++
		default: // white space
			return i, false
		}
	}
}

func canonicalObjectEnd(b []byte, i int) (end int, ok bool) {
	if b[i] == '}' {
		return i + 1, true
	}
	var keys [fewKeys][]byte
	for n := range keys {
		if b[i] != '"' || b[i+1]-'0' <= 9 {
			return i, false
		}
		start := i
		if i, ok = canonicalStringEnd(b, i+1); !ok || b[i] != ':' {
			return i, false
		}
		keys[n] = b[start:i]
		for _, key := range keys[:n] {
			if string(key) == string(keys[n]) {
				return i, false
			}
		}
		if i, ok = canonicalEnd(b, i+1); !ok {
			return i, false
		}
		switch b[i] {
		case '}':
			return i + 1, true
		case ',':
			i++
		default:
			return i, false
		}
	}
	return i, false
}
