package client

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"hydrant/umf"
)

// A Message is what a program has to say.
type Message struct {
	To      string // svc:/path, svc:[GET]/path, ID@client:/
	Body    any    // whatever [json.Marshal] takes and JavaScript does not call falsy; nil: {}
	Type    string
	Headers map[string]any
	TTL     time.Duration // for which it is worth delivering; 0: as long as the session lives
	Mid     string        // its id; "": a new one
	Rmid    string        // mid of the message that it answers

	Queue bool // stored as work for the service To, until one of its instances has done it
	Once  bool // a request that is not asked again after the connection was lost
}

// resend is for how long a message is written again: the store knows its mid for 60 s.
const resend = 50 * time.Second

// outbox is what has no outcome yet.
type outbox struct {
	entries map[string]*entry // by mid
	bytes   int
	count   uint64
}

// entry is a message that was handed over.
type entry struct {
	head    umf.Message // as it is first written; later on, of a connection that is lost
	request bool
	once    bool
	told    bool // head asks to be told that it is accepted
	twice   bool // it was written to more than one connection
	size    int
	number  uint64 // in the order in which they were handed over

	// Guarded by the client's mu.
	at   time.Time // when it was first written; zero: it was not
	on   *line     // that it was written to
	time timer     // after which it is not written again

	// Written before end is closed, and then immutable.
	answer *umf.Message
	err    error
	end    chan struct{}
}

// Send returns when the message is accepted. See Outcomes. An address with a [METHOD] is for
// Request: nothing tells that such a message was accepted but its answer.
func (c *Client) Send(ctx context.Context, m Message) error {
	if strings.IndexByte(m.To, '[') >= 0 && !m.Queue {
		if a, err := umf.ParseAddress(m.To); err == nil && a.Method != "" {
			return fmt.Errorf("%w: %s has a method: use Request", ErrInvalid, m.To)
		}
	}
	_, err := c.hand(ctx, m, false)
	return err
}

// Request returns the answer. Without an end of the context it waits for it for ever. See
// Outcomes.
func (c *Client) Request(ctx context.Context, m Message) (*umf.Message, error) {
	return c.hand(ctx, m, true)
}

// hand takes a message and waits for its outcome.
func (c *Client) hand(ctx context.Context, m Message, request bool) (*umf.Message, error) {
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	e, err := compose(m, request)
	if err != nil {
		return nil, err
	}
	l, err := c.enter(e)
	if err != nil {
		return nil, err
	}
	if l != nil {
		l.writeOwn(&e.head)
	}
	select {
	case <-e.end:
	case <-ctx.Done():
		c.giveUp(e, context.Cause(ctx))
	}
	return e.answer, e.err
}

// compose makes an entry of a message.
func compose(m Message, request bool) (*entry, error) {
	body, err := encode(m.Body)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	if m.To == "" || umf.Falsy(bytes.TrimSpace(body)) {
		return nil, fmt.Errorf("%w: address and body may not be falsy", ErrInvalid)
	}
	e := &entry{request: request, once: m.Once, end: make(chan struct{})}
	e.head = umf.Message{To: m.To, Mid: m.Mid, Rmid: m.Rmid, Type: m.Type, Body: body}
	if m.Queue {
		e.head.To, e.head.Forward = "", m.To
	}
	if m.TTL > 0 {
		e.head.TTL = strconv.AppendFloat(nil, m.TTL.Seconds(), 'f', -1, 64)
	}
	if len(m.Headers) > 0 {
		if e.head.Headers, err = encode(m.Headers); err != nil {
			return nil, fmt.Errorf("%w: %w", ErrInvalid, err)
		}
	}
	e.size = 60 + len(m.To) + len(m.Mid) + len(m.Rmid) + len(m.Type) + len(e.head.Headers) + len(body)
	return e, nil
}

// encode is JSON as messages have it.
func encode(v any) (json.RawMessage, error) {
	if raw, ok := v.(json.RawMessage); ok && !json.Valid(raw) {
		return nil, fmt.Errorf("%.50q is not JSON", raw)
	}
	return umf.MarshalBody(v)
}

