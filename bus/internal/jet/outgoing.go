package jet

import (
	"context"
	"maps"
	"time"

	"github.com/nats-io/nats.go"

	"hydrant/bus/scheme"
)

// Outgoing is a message for a mailbox or a work queue.
type Outgoing struct {
	// Payload is UMF in short form. It is not kept after the call.
	Payload []byte
	// Mid, if not empty, lets the stream drop a repetition within a minute.
	// It is the UMF mid as the sender wrote it, whatever is in it.
	Mid string
	// Content tells messages with one mid apart: see umf.ContentID. Empty: there is
	// but one.
	Content string
	// Sender separates the mids of different senders; empty if mids are
	// unique by themselves. A session id or an instance id.
	Sender string
	// TTL, if positive, makes the message vanish after it: whole seconds, rounded
	// up, a year at the most.
	TTL time.Duration
	// Header is added to the message; it is not modified.
	Header nats.Header
}

// For builds the NATS message for a session's mailbox.
func (o *Outgoing) For(sid scheme.SID) *nats.Msg {
	return o.on(scheme.MailboxSubject(sid), string(sid))
}

// Work builds the NATS message for a service's work queue.
func (o *Outgoing) Work(service scheme.Service) *nats.Msg {
	return o.on(scheme.WorkSubject(service), string(service))
}

// on builds the NATS message for a subject whose owner is to.
func (o *Outgoing) on(subject, to string) *nats.Msg {
	m := &nats.Msg{Subject: subject, Data: o.Payload, Header: o.Header}
	if o.Mid == "" && o.TTL <= 0 {
		return m
	}
	m.Header = make(nats.Header, len(o.Header)+2)
	maps.Copy(m.Header, o.Header)
	if o.Mid != "" {
		m.Header[HeaderMsgID] = []string{messageID(to, o.Sender, o.Mid, o.Content)}
	}
	if o.TTL > 0 {
		m.Header[HeaderTTL] = []string{TTLSeconds(o.TTL)}
	}
	return m
}

// PublishAcked publishes and waits for the acknowledgement, once.
func PublishAcked(ctx context.Context, nc *nats.Conn, m *nats.Msg) (uint64, error) {
	r, err := nc.RequestMsgWithContext(ctx, m)
	if err != nil {
		return 0, RequestError(err)
	}
	return ParseAck(r)
}
