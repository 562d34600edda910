package harness

import (
	"bufio"
	"bytes"
	"io"
	"net"
	"regexp"
	"strconv"
	"sync"
)

// An Uplink stands between one node and NATS, and may withhold some of the node's
// requests, to show for how many sessions the node asks at once: for all whose
// requests are there while none is answered. That a node gives an attempt up and
// asks again changes nothing, nor does it how late anything is read.
//
// NATS' own protocol is read for that: lines, and payloads whose length ends the
// line before them.
type Uplink struct {
	// Immutable after NewUplink.
	listener net.Listener
	target   string
	done     sync.WaitGroup

	// Guarded by mu.
	mu       sync.Mutex
	withhold func(subject string) bool // nil: none
	waiting  []operation               // what was withheld
	sessions map[string]bool           // that it was about
	conns    []net.Conn
}

// operation is one line with its payload, on its way to an end.
type operation struct {
	to   *uplinkEnd
	text []byte
}

// uplinkEnd is what operations are written to, whole, by more than one goroutine.
type uplinkEnd struct {
	// Guarded by mu.
	mu     sync.Mutex
	writer *bufio.Writer
}

func (e *uplinkEnd) write(text []byte, flush bool) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if _, err := e.writer.Write(text); err != nil || !flush {
		return err
	}
	return e.writer.Flush()
}

// NewUplink forwards to the NATS server at target until [Uplink.Close].
func NewUplink(target string) (*Uplink, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	u := &Uplink{listener: listener, target: target}
	u.done.Go(u.accept)
	return u, nil
}

// Close ends the uplink and its connections.
func (u *Uplink) Close() {
	_ = u.listener.Close() // ends accept
	u.mu.Lock()
	for _, conn := range u.conns {
		_ = conn.Close()
	}
	u.mu.Unlock()
	u.done.Wait()
}

// Addr is where the node connects.
func (u *Uplink) Addr() string { return u.listener.Addr().String() }

// Withhold keeps requests with such subjects from NATS from now on. What was kept
// before goes on to it, unless it is to be withheld again; nil lets everything go.
func (u *Uplink) Withhold(subjects func(subject string) bool) {
	u.mu.Lock()
	defer u.mu.Unlock()
	kept := u.waiting
	u.withhold, u.waiting, u.sessions = subjects, nil, make(map[string]bool)
	for _, o := range kept {
		if !u.keeps(o) {
			_ = o.to.write(o.text, true) // a connection that has ended needs it no more
		}
	}
}

// Sessions returns how many different sessions the requests are about that are
// withheld now.
func (u *Uplink) Sessions() int {
	u.mu.Lock()
	defer u.mu.Unlock()
	return len(u.sessions)
}

func (u *Uplink) accept() {
	for {
		node, err := u.listener.Accept()
		if err != nil {
			return // closed
		}
		server, err := net.Dial("tcp", u.target)
		if err != nil {
			_ = node.Close()
			continue
		}
		u.mu.Lock()
		u.conns = append(u.conns, node, server)
		u.mu.Unlock()
		u.done.Go(func() { u.pass(server, node) })
		u.done.Go(func() {
			_, _ = io.Copy(node, server) // until an end fails
			_ = node.Close()
		})
	}
}

// pass moves a node's operations until an end fails.
func (u *Uplink) pass(to, from net.Conn) {
	defer to.Close()
	reader := bufio.NewReaderSize(from, 64<<10)
	end := &uplinkEnd{writer: bufio.NewWriterSize(to, 64<<10)}
	for {
		text, err := reader.ReadBytes('\n')
		if err != nil {
			return
		}
		words := bytes.Fields(text)
		if len(words) > 2 && (string(words[0]) == "PUB" || string(words[0]) == "HPUB") {
			n, err := strconv.Atoi(string(words[len(words)-1]))
			if err != nil {
				return
			}
			line := len(text)
			text = append(text, make([]byte, n+2)...)
			if _, err := io.ReadFull(reader, text[line:]); err != nil {
				return
			}
		}
		u.mu.Lock()
		kept := u.keeps(operation{end, text})
		u.mu.Unlock()
		if !kept && end.write(text, false) != nil {
			return
		}
		if reader.Buffered() == 0 && end.write(nil, true) != nil {
			return
		}
	}
}

// namedSession finds the session that a request is about.
var namedSession = regexp.MustCompile(`\b[a-z2-7]{26}\b`)

// keeps withholds an operation, if that is wanted. Caller holds mu.
func (u *Uplink) keeps(o operation) bool {
	words := bytes.Fields(o.text)
	if u.withhold == nil || len(words) < 2 || string(words[0]) != "PUB" && string(words[0]) != "HPUB" || !u.withhold(string(words[1])) {
		return false
	}
	u.waiting = append(u.waiting, o)
	if sid := namedSession.Find(o.text); sid != nil {
		u.sessions[string(sid)] = true
	}
	return true
}
