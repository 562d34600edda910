package chaos

import (
	"context"
	"errors"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"hydrant/integration/chaos/history"
)

// tap is the network of a program: it knows each connection, and can be bad to it.
type tap struct {
	// Immutable after newTap.
	c         *client
	transport *http.Transport

	// Guarded by mu.
	mu    sync.Mutex
	only  *node // the one that it reaches; nil: all
	tries int   // for as many more connections
	off   bool  // it reaches none
	why   string
	last  connection
	wire  *wire // of the last connection; nil: none yet
}

// connection is one, or an attempt.
type connection struct {
	number int
	node   *node
	dialed time.Duration
}

type connectionKey struct{}

var errElsewhere = errors.New("chaos: the network leads elsewhere")

func newTap(c *client) *tap {
	t := &tap{c: c, why: history.EndLost}
	t.transport = &http.Transport{DisableKeepAlives: true, DialContext: t.dial}
	t.to(c.next)
	c.next = nil
	return t
}

func (t *tap) client() *http.Client { return &http.Client{Transport: t} }

// at is the last connection.
func (t *tap) at() connection {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.last
}

// to leads the next connections to one node; nil: to all. The kit has to find out which.
func (t *tap) to(n *node) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.only, t.tries = n, len(t.c.run.nodes)
}

// cut lets no further connection through.
func (t *tap) cut() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.off = true
}

// RoundTrip is a handshake. What it offers says what the client asks for.
func (t *tap) RoundTrip(r *http.Request) (*http.Response, error) {
	n := t.c.run.frontOf(r.URL.Host)
	at, why, ok := t.begin(n)
	if !ok {
		return nil, errElsewhere
	}
	if sid := t.c.session(); sid != "" {
		attempt, handled := offered(r.Header)
		t.c.run.h.Add(history.Event{Kind: history.Resuming, Conn: at.number, SID: sid, Node: n.name, Seq: handled, Calm: t.c.calm,
			Why: why, Attempt: attempt, Dialed: at.dialed})
	}
	answer, err := t.transport.RoundTrip(r.WithContext(context.WithValue(r.Context(), connectionKey{}, at)))
	if err != nil {
		t.ended(at.number, -1, err.Error())
	}
	return answer, err
}

// begin counts a connection; false: the network does not lead there.
func (t *tap) begin(n *node) (at connection, why string, ok bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.off || n == nil {
		return at, "", false
	}
	if t.only != nil && t.tries > 0 {
		t.tries--
		if t.only != n {
			return at, "", false
		}
	}
	t.only = nil
	t.last = connection{int(t.c.run.conns.Add(1)), n, t.c.run.h.Now()}
	why, t.why = t.why, history.EndLost
	return t.last, why, true
}

// offered reads the number of the attempt and what was handled from what a client offers:
// umf.resume.ID.SECRET.ATTEMPT.SEQUENCE.
func offered(h http.Header) (attempt, handled uint64) {
	for offer := range strings.SplitSeq(strings.Join(h.Values("Sec-WebSocket-Protocol"), ","), ",") {
		parts := strings.Split(strings.TrimSpace(offer), ".")
		if len(parts) < 5 || parts[0] != "umf" || parts[1] != "resume" {
			continue
		}
		attempt, _ = strconv.ParseUint(parts[4], 10, 64)
		if len(parts) > 5 {
			handled, _ = strconv.ParseUint(parts[5], 10, 64)
		}
	}
	return attempt, handled
}

func (t *tap) dial(ctx context.Context, network, address string) (net.Conn, error) {
	var d net.Dialer
	conn, err := d.DialContext(ctx, network, address)
	if err != nil {
		return nil, err
	}
	at, _ := ctx.Value(connectionKey{}).(connection)
	w := &wire{Conn: conn, t: t, number: at.number}
	t.mu.Lock()
	t.wire = w
	t.mu.Unlock()
	return w, nil
}

func (t *tap) ended(number, code int, why string) {
	t.c.run.h.Add(history.Event{Kind: history.Close, Conn: number, Code: code, Why: why})
}

// reset ends the connection with a RST: whatever was on the way is lost.
func (t *tap) reset() {
	t.mu.Lock()
	w := t.wire
	t.why = history.EndReset
	t.mu.Unlock()
	if w != nil {
		_ = w.Conn.(*net.TCPConn).SetLinger(0)
		_ = w.Close()
	}
}

// stop makes the connection stand still for its reader; open lets it go on.
func (t *tap) stop() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.wire != nil {
		t.wire.stop()
	}
}

func (t *tap) open() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.wire != nil {
		t.wire.open()
	}
}

// wire is one TCP connection.
type wire struct {
	net.Conn
	t      *tap
	number int
	once   sync.Once

	// Guarded by mu.
	mu   sync.Mutex
	gate chan struct{} // closed to let a stopped reader go on; nil: it is not stopped

	// Owned by the reader.
	frames frames
	code   int // with which the node closed it
	why    string
}

func (w *wire) stop() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.gate == nil {
		w.gate = make(chan struct{})
	}
}

func (w *wire) open() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.gate != nil {
		close(w.gate)
		w.gate = nil
	}
}

func (w *wire) Read(b []byte) (int, error) {
	w.mu.Lock()
	gate := w.gate
	w.mu.Unlock()
	if gate != nil {
		<-gate
	}
	n, err := w.Conn.Read(b)
	w.frames.take(b[:n], w.saw)
	if w.code != 0 {
		w.ended(w.code, w.why)
	} else if err != nil {
		w.ended(-1, err.Error())
	}
	return n, err
}

func (w *wire) Close() error {
	w.ended(-1, net.ErrClosed.Error())
	w.open()
	return w.Conn.Close()
}

func (w *wire) ended(code int, why string) {
	w.once.Do(func() { w.t.ended(w.number, code, why) })
}
