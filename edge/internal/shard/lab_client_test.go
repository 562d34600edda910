package shard

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/netip"
	"slices"

	"hydrant/bus/scheme"
	"hydrant/edge/internal/access"
	"hydrant/edge/internal/protocol"
)

// object is a JSON object.
type object = map[string]any

// message is a message that a client was sent.
type message struct {
	object
	raw    string
	number int // among the messages that all clients of the lab were sent
}

// at is the value behind a path of keys; nil: there is none.
func (m message) at(path ...string) any {
	var v any = m.object
	for _, key := range path {
		o, _ := v.(object)
		v = o[key]
	}
	return v
}

// text is at, as a string.
func (m message) text(path ...string) string {
	s, _ := m.at(path...).(string)
	return s
}

// testClient is a client and its connection.
type testClient struct {
	l    *lab
	s    *testShard
	sock *fakeSocket
	*Client

	id     scheme.SID
	token  string
	got    []message // not looked at yet
	noPong bool
	silent bool // it does not answer a close
	mids   int
	code   int // of the close frame; 0: there was none
	reason string
	pings  [][]byte // all that came
}

// dialOptions say how a client connects.
type dialOptions struct {
	Arrival
	addr   string
	noPong bool
}

// knock connects a client, which may wait for its session.
func (s *testShard) knock(o dialOptions) *testClient {
	addr := netip.MustParseAddrPort("192.0.2.1:4711")
	if o.addr != "" {
		addr = netip.AddrPortFrom(netip.MustParseAddr(o.addr), 4711)
	}
	c := &testClient{l: s.l, s: s, noPong: o.noPong}
	c.sock = &fakeSocket{s: s, peer: c, addr: addr}
	s.sockets = append(s.sockets, c.sock)
	s.do(func() {
		c.Client = s.Open(c.sock, &o.Arrival)
		c.sock.c = c.Client
	})
	return c
}

// dial connects a client and gives it a session.
func (s *testShard) dial() *testClient { return s.dialWith(dialOptions{}) }

// dialAcked connects a client that confirms messages itself.
func (s *testShard) dialAcked() *testClient {
	return s.dialWith(dialOptions{Arrival: Arrival{Acked: true, Second: true}})
}

// dialAs connects a client that has proved who it is.
func (s *testShard) dialAs(identity string) *testClient {
	return s.dialWith(dialOptions{Arrival: Arrival{Identity: access.Identity{Name: identity}}})
}

func (s *testShard) dialWith(o dialOptions) *testClient {
	s.l.t.Helper()
	c := s.knock(o)
	c.welcomed()
	return c
}

// welcomed takes the first message.
func (c *testClient) welcomed() {
	c.l.t.Helper()
	m := c.next()
	if m.text("typ") != protocol.TypeConnection {
		c.l.t.Fatalf("greeted with %s", m.raw)
	}
	c.id, c.token = scheme.SID(m.text("bdy", "id")), m.text("bdy", "token")
	c.l.tokens[c.id] = c.token
}

// receive takes a frame of the node.
func (c *testClient) receive(f frame) {
	switch f.kind {
	case textFrame:
		c.l.frames++
		m := message{raw: string(f.data), number: c.l.frames}
		if err := json.Unmarshal(f.data, &m.object); err != nil {
			c.l.t.Errorf("%s: %v", f.data, err)
		}
		c.got = append(c.got, m)
	case pingFrame:
		c.pings = append(c.pings, f.data)
		if !c.noPong {
			c.sock.come(frame{kind: pongFrame, data: f.data})
		}
	case closeFrame:
		c.code, c.reason = f.code, string(f.data)
		if !c.silent {
			c.sock.come(frame{kind: closeFrame})
		}
	}
}

// pong answers the last ping.
func (c *testClient) pong() {
	c.l.t.Helper()
	if len(c.pings) == 0 {
		c.l.t.Fatal("there was no ping")
	}
	c.sock.come(frame{kind: pongFrame, data: c.pings[len(c.pings)-1]})
	c.l.run()
}

// address is where others reach the client.
func (c *testClient) address() string { return protocol.ClientAddress(string(c.id)) }

// raw sends any text.
func (c *testClient) raw(text string) { c.sock.come(frame{kind: textFrame, data: []byte(text)}) }

// say sends a message with what it lacks, and returns its mid.
func (c *testClient) say(m object) string {
	if _, ok := m["frm"]; !ok {
		m["frm"] = c.address()
	}
	if _, ok := m["mid"]; !ok {
		c.mids++
		m["mid"] = fmt.Sprint("said-", c.mids)
	}
	text, err := json.Marshal(m)
	if err != nil {
		c.l.t.Fatal(err)
	}
	c.raw(string(text))
	mid, _ := m["mid"].(string)
	return mid
}

