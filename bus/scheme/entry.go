package scheme

import (
	"encoding/json"
	"fmt"
	"time"
)

// State says whether a session has a socket.
type State uint8

// The states of a session in the directory.
const (
	StateLive   State = iota + 1 // the entry's node holds its socket
	StateParked                  // no socket; its mailbox waits
)

func (s State) String() string {
	switch s {
	case StateLive:
		return "live"
	case StateParked:
		return "parked"
	}
	return fmt.Sprintf("State(%d)", uint8(s))
}

// Entry is what the directory knows of a session. Every write compares and swaps
// the revision under which it was read or written.
type Entry struct {
	// Node that has, or had last, the session's socket.
	Node  NodeID
	State State
	// Holder is a random number of the attachment that owns the session: it
	// tells one socket's ownership from another's, also on the same node.
	Holder uint64
	// Start is the sequence of the session's first marker: all of its messages
	// are above. 0: the log has gone back since.
	Start uint64
	// Floor is the sequence of the last message that was delivered.
	Floor uint64
	// Seen is a second position to go on from, of the reader's choice; it may
	// be below Floor.
	Seen uint64
	// TokenHash is the SHA-256 of the resume secret.
	TokenHash []byte
	// Identity that the client proved; empty: none.
	Identity string
	// Acked: the client confirms messages itself.
	Acked bool
	// Attempt is the number of the client's connection that has the session; 0: the
	// client does not say.
	Attempt uint64
	// Doubt: the holder before this one may still write to its socket.
	Doubt bool
	// Opened is when the session was made; it is kept to the second.
	Opened time.Time
}

// entryJSON is the stored form: short keys, since there is one for every
// session and it is rewritten with every checkpoint.
type entryJSON struct {
	Node     NodeID  `json:"n"`
	State    State   `json:"s"`
	Holder   uint64  `json:"w,omitempty"`
	Start    uint64  `json:"b,omitempty"`
	Floor    uint64  `json:"f,omitempty"`
	Seen     *uint64 `json:"e,omitempty"` // absent: as Floor
	Token    []byte  `json:"t,omitempty"`
	Identity string  `json:"i,omitempty"`
	Acked    bool    `json:"k,omitempty"`
	Attempt  uint64  `json:"a,omitempty"`
	Doubt    bool    `json:"d,omitempty"`
	Opened   int64   `json:"o,omitempty"`
}

// MarshalJSON writes the stored form.
func (e Entry) MarshalJSON() ([]byte, error) {
	j := entryJSON{
		Node: e.Node, State: e.State, Holder: e.Holder, Start: e.Start, Floor: e.Floor, Token: e.TokenHash,
		Identity: e.Identity, Acked: e.Acked, Attempt: e.Attempt, Doubt: e.Doubt,
	}
	if e.Seen != e.Floor {
		j.Seen = &e.Seen
	}
	if !e.Opened.IsZero() {
		j.Opened = e.Opened.Unix()
	}
	return json.Marshal(j)
}

// UnmarshalJSON reads the stored form and refuses what no node writes.
func (e *Entry) UnmarshalJSON(b []byte) error {
	var j entryJSON
	if err := json.Unmarshal(b, &j); err != nil {
		return err
	}
	if !validNodeID(string(j.Node)) {
		return badName(ErrBadNode, string(j.Node))
	}
	if j.State != StateLive && j.State != StateParked {
		return fmt.Errorf("bus: session state %d", j.State)
	}
	*e = Entry{
		Node: j.Node, State: j.State, Holder: j.Holder, Start: j.Start, Floor: j.Floor, Seen: j.Floor, TokenHash: j.Token,
		Identity: j.Identity, Acked: j.Acked, Attempt: j.Attempt, Doubt: j.Doubt,
	}
	if j.Seen != nil {
		e.Seen = *j.Seen
	}
	if j.Opened != 0 {
		e.Opened = time.Unix(j.Opened, 0).UTC()
	}
	return nil
}
