package chaos

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"sync"
	"time"

	kit "hydrant/edge/client"
	"hydrant/integration/chaos/history"
)

// program is one life of a managed client's program: it uses edge/client until it ends,
// and the next one goes on with the session that it kept.
type program struct {
	// Immutable after startProgram.
	c   *client
	net *tap
	kit *kit.Client
	was kit.Session // when it began

	over chan struct{} // closed by the receiver when the kit has ended by itself

	// Owned by live.
	receiving sync.WaitGroup
	stop      context.CancelFunc // of the receiver
	calls     sync.WaitGroup     // that have no outcome yet

	// Guarded by mu.
	mu   sync.Mutex
	held []*kit.Delivery // that are not done
}

// Times of a managed client. The pauses are shorter than the kit's own, so that it comes
// back more often.
const (
	managedPause    = 50 * time.Millisecond
	managedMaxPause = time.Second
	callPatience    = 20 * time.Second // for an outcome
)

// manyHeld is how many deliveries a program has before it is done with all of them, unless
// [ackEvery] is over. Who waits for a number alone may wait for ever: repeats that
// the kit drops stand behind what is not done.
const manyHeld = 4

// manage begins programs, one after another, until ctx ends.
func (c *client) manage(ctx context.Context) {
	select {
	case <-c.born:
	case <-ctx.Done():
		return
	}
	var kept kit.Session
	var before *program // that the next one takes the session from while it lives
	var ending sync.WaitGroup
	defer ending.Wait()
	for ctx.Err() == nil {
		p, err := c.startProgram(ctx, kept)
		if err != nil {
			nap(ctx, time.Duration(50+c.random.IntN(200))*time.Millisecond)
			continue
		}
		if before != nil {
			ending.Go(before.retire)
			before = nil
		}
		switch how := p.live(ctx); how {
		case history.EndTakeover:
			before = p
			kept = p.keep()
		default:
			if how == history.EndReset {
				p.net.cut()
				p.net.reset()
			}
			p.halt()
			p.kit.Close()
			kept = p.kit.Session()
			if how == history.EndReset {
				kept.Attempt = p.was.Attempt // it kept what it had handled, and nothing of its connections
			}
		}
	}
	if before != nil {
		before.kit.Close()
	}
}

// startProgram begins one with the session that another one kept, if there is one.
func (c *client) startProgram(ctx context.Context, kept kit.Session) (*program, error) {
	p := &program{c: c, net: newTap(c), over: make(chan struct{})}
	o := kit.Options{HTTPClient: p.net.client(), Resume: kept, OnSession: p.connected,
		Timeout: connectPatience, MinPause: managedPause, MaxPause: managedMaxPause}
	if c.calm {
		o.URLs, o.Timeout = []string{c.run.nodes[0].process.URL("/")}, 2*connectPatience
	} else {
		for _, i := range c.random.Perm(len(c.run.nodes)) {
			o.URLs = append(o.URLs, "ws://"+c.run.nodes[i].front.Addr()+"/")
		}
	}
	if kept.ID != "" {
		c.run.h.Add(history.Event{Kind: history.Began, SID: kept.ID})
	}
	var err error
	if p.kit, err = kit.Dial(ctx, o); err != nil {
		p.told(history.Ended, err)
		return nil, err
	}
	p.was = p.kit.Session()
	p.receive()
	return p, nil
}

// connected is the kit's OnSession.
func (p *program) connected(s kit.Session) {
	c, at := p.c, p.net.at()
	c.mu.Lock()
	defer c.mu.Unlock()
	if s.Resumed {
		c.run.h.Add(history.Event{Kind: history.Resumed, Conn: at.number, SID: s.ID, Class: c.class, Node: at.node.name})
		return
	}
	if c.sid != "" {
		c.run.h.Add(history.Event{Kind: history.Denied, Conn: at.number, SID: c.sid, Why: fmt.Sprintf(`{"why":%q}`, s.Why)})
	}
	c.sid = s.ID
	c.run.h.Add(history.Event{Kind: history.Open, Conn: at.number, SID: s.ID, Class: c.class, Node: at.node.name, Calm: c.calm, Dialed: at.dialed})
}

