package harness

import (
	"bufio"
	"io"
	"net"
	"strconv"
	"strings"
	"sync"
)

// An Uplink stands between one node and NATS and counts the requests that are
// under way: those to the JetStream API, and those to other nodes. A request is
// counted after the node has sent it, and its answer before the node has it, so
// that never more are counted than the node has under way. A pull counts until
// its first message.
//
// NATS' own protocol is read for that: lines, and payloads whose length ends the
// line before them.
type Uplink struct {
	// Immutable after NewUplink.
	listener net.Listener
	target   string
	done     sync.WaitGroup

	// Guarded by mu.
	mu    sync.Mutex
	open  map[string]bool   // requests, by reply subject
	pulls map[string]string // their reply subjects, by consumer
	asked int
	most  int
	conns []net.Conn
}

// NewUplink forwards to the NATS server at target until [Uplink.Close].
func NewUplink(target string) (*Uplink, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	u := &Uplink{listener: listener, target: target, open: make(map[string]bool), pulls: make(map[string]string)}
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

// Requests returns how many there were, and how many at most at a time.
func (u *Uplink) Requests() (asked, most int) {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.asked, u.most
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
		u.done.Go(func() { u.pass(server, node, u.request) })
		u.done.Go(func() { u.pass(node, server, u.answer) })
	}
}

// pass moves operations one way until an end fails, and shows each to see before
// it goes on.
func (u *Uplink) pass(to, from net.Conn, see func(operation []string)) {
	defer to.Close()
	reader, writer := bufio.NewReaderSize(from, 64<<10), bufio.NewWriterSize(to, 64<<10)
	for {
		line, err := reader.ReadString('\n')
		if err != nil {
			return
		}
		operation := strings.Fields(line)
		payload := int64(0)
		if len(operation) > 0 {
			switch operation[0] {
			case "PUB", "HPUB", "MSG", "HMSG":
				see(operation)
				n, err := strconv.Atoi(operation[len(operation)-1])
				if err != nil {
					return
				}
				payload = int64(n) + 2
			}
		}
		if _, err := writer.WriteString(line); err != nil {
			return
		}
		if _, err := io.CopyN(writer, reader, payload); err != nil {
			return
		}
		if reader.Buffered() == 0 && writer.Flush() != nil {
			return
		}
	}
}

// request sees PUB <subject> [reply] <bytes>, or HPUB with one number more.
func (u *Uplink) request(operation []string) {
	numbers := 1
	if operation[0] == "HPUB" {
		numbers = 2
	}
	subject := operation[1]
	if len(operation) != 3+numbers || !strings.HasPrefix(subject, "$JS.API.") && !strings.HasPrefix(subject, "umf.v1.node.") {
		return
	}
	reply := operation[2]
	u.mu.Lock()
	defer u.mu.Unlock()
	u.open[reply] = true
	u.asked++
	u.most = max(u.most, len(u.open))
	if pull, ok := strings.CutPrefix(subject, "$JS.API.CONSUMER.MSG.NEXT."); ok {
		_, consumer, _ := strings.Cut(pull, ".")
		u.pulls[consumer] = reply
	}
}

// answer sees MSG <subject> <subscription> [reply] <bytes>, or HMSG. A message of
// a consumer names that in its reply subject: $JS.ACK.<stream>.<consumer>.…
func (u *Uplink) answer(operation []string) {
	u.mu.Lock()
	defer u.mu.Unlock()
	delete(u.open, operation[1])
	if len(operation) < 5 {
		return
	}
	if ack := strings.Split(operation[3], "."); len(ack) > 4 && ack[0] == "$JS" && ack[1] == "ACK" {
		delete(u.open, u.pulls[ack[3]])
		delete(u.pulls, ack[3])
	}
}
