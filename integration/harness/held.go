package harness

import (
	"errors"
	"io"
	"net"
	"sync"
	"syscall"
)

// Held is what a client sent over a connection of a [Proxy] that is kept back
// ([Proxy.Hold]): a request that comes late, and behind it the end of the
// connection. What the server sends meanwhile is lost.
type Held struct {
	// Immutable after Hold.
	link    *link
	some    chan struct{} // closed by the pump when it has got something
	release chan struct{} // closed by Release

	// Guarded by mu.
	mu    sync.Mutex
	bytes []byte
	ended bool // the server has ended the connection, or the proxy has
	err   error
	done  chan struct{} // closed by the pump when it has passed everything on, or cannot
}

// Errors of a connection that is held.
var (
	ErrNoLink  = errors.New("harness: no such connection through the proxy")
	ErrTooLate = errors.New("harness: the server has ended the connection")
)

// Hold keeps back what the client at this address sends from now on, until
// Release. The client has to end the connection itself, once Some is closed.
func (p *Proxy) Hold(client net.Addr) (*Held, error) {
	for _, l := range p.all() {
		if l.client.RemoteAddr().String() == client.String() {
			h := &Held{link: l, some: make(chan struct{}), release: make(chan struct{}), done: make(chan struct{})}
			l.held.Store(h)
			return h, nil
		}
	}
	return nil, ErrNoLink
}

// Some is closed when something has been kept back.
func (h *Held) Some() <-chan struct{} { return h.some }

// Release lets it go on to the server, with the end of the connection in the same
// segment, so that the server cannot see one without the other. Once only. The
// error is [ErrTooLate] where the server had ended the connection before.
func (h *Held) Release() error {
	close(h.release)
	<-h.done
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.err
}

// take is what a pump does with what it has read, instead of passing it on; false
// ends the pump.
func (h *Held) take(p *Proxy, read []byte, err error, towardsClient bool) bool {
	if towardsClient {
		if err == nil {
			return true
		}
		h.mu.Lock()
		h.ended = true
		h.mu.Unlock()
		return false
	}
	h.mu.Lock()
	if len(h.bytes) == 0 && len(read) > 0 {
		close(h.some)
	}
	h.bytes = append(h.bytes, read...)
	h.mu.Unlock()
	if err == nil {
		return true
	}
	select {
	case <-h.release:
	case <-p.closed:
	}
	h.pass()
	return false
}

// pass writes everything, and the end, in one segment.
func (h *Held) pass() {
	h.mu.Lock()
	defer h.mu.Unlock()
	defer close(h.done)
	if h.ended {
		h.err = ErrTooLate
		return
	}
	h.err = errors.Join(cork(h.link.server), write(h.link.server, h.bytes), h.link.server.CloseWrite())
}

func write(w io.Writer, b []byte) error {
	_, err := w.Write(b)
	return err
}

// cork makes the kernel wait for more before it sends a segment that is not full.
func cork(conn syscall.Conn) error {
	raw, err := conn.SyscallConn()
	if err != nil {
		return err
	}
	var set error
	err = raw.Control(func(fd uintptr) { set = setCork(int(fd)) })
	return errors.Join(err, set)
}
