package client

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"log/slog"
	"net/http"
	"strconv"
	"sync"
	"time"

	"hydrant/umf"
)

// Why a token is asked for.
type Why string

const (
	First    Why = "first"    // there is none yet
	Expiring Why = "expiring" // the last one ends soon
	Refused  Why = "refused"  // the last one was not taken: once, then the client ends
)

// Options say where a client connects, and how. Only URLs is needed.
type Options struct {
	// URLs are those of a node, of several that take turns, or of their balancer.
	URLs []string
	// Token shows who the user is.
	Token func(ctx context.Context, why Why) (string, error)
	// Resume is the session to go on with; the zero value begins a fresh one. Without its
	// Token the client comes as one of the first edition, to whom nodes may give a session
	// of such a client by its ID alone; nothing is confirmed then.
	Resume Session
	// OnSession is told of each connection that is there, from one goroutine. It must
	// not wait for the client.
	OnSession func(Session)
	// Sign completes a message, where messages must be signed: see [umf.Message.Sign].
	Sign func(*umf.Message) error

	Header     http.Header   // of the handshake
	HTTPClient *http.Client  // makes the connections; nil: one of its own
	Timeout    time.Duration // of connecting, and of the token; 0: 10 s

	// The pause between two attempts is random, up to a bound that doubles. 0: 500 ms
	// and 30 s.
	MinPause, MaxPause time.Duration

	// What may have no outcome yet. 0: 1,000 and 1 MiB.
	MaxMessages, MaxBytes int

	Logger *slog.Logger // nil: none
}

func (o *Options) complete() error {
	if len(o.URLs) == 0 {
		return errors.New("client: Options.URLs is empty")
	}
	o.Timeout = cmp.Or(o.Timeout, 10*time.Second)
	o.MinPause = cmp.Or(o.MinPause, 500*time.Millisecond)
	o.MaxPause = cmp.Or(o.MaxPause, 30*time.Second)
	o.MaxMessages = cmp.Or(o.MaxMessages, 1000)
	o.MaxBytes = cmp.Or(o.MaxBytes, 1<<20)
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.HTTPClient == nil {
		o.HTTPClient = ownHTTP
	}
	return nil
}

// ownHTTP keeps no connection of a handshake that was refused.
var ownHTTP = &http.Client{Transport: &http.Transport{Proxy: http.ProxyFromEnvironment, DisableKeepAlives: true}}

// A Session outlives connections, and, kept with its secret, processes.
type Session struct {
	ID      string `json:"id"`      // its address is ID + "@client:/"
	Token   string `json:"token"`   // its secret
	Attempt uint64 `json:"attempt"` // the number of its last connection; the next client counts from the time on, if that is more
	Handled uint64 `json:"handled"` // the last sequence that was handled; 0: the node knows

	User    string `json:"user,omitempty"` // the client's identity, if it has one
	Resumed bool   `json:"-"`              // the last connection went on with it
	Why     string `json:"-"`              // or why it is a fresh one: expired, token, identity
}

type state uint8

const (
	connecting state = iota
	open
	waiting
	closed
)

// A Client is one session and its connection of the moment. Its methods may be called
// concurrently.
type Client struct {
	// Immutable after Dial.
	o      Options
	ctx    context.Context // ends with the client
	cancel context.CancelFunc
	asking string        // prefix of the mids of requests
	prefix string        // of its other mids
	more   chan struct{} // there is something to receive; holds one
	opened chan struct{} // closed by run at the first welcome
	tasks  sync.WaitGroup

	// Guarded by mu.
	mu    sync.Mutex
	state state
	why   error    // of closed
	later []func() // run by unlock: what must not run under the lock
	mids  uint64

	session session
	coming  comings
	tokens  tokens
	line    *line // nil: none
	out     outbox
	in      inbox
}

// Dial connects to the first of the nodes that takes it, each once, and returns when
// it has a session. From then on the client comes back by itself, until it is closed, the
// user is refused (4401), or somebody else has the session (45xx).
func Dial(ctx context.Context, o Options) (*Client, error) {
	if err := o.complete(); err != nil {
		return nil, err
	}
	c := &Client{o: o, asking: rand.Text()[:14] + "-", prefix: rand.Text()[:14] + "-", more: make(chan struct{}, 1), opened: make(chan struct{})}
	c.ctx, c.cancel = context.WithCancel(context.WithoutCancel(ctx))
	c.restore(o.Resume)
	c.tokens.need = First
	c.tasks.Go(c.run)
	select {
	case <-c.opened:
		return c, nil
	case <-c.ctx.Done():
	case <-ctx.Done():
		c.Close()
		return nil, context.Cause(ctx)
	}
	c.tasks.Wait()
	select {
	case <-c.opened: // and ended at once
		return c, nil
	default:
		return nil, c.ended()
	}
}

// Session returns the session of the moment. Kept after each Done, or after Close, it is
// good for [Options.Resume].
func (c *Client) Session() Session {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.session.public()
}

// Close confirms what was handled and ends the client; its session waits on the node
// for whoever resumes it. Messages without an outcome get ErrUnknown, or ErrClosed if they
// were not written. When it returns no goroutine is left, which takes ten seconds with a
// node that does not answer. It may be called twice.
func (c *Client) Close() {
	c.mu.Lock()
	l := c.line
	if c.state != closed {
		c.confirm()
		c.end(ErrClosed)
	}
	c.unlock()
	if l != nil {
		l.goodbye()
	}
	c.tasks.Wait()
}

// end closes the client for good. c.mu is held.
func (c *Client) end(why error) {
	if c.state == closed {
		return
	}
	c.state, c.why = closed, why
	c.cancel()
	c.tokens.stop()
	c.in.timer.stop()
	if c.line != nil {
		c.line.heart.stop()
	}
	c.in.waiting = nil
	for mid, e := range c.out.entries {
		if e.at.IsZero() {
			c.settle(mid, nil, why)
		} else {
			c.settle(mid, nil, ErrUnknown)
		}
	}
}

// ended returns why the client is closed.
func (c *Client) ended() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.why
}

// unlock releases the lock and then does what had to wait for that.
func (c *Client) unlock() {
	later := c.later
	c.later = nil
	c.mu.Unlock()
	for _, do := range later {
		do()
	}
}

// mid returns a new one. c.mu is held.
func (c *Client) mid() string { return c.midOf(c.prefix) }

func (c *Client) midOf(prefix string) string {
	c.mids++
	var room [40]byte
	return string(strconv.AppendUint(append(room[:0], prefix...), c.mids, 36))
}

// warn tells the log what nobody else is told. c.mu is held.
func (c *Client) warn(text, code string, args ...any) {
	c.later = append(c.later, func() { c.o.Logger.Warn(text, append(args, "code", code)...) })
}

// A timer runs a function once, under the client's lock.
type timer struct{ t *time.Timer }

// after starts or restarts it, with another function.
func (t *timer) after(c *Client, d time.Duration, do func()) {
	t.stop()
	var own *time.Timer
	own = time.AfterFunc(max(d, 0), func() {
		c.mu.Lock()
		defer c.unlock()
		if t.t == own && c.state != closed {
			do()
		}
	})
	t.t = own
}

func (t *timer) stop() {
	if t.t != nil {
		t.t.Stop()
		t.t = nil
	}
}
