package client

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"time"

	"github.com/coder/websocket"
)

// comings is how often the client has come, and how it went.
type comings struct {
	turn   int       // of the URLs
	fails  int       // since a connection that lasted
	lasts  time.Time // since when the connection is there; zero: it is not
	before bool      // one was there
}

// run connects, reads, and comes back, until the client is closed.
func (c *Client) run() {
	defer c.cancel()
	for {
		l, err := c.connect()
		if err == nil {
			err = l.read()
		}
		pause, over := c.lost(l, err)
		if over {
			return
		}
		select {
		case <-time.After(pause):
		case <-c.ctx.Done():
			return
		}
	}
}

// connect opens the next connection. Whoever is at the other end has still to greet.
func (c *Client) connect() (*line, error) {
	ctx, cancel := context.WithTimeout(c.ctx, c.o.Timeout)
	defer cancel()
	url := c.o.URLs[c.coming.turn%len(c.o.URLs)]
	c.coming.turn++
	if err := c.tokens.fetch(ctx, c); err != nil {
		return nil, err
	}
	c.mu.Lock()
	if c.state == closed {
		c.mu.Unlock()
		return nil, ErrClosed // lost knows better
	}
	c.state = connecting
	var offer []string
	if !c.session.bare {
		offer = append(offer, protocolAck)
	}
	offer = append(offer, c.tokens.offer()...)
	offer = append(offer, c.session.offer()...)
	c.unlock()
	conn, answer, err := websocket.Dial(ctx, url, &websocket.DialOptions{
		HTTPClient: c.o.HTTPClient, HTTPHeader: c.o.Header, Subprotocols: offer,
	})
	if err != nil {
		return nil, refusal(url, answer, err)
	}
	conn.SetReadLimit(maxMessage)
	l := &line{c: c, conn: conn, gone: make(chan struct{})}
	c.mu.Lock()
	defer c.unlock()
	if c.state == closed {
		c.tasks.Go(l.drop)
		return nil, c.why
	}
	c.line = l
	l.heart.after(c, c.o.Timeout, func() { c.leave("no welcome in time") })
	return l, nil
}

const (
	protocolAck = "umf.ack.v1"
	maxMessage  = 64 << 20
)

// refused is a handshake that was answered, but not with an upgrade.
type refused struct {
	url, status, text string
	retry             time.Duration
}

func (r *refused) Error() string { return fmt.Sprintf("%s refuses: %s: %s", r.url, r.status, r.text) }

// refusal says why a handshake failed.
func refusal(url string, answer *http.Response, err error) error {
	if answer == nil {
		return fmt.Errorf("no node at %s: %w", url, err)
	}
	text, _ := io.ReadAll(answer.Body) // the library has read it, up to 1 KiB
	seconds, _ := strconv.ParseFloat(answer.Header.Get("Retry-After"), 64)
	return &refused{url, answer.Status, string(bytes.TrimSpace(text)), milliseconds(seconds * 1000)}
}

// retryHint ends the reason of a close.
var retryHint = regexp.MustCompile(`retry(?:=| after )(\d{1,7})\D*$`)

// lost says what comes after a connection that has ended, or has not begun: a pause, or
// nothing more.
func (c *Client) lost(l *line, err error) (pause time.Duration, over bool) {
	if l != nil {
		l.drop()
	}
	c.mu.Lock()
	defer c.unlock()
	if l != nil {
		l.heart.stop()
	}
	c.tokens.renew.stop()
	c.in.timer.stop()
	c.line = nil
	if c.state == closed {
		return 0, true
	}
	code, reason := closeCode(err)
	least := hinted(reason, err)
	switch {
	case code == 4401 && c.tokens.again():
	case code == 4401, code >= 4500 && code < 4600:
		c.end(&Error{Code: strconv.Itoa(code), Text: reason})
		return 0, true
	case !c.coming.before && c.coming.turn >= len(c.o.URLs):
		c.end(told(code, reason, err))
		return 0, true
	}
	c.state = waiting
	bound := c.bound()
	if !c.coming.lasts.IsZero() && time.Since(c.coming.lasts) > bound {
		c.coming.fails = 0
		bound = c.bound()
	}
	c.coming.lasts = time.Time{}
	c.coming.fails++
	c.unsure()
	if c.coming.before || code != 0 {
		c.later = append(c.later, func() { c.o.Logger.Info("connection lost", "code", code, "error", err) })
		return max(least, rand.N(bound)), false
	}
	return 0, false // to the next node
}

