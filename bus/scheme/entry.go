package scheme

import (
	"encoding/json"
	"errors"
	"fmt"
)

// Form is the number of the highest form of entries that this code reads, and that it
// writes once the directory's stream names it. See the package's documentation, "Forms".
const Form = 3

// RollingForm is the lowest form that this code still writes. It does so as long as the
// directory's stream names no higher one, beside nodes that know no higher one.
const RollingForm = 3

// ErrNewerForm: an entry, or the directory, is of a form that this code does not
// know: a newer version wrote it. Nothing may be concluded from it, and nothing
// written.
var ErrNewerForm = errors.New("bus: sessions of a newer form")

// NewerForm is ErrNewerForm with what an operator needs to know.
func NewerForm(form int) error {
	return fmt.Errorf("%w: number %d, and this version knows up to %d: run the newer version on this node too", ErrNewerForm, form, Form)
}

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
	Node NodeID
	// Holder is a random number of the attachment that owns the session: it
	// tells one socket's ownership from another's, also on the same node.
	Holder uint64
	// Start is the sequence of the session's first marker: all of its messages
	// are above. 0: the log has gone back since.
	Start uint64
	Position
	// TokenHash is the SHA-256 of the resume secret.
	TokenHash []byte
	// Identity that the client proved; empty: none.
	Identity string
	// Attempt is the number of the client's connection that has the session; 0: the
	// client does not say.
	Attempt uint64
	// Opened is when the session was made, Unix seconds.
	Opened int64

	State State
	// Acked: the client confirms messages itself.
	Acked bool
	// TokenOnly: the resume secret is needed, also where an id would be enough
	// otherwise: one of the session's clients knew the secret, or must have.
	TokenOnly bool
	// Doubt: the holder before this one may still write to its socket.
	Doubt bool
}

// Position is where delivery goes on. A message of another time at one of the
// sequences is of another log: the store was restored from a copy. Nodes tell one
// another of positions in this form.
type Position struct {
	// Floor is the sequence of the last message, or gap, that was delivered.
	Floor uint64 `json:"floor"`
	// FloorTime is when the stream stored the message at Floor, Unix ns; 0: that is
	// not known, or it is the end of a gap.
	FloorTime int64 `json:"floor_time,omitempty"`
	// Seen is the newest message that the client has and that has no time to live.
	// Where the message at Floor has one, its absence says nothing, and that of
	// this one says that messages were dropped. It may be above Floor.
	Seen uint64 `json:"seen"`
	// SeenTime is when the stream stored the message at Seen; as FloorTime.
	SeenTime int64 `json:"seen_time,omitempty"`
	// Back: the log has gone back, and the client, which confirms messages itself, may not
	// have heard of it. What it names from Floor to Seen is of the old log, whatever there
	// is under it now; nothing of the new one is confirmed.
	Back bool `json:"back,omitempty"`
	// Unsure: it may be of a log that was gone before it was stored: whoever stored it had
	// lost its connection to NATS, and had not found that out yet.
	Unsure bool `json:"unsure,omitempty"`
	// Sure is the revision of the session's last entry that was not Unsure: what is known to
	// have happened to the log before it says nothing against the position. 0: there was
	// none, or nobody knows. It is stored where an entry is Unsure.
	Sure uint64 `json:"sure,omitempty"`
}

// Behind reports whether another position is later: by their times, as far as there
// are some, since sequences begin again where a store was restored. Where one says that
// the log went back, nothing tells, and that counts which was asked for later: other.
func (p Position) Behind(other Position) bool {
	switch {
	case other.Back:
		return !p.Back
	case p.Back:
		return other.Floor != 0 // of the new log
	case p.FloorTime != 0 && other.FloorTime != 0:
		return p.FloorTime < other.FloorTime
	case p.FloorTime != 0 && other.SeenTime > p.FloorTime:
		return true
	case other.FloorTime != 0 && p.SeenTime > other.FloorTime:
		return false
	}
	return p.Floor < other.Floor
}

