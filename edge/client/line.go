package client

import (
	"bytes"
	"context"
	"encoding/json"
	"sync"
	"time"

	"github.com/coder/websocket"

	"hydrant/umf"
)

// A line is one connection.
type line struct {
	// Immutable.
	c    *Client
	conn *websocket.Conn
	gone chan struct{} // closed by drop
	end  sync.Once

	// Guarded by the client's mu.
	frm     string              // of the router at its other end; "": it has not greeted
	fresh   *greeting           // of a session that is not the one we asked for
	unheard int                 // bytes that callers wrote since the node was heard
	frames  uint64              // that came
	heard   time.Time           // when the last one did, by the clock on the wall
	heart   timer               // silence
	pings   map[string][]string // mid of a ping: the mids of messages that lie before it
	owed    []string            // mids of messages that no ping lies behind
	ack     *umf.Message        // the confirmation in queue; nil: none
	handled uint64              // what may be confirmed
	unacked int                 // messages that are not
	room    chan struct{}       // closed when an inbox that was full has room; nil: it has
	why     error               // it was left

	queue   []*umf.Message // to be written
	writing bool           // by a goroutine
	quiet   chan struct{}  // closed when that ends; nil: nobody asks
}

// buffers are for messages that are being read or written.
var buffers = sync.Pool{New: func() any { return new(bytes.Buffer) }}

// keep puts a buffer back, unless it has grown large.
func keep(b *bytes.Buffer) {
	if b.Cap() <= 64<<10 {
		b.Reset()
		buffers.Put(b)
	}
}

// read takes what arrives until the connection ends, and returns why it has.
func (l *line) read() error {
	for {
		_, r, err := l.conn.Reader(context.Background()) // drop ends it
		if err != nil {
			return l.ended(err)
		}
		b := buffers.Get().(*bytes.Buffer)
		_, err = b.ReadFrom(r)
		if err == nil {
			l.receive(b.Bytes())
		}
		keep(b)
		if err != nil {
			return l.ended(err)
		}
		l.pause()
	}
}

// ended says why reading has ended.
func (l *line) ended(err error) error {
	l.c.mu.Lock()
	defer l.c.mu.Unlock()
	if l.why != nil {
		return l.why
	}
	return err
}

// drop closes the connection at once.
func (l *line) drop() {
	l.end.Do(func() { close(l.gone) })
	_ = l.conn.CloseNow() // it is to be gone either way
}

// goodbye writes what is left and closes the connection as RFC 6455 has it.
func (l *line) goodbye() {
	l.c.mu.Lock()
	quiet := make(chan struct{})
	if l.writing {
		l.quiet = quiet
	} else {
		close(quiet)
	}
	if l.room != nil {
		close(l.room)
		l.room = nil
	}
	l.c.mu.Unlock()
	patience := time.NewTimer(5 * time.Second)
	defer patience.Stop()
	select {
	case <-quiet:
		_ = l.conn.Close(websocket.StatusNormalClosure, "")
	case <-patience.C:
		l.drop()
	}
}

// push puts a message in line. c.mu is held.
func (l *line) push(m *umf.Message) {
	l.queue = append(l.queue, m)
	if !l.writing {
		l.writing = true
		l.c.tasks.Go(l.write)
	}
}

// write writes until there is nothing more to.
func (l *line) write() {
	for batch := l.next(); batch != nil; batch = l.next() {
		l.writeBatch(batch)
	}
}

// writeOwn writes a caller's message on its own goroutine, and leaves what comes
// meanwhile to another one.
func (l *line) writeOwn(m *umf.Message) {
	b := buffers.Get().(*bytes.Buffer)
	l.writeOne(b, m)
	keep(b)
	l.c.mu.Lock()
	more := len(l.queue) > 0 || len(l.owed) > 0
	if more && l.c.state != closed {
		l.c.tasks.Go(l.write)
		more = false
	} else if !more {
		l.idle()
	}
	l.c.mu.Unlock()
	if more {
		l.write()
	}
}

