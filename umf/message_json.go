package umf

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"unicode/utf8"
)

// Parse reads a message in either form. The error is a [*SyntaxError]; whether
// the message is one that may be sent is for [Message.Validate] to say. text
// is copied.
func Parse(text []byte) (*Message, error) {
	m := &Message{}
	if err := m.UnmarshalJSON(text); err != nil {
		return nil, err
	}
	return m, nil
}

// UnmarshalJSON implements [json.Unmarshaler] for either form.
func (m *Message) UnmarshalJSON(text []byte) error {
	var e Envelope
	if err := Scan(text, &e); err != nil {
		return err
	}
	e.text = bytes.Clone(e.text) // raw values of the message live on in it
	*m = Message{}
	for f := range fieldCount {
		raw := e.Raw(f)
		if raw == nil {
			continue
		}
		if p := m.raw(f); p != nil {
			*p = raw
			continue
		}
		s, ok := e.Text(f, nil)
		*m.text(f) = string(s)
		if (!ok && !Falsy(raw)) || bytes.Contains(s, []byte(string(utf8.RuneError))) {
			m.keep(f, raw)
		}
	}
	e.eachUnknown(func(key, value []byte) {
		if m.Extra == nil {
			m.Extra = make(map[string]json.RawMessage)
		}
		m.Extra[string(appendDecoded(nil, key[1:len(key)-1]))] = value
	})
	return nil
}

// MarshalJSON implements [json.Marshaler] with short form. Through
// [json.Marshal], raw values lose their white space; [Message.AppendShort]
// leaves them as they are.
func (m *Message) MarshalJSON() ([]byte, error) { return m.AppendShort(nil) }

// LongJSON returns the message in long form.
func (m *Message) LongJSON() ([]byte, error) { return m.appendForm(nil, true) }

// AppendShort appends the message in short form, keys in the order of the
// Field constants. Fields that are empty are left out. An error says which of
// the raw values is not JSON.
func (m *Message) AppendShort(dst []byte) ([]byte, error) { return m.appendForm(dst, false) }

func (m *Message) appendForm(dst []byte, long bool) ([]byte, error) {
	open := len(dst)
	for f := range fieldCount {
		if !m.has(f) {
			continue
		}
		dst = append(dst, ',')
		if long {
			dst = append(dst, fieldNames[f].longMember...)
		} else {
			dst = append(dst, fieldNames[f].shortMember...)
		}
		p := m.raw(f)
		if p == nil {
			dst = m.appendText(dst, f)
			continue
		}
		if !validValue(*p) {
			return dst[:open], &FieldError{f, "is not valid JSON"}
		}
		dst = append(dst, *p...)
	}
	for _, key := range slices.Sorted(maps.Keys(m.Extra)) {
		if _, _, known := lookupField(key); known || !validValue(m.Extra[key]) {
			return dst[:open], fmt.Errorf("%w: %q", ErrExtra, key)
		}
		dst = append(dst, ',')
		dst = AppendString(dst, key)
		dst = append(dst, ':')
		dst = append(dst, m.Extra[key]...)
	}
	if len(dst) == open {
		return append(dst, '{', '}'), nil
	}
	dst[open] = '{' // in the place of the first comma
	return append(dst, '}'), nil
}

// validValue reports whether raw is one JSON value that can be a member of a
// message.
func validValue(raw []byte) bool {
	i := space(raw, 0)
	end, f := skipValue(raw, i, 1)
	return f == faultNone && space(raw, end) == len(raw) && utf8.Valid(raw)
}

// raw returns where the message holds a field as raw JSON, nil if it holds it
// as a string.
func (m *Message) raw(f Field) *json.RawMessage {
	switch f {
	case Headers:
		return &m.Headers
	case Timeout:
		return &m.Timeout
	case Body:
		return &m.Body
	case Priority:
		return &m.Priority
	case TTL:
		return &m.TTL
	}
	return nil
}

// text returns where the message holds a field as a string, nil if it holds it
// as raw JSON.
func (m *Message) text(f Field) *string {
	switch f {
	case To:
		return &m.To
	case From:
		return &m.From
	case Mid:
		return &m.Mid
	case Rmid:
		return &m.Rmid
	case Signature:
		return &m.Signature
	case Timestamp:
		return &m.Timestamp
	case Type:
		return &m.Type
	case Version:
		return &m.Version
	case Via:
		return &m.Via
	case Forward:
		return &m.Forward
	case Authorization:
		return &m.Authorization
	case For:
		return &m.For
	}
	return nil
}

// has reports whether the message has a value for the field.
func (m *Message) has(f Field) bool {
	if p := m.raw(f); p != nil {
		return len(*p) > 0
	}
	return *m.text(f) != "" || m.kept(f) != nil
}

// keep remembers raw as the JSON that was read for a field that is a string.
func (m *Message) keep(f Field, raw json.RawMessage) {
	if m.received == nil {
		m.received = make(map[Field]json.RawMessage)
	}
	m.received[f] = raw
}

// kept returns the JSON that was read for a field that is a string, if it had to be
// kept and the field still has that value.
func (m *Message) kept(f Field) json.RawMessage {
	raw := m.received[f]
	if raw == nil || decodeText(raw) != *m.text(f) {
		return nil
	}
	return raw
}

// decodeText returns the string that a Message has for a JSON value: "" if the value
// is none.
func decodeText(raw []byte) string {
	if raw[0] != '"' {
		return ""
	}
	return string(appendDecoded(nil, raw[1:len(raw)-1]))
}

func (m *Message) appendText(dst []byte, f Field) []byte {
	if raw := m.kept(f); raw != nil {
		return append(dst, raw...)
	}
	return AppendString(dst, *m.text(f))
}

// copyText gives the field to of m the value of the field from of another
// message.
func (m *Message) copyText(to Field, other *Message, from Field) {
	*m.text(to) = *other.text(from)
	if raw := other.kept(from); raw != nil {
		m.keep(to, raw)
	}
}

// Header returns the value of a header that is a string, "" for any other.
func (m *Message) Header(name string) string {
	var headers map[string]json.RawMessage
	if json.Unmarshal(m.Headers, &headers) != nil {
		return ""
	}
	var value string
	if json.Unmarshal(headers[name], &value) != nil {
		return ""
	}
	return value
}

// SetHeader gives a header a string as its value. The error is that of headers
// which are not an object.
func (m *Message) SetHeader(name, value string) error {
	headers := make(map[string]json.RawMessage)
	if len(m.Headers) > 0 {
		if err := json.Unmarshal(m.Headers, &headers); err != nil {
			return &FieldError{Headers, "is not an object"}
		}
	}
	headers[name] = AppendString(nil, value)
	raw, err := json.Marshal(headers)
	m.Headers = raw
	return err
}
