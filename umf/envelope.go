package umf

import "bytes"

// span is a part of the scanned text.
type span struct{ start, end uint32 }

// member is a key, with its quotes, and its value.
type member struct{ key, value span }

// maxUnknown is the number of keys beyond UMF that an Envelope remembers. Senders
// use none or a few (rmi, say); to re-emit a message with more, its text is walked
// over again.
const maxUnknown = 8

// Envelope holds the places of a message's fields in its text. The zero value is
// ready for [Scan], and may be used for one message after the other. An Envelope
// points into the text, and is valid as long as the text is not changed. It is not
// safe for concurrent use, since [Keys.Verify] notes its findings in it.
type Envelope struct {
	// Set by Scan.
	text      []byte               // the object, without white space around it
	values    [2 * fieldCount]span // by field; values of long keys, while scanning, fieldCount further up
	seen      uint64               // bit set of values
	unknown   [maxUnknown]member   // in received order
	others    int                  // unknown keys in the text, of which unknown has the first
	short     bool                 // see IsShort
	lookalike bool                 // see Lookalike

	// Set by Keys.Verify and AppendCanonical.
	repeats uint32 // bit set of fields whose value has a key twice somewhere inside
}

// Reset forgets the message, so that its text can be collected.
func (e *Envelope) Reset() {
	e.text, e.seen, e.others, e.short, e.lookalike, e.repeats = nil, 0, 0, false, false, 0
}

// Has reports whether the message has the field, whatever its value.
func (e *Envelope) Has(f Field) bool {
	return f < fieldCount && e.seen&(1<<f) != 0
}

// Raw returns the JSON value of a field as it was received, nil if the message
// has no such field. The bytes are the text's own.
func (e *Envelope) Raw(f Field) []byte {
	if !e.Has(f) {
		return nil
	}
	s := e.values[f]
	return e.text[s.start:s.end:s.end]
}

// Text returns the decoded value of a field that holds a string. Without
// escapes in it, that is part of the message's text; otherwise it is appended
// to buf and only the new part returned. A lone surrogate, which UTF-8 cannot
// express, becomes U+FFFD. ok is false if the field is absent or no string.
func (e *Envelope) Text(f Field, buf []byte) (s []byte, ok bool) {
	raw := e.Raw(f)
	if len(raw) == 0 || raw[0] != '"' {
		return nil, false
	}
	inner := raw[1 : len(raw)-1]
	if bytes.IndexByte(inner, '\\') < 0 {
		return inner, true
	}
	n := len(buf)
	buf = appendDecoded(buf, inner)
	return buf[n:], true
}

// Falsy reports whether the field is absent or has a value that JavaScript
// takes for false: null, false, "", or a number that is zero as an IEEE
// double. Such a field counts as absent wherever a rule asks for it.
func (e *Envelope) Falsy(f Field) bool {
	return Falsy(e.Raw(f))
}

// Falsy reports the same of a JSON value without white space around it.
func Falsy(raw []byte) bool {
	if len(raw) == 0 {
		return true
	}
	switch raw[0] {
	case '"':
		return len(raw) == 2
	case 'n', 'f':
		return true
	case 't', '{', '[':
		return false
	}
	return isZero(raw)
}

// IsShort reports whether the message is in short form already, so that its
// bytes may go on as they are: no long key, no key twice, none with escapes.
func (e *Envelope) IsShort() bool { return e.short }

// Check applies the rules that every message of a client must keep, for any receiver:
// to, from and body are there and not falsy; to, from and forward are strings.
// The error is a [*FieldError].
func (e *Envelope) Check() error {
	if err := e.CheckAnswer(); err != nil {
		return err
	}
	if e.Falsy(Body) {
		return &FieldError{Body, "is missing"}
	}
	return nil
}

// CheckAnswer applies the rules for what services send: those of [Envelope.Check], but
// that the body may be any JSON value, since 0, false, "" and null are answers, too.
func (e *Envelope) CheckAnswer() error {
	for _, f := range [...]Field{To, From} {
		if e.Falsy(f) {
			return &FieldError{f, "is missing"}
		}
	}
	if !e.Has(Body) {
		return &FieldError{Body, "is missing"}
	}
	for _, f := range [...]Field{To, From, Forward} {
		if raw := e.Raw(f); !Falsy(raw) && raw[0] != '"' {
			return &FieldError{f, "is not a string"}
		}
	}
	return nil
}