// mayWriteOwn reports whether a caller may write a message by itself, because it will
// not have to wait: nobody else writes, and so little is under way that a socket takes it
// although the node should not read. c.mu is held.
func (l *line) mayWriteOwn(size int) bool {
	return !l.writing && l.unheard+size <= ownBytes && l.c.out.bytes <= ownBytes
}

// ownBytes is less than any socket's buffer.
const ownBytes = 8 << 10

// idle says that nothing is left to write. c.mu is held.
func (l *line) idle() {
	l.writing = false
	if l.quiet != nil {
		close(l.quiet)
		l.quiet = nil
	}
}

// writeBatch writes messages, as long as the connection takes them.
func (l *line) writeBatch(batch []*umf.Message) {
	b := buffers.Get().(*bytes.Buffer)
	defer keep(b)
	for _, m := range batch {
		b.Reset()
		if !l.writeOne(b, m) {
			return
		}
	}
}

// next takes what is to be written; nil: nothing, and the writer has ended.
func (l *line) next() []*umf.Message {
	c := l.c
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(l.owed) > 0 {
		mids := l.owed
		l.owed = nil
		l.ping(mids)
	}
	batch := l.queue
	l.queue, l.ack = nil, nil
	if len(batch) == 0 {
		l.idle()
		return nil
	}
	return batch
}

// writeOne writes a message and reports whether the connection took it. What cannot be
// written is told to whom it belongs.
func (l *line) writeOne(b *bytes.Buffer, m *umf.Message) bool {
	var err error
	if sign := l.c.o.Sign; sign != nil {
		err = sign(m)
	}
	var text []byte
	if err == nil {
		text, err = m.AppendShort(b.AvailableBuffer())
	}
	if err != nil {
		l.c.unwritable(m.Mid, err)
		return true
	}
	if err := l.conn.Write(context.Background(), websocket.MessageText, text); err != nil {
		l.drop() // the reader tells
		return false
	}
	b.Write(text) // keeps what was allocated
	return true
}

// unwritable ends a message that cannot be signed or written.
func (c *Client) unwritable(mid string, err error) {
	c.mu.Lock()
	defer c.unlock()
	no := &Error{Code: "invalid", Text: err.Error()}
	if !c.settle(mid, nil, no) {
		c.warn("cannot be written: "+no.Error(), no.Code)
	}
}

// own says something to the router. c.mu is held, and there is a line.
func (c *Client) own(mid, typ string, body any) *umf.Message {
	raw, err := json.Marshal(body)
	if err != nil {
		panic("client: " + err.Error()) // strings and numbers
	}
	m := &umf.Message{To: c.session.router, From: c.session.address(), Mid: mid, Type: typ, Body: raw}
	c.line.push(m)
	return m
}

// ping asks for a pong. The messages with these mids lie before it. c.mu is held.
func (l *line) ping(mids []string) {
	c := l.c
	mid := c.mid()
	if len(mids) > 0 {
		if l.pings == nil {
			l.pings = make(map[string][]string)
		}
		l.pings[mid] = mids
	}
	l.push(&umf.Message{To: c.session.router, From: c.session.address(), Mid: mid, Type: "ping", Body: json.RawMessage("{}")})
}

// listen waits for silence. c.mu is held.
func (l *line) listen(d time.Duration) {
	c := l.c
	l.heart.after(c, d, func() {
		silent := time.Now().Round(0).Sub(l.heard)
		switch {
		case silent >= 0 && silent < c.session.beat-5*time.Millisecond:
			l.listen(c.session.beat - silent)
		case silent > 2*c.session.beat: // this machine slept
			l.check(c.o.Timeout / 4)
		default:
			l.check(min(c.session.beat, c.o.Timeout))
		}
	})
}

// check asks whether the node is there, and leaves it if nothing comes. c.mu is held.
func (l *line) check(patience time.Duration) {
	c := l.c
	frames, at := l.frames, time.Now().Round(0)
	l.ping(nil)
	l.heart.after(c, patience, func() {
		switch {
		case l.frames != frames || l.room != nil: // or it is we who do not read
			l.listen(c.session.beat)
		case time.Now().Round(0).Sub(at) > 2*patience: // we did not run
			l.check(patience)
		default:
			c.leave("silent")
		}
	})
}
