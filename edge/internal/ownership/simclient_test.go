package ownership

// client opens one socket after the other, and uses the newest.
type client struct {
	w       *world
	sockets []*socket
	got     map[uint64]int // socket on which a message came last
	known   bool           // it has its session's id
	reopens int            // since the faults ended
	pending int            // sockets that nodes still had to do with then
}

// socket is one connection, from both ends.
type socket struct {
	w       *world
	n       int
	node    *node
	fresh   bool
	holder  *holder
	here    bool   // the client has it open
	noticed bool   // the node knows that it is gone, or has closed it
	up      bool   // the client was welcomed on it
	last    uint64 // sequence of the last message
	fifo    int64  // when what was written last arrives
}

// frame is what a holder writes.
type frame struct {
	welcome   bool
	seq, prev uint64
}

func (s *socket) attempt() uint64 {
	if s.w.numbered {
		return uint64(s.n)
	}
	return 0
}

func (c *client) begin() {
	c.got = map[uint64]int{}
	c.open()
	c.w.later(c.w.between(1, 2*c.pace()), c.act)
}

func (c *client) pace() int64 { return c.w.pace }

func (c *client) newest() *socket { return c.sockets[len(c.sockets)-1] }

// act is what the client does of itself.
func (c *client) act() {
	w := c.w
	if w.calm {
		return
	}
	w.later(w.between(1, 2*w.pace), c.act)
	switch {
	case !c.known:
		if w.percent(20) {
			c.drop() // and nobody will come back
		}
	case w.percent(w.hops):
		c.drop()
		c.open()
	case w.percent(w.rests):
		c.drop()
		w.later(w.between(0, 2000), c.reopen)
	}
}

// open connects to some node, sooner or later.
func (c *client) open() {
	w := c.w
	s := &socket{w: w, n: len(c.sockets) + 1, node: w.nodes[w.rng.IntN(len(w.nodes))], fresh: !c.known, here: true}
	c.sockets = append(c.sockets, s)
	w.log("client opens socket %d to %s", s.n, s.node.id)
	d := w.delay()
	if !w.calm && w.percent(w.slow/2) {
		d = w.between(1, 2000)
	}
	s.node.after(d, func() { s.node.start(s) })
}

// reopen connects again if the newest socket is gone.
func (c *client) reopen() {
	if c.newest().here || !c.known {
		return
	}
	if c.w.calm {
		c.reopens++
	}
	c.open()
}

// drop gives the newest socket up. The node may learn of it much later.
func (c *client) drop() {
	s, w := c.newest(), c.w
	if !s.here {
		return
	}
	s.here = false
	w.log("client leaves socket %d", s.n)
	d := w.delay()
	if w.percent(w.halfOpen) {
		d = w.between(1, 6000)
	}
	s.node.after(d, s.closed)
}

// closed is the node's learning that the client is gone.
func (s *socket) closed() {
	if s.noticed {
		return
	}
	if s.holder == nil {
		s.node.after(50, s.closed) // it is still on its way
		return
	}
	s.noticed = true
	s.here = false
	h := s.holder
	complete := h.complete()
	h.out, h.listening = nil, false
	h.event("closed", func() { h.m.Closed(s.node.time(), h) })
	if complete && h.m.phase == Parking {
		h.linger()
	}
	s.died()
}

// died is the client's learning that the node, or the socket, is gone.
func (s *socket) died() {
	s.here = false
	if c := &s.w.client; s == c.newest() {
		s.w.later(s.w.between(1, s.w.away), c.reopen)
	}
}

// settle is what the client does when the faults end.
func (c *client) settle() {
	c.w.later(1, c.reopen)
	for _, s := range c.sockets {
		if !s.noticed && !s.node.dead {
			c.pending++
		}
	}
	c.w.later(20_000, func() { // a slow sweep notices what was the last copy
		for _, n := range c.w.nodes {
			for _, h := range n.holders {
				h.newest = c.w.box.last()
				h.pump()
			}
		}
	})
}

// push queues a frame for the socket.
func (h *holder) push(f frame) {
	h.out = append(h.out, f)
	h.node.after(h.w.rng.Int64N(8), h.flush)
}

// flush is the node's writing to the connection.
func (h *holder) flush() {
	if h.held || len(h.out) == 0 {
		return
	}
	frames := h.out
	h.out = nil
	for _, f := range frames {
		h.w.check.leaves(h, f)
	}
	h.sock.fifo = max(h.sock.fifo, h.w.now+h.w.delay())
	h.w.later(h.sock.fifo-h.w.now, func() {
		for _, f := range frames {
			h.sock.receive(f)
		}
		if h.sock.here && h.w.percent(70) {
			seq := h.sock.last
			h.node.after(h.w.delay(), func() { h.confirmed(seq) })
		}
	})
}

// receive is the client's handling of a frame. It ignores its older sockets.
func (s *socket) receive(f frame) {
	c, w := &s.w.client, s.w
	if !s.here || s != c.newest() {
		return
	}
	if f.welcome {
		w.log("client is welcome on socket %d", s.n)
		s.up = true
		if !c.known {
			c.known = true
			w.later(w.between(0, 300), w.box.publish)
		}
		return
	}
	w.check.received(s, f)
	c.got[f.seq], s.last = s.n, f.seq
}

// confirmed is the client's confirmation of what it has read.
func (h *holder) confirmed(seq uint64) {
	if h.over || h.sock.noticed || seq <= h.floor {
		return
	}
	h.floor = seq
	if !h.dirty {
		h.dirty = true
		h.node.after(h.w.between(50, 400), func() {
			h.dirty = false
			if !h.over {
				h.event("changed", func() { h.m.Changed(h.node.time(), h) })
			}
		})
	}
}
