package chaos

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"hydrant/integration/chaos/history"
	"hydrant/integration/harness"
)

// client is one user: an identity over many sockets. One of class managed has a program
// that uses edge/client; the others do it all themselves.
type client struct {
	// Immutable after newClient.
	run    *run
	name   string
	class  string
	calm   bool
	orders chan order    // sent by the schedule, never closed
	born   chan struct{} // closed when it may begin, by birth
	birth  sync.Once

	quiet atomic.Bool // the faults are over: send nothing more, obey nothing more

	// Owned by live. For one that begins late, the schedule sets next, tries and spare before
	// its birth.
	random *rand.Rand
	twins  bool   // come back over two sockets
	spare  *spare // nil: none
	next   *node  // where to come back; nil: anywhere
	tries  int    // how often to try that
	late   *late  // a request that is to arrive when this client has its session again

	// Guarded by mu, which is also held while an event is written that tells
	// who owns the session, so that the history has them in order.
	mu      sync.Mutex
	sid     string
	token   string
	attempt uint64  // the number of its last socket
	handled uint64  // the last x-seq
	current *socket // that owns the session
	rival   *socket // that asked for it at the same moment
	ended   string  // how the last socket did: history.End…
}

// socket is one connection of a client.
type socket struct {
	number  int
	node    *node
	ws      *harness.Client
	ended   chan struct{}                 // closed by its reader
	gate    atomic.Pointer[chan struct{}] // closed to let a stopped reader go on
	handled atomic.Uint64                 // the last x-seq that came over it
	given   atomic.Bool                   // it has been given the session
	dialed  time.Duration                 // when it was begun
}

func newClient(r *run, i int) *client {
	classes := []string{history.Plain, history.Acked, history.Managed}
	if r.cfg.raw {
		classes = classes[:2]
	}
	c := &client{run: r, name: fmt.Sprintf("client-%d", i), class: classes[i%len(classes)], calm: i < calmClients, orders: make(chan order, 4), born: make(chan struct{})}
	c.random = r.random(c.name)
	return c
}

// begin lets a client connect for the first time.
func (c *client) begin() { c.birth.Do(func() { close(c.born) }) }

func (c *client) hasBegun() bool {
	select {
	case <-c.born:
		return true
	default:
		return false
	}
}

func (c *client) session() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.sid
}

// live is the client's, until ctx ends.
func (c *client) live(ctx context.Context) {
	if c.class == history.Managed {
		c.manage(ctx)
		return
	}
	c.connectAgain(ctx)
}

// connectAgain connects, again and again, until ctx ends.
func (c *client) connectAgain(ctx context.Context) {
	var readers sync.WaitGroup
	var all []*socket
	defer func() {
		for _, s := range all {
			s.open()
			s.ws.Drop()
		}
		readers.Wait()
	}()
	select {
	case <-c.born:
	case <-ctx.Done():
		return
	}
	if c.spare != nil {
		c.spare.reserve(ctx, c)
	}
	defer func() { c.spare.drop() }()
	begin := func(s *socket) {
		all = append(living(all), s)
		readers.Go(func() { c.read(s) })
	}
	for ctx.Err() == nil {
		connect := c.connect
		if c.twins {
			c.twins = false
			connect = c.contend
		}
		s, err := connect(ctx, begin)
		if err != nil {
			nap(ctx, time.Duration(50+c.random.IntN(200))*time.Millisecond)
			continue
		}
		c.next = nil
		c.use(ctx, s)
	}
}

// connect opens a socket, with the session if there is one.
func (c *client) connect(ctx context.Context, begin func(*socket)) (*socket, error) {
	n := c.run.nodes[0]
	switch {
	case c.next != nil:
		if n, c.tries = c.next, c.tries-1; c.tries <= 0 {
			c.next = nil
		}
	case !c.calm:
		n = c.run.nodes[c.random.IntN(len(c.run.nodes))]
	}
	ctx, cancel := context.WithTimeout(ctx, connectPatience)
	defer cancel()
	s := c.spare.take(n, c.session())
	if s == nil {
		var err error
		if s, err = c.dial(ctx, n); err != nil {
			return nil, err
		}
	}
	if c.session() == "" {
		c.adopt(s)
		s.given.Store(true)
		begin(s)
		return s, nil
	}
	c.mu.Lock()
	body := c.ask(s, 0)
	c.current, c.rival, c.ended = s, nil, history.EndLost
	c.mu.Unlock()
	if err := c.resume(ctx, s, "reconnect", body); err != nil {
		return nil, err
	}
	begin(s)
	if c.late != nil {
		c.late.arrive(c)
		c.late = nil
	}
	return s, nil
}