// next waits for a message.
func (c *testClient) next() message {
	c.l.t.Helper()
	c.l.until("a message", func() bool { return len(c.got) > 0 || c.code != 0 })
	if len(c.got) == 0 {
		c.l.t.Fatalf("closed with %d, %s", c.code, c.reason)
	}
	m := c.got[0]
	c.got = c.got[1:]
	return m
}

// call sends a message and waits for the one that answers it.
func (c *testClient) call(m object) message {
	c.l.t.Helper()
	mid := c.say(m)
	return c.find(func(m message) bool { return m.text("rmid") == mid })
}

// find waits for a message, and leaves the others.
func (c *testClient) find(wanted func(message) bool) (found message) {
	c.l.t.Helper()
	c.l.until("a certain message", func() bool {
		i := slices.IndexFunc(c.got, wanted)
		if i >= 0 {
			found = c.got[i]
			c.got = slices.Delete(c.got, i, i+1)
		}
		return i >= 0
	})
	return found
}

// gets takes messages number from to below to, in order and nothing between them.
func (c *testClient) gets(from, to int) {
	c.l.t.Helper()
	for i := from; i < to; i++ {
		if m := c.next(); m.text("mid") != fmt.Sprint("stored-", i) {
			c.l.t.Fatalf("%s comes where stored-%d is next", m.raw, i)
		}
	}
}

// quiet expects that nothing has come.
func (c *testClient) quiet() {
	c.l.t.Helper()
	c.l.run()
	for _, m := range c.got {
		c.l.t.Errorf("got %s", m.raw)
	}
	c.got = nil
}

// serves shows that the client is served.
func (c *testClient) serves() {
	c.l.t.Helper()
	if m := c.call(object{"to": "hydra-router:/", "typ": "ping", "bdy": 1}); m.text("typ") != protocol.TypePong {
		c.l.t.Errorf("a ping is answered with %s", m.raw)
	}
}

// refused sends a message that is answered with an error.
func (c *testClient) refused(code protocol.Code, m object) {
	c.l.t.Helper()
	if a := c.call(m); a.text("bdy", "code") != code.String() || a.text("bdy", "error") == "" {
		c.l.t.Errorf("to %v: answered with %s, want an error with the code %s", m["to"], a.raw, code)
	}
}

// asks asks for a session, without waiting. It shows the session's secret unless it
// says which one: token "" is none.
func (c *testClient) asks(body object) {
	if _, says := body["token"]; !says {
		body = maps.Clone(body)
		id, _ := body["id"].(string)
		body["token"] = c.l.tokens[scheme.SID(id)]
	}
	c.say(object{"to": "hydra-router:/", "typ": protocol.TypeReconnect, "bdy": body})
}

// resume asks for a session, and returns the answer.
func (c *testClient) resume(body object) message {
	c.l.t.Helper()
	c.asks(body)
	m := c.find(func(m message) bool { return m.text("typ") == protocol.TypeConnection })
	c.id = scheme.SID(m.text("bdy", "id"))
	return m
}

// resumes takes a session.
func (c *testClient) resumes(body object) {
	c.l.t.Helper()
	if m := c.resume(body); m.at("bdy", "resumed") != true || string(c.id) != body["id"] {
		c.l.t.Fatalf("not resumed: %s", m.raw)
	}
}

// ack confirms what came with a sequence.
func (c *testClient) ack(seq string) {
	c.say(object{"to": "hydra-router:/", "typ": protocol.TypeAck, "bdy": object{"seq": seq}})
	c.l.run()
}

// closed waits for the end of the connection and expects its code.
func (c *testClient) closed(want protocol.Close) {
	c.l.t.Helper()
	c.l.until("a close frame", func() bool { return c.code != 0 })
	c.l.run()
	if c.code != want.Number() {
		c.l.t.Errorf("closed with %d, %s; want %v", c.code, c.reason, want)
	}
}

// leave says goodbye, which lies behind what the client has said.
func (c *testClient) leave() { c.sock.come(frame{kind: closeFrame}) }

// drop ends the connection at once.
func (c *testClient) drop() { c.s.do(c.sock.end) }

// hangs stops the reading of what is sent.
func (c *testClient) hangs() { c.sock.stuck = true }

// reads goes on.
func (c *testClient) reads() {
	c.sock.stuck = false
	c.s.do(func() {})
	c.l.run()
}
