package wire

import (
	"bytes"
	"crypto/sha1"
	"encoding/base64"
	"errors"
	"net/http"
	"slices"
	"strconv"
)

// readHandshake parses a request head once it is complete, and returns the bytes
// after it.
func (c *Conn) readHandshake(b []byte) (rest []byte) {
	b = skipLines(b)
	n := headEnd(b)
	switch {
	case n > c.l.o.MaxHandshake, n == 0 && len(b) >= c.l.o.MaxHandshake:
		c.refuse(nil, http.StatusRequestHeaderFieldsTooLarge, "request head over "+strconv.Itoa(c.l.o.MaxHandshake)+" bytes", nil, DropHandshakeTooBig)
		return nil
	case n == 0 && plausible(b):
		if len(b) > 0 {
			c.stash(b, false)
		}
		return nil
	}
	h, ok := head{}, false
	if n > 0 {
		h, ok = parseHead(b[:n])
	}
	if !ok {
		c.refuse(nil, http.StatusBadRequest, "no HTTP request", nil, DropHandshakeInvalid)
		return nil
	}
	if fault := h.check(); fault != "" {
		c.refuse(&h, http.StatusBadRequest, fault, nil, DropHandshakeInvalid)
		return nil
	}
	if c.probe(&h) {
		return nil
	}
	from := c.origin()
	c.locate(&h)
	if !c.l.srv.countAddress(c) {
		c.refuse(&h, http.StatusTooManyRequests, tooManyOfAddress, retryAfter, DropAddressFull)
		return nil
	}
	if !h.upgrade() {
		if _, n := h.get("Sec-WebSocket-Key"); n > 0 && string(h.method) == http.MethodGet {
			c.refuse(&h, http.StatusUpgradeRequired,
				"a WebSocket's key, and no upgrade: the proxy before this server must pass on the fields Upgrade and Connection (in nginx proxy_http_version 1.1, proxy_set_header Upgrade and Connection)",
				upgradeOffer, DropHandshakeInvalid)
			return nil
		}
		c.plain(&h, b, from)
		return nil
	}
	c.upgrade(&h)
	return b[n:]
}

const tooManyOfAddress = "too many connections from this address"

// Fields of refusals.
var (
	retryAfter   = http.Header{"Retry-After": {"5"}}
	upgradeOffer = http.Header{"Upgrade": {"websocket"}, "Sec-Websocket-Version": {"13"}}
	allowGet     = http.Header{"Allow": {"GET"}}
)

// refuse answers with an HTTP error and ends the connection. h may be nil.
func (c *Conn) refuse(h *head, status int, text string, fields http.Header, cause Drop) {
	c.l.count.drops[cause]++
	c.answerHTTP(h, status, fields, "text/plain; charset=utf-8", text)
}

// probe answers a health check here: what net/http has to do must not keep it waiting.
// What may be wrong with a body or a version, net/http finds out.
func (c *Conn) probe(h *head) (answered bool) {
	method, proto := string(h.method), string(h.proto)
	switch {
	case c.l.o.Probe == nil, method != http.MethodHead && method != http.MethodGet:
		return false
	case proto != "HTTP/1.1" && proto != "HTTP/1.0", h.upgrade(), h.hasBody():
		return false
	}
	path, _, _ := bytes.Cut(h.uri, []byte("?"))
	status, body, ok := c.l.o.Probe(string(path))
	if !ok {
		return false
	}
	c.answerHTTP(h, status, nil, "application/json", string(body))
	return true
}

// answerHTTP answers a plain request, and ends the connection. h may be nil.
func (c *Conn) answerHTTP(h *head, status int, fields http.Header, contentType, body string) {
	names := make([]string, 0, len(fields))
	size := 320 + len(contentType) + len(body)
	for name, values := range fields {
		names = append(names, name)
		for _, v := range values {
			size += len(name) + len(v) + 4
		}
	}
	slices.Sort(names)
	if o := c.room(size); o != nil {
		b := append(o.buf, "HTTP/1.1 "...)
		b = strconv.AppendInt(b, int64(status), 10)
		b = append(append(b, ' '), http.StatusText(status)...)
		b = append(b, "\r\nDate: "...)
		b = c.l.now.UTC().AppendFormat(b, http.TimeFormat)
		b = append(b, "\r\nConnection: close"...)
		if fields.Get("Upgrade") != "" {
			b = append(b, ", Upgrade"...) // RFC 9110 §7.8
		}
		for _, name := range names {
			for _, v := range fields[name] {
				b = append(append(append(append(b, "\r\n"...), name...), ": "...), v...)
			}
		}
		b = append(append(b, "\r\nContent-Type: "...), contentType...)
		b = append(b, "\r\nContent-Length: "...)
		b = strconv.AppendInt(b, int64(len(body)), 10)
		b = append(b, "\r\n\r\n"...)
		if h == nil || string(h.method) != http.MethodHead { // RFC 9110 §9.3.2
			b = append(b, body...)
		}
		o.buf = b
		o.head = len(b)
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
func (c *Conn) upgrade(h *head) {
	l := c.l
	if l.srv.full() {
		c.refuse(h, http.StatusServiceUnavailable, "too many connections", retryAfter, DropNodeFull)
		return
	}
	status, fault, fields := h.checkUpgrade()
	if fault != "" {
		c.refuse(h, status, fault, fields, DropHandshakeInvalid)
		return
	}
	var params deflateParams
	if l.o.Compression {
		var ok bool
		if params, ok = h.extensions(); !ok {
			c.refuse(h, http.StatusBadRequest, "Sec-WebSocket-Extensions cannot be read", nil, DropHandshakeInvalid)
			return
		}
	}
	l.touch()
	accept, err := l.h.Upgrade(&Request{head: h, conn: c})
	if err != nil {
		c.reject(h, err)
		return
	}
	if !c.switchProtocols(h, accept.Protocol, params) {
		c.drop(DropOverload)
		return
	}
	c.data = accept.Data
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

// reject answers as the handler says.
func (c *Conn) reject(h *head, err error) {
	r := &Rejection{Status: http.StatusInternalServerError, Reason: "internal error"}
	if !errors.As(err, &r) {
		c.l.o.Logger.Error("wire: upgrade failed", "err", err)
	}
	c.refuse(h, r.Status, r.Reason, r.Header, DropHandshakeRejected)
}

// keyGUID is what a server appends to a client's key (RFC 6455 §4.2.2).
const keyGUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"

// switchProtocols queues the 101. It returns false if there is no memory.
func (c *Conn) switchProtocols(h *head, protocol string, params deflateParams) bool {
	o := c.room(384 + len(protocol))
	if o == nil {
		return false
	}
	key, _ := h.get("Sec-WebSocket-Key")
	var text [64]byte
	sum := sha1.Sum(append(append(text[:0], key...), keyGUID...)) // what RFC 6455 asks for
	b := append(o.buf, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: "...)
	b = base64.StdEncoding.AppendEncode(b, sum[:])
	if protocol != "" {
		b = append(append(b, "\r\nSec-WebSocket-Protocol: "...), protocol...)
	}
	if params.agreed {
		b = params.appendTo(append(b, "\r\nSec-WebSocket-Extensions: "...))
		c.set(flagDeflate)
		c.window = params.serverBits
	}
	o.buf = append(b, "\r\n\r\n"...)
	o.head = len(o.buf)
	return true
}