// dial opens a socket to a node and gets its fresh session.
func (c *client) dial(ctx context.Context, n *node) (*socket, error) {
	url := "ws://" + n.front.Addr() + "/"
	if c.calm {
		url = n.process.URL("/") // nothing in between
	}
	dialed := c.run.h.Now()
	ws, err := harness.Dial(ctx, url, harness.DialOptions{Acked: c.class == history.Acked, Manual: true})
	if err != nil {
		return nil, err
	}
	return &socket{number: int(c.run.conns.Add(1)), node: n, ws: ws, ended: make(chan struct{}), dialed: dialed}, nil
}

// adopt takes the fresh session of a socket.
func (c *client) adopt(s *socket) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.sid, c.token, c.handled, c.current, c.rival, c.ended = s.ws.ID, s.ws.Token, 0, s, nil, history.EndLost
	c.run.h.Add(history.Event{Kind: history.Open, Conn: s.number, SID: c.sid, Class: c.class, Node: s.node.name, Calm: c.calm, Dialed: s.dialed})
}

// ask writes down that a socket is about to ask for the session, and returns
// what it says. c.mu is held.
func (c *client) ask(s *socket, twin int) harness.Object {
	body := c.request()
	c.run.asked.Add(1)
	c.run.askedAt.Store(time.Now().UnixNano())
	c.run.h.Add(history.Event{Kind: history.Resuming, Conn: s.number, SID: c.sid, Node: s.node.name, Seq: c.handled, Calm: c.calm,
		Why: c.ended, Twin: twin, Attempt: c.number(), Dialed: s.dialed})
	return body
}

// request is what the next socket asks with. Old clients do not number theirs.
// c.mu is held.
func (c *client) request() harness.Object {
	c.attempt++
	body := harness.Object{"id": c.sid, "token": c.token}
	if c.class == history.Acked {
		body["seq"], body["attempt"] = strconv.FormatUint(c.handled, 10), c.attempt
	}
	return body
}

// number is what the client said of its last socket; 0: nothing. c.mu is held.
func (c *client) number() uint64 {
	if c.class == history.Acked {
		return c.attempt
	}
	return 0
}

// resume asks for the client's session. A socket that fails is dropped.
func (c *client) resume(ctx context.Context, s *socket, typ string, body harness.Object) error {
	sid, fresh := c.session(), s.ws.ID
	answer, err := s.ws.Resume(ctx, typ, body)
	if err != nil {
		code, why := harness.CloseCode(err)
		c.run.h.Add(history.Event{Kind: history.Close, Conn: s.number, Code: code, Why: why})
		s.ws.Drop()
		return err
	}
	if s.ws.ID == fresh {
		c.run.h.Add(history.Event{Kind: history.Denied, Conn: s.number, SID: sid, Why: string(answer.Raw)})
		c.adopt(s)
		return nil
	}
	s.given.Store(true)
	c.run.h.Add(history.Event{Kind: history.Resumed, Conn: s.number, SID: sid, Class: c.class, Node: s.node.name})
	return nil
}

// contend asks for the session over two sockets at once, on two nodes, and
// returns the one that is left.
func (c *client) contend(ctx context.Context, begin func(*socket)) (*socket, error) {
	dialing, cancel := context.WithTimeout(ctx, connectPatience)
	defer cancel()
	nodes := c.run.nodes
	first := c.random.IntN(len(nodes))
	second := (first + 1 + c.random.IntN(len(nodes)-1)) % len(nodes)
	var pair [2]*socket
	for i, n := range []*node{nodes[first], nodes[second]} {
		s, err := c.dial(dialing, n)
		if err != nil {
			if i == 1 {
				pair[0].ws.Drop()
			}
			return nil, err
		}
		pair[i] = s
	}
	c.mu.Lock()
	bodies := [2]harness.Object{c.ask(pair[0], 0), c.ask(pair[1], pair[0].number)}
	c.current, c.rival, c.ended = pair[1], pair[0], history.EndLost
	c.mu.Unlock()
	var asking sync.WaitGroup
	var failed [2]error
	for i, s := range pair {
		asking.Go(func() { failed[i] = c.resume(dialing, s, "reconnection", bodies[i]) })
	}
	asking.Wait()
	for i, s := range pair {
		if failed[i] == nil {
			begin(s)
		} else {
			close(s.ended)
		}
	}
	if failed[0] != nil && failed[1] != nil {
		return nil, failed[1]
	}
	left := pair[1]
	select {
	case <-pair[1].ended:
		left = pair[0]
	case <-pair[0].ended:
	case <-time.After(contestPatience): // the node of one of them is frozen, perhaps
		return nil, errContested
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	return left, nil
}

var errContested = errors.New("chaos: two sockets have the session")

const (
	connectPatience = 5 * time.Second
	contestPatience = 3 * time.Second
)

// number reads a sequence that is a string or a number.
func number(m harness.Message, key string) uint64 {
	var body map[string]json.RawMessage
	if json.Unmarshal(m.Fields["bdy"], &body) != nil {
		return 0
	}
	n, err := strconv.ParseUint(strings.Trim(string(body[key]), `"`), 10, 64)
	if err != nil {
		return 0
	}
	return n
}
