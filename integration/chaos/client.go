package chaos

import (
	"context"
	"encoding/json"
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

// client is one user: an identity over many sockets.
type client struct {
	// Immutable after newClient.
	run    *run
	name   string
	class  string
	calm   bool
	orders chan order // sent by the schedule, never closed

	quiet atomic.Bool // the faults are over: send nothing more, obey nothing more

	// Owned by live.
	random *rand.Rand

	// Guarded by mu, which is also held while an event is written that tells
	// who owns the session, so that the history has them in order.
	mu      sync.Mutex
	sid     string
	token   string
	handled uint64  // the last x-seq
	current *socket // that owns the session
}

// socket is one connection of a client.
type socket struct {
	number int
	ws     *harness.Client
	ended  chan struct{}                 // closed by its reader
	gate   atomic.Pointer[chan struct{}] // closed to let a stopped reader go on
}

// order is what the schedule tells a client to do.
type order int

const (
	orderReset    order = iota // end the socket with a RST, come back elsewhere
	orderClose                 // say goodbye, come back elsewhere
	orderTakeover              // come back elsewhere while the old socket lives
	orderStop                  // stop reading for a while, then end with a RST
	orderPause                 // stop reading for a while, then go on
)

func newClient(r *run, i int) *client {
	c := &client{run: r, name: fmt.Sprintf("client-%d", i), class: history.Plain, calm: i < calmClients, orders: make(chan order, 4)}
	if i%2 == 1 {
		c.class = history.Acked
	}
	c.random = r.random(c.name)
	return c
}

func (c *client) session() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.sid
}

// live connects, again and again, until ctx ends.
func (c *client) live(ctx context.Context) {
	var readers sync.WaitGroup
	var all []*socket
	defer func() {
		for _, s := range all {
			s.open()
			s.ws.Drop()
		}
		readers.Wait()
	}()
	for ctx.Err() == nil {
		s, err := c.connect(ctx)
		if err != nil {
			nap(ctx, time.Duration(50+c.random.IntN(200))*time.Millisecond)
			continue
		}
		all = append(living(all), s)
		readers.Go(func() { c.read(s) })
		c.use(ctx, s)
	}
}

// living drops the sockets that have ended.
func living(sockets []*socket) []*socket {
	kept := sockets[:0]
	for _, s := range sockets {
		select {
		case <-s.ended:
		default:
			kept = append(kept, s)
		}
	}
	return kept
}

// connect opens a socket, with the session if there is one.
func (c *client) connect(ctx context.Context) (*socket, error) {
	n := c.run.nodes[0]
	url := n.process.URL("/") // calm: nothing in between
	if !c.calm {
		n = c.run.nodes[c.random.IntN(len(c.run.nodes))]
		url = "ws://" + n.front.Addr() + "/"
	}
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	ws, err := harness.Dial(ctx, url, harness.DialOptions{Acked: c.class == history.Acked, Manual: true})
	if err != nil {
		return nil, err
	}
	s := &socket{number: int(c.run.conns.Add(1)), ws: ws, ended: make(chan struct{})}
	if c.session() == "" {
		c.adopt(s, n)
		return s, nil
	}
	if err := c.resume(ctx, s, n); err != nil {
		c.run.h.Add(history.Event{Kind: history.Close, Conn: s.number, Code: -1, Why: err.Error()})
		ws.Drop()
		return nil, err
	}
	return s, nil
}

// adopt takes the fresh session of a socket.
func (c *client) adopt(s *socket, n *node) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.sid, c.token, c.handled, c.current = s.ws.ID, s.ws.Token, 0, s
	c.run.h.Add(history.Event{Kind: history.Open, Conn: s.number, SID: c.sid, Class: c.class, Node: n.name, Calm: c.calm})
}

// resume asks for the client's session.
func (c *client) resume(ctx context.Context, s *socket, n *node) error {
	c.mu.Lock()
	c.current = s
	sid, handled, fresh := c.sid, c.handled, s.ws.ID
	body := harness.Object{"id": sid}
	if c.class == history.Acked {
		body["token"], body["seq"] = c.token, strconv.FormatUint(handled, 10)
	}
	c.run.h.Add(history.Event{Kind: history.Resuming, Conn: s.number, SID: sid, Seq: handled, Calm: c.calm})
	c.mu.Unlock()
	typ := []string{"reconnect", "reconnection"}[c.random.IntN(2)]
	answer, err := s.ws.Resume(ctx, typ, body)
	if err != nil {
		return err
	}
	if s.ws.ID == fresh {
		c.run.h.Add(history.Event{Kind: history.Denied, Conn: s.number, SID: sid, Why: string(answer.Raw)})
		c.adopt(s, n)
		return nil
	}
	c.run.h.Add(history.Event{Kind: history.Resumed, Conn: s.number, SID: sid, Class: c.class, Node: n.name})
	return nil
}