// bound is that of the next pause.
func (c *Client) bound() time.Duration {
	return min(c.o.MaxPause, c.o.MinPause<<min(c.coming.fails, 30))
}

// closeCode returns the code and the reason of a close, 0 if there was none.
func closeCode(err error) (code int, reason string) {
	var e websocket.CloseError
	if errors.As(err, &e) {
		return int(e.Code), e.Reason
	}
	return 0, ""
}

// hinted is the pause that the node asks for.
func hinted(reason string, err error) time.Duration {
	if r := (*refused)(nil); errors.As(err, &r) {
		return r.retry
	}
	found := retryHint.FindStringSubmatch(reason)
	if found == nil {
		return 0
	}
	n, _ := strconv.ParseFloat(found[1], 64) // digits
	return milliseconds(n)
}

// told is why the first connection came to nothing.
func told(code int, reason string, err error) error {
	if code != 0 {
		return &Error{Code: strconv.Itoa(code), Text: reason}
	}
	return err
}

// leave gives a connection up without waiting for its end. c.mu is held.
func (c *Client) leave(why string) {
	l := c.line
	if l == nil {
		return
	}
	c.line = nil
	if c.state == open {
		c.state = waiting
	}
	l.heart.stop()
	l.why = errors.New(why)
	c.tasks.Go(l.drop)
}

// tokens is what shows who the user is.
type tokens struct {
	// Owned by run, but for the renewal's goroutine while there is a connection.
	need Why // of the next token; "": none
	kept string

	// Guarded by the client's mu.
	refused bool          // until the client was let in again
	renew   timer         // before it expires
	renewal string        // mid of the message with a new one
	clock   time.Duration // by which the node's is ahead
}

func (t *tokens) stop() { t.renew.stop() }

// fetch gets a token if one is needed.
func (t *tokens) fetch(ctx context.Context, c *Client) error {
	if t.need == "" || c.o.Token == nil {
		return nil
	}
	token, err := c.o.Token(ctx, t.need)
	if err != nil {
		return fmt.Errorf("client: no token: %w", err)
	}
	t.need, t.kept = "", token
	return nil
}

func (t *tokens) offer() []string {
	if t.kept == "" {
		return nil
	}
	return []string{"umf.auth." + t.kept}
}

// again reports whether a refused token may be replaced: once.
func (t *tokens) again() bool {
	if t.kept == "" || t.refused {
		return false
	}
	t.need, t.refused = Refused, true
	return true
}

// expires sets the time of the next renewal. exp is ms of the node's clock. c.mu is held.
func (c *Client) expires(exp float64) {
	if exp <= 0 || c.o.Token == nil || !slices.Contains(c.session.caps, "auth") {
		return
	}
	left := until(exp) - c.tokens.clock
	c.renewIn(left / 5 * 4)
}

// until is the time until a time of the node's clock, in ms.
func until(ms float64) time.Duration {
	return time.Until(time.UnixMilli(int64(min(ms, 1<<53))))
}

// renewIn gets a token after some time and sends it. c.mu is held.
func (c *Client) renewIn(d time.Duration) {
	c.tokens.renew.after(c, d, func() {
		l := c.line
		if l != nil {
			c.tasks.Go(func() { c.renewNow(l) })
		}
	})
}

func (c *Client) renewNow(l *line) {
	ctx, cancel := context.WithTimeout(c.ctx, c.o.Timeout)
	defer cancel()
	token, err := c.o.Token(ctx, Expiring)
	c.mu.Lock()
	defer c.unlock()
	if l != c.line || c.state != open {
		return
	}
	if err != nil {
		c.warn("no token: "+err.Error(), "token")
		c.renewIn(c.o.MaxPause / 6)
		return
	}
	c.tokens.kept, c.tokens.renewal = token, c.mid()
	c.own(c.tokens.renewal, "auth", map[string]string{"token": token})
}