// entryJSON is the stored form: short keys, since there is one for every
// session and it is rewritten with every checkpoint.
type entryJSON struct {
	Form      int     `json:"v,omitempty"` // absent: the first one
	Node      NodeID  `json:"n"`
	State     State   `json:"s"` // with stateShift
	Holder    uint64  `json:"w,omitempty"`
	Start     uint64  `json:"b,omitempty"`
	Floor     uint64  `json:"f,omitempty"`
	Seen      *uint64 `json:"e,omitempty"` // absent: as Floor
	FloorTime int64   `json:"m,omitempty"`
	SeenTime  int64   `json:"p,omitempty"` // absent with Seen
	Token     []byte  `json:"t,omitempty"`
	Identity  string  `json:"i,omitempty"`
	Acked     bool    `json:"k,omitempty"`
	Attempt   uint64  `json:"a,omitempty"`
	Doubt     bool    `json:"d,omitempty"`
	TokenOnly bool    `json:"g,omitempty"`
	Opened    int64   `json:"o,omitempty"`
	Back      bool    `json:"r,omitempty"`
	Unsure    bool    `json:"u,omitempty"`
	Sure      uint64  `json:"c,omitempty"`
}

// stateShift is added to the state in entries that carry a number. Code of the
// first form, which does not look for one, refuses such a state and leaves the
// entry alone.
const stateShift = 2

// MarshalJSON writes the stored form of the highest number.
func (e Entry) MarshalJSON() ([]byte, error) { return e.Text(Form) }

// Text is the stored form of a number from [RollingForm] to [Form].
func (e Entry) Text(form int) ([]byte, error) {
	j := entryJSON{
		Form: form, Node: e.Node, State: e.State + stateShift, Holder: e.Holder,
		Start: e.Start, Floor: e.Floor, FloorTime: e.FloorTime,
		Token: e.TokenHash, Identity: e.Identity, Acked: e.Acked, Attempt: e.Attempt, Doubt: e.Doubt, TokenOnly: e.TokenOnly, Opened: e.Opened, Back: e.Back, Unsure: e.Unsure,
	}
	if e.Unsure {
		j.Sure = e.Sure
	}
	if e.Seen != e.Floor || e.SeenTime != e.FloorTime {
		j.Seen, j.SeenTime = &e.Seen, e.SeenTime
	}
	return j.appendText(make([]byte, 0, 256)), nil
}

// UnmarshalJSON reads the stored form, and those before it, and refuses what no
// node writes. [ErrNewerForm] says that a later version may have written it.
func (e *Entry) UnmarshalJSON(b []byte) error {
	var j entryJSON
	if j.parse(b) {
		return e.set(&j)
	}
	j = entryJSON{}
	if err := json.Unmarshal(b, &j); err != nil {
		var newer struct {
			Form int `json:"v"`
		}
		if json.Unmarshal(b, &newer) == nil && newer.Form > Form {
			return NewerForm(newer.Form) // its fields may be of other types
		}
		return err
	}
	return e.set(&j)
}

// set takes what was read, if a node may have written it.
func (e *Entry) set(j *entryJSON) error {
	state := j.State
	switch {
	case j.Form == 0: // no number
	case j.Form > Form:
		return NewerForm(j.Form)
	case j.Form < 2:
		return fmt.Errorf("bus: session entry of form %d", j.Form)
	default:
		state -= stateShift // below it, a number that is no state
	}
	if !validNodeID(string(j.Node)) {
		return badName(ErrBadNode, string(j.Node))
	}
	if state != StateLive && state != StateParked {
		return fmt.Errorf("bus: session state %d", j.State)
	}
	*e = Entry{
		Node: j.Node, State: state, Holder: j.Holder,
		Start: j.Start, Position: Position{Floor: j.Floor, FloorTime: j.FloorTime, Seen: j.Floor, SeenTime: j.FloorTime, Back: j.Back, Unsure: j.Unsure, Sure: j.Sure},
		TokenHash: j.Token, Identity: j.Identity, Acked: j.Acked, Attempt: j.Attempt, Doubt: j.Doubt, TokenOnly: j.TokenOnly, Opened: j.Opened,
	}
	if j.Seen != nil {
		e.Seen, e.SeenTime = *j.Seen, j.SeenTime
	}
	return nil
}
