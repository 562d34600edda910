package wire

import (
	"bytes"
	"encoding/base64"
	"errors"
	"io"
	"net/http"
	"strconv"

	"github.com/gobwas/ws"
)

// readHandshake parses a request head once it is complete, and returns the bytes
// after it.
func (c *Conn) readHandshake(b []byte) (rest []byte) {
	n := headEnd(b)
	switch {
	case n > c.l.o.MaxHandshake, n == 0 && len(b) >= c.l.o.MaxHandshake:
		c.refuse(http.StatusRequestHeaderFieldsTooLarge, "", DropHandshakeTooBig)
		return nil
	case n == 0 && plausible(b):
		c.stash(b, false)
		return nil
	}
	h, ok := head{}, false
	if n > 0 {
		h, ok = parseHead(b[:n])
	}
	if !ok {
		c.refuse(http.StatusBadRequest, "", DropHandshakeInvalid)
		return nil
	}
	if c.probe(&h) {
		return nil
	}
	c.locate(&h)
	if !c.l.srv.countAddress(c) {
		c.refuse(http.StatusTooManyRequests, "Retry-After: 5\r\n", DropAddressFull)
		return nil
	}
	if !h.upgrade() {
		c.plain(b)
		return nil
	}
	c.upgrade(&h, b[:n])
	return b[n:]
}

// refuse answers with an HTTP error and ends the connection.
func (c *Conn) refuse(status int, field string, cause Drop) {
	c.l.count.drops[cause]++
	text := http.StatusText(status)
	c.answerHTTP(status, field+"Content-Type: text/plain; charset=utf-8\r\n", len(text), text)
}

// probe answers a health check here: what net/http has to do must not keep it waiting.
func (c *Conn) probe(h *head) (answered bool) {
	isHead := string(h.method) == http.MethodHead
	if c.l.o.Probe == nil || !isHead && string(h.method) != http.MethodGet || h.upgrade() {
		return false
	}
	path, _, _ := bytes.Cut(h.uri, []byte("?"))
	status, body, ok := c.l.o.Probe(string(path))
	if !ok {
		return false
	}
	text := string(body)
	if isHead {
		text = ""
	}
	c.answerHTTP(status, "Content-Type: application/json\r\n", len(body), text)
	return true
}

// answerHTTP answers a plain request, and ends the connection. length is that of the
// whole body, of which HEAD is sent nothing.
func (c *Conn) answerHTTP(status int, fields string, length int, body string) {
	if o := c.room(256 + len(fields) + len(body)); o != nil {
		o.buf = append(o.buf, "HTTP/1.1 "...)
		o.buf = strconv.AppendInt(o.buf, int64(status), 10)
		o.buf = append(append(o.buf, ' '), http.StatusText(status)...)
		o.buf = append(o.buf, "\r\nConnection: close\r\n"...)
		o.buf = append(append(o.buf, fields...), "Content-Length: "...)
		o.buf = strconv.AppendInt(o.buf, int64(length), 10)
		o.buf = append(append(o.buf, "\r\n\r\n"...), body...)
		o.head = len(o.buf)
	}
	c.hangUp()
}

// hangUp drains a connection before its upgrade.
func (c *Conn) hangUp() {
	c.state = stateDraining
	c.forget()
	c.closeTimer()
	c.l.soil(c)
	c.set(flagReadable)
	c.l.requeue(c)
}

// upgrade answers a request for an upgrade.
func (c *Conn) upgrade(h *head, b []byte) {
	l := c.l
	if l.srv.full() {
		c.refuse(http.StatusServiceUnavailable, "Retry-After: 5\r\n", DropNodeFull)
		return
	}
	o := c.room(512)
	if o == nil {
		c.drop(DropOverload)
		return
	}
	cause := l.upgrader.upgrade(c, h, b, o)
	o.head = len(o.buf)
	if cause != 0 {
		l.count.drops[cause]++
		c.hangUp()
		return
	}
	c.state = stateOpen
	c.set(flagOpened)
	l.count.upgrades++
	l.count.upgraded++
	l.wheel.stop(&c.timer)
	if l.pings > 0 {
		c.deadline(l.pings)
	}
	l.touch()
	l.h.Open(c)
}

