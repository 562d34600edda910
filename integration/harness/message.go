package harness

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strconv"
	"time"
)

// A Message is one UMF message as it came: its bytes, and one reading of them.
type Message struct {
	Raw    []byte
	Keys   []string                   // of the top level, in the order received
	Fields map[string]json.RawMessage // exactly as they stand in Raw
}

// Parse reads a message. A key that is there twice is an error: nothing that
// Hydrant sends may have one.
func Parse(raw []byte) (Message, error) {
	m := Message{Raw: raw, Fields: make(map[string]json.RawMessage)}
	decoder := json.NewDecoder(bytes.NewReader(raw))
	if token, err := decoder.Token(); err != nil || token != json.Delim('{') {
		return m, fmt.Errorf("harness: not a JSON object: %.200q", raw)
	}
	for decoder.More() {
		token, err := decoder.Token()
		if err != nil {
			return m, fmt.Errorf("harness: %w in %.200q", err, raw)
		}
		key, _ := token.(string)
		var value json.RawMessage
		if err := decoder.Decode(&value); err != nil {
			return m, fmt.Errorf("harness: %w in %.200q", err, raw)
		}
		if _, twice := m.Fields[key]; twice {
			return m, fmt.Errorf("harness: key %q twice in %.200q", key, raw)
		}
		m.Keys = append(m.Keys, key)
		m.Fields[key] = value
	}
	if _, err := decoder.Token(); err != nil {
		return m, fmt.Errorf("harness: %w in %.200q", err, raw)
	}
	if rest := bytes.TrimSpace(raw[decoder.InputOffset():]); len(rest) > 0 {
		return m, fmt.Errorf("harness: %.50q after the message", rest)
	}
	return m, nil
}

// Text returns the string value of a key, "" when it is none.
func (m Message) Text(key string) string {
	var s string
	_ = json.Unmarshal(m.Fields[key], &s) // "" says it all
	return s
}

// The fields that tests ask for most.
func (m Message) To() string   { return m.Text("to") }
func (m Message) From() string { return m.Text("frm") }
func (m Message) Mid() string  { return m.Text("mid") }
func (m Message) Rmid() string { return m.Text("rmid") }
func (m Message) Type() string { return m.Text("typ") }
func (m Message) Via() string  { return m.Text("via") }

// Body returns the raw body.
func (m Message) Body() string { return string(m.Fields["bdy"]) }

// At returns the value of a key of an object field, decoded: a string, a
// float64, a bool, nil and so on.
func (m Message) At(field, key string) any {
	var object map[string]any
	_ = json.Unmarshal(m.Fields[field], &object) // nil map: no such key
	return object[key]
}

// Error returns bdy.error, "" when there is none.
func (m Message) Error() string {
	text, _ := m.At("bdy", "error").(string)
	return text
}

// Seq and Prev are hdr.x-seq and hdr.x-prev of a message to an acked session;
// 0 when missing.
func (m Message) Seq() uint64  { return m.number("x-seq") }
func (m Message) Prev() uint64 { return m.number("x-prev") }

func (m Message) number(key string) uint64 {
	text, _ := m.At("hdr", key).(string)
	n, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		return 0
	}
	return n
}

// Object is a message to send, in whatever form.
type Object map[string]any

// Encode returns the bytes to send: strings and byte slices as they are,
// everything else as JSON.
func Encode(v any) ([]byte, error) {
	switch v := v.(type) {
	case string:
		return []byte(v), nil
	case []byte:
		return v, nil
	default:
		return json.Marshal(v)
	}
}

// InstanceOf returns the part of an address before the "@", and of a via
// ("node-sid@…") the part before the "-".
func InstanceOf(address string) string {
	for i, char := range address {
		if char == '@' || char == '-' {
			return address[:i]
		}
	}
	return ""
}

// Timestamp reads a ts as UMF writes it.
func Timestamp(m Message) (time.Time, error) { return time.Parse(time.RFC3339, m.Text("ts")) }

// RawNumber is a JSON number that is sent as it stands.
func RawNumber(text string) json.RawMessage { return json.RawMessage(text) }
