package protocol

import (
	"time"

	"hydrant/umf"
)

// version is what Complete fills in. It is never changed.
var version = []byte(`"` + umf.CurrentVersion + `"`)

// Completion is the set of fields that a node puts into a message that it
// passes on: those that the client left out, and those that are the node's to
// say. It is made for one message, on the stack.
type Completion struct {
	// Mid is the message's id as raw JSON: the client's, or a fresh one.
	Mid []byte

	sets [7]umf.Set
	n    int
}

// Complete begins with mid, timestamp and version, where they are missing or
// falsy.
func Complete(e *umf.Envelope, now time.Time) Completion {
	c := Completion{Mid: e.Raw(umf.Mid)}
	if e.Falsy(umf.Mid) {
		c.Mid = append(umf.AppendMid(quoted()), '"')
		c.Set(umf.Mid, c.Mid)
	}
	if e.Falsy(umf.Timestamp) {
		c.Set(umf.Timestamp, append(umf.AppendTimestamp(quoted(), now), '"'))
	}
	if e.Falsy(umf.Version) {
		c.Set(umf.Version, version)
	}
	return c
}

// quoted begins a JSON string with room for a mid or a timestamp.
func quoted() []byte { return append(make([]byte, 0, 40), '"') }

// Set puts a field into the message. raw is JSON, and must not change before the
// message is text. There is room for four fields beside those of Complete.
func (c *Completion) Set(field umf.Field, raw []byte) {
	c.sets[c.n] = umf.Set{Field: field, Raw: raw}
	c.n++
}

// Sets returns the fields for [umf.Envelope.AppendShort].
func (c *Completion) Sets() []umf.Set { return c.sets[:c.n] }

// TTL returns for how long a message is worth delivering: its ttl. 0: for ever.
func TTL(e *umf.Envelope) time.Duration {
	ttl, ok := umf.Seconds(e.Raw(umf.TTL))
	if !ok {
		return 0
	}
	return ttl
}