// upgrader runs ws.Upgrader over a request that lies in memory. Each loop has one,
// so that its callbacks are not allocated for each request.
type upgrader struct {
	ws ws.Upgrader
	h  Handler
	o  *Options

	// The request under way.
	conn   *Conn
	head   *head
	in     []byte
	out    *outbound
	accept Accept
	params deflateParams
	cause  Drop
}

func (u *upgrader) init(l *Loop) {
	u.h, u.o = l.h, l.o
	u.ws = ws.Upgrader{
		// A field line may fill the whole head.
		ReadBufferSize:  l.o.MaxHandshake,
		OnBeforeUpgrade: u.decide,
	}
}

// upgrade appends the response to o; cause is 0 if it is a 101.
func (u *upgrader) upgrade(c *Conn, h *head, b []byte, o *outbound) (cause Drop) {
	u.conn, u.head, u.in, u.out, u.cause = c, h, b, o, DropHandshakeInvalid
	_, err := u.ws.Upgrade(u)
	accept, params := u.accept, u.params
	u.conn, u.head, u.in, u.out, u.accept, u.params = nil, nil, nil, nil, Accept{}, deflateParams{}
	if err != nil {
		return u.cause
	}
	c.data = accept.Data
	if params.agreed {
		c.set(flagDeflate)
		c.window = params.serverBits
	}
	return 0
}

// Read passes the request to ws.Upgrader.
func (u *upgrader) Read(p []byte) (int, error) {
	if len(u.in) == 0 {
		return 0, io.ErrUnexpectedEOF
	}
	n := copy(p, u.in)
	u.in = u.in[n:]
	return n, nil
}

// Write takes the response from ws.Upgrader.
func (u *upgrader) Write(p []byte) (int, error) {
	buf := u.conn.grow(u.out.buf, len(p))
	if buf == nil {
		u.cause = DropOverload
		return 0, errOverload
	}
	u.out.buf = append(buf, p...)
	return len(p), nil
}

// decide is called by ws.Upgrader for a request that it finds valid. decide puts
// the subprotocol and the extension into the response as header fields, because
// they depend on the whole request and not on one line.
func (u *upgrader) decide() (ws.HandshakeHeader, error) {
	// ws.Upgrader checks only the length, and takes the last of several fields.
	// The key is the base64 of 16 bytes (RFC 6455 §4.2.1), and occurs once
	// (RFC 6455 §11.3.1).
	key, n := u.head.get("Sec-WebSocket-Key")
	var nonce [18]byte
	if k, err := base64.StdEncoding.Decode(nonce[:], key); n != 1 || err != nil || k != 16 {
		return nil, ws.ErrHandshakeBadSecKey
	}
	if _, n := u.head.get("Host"); n != 1 {
		return nil, ws.ErrHandshakeBadHost
	}
	if u.o.Compression {
		for v := range u.head.all("Sec-WebSocket-Extensions") {
			params, ok := negotiate(v)
			if !ok {
				return nil, ws.ErrMalformedRequest
			}
			if params.agreed && !u.params.agreed {
				u.params = params
			}
		}
	}
	u.conn.l.touch()
	accept, err := u.h.Upgrade(&Request{head: u.head, conn: u.conn})
	if err != nil {
		return nil, u.reject(err)
	}
	u.accept = accept
	return (*response)(u), nil
}

func (u *upgrader) reject(err error) error {
	u.cause = DropHandshakeRejected
	r := &Rejection{Status: http.StatusInternalServerError, Reason: "internal error"}
	if !errors.As(err, &r) {
		u.o.Logger.Error("wire: upgrade failed", "err", err)
	}
	header := r.Header.Clone()
	if header == nil {
		header = make(http.Header, 1)
	}
	header.Set("Connection", "close")
	return ws.RejectConnectionError(ws.RejectionStatus(r.Status), ws.RejectionReason(r.Reason),
		ws.RejectionHeader(ws.HandshakeHeaderHTTP(header)))
}

// response adds our own fields to a 101.
type response upgrader

func (u *response) WriteTo(w io.Writer) (int64, error) {
	b := make([]byte, 0, 256)
	if u.accept.Protocol != "" {
		b = append(append(append(b, "Sec-WebSocket-Protocol: "...), u.accept.Protocol...), "\r\n"...)
	}
	if u.params.agreed {
		b = append(u.params.appendTo(append(b, "Sec-WebSocket-Extensions: "...)), "\r\n"...)
	}
	n, err := w.Write(b)
	return int64(n), err
}