// read writes down what comes, until the socket ends.
func (c *client) read(s *socket) {
	defer close(s.ended)
	for {
		if gate := s.gate.Load(); gate != nil {
			<-*gate
		}
		m, err := s.ws.Receive()
		if err != nil {
			code, why := harness.CloseCode(err)
			c.run.h.Add(history.Event{Kind: history.Close, Conn: s.number, Code: code, Why: why})
			return
		}
		c.took(s, m)
	}
}

// took handles one message.
func (c *client) took(s *socket, m harness.Message) {
	if mid := m.Rmid(); m.Error() != "" && strings.HasPrefix(mid, history.ByClient) {
		c.run.h.Add(history.Event{Kind: history.Failed, Mid: mid, Why: m.Error()})
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	e := history.Event{Conn: s.number, SID: c.sid, Mid: m.Mid(), Seq: m.Seq(), Prev: m.Prev()}
	switch {
	case m.Type() == "gap":
		e.Kind, e.From, e.To = history.Gap, number(m, "from"), number(m, "to")
		e.Why, _ = m.At("bdy", "why").(string)
	case m.At("bdy", "for") != nil:
		e.Kind = history.Receive
		e.For, _ = m.At("bdy", "for").(string)
	default:
		return // a pong, or an answer of the router
	}
	c.run.h.Add(e)
	c.run.seen.add(e.Mid)
	if c.current == s && e.Seq != 0 {
		c.handled = e.Seq
	}
}

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

// stop makes the reader stop; open lets it go on.
func (s *socket) stop() {
	gate := make(chan struct{})
	s.gate.CompareAndSwap(nil, &gate)
}

func (s *socket) open() {
	if gate := s.gate.Swap(nil); gate != nil {
		close(*gate)
	}
}

// Times of a client's life. They pace the load.
const (
	ackEvery  = 40 * time.Millisecond
	sendEvery = 60 * time.Millisecond
)

// use sends, confirms and obeys until the socket ends or is given up.
func (c *client) use(ctx context.Context, s *socket) {
	acks, sends := time.NewTicker(ackEvery), time.NewTicker(sendEvery)
	defer acks.Stop()
	defer sends.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-s.ended:
			return
		case <-acks.C:
			if c.class == history.Acked {
				c.confirm(s)
			}
		case <-sends.C:
			if !c.quiet.Load() && c.random.IntN(3) == 0 {
				c.send(s)
			}
		case o := <-c.orders:
			if !c.quiet.Load() && c.obey(ctx, s, o) {
				return
			}
		}
	}
}

// confirm sends the last sequence that was handled.
func (c *client) confirm(s *socket) {
	c.mu.Lock()
	handled := c.handled
	c.mu.Unlock()
	if handled != 0 {
		_ = s.ws.Ack(handled) // the reader sees the end of the socket
	}
}

// send writes to another client, or asks the service.
func (c *client) send(s *socket) {
	if c.random.IntN(2) == 0 {
		_ = s.ws.Send(harness.Object{"to": serviceName + ":/ask", "frm": s.ws.Address(), "mid": c.run.newMid("question"), "bdy": 1})
		return
	}
	other := c.run.clients[c.random.IntN(len(c.run.clients))].session()
	mid := c.run.newMid(history.ByClient)
	message := harness.Object{"to": "hydra-router:/", "fwd": other + "@client:/", "frm": s.ws.Address(), "mid": mid,
		"bdy": harness.Object{"for": other}}
	if c.random.IntN(2) == 0 {
		message["to"] = other + "@client:/"
		delete(message, "fwd")
	}
	c.run.h.Add(history.Event{Kind: history.Send, Mid: mid, SID: other, Source: history.ByClient, Conn: s.number})
	_ = s.ws.Send(message)
}

// obey does what the schedule wants; true: the socket is given up.
func (c *client) obey(ctx context.Context, s *socket, o order) bool {
	some := time.Duration(200+c.random.IntN(1500)) * time.Millisecond
	switch o {
	case orderReset:
		s.ws.Reset()
	case orderClose:
		go s.ws.Close() // waits for the peer, which may be frozen
	case orderTakeover:
	case orderStop:
		s.stop()
		nap(ctx, some)
		s.ws.Reset()
		s.open()
	case orderPause:
		s.stop()
		nap(ctx, some)
		s.open()
		return false
	}
	return true
}