// Codes of a close after which a client does not come back: its user is refused, and 45xx.
const (
	closedRefused = 4401
	closedFinal   = 45
)

// told writes down with what code a node has ended the client for good.
func (p *program) told(kind history.Kind, err error) {
	var e *kit.Error
	if !errors.As(err, &e) {
		return
	}
	if code, err := strconv.Atoi(e.Code); err == nil && (code == closedRefused || code/100 == closedFinal) {
		p.c.run.h.Add(history.Event{Kind: kind, Conn: p.net.at().number, SID: p.c.session(), Code: code, Why: e.Text})
	}
}

// live sends, and obeys, until the program is to end, and returns how: EndLost is by
// itself.
func (p *program) live(ctx context.Context) string {
	c := p.c
	acks, sends := time.NewTicker(ackEvery), time.NewTicker(sendEvery)
	defer acks.Stop()
	defer sends.Stop()
	for {
		select {
		case <-ctx.Done():
			return history.EndClose
		case <-acks.C:
			p.done()
		case <-p.over:
			return history.EndLost
		case <-sends.C:
			if !c.quiet.Load() && c.random.IntN(3) == 0 {
				p.send()
			}
		case o := <-c.orders:
			if c.quiet.Load() {
				continue
			}
			if how := p.obey(ctx, o); how != "" {
				return how
			}
		}
	}
}

// obey does what the schedule wants; "": the program goes on.
func (p *program) obey(ctx context.Context, o order) (how string) {
	some := time.Duration(200+p.c.random.IntN(1500)) * time.Millisecond
	if o.kind == orderLate || o.kind == orderSpare {
		return "" // the kit has one connection at a time
	}
	p.c.goTo(o.to)
	p.net.to(o.to)
	if o.fault != nil {
		o.fault.bit("obeyed by " + p.c.name)
	}
	switch o.kind {
	case orderReset:
		if p.c.random.IntN(2) == 0 {
			return history.EndReset // the program is gone with it
		}
		p.net.reset()
	case orderClose:
		return history.EndClose
	case orderTakeover, orderTwins:
		return history.EndTakeover
	case orderStop:
		p.net.stop()
		nap(ctx, some)
		p.net.reset()
	case orderPause:
		if p.c.random.IntN(2) == 0 {
			p.net.stop()
			nap(ctx, some)
			p.net.open()
			return ""
		}
		p.halt() // it is the program that does not read
		nap(ctx, some)
		p.receive()
	}
	return ""
}

// receive takes deliveries until halt.
func (p *program) receive() {
	ctx, stop := context.WithCancel(context.Background())
	p.stop = stop
	p.receiving.Go(func() {
		for {
			d, err := p.kit.Receive(ctx)
			switch {
			case err == nil:
				p.took(d)
			case ctx.Err() == nil:
				p.told(history.Ended, err)
				close(p.over)
				return
			default:
				return
			}
		}
	})
}

// halt stops what receives, and is done with everything.
func (p *program) halt() {
	p.stop()
	p.receiving.Wait()
	p.done()
}

// done is done with what is held, the last first: the kit confirms no more than it may.
func (p *program) done() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, d := range slices.Backward(p.held) {
		d.Done()
	}
	p.held = p.held[:0]
}

// keep stops the program where the next one goes on, while its connection lives: it makes
// no further one, whose number would be that of the next program's.
func (p *program) keep() kit.Session {
	p.net.cut()
	p.calls.Wait() // an answer that came later would come to both
	p.halt()
	return p.kit.Session()
}

// retire waits until the program is told that another one has its session, and ends it. It
// is not told where its connection is lost.
func (p *program) retire() {
	ctx, cancel := context.WithTimeout(context.Background(), contestPatience)
	defer cancel()
	for {
		_, err := p.kit.Receive(ctx) // what comes is the next one's
		if err == nil {
			continue
		}
		if ctx.Err() == nil {
			p.told(history.Close, err)
		}
		p.kit.Close()
		return
	}
}
