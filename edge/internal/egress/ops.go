package egress

import (
	"time"

	"github.com/nats-io/nats.go"
	"go.opentelemetry.io/otel/trace"

	"hydrant/bus/scheme"
	"hydrant/bus/store"
	"hydrant/edge/internal/stats"
)

// Op is one NATS operation that a loop asks for. Which fields count depends on
// the kind.
type Op struct {
	Kind stats.Op

	Subject string // Publish, Subscribe, Unsubscribe
	Reply   string // Publish
	Header  nats.Header
	Data    []byte

	SID     scheme.SID     // Store, Mark, Save
	Service scheme.Service // Work

	Once string // Once: the name of what was seen; for how long is TTL

	// Store and Work. With both of Mid and From the store drops a repetition, which
	// has the same Content, too.
	Mid     string
	From    string
	Content string
	TTL     time.Duration // Save, too; 0: the store's own

	Marker store.Marker // Mark

	Entry *scheme.Entry // Save; not changed any more
	Rev   uint64        // Save: the revision to compare with; 0: there must be none

	Event *scheme.Event // Event

	Subscription *Subscription  // Subscribe, Unsubscribe
	Channel      chan *nats.Msg // Subscribe: where copies go

	Proved bool // Publish: Done is also called when NATS has the message

	// Done is called once from another goroutine, and must only enqueue: for Store,
	// Work, Save and Once with what the store answered, for Publish only on an error,
	// unless it is Proved.
	Done func(seq uint64, err error)
	Span trace.Span    // ends with the operation; nil: none
	At   time.Duration // when the client's frame came, as a time since the node's start; 0: there was none
}

// Subscription belongs to the goroutine of the outbox that made it. It is one of a
// connection, and ends with that.
type Subscription struct {
	sub *nats.Subscription
	on  *NATS
}

// begin subscribes, unless that was done on this connection: after a change of
// connections it is asked for once more, whether or not it was made anew already.
func (s *Subscription) begin(on *NATS, p *Op) (err error) {
	if s.sub != nil && s.on == on {
		return nil
	}
	s.on = on
	s.sub, err = on.Conn.ChanSubscribe(p.Subject, p.Channel)
	return err
}

// end unsubscribes, where there is something to end.
func (s *Subscription) end(on *NATS) error {
	sub, there := s.sub, s.on == on
	s.sub, s.on = nil, nil
	if sub == nil || !there {
		return nil
	}
	return sub.Unsubscribe()
}

// windowed reports whether the operation takes a place in the window.
func (p *Op) windowed() bool { return p.Kind == stats.OpStore || p.Kind == stats.OpWork }