// enter puts an entry among those without an outcome, and returns the line if it is for
// the caller to write.
func (c *Client) enter(e *entry) (*line, error) {
	c.mu.Lock()
	defer c.unlock()
	switch {
	case c.state == closed:
		return nil, c.why
	case c.out.entries[e.head.Mid] != nil:
		return nil, ErrDuplicate
	case len(c.out.entries) >= c.o.MaxMessages, c.out.bytes+e.size > c.o.MaxBytes:
		return nil, ErrFull
	}
	if e.head.Mid == "" {
		prefix := c.prefix
		if e.request {
			prefix = c.asking
		}
		e.head.Mid = c.midOf(prefix)
	}
	if c.out.entries == nil {
		c.out.entries = make(map[string]*entry)
	}
	c.out.count++
	e.number = c.out.count
	c.out.entries[e.head.Mid] = e
	c.out.bytes += e.size
	if c.state != open {
		return nil, nil
	}
	l, m := c.line, c.put(e)
	if !l.mayWriteOwn(e.size) {
		l.push(m)
		return nil, nil
	}
	l.writing = true
	l.unheard += e.size
	return l, nil
}

// giveUp ends the wait for an outcome, unless it is there.
func (c *Client) giveUp(e *entry, why error) {
	c.mu.Lock()
	defer c.unlock()
	if !e.at.IsZero() {
		why = fmt.Errorf("%w: %w", ErrUnknown, why)
	}
	if c.out.entries[e.head.Mid] == e {
		c.settle(e.head.Mid, nil, why)
	}
}

// settle gives a message its outcome, and reports whether it had none. c.mu is held.
func (c *Client) settle(mid string, answer *umf.Message, err error) bool {
	e := c.out.entries[mid]
	if e == nil {
		return false
	}
	if e.request && answer == nil && err == nil {
		return false // accepted is not the answer
	}
	delete(c.out.entries, mid)
	c.out.bytes -= e.size
	e.time.stop()
	if e.request && !strings.HasPrefix(mid, c.asking) {
		c.in.seen.add(answerTo, mid) // an answer may come twice
	}
	e.answer, e.err = answer, err
	close(e.end)
	return true
}

// again reports whether a message may be written once more: the node knows a repetition
// by its mid, where it stores, but refuses one that is signed. c.mu is held.
func (c *Client) again(e *entry) bool {
	switch {
	case c.o.Sign != nil:
		return false
	case e.request:
		return !e.once
	case len(c.session.caps) == 0:
		return false
	}
	return e.head.Forward != "" || strings.HasSuffix(e.head.To, "@client:/") || strings.HasSuffix(e.head.To, "@"+c.session.router)
}

// flush writes what waited, in order. c.mu is held.
func (c *Client) flush() {
	all := slices.SortedFunc(maps.Values(c.out.entries), func(a, b *entry) int { return cmp.Compare(a.number, b.number) })
	for _, e := range all {
		switch {
		case e.on == c.line:
		case e.at.IsZero(), c.again(e) && (e.request || time.Since(e.at) < resend):
			c.line.push(c.put(e))
		case !e.request:
			c.settle(e.head.Mid, nil, ErrUnknown)
		}
	}
}

// put makes of an entry what is to be written to the connection. c.mu is held.
func (c *Client) put(e *entry) *umf.Message {
	m := &e.head
	if e.at.IsZero() {
		e.at = time.Now()
	} else {
		again := e.head // may still be on its way to the former connection
		m, e.twice = &again, true
	}
	e.time.stop()
	e.on = c.line
	m.From = c.session.address()
	if m.Forward != "" {
		m.To = c.session.router + "queue"
	}
	told := !e.request && c.session.can("accepted")
	if told && !e.told {
		e.told = true
		m.Headers = asked(m.Headers)
	}
	if !told && !e.request { // an older node takes what lies before a ping that it answers
		c.line.owed = append(c.line.owed, m.Mid)
	}
	return m
}

// asked adds the wish to be told that a message is accepted to its headers.
func asked(headers json.RawMessage) json.RawMessage {
	if len(headers) == 0 {
		return json.RawMessage(`{"x-ack":true}`)
	}
	return append(slices.Clone(headers[:len(headers)-1]), `,"x-ack":true}`...)
}

// unsure is called when a connection was lost: what may not be written again is
// unknown, now or when its time is over. c.mu is held.
func (c *Client) unsure() {
	for mid, e := range c.out.entries {
		switch {
		case e.at.IsZero() || e.request:
		case c.again(e):
			e.time.after(c, resend-time.Since(e.at), func() { c.settle(mid, nil, ErrUnknown) })
		default:
			c.settle(mid, nil, ErrUnknown)
		}
	}
}
