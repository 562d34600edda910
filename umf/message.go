package umf

import (
	"bytes"
	"encoding/json"
	"time"
)

// Message is a UMF message for services. It keeps values that UMF does not fix as raw
// JSON, so a message that was read is written again as it was, and its signature
// stays good. To route messages without reading all of them, use [Scan].
//
// [json.Marshal] and [Message.AppendShort] write short form. [Parse] and
// [json.Unmarshal] read both forms and mixtures, by the rules of [Scan]. A Message is
// not safe for concurrent use.
type Message struct {
	To            string
	From          string
	Headers       json.RawMessage // an object; see Header and SetHeader
	Mid           string
	Rmid          string
	Signature     string
	Timeout       json.RawMessage
	Timestamp     string
	Type          string
	Version       string
	Via           string
	Forward       string
	Body          json.RawMessage
	Authorization string
	Priority      json.RawMessage
	TTL           json.RawMessage
	For           string

	// Extra holds members whose keys UMF does not define. They are written in
	// alphabetical order.
	Extra map[string]json.RawMessage

	// received keeps, of fields that are strings here, what was read, where a
	// Go string cannot hold it: numbers, lone surrogates. It is written again
	// unless the field was changed.
	received map[Field]json.RawMessage
}

// New returns a message with a fresh mid, the time of now, and the version.
// The body is anything that [json.Marshal] takes, or JSON as a
// [json.RawMessage]; nil stands for {}, because a message must have a body.
func New(to, from string, body any) (*Message, error) {
	raw, err := MarshalBody(body)
	if err != nil {
		return nil, err
	}
	m := &Message{To: to, From: from, Body: raw}
	m.complete()
	if err := m.Validate(); err != nil {
		return nil, err
	}
	return m, nil
}

// complete fills in the fields that every message has when it is sent.
func (m *Message) complete() {
	if !m.has(Mid) {
		m.Mid = NewMid()
	}
	if !m.has(Timestamp) {
		m.Timestamp = string(AppendTimestamp(nil, time.Now()))
	}
	if !m.has(Version) {
		m.Version = CurrentVersion
	}
}

// MarshalBody is JSON as JavaScript writes it: what [New] makes of a body. nil is {}.
func MarshalBody(body any) (json.RawMessage, error) {
	switch b := body.(type) {
	case nil:
		return json.RawMessage("{}"), nil
	case json.RawMessage:
		return b, nil
	}
	var buf bytes.Buffer
	enc := json.NewEncoder(&buf)
	enc.SetEscapeHTML(false) // as JavaScript writes it
	if err := enc.Encode(body); err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(buf.Bytes(), []byte("\n")), nil
}

// Reply returns the answer to a message: to where it came by (via, else from),
// from whom it was for, with its mid as rmid, and a mid and a time of its own.
// Type, headers, timeout and authorization come back as they were, as from
// hydra's sendReplyMessage; the signature does not, since it is of another
// message. The body is as for [New].
func (m *Message) Reply(body any) (*Message, error) {
	raw, err := MarshalBody(body)
	if err != nil {
		return nil, err
	}
	r := &Message{Headers: m.Headers, Timeout: m.Timeout, Body: raw}
	back := From
	if m.has(Via) {
		back = Via
	}
	r.copyText(To, m, back)
	r.copyText(From, m, To)
	r.copyText(Rmid, m, Mid)
	r.copyText(Type, m, Type)
	r.copyText(Authorization, m, Authorization)
	r.complete()
	if err := r.Validate(); err != nil {
		return nil, err
	}
	return r, nil
}

// Validate applies the rules of [Envelope.CheckAnswer] and makes sure that the raw JSON
// in the message is valid. The error is a [*FieldError] or wraps [ErrExtra].
func (m *Message) Validate() error {
	var e Envelope
	if err := m.scan(&e); err != nil {
		return err
	}
	return e.CheckAnswer()
}

// Sign completes the message (its mid, timestamp and version are signed, too) and
// signs it with a secret. A later change makes the signature wrong, except one of
// priority, ttl, for or Extra.
func (m *Message) Sign(secret string) error {
	if secret == "" {
		return ErrNoSecret
	}
	m.complete()
	var e Envelope
	if err := m.scan(&e); err != nil {
		return err
	}
	m.Signature = NewKeys(secret).Sign(&e)
	delete(m.received, Signature)
	return nil
}

// Verify checks the signature against secrets; one of them must have made it.
// It returns nil, [ErrUnsigned], [ErrBadSignature], or an error of [Message.Validate]
// for wrong raw JSON. To verify many messages, use [Keys].
func (m *Message) Verify(secrets ...string) error {
	var e Envelope
	if err := m.scan(&e); err != nil {
		return err
	}
	return NewKeys(secrets...).Verify(&e)
}

func (m *Message) scan(e *Envelope) error {
	text, err := m.AppendShort(nil)
	if err != nil {
		return err
	}
	return Scan(text, e)
}
